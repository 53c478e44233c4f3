"""Models to try the dashboard on: real data of a package, trained in seconds, the same on every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from demo_models import breast_cancer, diabetes, digits, mnist_cnn, spam, spam_transformer
from influence_core.errors import UnknownNameError
from influence_core.project import Project
from influence_core.views import Modality

__all__ = ["DEMOS", "Demo", "load"]


@dataclass(frozen=True)
class Demo:
    """One demo, before it is loaded.

    Attributes:
        name: What a user types.
        title: Its headline.
        modality: What an example looks like.
        summary: One line of plain text.
        load: Reads the data and trains the model.
        test_limit: How many test predictions are solved when the demo is built; all if absent.
    """

    name: str
    title: str
    modality: Modality
    summary: str
    load: Callable[[], Project]
    test_limit: int | None = None


_ALL = (
    Demo("digits", digits.TITLE, "image", digits.SUMMARY, digits.load),
    Demo("breast-cancer", breast_cancer.TITLE, "table", breast_cancer.SUMMARY, breast_cancer.load),
    Demo("diabetes", diabetes.TITLE, "table", diabetes.SUMMARY, diabetes.load),
    Demo("spam", spam.TITLE, "text", spam.SUMMARY, spam.load),
    Demo("mnist-cnn", mnist_cnn.TITLE, "image", mnist_cnn.SUMMARY, mnist_cnn.load, mnist_cnn.TEST_LIMIT),
    Demo(
        "spam-transformer",
        spam_transformer.TITLE,
        "text",
        spam_transformer.SUMMARY,
        spam_transformer.load,
        spam_transformer.TEST_LIMIT,
    ),
)
DEMOS: dict[str, Demo] = {demo.name: demo for demo in _ALL}


def load(name: str) -> Project:
    """Read a demo's data and train its model.

    Raises:
        UnknownNameError: If there is no demo of that name.
        ProjectError: If its data cannot be had.
    """
    if name not in DEMOS:
        msg = f"There is no demo '{name}'; choose one of {', '.join(DEMOS)}."
        raise UnknownNameError(msg)
    return DEMOS[name].load()

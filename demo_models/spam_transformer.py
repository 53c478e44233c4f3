"""Spam or ham by a language model: MiniLM, fine-tuned on the e-mails of the demo ``spam``."""

from __future__ import annotations

import copy
import inspect
import logging
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from demo_models import fine_tuning, minilm
from demo_models.fine_tuning import Recipe, Tuned, in_chunks, settle, through, tune
from demo_models.heads import one_thread
from demo_models.kept import recipe_hash, trained_once
from demo_models.mail import Mail
from demo_models.spam_corpus import CLASS_NAMES, groups, read_corpus, split_mails, without_corpus_words, words_of
from influence_core import from_huggingface
from influence_core.project import Dataset, Project, batches
from influence_core.views import TextView

TITLE = "Spam filter and a language model"
SUMMARY = "2,500 real e-mails and MiniLM, a pretrained language model of 22.7 million parameters, fine-tuned on them."
DESCRIPTION = (
    "These are 2,500 of the e-mails of the demo spam, sorted by hand into spam and ham, as wanted mail is called. "
    "The model is MiniLM, a language model of 22.7 million parameters that had read much of the web. Its two upper "
    "layers were tuned on 2,000 of the mails; its last two, pooler and classifier with 148,610 parameters, were then "
    "brought to the optimum of their objective, and scores account for these two. It reads the first 128 tokens of "
    "a mail and is wrong about some 2 in 100 of the other 500, about as many as the linear filter that reads all of "
    "it. Worth asking: which training mails made it distrust a mail that somebody wanted, and do they look alike to "
    "you as they do to the model?"
)
ATTRIBUTED = ("bert.pooler*", "classifier*")
TEST_LIMIT = 24  # solved when the demo is built, the wrong predictions first
SEED = 0
RECIPE = Recipe()

_log = logging.getLogger(__name__)


def load() -> Project:
    """The project; the first load on a machine fetches the language model and tunes it for some minutes."""
    keys, mails = read_corpus()
    train, test = _chosen(mails)
    model = minilm.classifier(CLASS_NAMES, SEED)
    project = from_huggingface(
        model,
        minilm.tokenizer(),
        _rows(keys, mails, train),
        _rows(keys, mails, test),
        name="spam-transformer",
        max_length=RECIPE.tokens,
        weight_decay=RECIPE.weight_decay,
        attributed=ATTRIBUTED,
        title=TITLE,
        description=DESCRIPTION,
        view=TextView([mails[i].shown for i in train], [mails[i].shown for i in test]),
        train_metadata=groups(keys, train),
        test_metadata=groups(keys, test),
    )
    tuned = _tuned(model, project.train)
    _only_last_layers(model)
    return replace(project, fit=Refit(model, project.train, tuned.summaries))


@dataclass(frozen=True, eq=False)
class Refit:
    """The project's ``fit``: the attributed layers again, from the demo's own optimum, on the trunk as it is.

    From there the seed changes nothing, and one run of L-BFGS on what the trunk says of each text takes some seconds.

    Attributes:
        model: The demo's model.
        train: Its training texts.
        summaries: What the trunk says of them.
    """

    model: Any
    train: Dataset
    summaries: Tensor

    def __call__(self, dataset: Dataset, weights: Tensor, seed: int) -> nn.Module:  # noqa: ARG002  (part of the interface)
        """Minimise ``(1/n) sum_i weights_i loss_i + R`` over the attributed layers."""
        model = copy.deepcopy(self.model)
        _, batch = next(batches(dataset, len(dataset)))
        with one_thread():
            summaries = self.summaries if dataset is self.train else _summaries(model, batch)
            settle(Tuned(model, RECIPE, len(summaries)), RECIPE, summaries, batch["labels"], weights)
        return _only_last_layers(model)


def _only_last_layers(model: Any) -> nn.Module:
    model.requires_grad_(requires_grad=False)
    model.bert.pooler.requires_grad_(requires_grad=True)
    model.classifier.requires_grad_(requires_grad=True)
    resting: nn.Module = model.eval()
    return resting


def _tuned(model: Any, train: Any) -> Tuned:
    """Tuned in place, once on a machine."""
    tokens, mask, labels = (train.batch[name] for name in ("input_ids", "attention_mask", "labels"))
    words = (inspect.getsource(fine_tuning), repr(RECIPE), str(SEED), minilm.PACKAGE.sha256)
    name = f"spam-transformer-{recipe_hash(words, (tokens, mask, labels))}"

    def train_now() -> nn.Module:
        _log.info("Tuning the language model on %d mails (some minutes, once).", len(labels))
        with one_thread():
            tune(tuned, model, RECIPE, (tokens, mask, labels))
        return tuned

    tuned = Tuned(model, RECIPE, len(labels))
    trained_once(name, tuned, train_now)
    return tuned


def _summaries(model: Any, batch: Any) -> Tensor:
    """The last layer's output for each text's first token."""
    tokens, mask = batch["input_ids"], batch["attention_mask"]
    return in_chunks(
        lambda rows: through(model.bert.encoder.layer, model.bert.embeddings(input_ids=tokens[rows]), mask[rows])[:, 0],
        tokens,
    )


def _chosen(mails: list[Mail]) -> tuple[list[int], list[int]]:
    """Some of either side of the split, in ascending order."""
    generator = torch.Generator().manual_seed(SEED)
    found = []
    for side, size in zip(split_mails(mails), (RECIPE.train_size, RECIPE.test_size), strict=True):
        order = torch.randperm(len(side), generator=generator)[:size]
        found.append([side[i] for i in order.sort().values.tolist()])
    return found[0], found[1]


def _rows(keys: list[str], mails: list[Mail], chosen: list[int]) -> list[dict[str, Any]]:
    return [
        {
            "id": keys[i],
            "text": without_corpus_words(words_of(mails[i])),
            "label": CLASS_NAMES[int(keys[i].startswith("spam"))],
        }
        for i in chosen
    ]

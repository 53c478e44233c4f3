"""From a file to an explained prediction, in a real browser: a table, pictures, and a change of mind."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

from influence_core.store import Workspace
from tests.benchmarks.serving import serving, wait_until_healthy
from tests.browser.conftest import Visit
from tests.browser.pages import Dashboard
from tests.browser.readable import serious_faults
from tests.dashboard.uploaded import cancer, csv, digits, folders, zipped

HOME = Path("data") / "influence-dashboard" / "uploads"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploading")


@pytest.fixture(scope="module")
def server(home: Path, workspaces: dict[str, Workspace]) -> Iterator[str]:
    """A dashboard of its own, as uploads add to the catalogue."""
    folder = shutil.copytree(workspaces["diabetes"].path, home / "diabetes")
    with serving(home, "open", str(folder)) as (process, served):
        wait_until_healthy(process, served, home)
        yield served


def upload(seen: Dashboard, name: str, data: bytes, tmp_path: Path) -> None:
    """Give a file to the page and wait until it shows what was found."""
    (tmp_path / name).write_bytes(data)
    seen.open("/your-data")
    seen.page.locator("input[type=file]").set_input_files(tmp_path / name)
    seen.expect_text("What was found")
    seen.rest()


def train(seen: Dashboard, workspace: str) -> None:
    """Press the button and wait until Explain has opened on the new workspace."""
    seen.button("Train and explain").click()
    seen.page.wait_for_url(f"**workspace={workspace}&**test=*", timeout=120_000)
    seen.rest()


def test_a_table_is_uploaded_trained_explained_and_refitted(visit: Visit, server: str, tmp_path: Path) -> None:
    seen = visit(address=server)
    upload(seen, "tumours.csv", csv(cancer(300)), tmp_path)
    seen.expect_text("240 examples train a softmax regression")
    train(seen, "tumours")
    expect(seen.page.locator(".st-key-chosen")).to_contain_text("wrong: true label")
    assert len(seen.cards("negative")) == 6
    seen.page.locator(".st-key-deck-negative li[data-id]").first.get_by_role("checkbox").click()
    seen.settle()
    seen.button("Refit without them").click()
    expect(seen.page.locator(".st-key-refitting")).to_contain_text(re.compile("refitted in"), timeout=30_000)
    seen.open("/overview", workspace="tumours")
    seen.expect_text("always saying")


def test_pictures_are_uploaded_trained_and_explained(visit: Visit, server: str, tmp_path: Path) -> None:
    seen = visit(address=server)
    files = digits(150) | {"digits/3/broken.png": b"no picture"}
    upload(seen, "numbers.zip", zipped(files), tmp_path)
    seen.expect_text("1 picture cannot be decoded and is left out")
    expect(seen.page.get_by_role("img", name="A picture of 3")).to_be_visible()
    train(seen, "numbers")
    assert len(seen.cards("positive")) == 6
    assert seen.page.locator(".st-key-chosen img").count() == 1


def test_training_goes_on_behind_other_pages_and_can_be_cancelled(
    visit: Visit, server: str, home: Path, tmp_path: Path
) -> None:
    """A table wide enough for some seconds of work."""
    lot = np.random.default_rng(0)
    noise = pd.DataFrame(lot.normal(size=(300, 400)), columns=[f"noise {i}" for i in range(400)])
    wide = pd.concat([cancer(300), noise], axis=1)
    wide["target"] = lot.choice(list("abcde"), 300)
    seen = visit(address=server)
    upload(seen, "wide.csv", csv(wide), tmp_path)
    seen.button("Train and explain").dblclick()
    panel = seen.page.locator(".st-key-training")
    expect(panel).to_contain_text("Training on wide")
    seen.page.get_by_role("link", name="Help").click()
    seen.expect_text("What the score is")
    seen.page.get_by_role("link", name="Your data").click()
    expect(panel).to_contain_text("Training on wide")
    assert not serious_faults(seen)
    assert folders(home / HOME).count("wide") == 1
    assert "wide-2" not in folders(home / HOME)  # pressed twice, started once
    seen.button("Cancel").click()
    seen.expect_text("Stopped; nothing of it was kept.")
    seen.wait_until(lambda: not {"wide", ".wide"} & set(folders(home / HOME)), seconds=60)
    assert not {"wide", ".wide"} & set(folders(home / HOME))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_is_readable_by_everyone(visit: Visit, server: str, scheme: str, width: int, tmp_path: Path) -> None:
    seen = visit(width=width, scheme=scheme, address=server)
    seen.open("/your-data")
    seen.rest()
    assert not serious_faults(seen)
    assert seen.sideways() <= 0
    for name, data in (("tumours.csv", csv(cancer(100))), ("digits.zip", zipped(digits(40))), ("bad.csv", b"a\nb\n")):
        (tmp_path / name).write_bytes(data)
        seen.page.locator("input[type=file]").set_input_files(tmp_path / name)
        seen.rest()
        seen.page.screenshot(path=tmp_path / f"{name}-{scheme}-{width}.png", full_page=True)
        assert not serious_faults(seen), name
        assert seen.sideways() <= 0, name

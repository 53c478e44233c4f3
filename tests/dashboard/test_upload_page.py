"""The page Your data as a visitor meets it; the browser tests look on while a model is trained."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from dashboard import cache
from dashboard.cache import uploads
from dashboard.services import catalogue
from dashboard.services.jobs import Jobs
from tests.dashboard.conftest import HOSTILE
from tests.dashboard.test_pages import APP, shown
from tests.dashboard.uploaded import cancer, csv, digits, folders, zipped

TIMEOUT = 60


def script() -> None:
    from dashboard.views import bring  # noqa: PLC0415  (AppTest runs this function's text alone)

    bring.page()


@pytest.fixture
def loopback() -> Iterator[None]:
    """The host as the command line gives it to Streamlit."""
    before = config.get_option("server.address")
    config.set_option("server.address", "127.0.0.1")
    yield
    config.set_option("server.address", before)


@pytest.fixture
def page(loopback: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    jobs: Jobs[cache.Order] = Jobs()
    monkeypatch.setattr(uploads, "TRAINING", jobs)
    yield AppTest.from_function(script, default_timeout=TIMEOUT).run()
    jobs.close()


def uploaded(page: AppTest, name: str, data: bytes) -> AppTest:
    page.file_uploader("upload").set_value((name, data, "application/octet-stream")).run()
    assert not page.exception
    return page


def menu(page: AppTest, name: str) -> object:
    return next(box for box in page.selectbox if str(box.key).startswith(f"upload-{name}-"))


def test_a_visitor_is_told_what_is_taken_and_where_it_stays(page: AppTest, tmp_path: Path) -> None:
    text = shown(page)
    assert "Up to 50 MB" in text
    assert "never leaves this machine" in text
    assert str(tmp_path / "data" / "uploads") in text
    assert not page.button


def test_a_table_is_shown_with_its_choices(page: AppTest) -> None:
    uploaded(page, "cancer.csv", csv(cancer().assign(site="A")))
    assert "cancer\\.csv: 200 rows, 33 columns" in [title.value for title in page.subheader]  # escaped for Markdown
    assert menu(page, "label").value == "target"  # type: ignore[attr-defined]
    assert len(page.dataframe) == 2
    assert "Left out, as all rows hold the same: 'site'." in shown(page)
    assert "160 examples train a softmax regression on 30 columns" in shown(page)
    assert [button.label for button in page.button] == ["Train and explain"]


def test_a_choice_that_cannot_be_learnt_is_said_and_offers_no_button(page: AppTest) -> None:
    uploaded(page, "cancer.csv", csv(cancer()))
    menu(page, "label").set_value("id").run()  # type: ignore[attr-defined]
    assert "'id' holds 200 different texts in 200 rows" in shown(page)
    assert not page.button


def test_a_bad_file_is_said_until_another_one_comes(page: AppTest) -> None:
    uploaded(page, "bad.csv", b"a,b\n1,2\n1,2,3\n")
    assert "Line 3 has 3 cells" in shown(page)
    page.run()
    assert "Line 3 has 3 cells" in shown(page)
    uploaded(page, "digits.zip", zipped(digits(40)))
    assert "Line 3" not in shown(page)
    assert "16 × 16 pixels" in shown(page)


def test_a_click_trains_once_and_the_result_waits_for_whoever_left(page: AppTest) -> None:
    uploaded(page, "cancer.csv", csv(cancer()))
    page.button("train").click().run()
    order = page.session_state["training"]
    visitor = page.session_state["visitor"]
    deadline = time.monotonic() + TIMEOUT
    while (state := cache.training_state(order, visitor)) and state.is_live and time.monotonic() < deadline:
        time.sleep(0.1)
    assert state is not None
    assert state.phase == "done"
    page.run()
    assert "cancer is ready" in [title.value for title in page.subheader]
    assert "always saying 'malignant'" in shown(page)
    assert [entry.name for entry in catalogue.recent()] == ["cancer"]
    page.button("upload-another").click().run()
    assert not page.button


def test_a_failure_stays_until_it_is_dismissed(page: AppTest, tmp_path: Path) -> None:
    uploaded(page, "cancer.csv", csv(cancer()))
    (tmp_path / "data").write_text("in the way")
    page.button("train").click().run()
    order, visitor = page.session_state["training"], page.session_state["visitor"]
    while (state := cache.training_state(order, visitor)) and state.is_live:
        time.sleep(0.05)
    for _ in range(2):
        page.run()
        assert "cannot be written to" in shown(page)
    page.button("dismiss-training").click().run()
    assert "cannot be written to" not in shown(page)


def test_nothing_is_taken_where_others_can_reach_the_dashboard(page: AppTest, tmp_path: Path) -> None:
    config.set_option("server.address", "0.0.0.0")  # noqa: S104  (a name, not a bind)
    page.run()
    assert "Uploads are off" in shown(page)
    assert not page.get("file_uploader")
    assert folders(tmp_path / "data") == []


def test_the_empty_dashboard_leads_here(loopback: None) -> None:
    app = AppTest.from_file(APP, default_timeout=TIMEOUT).run()
    app.button("to-upload").click().run()
    assert not app.exception
    assert [title.value for title in app.title] == ["Your data"]
    assert "never leaves this machine" in shown(app)


def test_texts_of_a_file_are_shown_as_texts(page: AppTest) -> None:
    """Markup in a column, a cell, a class and the file's name reaches no Markdown."""
    frame = cancer(60).rename(columns={"mean area": HOSTILE, "target": f"{HOSTILE} label"})
    frame[f"{HOSTILE} label"] = [HOSTILE, "**bold**"] * 30
    uploaded(page, "![x](http://tracker.example/x.png).csv", csv(frame.assign(**{f"{HOSTILE} same": HOSTILE})))
    menu(page, "label").set_value(f"{HOSTILE} label").run()  # type: ignore[attr-defined]
    assert page.button("train")
    for element in [*page.markdown, *page.caption, *page.subheader]:
        assert "](http" not in element.value
        assert "<script>" not in element.value

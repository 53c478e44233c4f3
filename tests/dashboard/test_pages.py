"""Each page as a visitor meets it: ids, filters, the address bar, and what is said when something is wrong.

Tables, charts and our own browser components cannot be clicked here; the browser tests do that.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard.services import catalogue
from dashboard.services.opened import WORKSPACE
from influence_core.store import Workspace
from tests.dashboard.conftest import HOSTILE

APP = Path(dashboard.__file__).parent / "app.py"
TIMEOUT = 20


@pytest.fixture
def app(digits: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the digits demo, as `influence open` starts it."""
    monkeypatch.setenv(WORKSPACE, str(digits.path))
    return AppTest.from_file(APP, default_timeout=TIMEOUT)


def address(app: AppTest) -> dict[str, str]:
    return {name: str(v[0] if isinstance(v, list) else v) for name, v in app.query_params.items()}


def component(app: AppTest, key: str) -> Any:
    """The data that one of our own components was given."""
    found = [e.proto for e in app.get("bidi_component") if f"-{key}-" in f"-{e.proto.id}-" or e.proto.id.endswith(key)]
    return json.loads(found[0].json)


def shown(app: AppTest) -> str:
    """All plain text on the page."""
    return "\n".join([element.value for element in [*app.text, *app.markdown, *app.caption]])


def chosen(app: AppTest) -> str:
    return next(e.value for e in app.markdown if "· test " in e.value)


def test_a_first_visit_opens_on_the_most_surprising_mistake(app: AppTest, digits: Workspace) -> None:
    app.run()
    assert not app.exception
    run = digits.run()
    assert address(app) == {"workspace": "digits", "run": run.id, "test": str(run.solved[0])}
    assert chosen(app).endswith(f"· test {run.solved[0]}")
    assert "What am I looking at?" in shown(app)
    app.button("dismiss-hint").click().run()
    assert "What am I looking at?" not in shown(app)


def test_a_link_opens_its_example(app: AppTest) -> None:
    app.query_params["test"] = "3"
    app.query_params["target"] = "logit-7"
    app.run()
    assert chosen(app).endswith("· test 3")
    assert address(app)["test"] == "3"
    assert address(app)["target"] == "logit-7"
    assert component(app, "deck-positive")["title"] == "Supports 7"
    assert component(app, "deck-positive")["cards"][0]["score"].endswith("logits")


def test_next_and_previous_keep_id_address_and_cards_together(app: AppTest, digits: Workspace) -> None:
    app.run()
    first, second = (str(i) for i in digits.run().solved[:2])
    app.button(f"Next-{first}").click().run()
    assert address(app)["test"] == second
    assert chosen(app).endswith(f"· test {second}")
    best = digits.run().scores(int(second)).top(int(second), 1)[0].train_id
    assert component(app, "deck-positive")["cards"][0]["id"] == best
    app.button(f"Previous-{second}").click().run()
    assert address(app)["test"] == first


def test_the_browsers_back_is_followed(app: AppTest, digits: Workspace) -> None:
    app.run()
    first = str(digits.run().solved[0])
    app.button(f"Next-{first}").click().run()
    app.query_params["test"] = first  # what the browser sends on Back
    app.run()
    assert chosen(app).endswith(f"· test {first}")
    assert address(app)["test"] == first


def test_an_example_outside_the_filter_stays(app: AppTest) -> None:
    app.query_params["test"] = "3"
    app.run()
    app.segmented_control(key="outcome").set_value("wrong").run()
    assert chosen(app).endswith("· test 3")
    assert "not in this filter" in shown(app)
    assert "12 listed" in shown(app)
    assert len(app.dataframe[0].value) == 12
    app.selectbox(key="filter-true").set_value(8).run()
    assert "5 listed" in shown(app)
    app.button("clear-filters").click().run()
    assert "not in this filter" not in shown(app)


def test_a_list_that_is_empty_says_so(app: AppTest) -> None:
    app.run()
    app.text_input(key="search").set_value("no such key").run()
    assert "No prediction passes these filters." in shown(app)
    app.button("show-all").click().run()
    assert "1 of 360" in shown(app)


def test_the_list_opens_on_the_page_with_the_example(app: AppTest) -> None:
    app.run()
    app.selectbox(key="sort").set_value("id").run()
    app.query_params["test"] = "130"
    app.run()
    rows = app.dataframe[0].value["Example"].tolist()
    assert len(rows) == 50
    assert rows[30].startswith("▸ ")


def test_the_target_menus_change_the_address(app: AppTest) -> None:
    app.run()
    app.selectbox(key="measure").set_value("margin").run()
    assert address(app)["target"] == "margin-true"
    app.selectbox(key="of").set_value("predicted").run()
    assert address(app)["target"] == "margin-predicted"
    app.selectbox(key="measure").set_value("loss").run()
    app.selectbox(key="of").set_value("true").run()
    assert "target" not in address(app)


def test_the_ranking_is_in_the_address_and_orders_the_cards(app: AppTest, digits: Workspace) -> None:
    app.run()
    test_id, run = int(address(app)["test"]), digits.run()
    ids = {}
    for rank in ("effect", "relative", "cosine"):
        app.segmented_control(key="rank-by").set_value(rank).run()
        assert address(app).get("rank", "effect") == rank
        ids[rank] = [card["id"] for card in component(app, "deck-negative")["cards"]]
        expected = run.frame(test_id, rank=rank)["train_id"].iloc[::-1]
        assert ids[rank] == expected.head(len(ids[rank])).tolist()
    assert ids["effect"] != ids["relative"] != ids["cosine"]
    assert "nats · cosine −" in component(app, "deck-negative")["cards"][0]["score"]


def test_a_link_with_a_ranking_that_is_none_says_so(app: AppTest) -> None:
    app.query_params["rank"] = "size"
    app.run()
    assert not app.exception
    assert "This run cannot rank by size, so its order is that of the effect." in shown(app)


def test_more_cards_on_a_page(app: AppTest) -> None:
    app.run()
    app.segmented_control(key="cards-size").set_value(24).run()
    assert len(component(app, "deck-negative")["cards"]) == 24


def test_a_training_example_says_how_far_first_order_is_off(app: AppTest, digits: Workspace) -> None:
    """On its card where that is much, and in its closer look."""
    gap = digits.run().first_order_gap
    assert gap is not None
    app.query_params["test"] = "327"
    app.run()
    said = {
        card["id"]: card["flag"]
        for side in ("positive", "negative")
        for card in component(app, f"deck-{side}")["cards"]
    }
    far = {i for i in said if float(gap.relative[i]) >= 0.25}
    assert far
    assert {i for i in said if re.search(r"scores about \d+ % too small", said[i])} == far
    app.session_state["opened"] = next(iter(far))
    app.run()
    assert f"First order is about {100 * float(gap.relative[next(iter(far))]):.0f} % too small here" in shown(app)


def test_trust_and_sentence_are_on_screen(app: AppTest, digits: Workspace) -> None:
    app.run()
    assert "training examples carry half of the harmful influence" in shown(app)
    assert "Checked" in shown(app)
    assert "100 % of parameters covered" in shown(app).replace("\\", "")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("workspace", "elsewhere", "No workspace is known here as 'elsewhere'"),
        ("run", "0000", "There is no complete run '0000'"),
        ("test", "99999", "There is no test example 99999"),
        ("target", "nonsense", "'nonsense' is no target"),
        ("target", "logit-77", "There is no class 77"),
    ],
)
def test_a_wrong_link_is_answered_in_words(name: str, value: str, said: str, app: AppTest) -> None:
    app.query_params[name] = value
    app.run()
    assert not app.exception
    assert said in shown(app)
    assert "Our fault" not in shown(app)


def test_a_prediction_that_is_not_solved_says_what_to_do(hostile: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, str(hostile.path))
    app = AppTest.from_file(APP, default_timeout=TIMEOUT)
    unsolved = next(i for i in range(20) if i not in hostile.run().solved)
    app.query_params["test"] = str(unsolved)
    app.run()
    assert f"Test example {unsolved} is not solved yet" in shown(app)
    assert chosen(app).endswith(f"· test {unsolved}")


def test_without_a_workspace_the_page_says_how_to_begin() -> None:
    app = AppTest.from_file(APP, default_timeout=TIMEOUT).run()
    assert not app.exception
    assert [code.value.splitlines()[0] for code in app.code] == [
        "influence demo",
        "influence open DIR",
        "influence build FILE.py --out DIR",
    ]


def test_a_workspace_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, str(tmp_path / "gone"))
    app = AppTest.from_file(APP, default_timeout=TIMEOUT).run()
    assert "does not exist" in shown(app)
    assert "influence info DIR" in shown(app)


def test_switching_the_workspace_starts_afresh(app: AppTest, table: Workspace) -> None:
    catalogue.register(table.path)
    app.query_params["test"] = "3"
    app.run()
    app.selectbox(key="workspace-menu").set_value("prices").run()
    assert not app.exception
    first = str(table.run().solved[0])
    assert address(app) == {"workspace": "prices", "run": table.run().id, "test": first}
    assert "squared euro" in component(app, "deck-positive")["cards"][0]["score"]


def test_data_that_looks_like_markup_stays_text(hostile: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, str(hostile.path))
    app = AppTest.from_file(APP, default_timeout=TIMEOUT).run()
    assert not app.exception
    for element in [*app.markdown, *app.subheader, *app.caption]:
        for harm in ("<script", "![](http", ":smile:", ":red[", "$x^2$", "\u202e", "<b>"):
            assert harm not in re.sub(r"\\.", "", element.value)  # what is escaped is harmless
    texts = [cards["text"] for cards in component(app, "deck-positive")["cards"]]
    assert any("".join(piece for piece, _ in text).startswith(HOSTILE[:20]) for text in texts)


def test_refitting_without_the_ticked_examples(app: AppTest, digits: Workspace) -> None:
    app.run()
    assert app.button("refit-button").disabled
    test_id = int(digits.run().solved[0])
    removed = [ranked.train_id for ranked in digits.run().scores(test_id).top(test_id, 3)]
    app.session_state["picked"] = set(removed)
    app.run()
    keys = ", ".join(digits.train[i].key for i in sorted(removed))
    assert f"3 examples are ticked: {keys}. Fit the model again without all of them at once." in shown(app)
    app.button("refit-button").click().run()
    assert not app.exception
    bars = component(app, "refit-bars")["rows"]
    assert [bar["name"] for bar in bars] == ["predicted change", "actual change"]
    assert {bar["side"] for bar in bars} == {"positive"}
    assert "Same direction (helpful)" in shown(app)
    app.button("clear-ticks").click().run()
    assert "Same direction" not in shown(app)


def test_at_most_twenty_examples_are_left_out(app: AppTest) -> None:
    app.run()
    app.session_state["picked"] = set(range(21))
    app.run()
    assert app.button("refit-button").disabled
    assert "at most 20 can be left out at once" in shown(app)


def test_a_range_ticks_no_more_than_can_be_refitted(app: AppTest) -> None:
    app.run()
    now = address(app)
    app.session_state["brush"] = (f"digits-{now['run']}-{now['test']}-loss-true", (0, 30))
    app.run()
    app.button("tick-range").click().run()
    assert len(app.session_state["picked"]) == 20
    assert not app.button("refit-button").disabled


def test_without_code_the_refit_says_what_turns_it_on(hostile: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, str(hostile.path))
    app = AppTest.from_file(APP, default_timeout=TIMEOUT).run()
    assert "open it with `influence open DIR --project FILE`" in shown(app)


def test_our_own_mistakes_are_ours_and_can_be_found(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        msg = "secret detail"
        raise RuntimeError(msg)

    monkeypatch.setattr("dashboard.services.influence.explain", broken)
    app.query_params["test"] = "5"
    app.run()
    assert not app.exception
    assert "Our fault" in shown(app)
    assert "secret detail" not in shown(app)
    fault = next(record for record in caplog.records if record.message.startswith("fault "))
    assert fault.message.removeprefix("fault ") in shown(app)
    assert fault.exc_info is not None


def test_overview(digits: Workspace) -> None:
    page = overview(digits).run()
    assert not page.exception
    assert {metric.label: metric.value for metric in page.metric}["Wrong"] == "12"
    assert component(page, "deck-surprising")["cards"][0]["id"] == int(digits.run().solved[0])
    assert "wrong predictions" in component(page, "deck-harmful")["cards"][0]["score"]


def overview(workspace: Workspace) -> AppTest:
    def script(name: str) -> None:
        from dashboard.views import overview  # noqa: PLC0415  (the function is run as a script)

        assert name
        overview.page()

    return AppTest.from_function(script, default_timeout=TIMEOUT, args=(catalogue.register(workspace.path),))


def test_overview_of_a_regression(table: Workspace) -> None:
    page = overview(table).run()
    assert not page.exception
    assert {metric.label for metric in page.metric} == {"R²", "Typical error (euro)", "Largest error (euro)"}
    assert component(page, "deck-surprising")["title"] == "Largest errors"


def test_help_names_every_key() -> None:
    def script() -> None:
        from dashboard.views import help  # noqa: PLC0415  (the function is run as a script)

        help.page()

    page = AppTest.from_function(script, default_timeout=TIMEOUT).run()
    assert not page.exception
    text = shown(page)
    for key in ("**N**", "**P**", "**S**", "**Q**", "**F**", "**X**", "**Esc**"):
        assert key in text

"""Jobs on a thread of their own: one at a time, watched and stopped by several sessions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from dashboard.services.jobs import Asked, Jobs, Report, State
from dashboard.services.turns import Turns
from influence_core.errors import CurvatureError
from influence_core.store import Progress
from influence_core.target import Target

SOON = 10.0


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert true()


def asked(test_id: int, target: Target = Target()) -> Asked:  # noqa: B008  (frozen)
    return Asked("somewhere", "run", test_id, target)


@dataclass
class Slow:
    """A solve that goes on until it is let go, reporting all the time."""

    begun: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    times: int = 0
    ended: list[str] = field(default_factory=list)

    def __call__(self, report: Report) -> None:
        self.times += 1
        self.begun.set()
        try:
            while not self.go.wait(0.005):
                report(Progress("Conjugate gradients", 3, 10, 7.0))
        except Exception:
            self.ended.append("stopped")
            raise
        self.ended.append("done")


@pytest.fixture
def slow() -> Iterator[Slow]:
    work = Slow()
    yield work
    work.go.set()


def test_started_twice_it_is_one_job(slow: Slow) -> None:
    jobs = Jobs()
    assert jobs.state(asked(1), "ann") is None
    jobs.start(asked(1), slow, "ann")
    jobs.start(asked(1), slow, "ann")
    until(lambda: jobs.state(asked(1), "ann") == State("running", "Conjugate gradients", 3, 10, 7.0))
    slow.go.set()
    until(lambda: jobs.state(asked(1), "ann").phase == "done")  # type: ignore[union-attr]
    assert slow.times == 1
    jobs.dismiss(asked(1))
    assert jobs.state(asked(1), "ann") is None


def test_one_solves_and_the_others_wait(slow: Slow) -> None:
    jobs, second = Jobs(), Slow()
    jobs.start(asked(1), slow, "ann")
    jobs.start(asked(2), second, "bob")
    slow.begun.wait(SOON)
    assert jobs.state(asked(2), "bob") == State("waiting")
    slow.go.set()
    second.go.set()
    until(lambda: jobs.state(asked(2), "bob") == State("done", *_where(jobs, asked(2))))
    assert slow.ended == second.ended == ["done"]


def _where(jobs: Jobs, what: Asked) -> tuple[str, int, int, float | None]:
    found = jobs.state(what, "bob")
    assert found is not None
    return found.stage, found.done, found.total, found.seconds_left


def test_cancelled_while_waiting_it_never_begins(slow: Slow) -> None:
    jobs, second = Jobs(), Slow()
    jobs.start(asked(1), slow, "ann")
    slow.begun.wait(SOON)
    jobs.start(asked(2), second, "bob")
    jobs.cancel(asked(2), "bob")
    assert jobs.state(asked(2), "bob") == State("cancelled")
    slow.go.set()
    until(lambda: slow.ended == ["done"])
    assert second.times == 0


def test_cancelled_while_running_it_stops(slow: Slow) -> None:
    jobs = Jobs()
    jobs.start(asked(1), slow, "ann")
    slow.begun.wait(SOON)
    jobs.cancel(asked(1), "ann")
    assert jobs.state(asked(1), "ann") == State("cancelled")
    until(lambda: slow.ended == ["stopped"])
    again = Slow()
    again.go.set()
    jobs.start(asked(1), again, "ann")
    until(lambda: jobs.state(asked(1), "ann").phase == "done")  # type: ignore[union-attr]


def test_our_own_error_keeps_its_words_until_it_is_asked_again() -> None:
    def fails(report: Report) -> None:
        msg = "The curvature's smallest eigenvalue is -0.5; use more damping."
        raise CurvatureError(msg)

    jobs = Jobs()
    jobs.start(asked(1), fails, "ann")
    until(lambda: jobs.state(asked(1), "ann").phase == "failed")  # type: ignore[union-attr]
    found = jobs.state(asked(1), "ann")
    assert found is not None
    assert found.fault is not None
    assert found.fault.sentence.endswith("use more damping.")
    again = Slow()
    again.go.set()
    jobs.start(asked(1), again, "ann")
    until(lambda: jobs.state(asked(1), "ann").phase == "done")  # type: ignore[union-attr]


@pytest.mark.parametrize(("error", "said"), [(RuntimeError("x"), "on our side"), (SystemExit(3), "ended the program")])
def test_whatever_is_raised_the_worker_lives(error: BaseException, said: str) -> None:
    def fails(report: Report) -> None:
        raise error

    jobs, next_one = Jobs(), Slow()
    next_one.go.set()
    jobs.start(asked(1), fails, "ann")
    jobs.start(asked(2), next_one, "bob")
    until(lambda: next_one.ended == ["done"])
    found = jobs.state(asked(1), "ann")
    assert found is not None
    assert found.fault is not None
    assert said in found.fault.sentence


def test_what_a_session_no_longer_looks_at_is_stopped_when_it_asks_for_the_next(slow: Slow) -> None:
    jobs, second = Jobs(), Slow()
    jobs.start(asked(1), slow, "ann")
    slow.begun.wait(SOON)
    jobs.start(asked(2), second, "ann")
    until(lambda: slow.ended == ["stopped"])
    second.go.set()
    until(lambda: second.ended == ["done"])
    assert jobs.state(asked(1), "ann") is None  # it starts by itself when it is looked at again


def test_in_the_background_what_runs_may_end_and_only_the_newest_comes_next(slow: Slow) -> None:
    jobs, second, third = Jobs(), Slow(), Slow()
    third.go.set()
    jobs.start(asked(1), slow, "ann", stop_running=False)
    slow.begun.wait(SOON)
    jobs.start(asked(2), second, "ann", stop_running=False)
    jobs.start(asked(3), third, "ann", stop_running=False)
    assert jobs.state(asked(2), "ann") is None
    slow.go.set()
    until(lambda: third.ended == ["done"])
    assert (slow.ended, second.times) == (["done"], 0)


def test_what_has_not_begun_can_be_cancelled_and_only_for_oneself() -> None:
    jobs, work = Jobs(), Slow()
    work.go.set()
    jobs.cancel(asked(1), "ann")
    assert jobs.state(asked(1), "ann") == State("cancelled")
    assert jobs.state(asked(1), "bob") is None
    jobs.start(asked(1), work, "bob")
    until(lambda: work.ended == ["done"])
    assert jobs.state(asked(1), "ann") is not None


def test_two_sessions_want_the_same(slow: Slow) -> None:
    jobs = Jobs()
    jobs.start(asked(1), slow, "ann")
    assert jobs.state(asked(1), "bob") is None
    jobs.start(asked(1), slow, "bob")
    slow.begun.wait(SOON)
    jobs.cancel(asked(1), "ann")
    assert jobs.state(asked(1), "ann") == State("cancelled")
    until(lambda: jobs.state(asked(1), "bob").phase == "running")  # type: ignore[union-attr]
    slow.go.set()
    until(lambda: jobs.state(asked(1), "bob").phase == "done")  # type: ignore[union-attr]
    assert slow.times == 1


def test_as_the_process_ends_what_runs_is_stopped(slow: Slow) -> None:
    jobs = Jobs()
    jobs.start(asked(1), slow, "ann")
    slow.begun.wait(SOON)
    jobs.start(asked(2), Slow(), "bob")
    jobs.close()
    assert slow.ended == ["stopped"]


def test_a_target_is_a_job_of_its_own(slow: Slow) -> None:
    jobs = Jobs()
    jobs.start(asked(1), slow, "ann")
    assert jobs.state(asked(1, Target("margin")), "ann") is None


def test_a_long_turn_lets_short_ones_pass() -> None:
    turns, order = Turns(), list[str]()
    taken, go = threading.Event(), threading.Event()

    def long() -> None:
        with turns:
            taken.set()
            go.wait(SOON)
            turns.let_pass()
            order.append("long")

    def short() -> None:
        with turns:
            order.append("short")

    threads = [threading.Thread(target=long)]
    threads[0].start()
    taken.wait(SOON)
    threads += [threading.Thread(target=short) for _ in range(2)]
    for thread in threads[1:]:
        thread.start()
    until(lambda: turns._waiting == 2)
    assert order == []
    go.set()
    for thread in threads:
        thread.join(SOON)
    assert order == ["short", "short", "long"]

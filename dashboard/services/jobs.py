"""Work that takes seconds: one at a time on a thread of its own, watched and stopped from any visitor's page."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar

from dashboard.services.faults import Fault, describe
from influence_core.errors import ProjectError
from influence_core.store import Progress
from influence_core.target import Target

Phase = Literal["waiting", "running", "done", "cancelled", "failed"]
Report = Callable[[Progress], None]
Work = Callable[[Report], None]
BEHIND = 4  # how much nicer than the pages, from 0 to 19
LAST_STEP = 5.0  # seconds that a job has to come to its next step as the process ends
KEPT = 100  # jobs that ended, of which the page may still ask how


@dataclass(frozen=True)
class Asked:
    """What is to be solved: the key of a solve."""

    workspace: str
    run_id: str
    test_id: int
    target: Target


@dataclass(frozen=True)
class State:
    """How far a job is.

    Attributes:
        phase: Where it stands.
        stage: What is being done, in words; empty before it begins.
        done: Steps done of this stage.
        total: Steps of this stage; 0 if unknown.
        seconds_left: Until the stage's end; None if unknown.
        fault: Why it failed.
        since: When this stage began, by the clock of ``time.monotonic``.
    """

    phase: Phase
    stage: str = ""
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    fault: Fault | None = None
    since: float = field(default_factory=time.monotonic, compare=False)

    @property
    def seconds(self) -> float:
        """How long this stage has been running."""
        return time.monotonic() - self.since

    @property
    def is_live(self) -> bool:
        """Whether it may still change."""
        return self.phase in ("waiting", "running")

    @property
    def share(self) -> float:
        """How much of the stage is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


@dataclass
class _Job:
    work: Work
    state: State = State("waiting")
    wanted_by: set[str] = field(default_factory=set)  # sessions that wait for it
    cancelled_by: set[str] = field(default_factory=set)  # sessions that do no longer, and see it stopped
    is_stopped: bool = False


def _nothing(report: Report) -> None:
    """In place of work that is over: what it held, such as a file of 50 MB, is let go though its end is remembered."""


class _StoppedError(Exception):
    """Nobody wants the answer any more; raised inside the solve, which it ends."""


K = TypeVar("K", bound=Hashable)


class Jobs(Generic[K]):
    """All jobs of one kind of this process, by what is asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held for moments only, never while something is computed
        self._jobs: dict[K, _Job] = {}
        self._queue: deque[_Job] = deque()
        self._is_working = False
        self._worker: threading.Thread | None = None

    def start(self, asked: K, work: Work, session: str, *, stop_running: bool = True) -> None:
        """Do it, unless that is under way; what else this session was waiting for is stopped if nobody wants it.

        Args:
            asked: What is to be done.
            work: How.
            session: Who asks.
            stop_running: Whether that goes for what is running too, or only for what has not begun.
        """
        with self._lock:
            self._leave_others(asked, session, ("waiting", "running") if stop_running else ("waiting",))
            job = self._jobs.get(asked)
            if job is None or not job.state.is_live or job.is_stopped:
                job = _Job(work)
                self._jobs.pop(asked, None)
                self._jobs[asked] = job  # the newest last
                self._queue.append(job)
                self._forget_old()
            job.wanted_by.add(session)
            job.cancelled_by.discard(session)
            if not self._is_working:
                self._is_working = True
                self._worker = threading.Thread(target=self._run, name="jobs", daemon=True)
                self._worker.start()

    def state(self, asked: K, session: str) -> State | None:
        """How far it is for this session; None if it has not asked for it."""
        with self._lock:
            job = self._jobs.get(asked)
            if job is None:
                return None
            if session in job.cancelled_by:
                return State("cancelled")
            is_others = job.state.is_live and session not in job.wanted_by
            return None if is_others or job.state.phase == "cancelled" else job.state

    def cancel(self, asked: K, session: str) -> None:
        """Stop waiting for it, or never begin; it goes on only if somebody else waits too."""
        with self._lock:
            job = self._jobs.setdefault(asked, _Job(_nothing, State("cancelled")))
            if job.state.phase == "cancelled":
                job.cancelled_by.add(session)
            elif job.state.is_live:
                job.cancelled_by.add(session)
                self._leave(job, session)

    def dismiss(self, asked: K) -> None:
        """Forget how a job ended."""
        with self._lock:
            job = self._jobs.get(asked)
            if job is not None and not job.state.is_live:
                del self._jobs[asked]

    def close(self) -> None:
        """Stop everything, as the process ends: a thread that is cut off in the middle of torch aborts it."""
        with self._lock:
            self._queue.clear()
            for job in self._jobs.values():
                job.is_stopped = True
        if self._worker is not None:
            self._worker.join(LAST_STEP)

    def _leave_others(self, asked: K, session: str, phases: Sequence[Phase]) -> None:
        for other, job in list(self._jobs.items()):
            if other != asked and job.state.phase in phases and session in job.wanted_by:
                self._leave(job, session)
                if job.is_stopped:
                    del self._jobs[other]  # left, not stopped by hand: it starts by itself when it is asked again

    def _leave(self, job: _Job, session: str) -> None:
        job.wanted_by.discard(session)
        if not job.wanted_by:
            job.is_stopped = True
            if job in self._queue:
                self._queue.remove(job)
                job.work = _nothing
            job.state = State("cancelled")

    def _forget_old(self) -> None:
        ended = [asked for asked, job in self._jobs.items() if not job.state.is_live]
        for asked in ended[: max(0, len(ended) - KEPT)]:
            del self._jobs[asked]

    def _run(self) -> None:
        """The worker: one job after the other until none is left."""
        if sys.platform == "linux":  # where a thread has a priority of its own: pages come first
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)
        while True:
            with self._lock:
                if not self._queue:
                    self._is_working = False
                    return
                job = self._queue.popleft()
                job.state = State("running")
            self._end(job, self._outcome(job))

    def _outcome(self, job: _Job) -> State:
        try:
            job.work(lambda progress: self._report(job, progress))
        except _StoppedError:
            return State("cancelled")
        except SystemExit:
            return State("failed", fault=describe(ProjectError("The project's code ended the program; change that.")))
        except Exception as error:
            return State("failed", fault=describe(error))
        return State("done")

    def _end(self, job: _Job, state: State) -> None:
        with self._lock:
            job.state = state
            job.work = _nothing

    def _report(self, job: _Job, progress: Progress) -> None:
        with self._lock:
            if job.is_stopped:
                raise _StoppedError
            job.state = replace(
                job.state,
                since=job.state.since if progress.stage == job.state.stage else time.monotonic(),
                stage=progress.stage,
                done=progress.done,
                total=progress.total,
                seconds_left=progress.seconds_left,
            )

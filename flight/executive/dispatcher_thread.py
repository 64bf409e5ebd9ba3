"""The dispatcher's thread in real time: below the frame clock, and with an end to it if it never pauses.

A thread under SCHED_FIFO that does not sleep keeps everything below it off its core. RLIMIT_RTTIME (getrlimit(2))
bounds that: what is counted is processor time without a blocking call, and the dispatcher blocks in every frame that is
not overrun. At the limit the kernel ends the process by SIGXCPU, at twice the limit by SIGKILL, and the supervisor
restarts it. There is no handler: one in Python would not run while the runaway holds the interpreter.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from flight.executive.errors import ExecutiveError


class PriorityRefused(ExecutiveError, ValueError):
    """A dispatcher that would keep the frame clock off its core, or a limit that is none."""

    code = "priority_refused"

    def __init__(self, priority: int, clock_priority: int, runaway_ms: int) -> None:
        super().__init__(
            f"a dispatcher at priority {priority} under a clock at {clock_priority}, ended after {runaway_ms} ms"
        )
        self.priority, self.clock_priority, self.runaway_ms = priority, clock_priority, runaway_ms


@dataclass(frozen=True, slots=True)
class DispatcherSetup:
    """What is asked for. Raises PriorityRefused."""

    priority: int  # SCHED_FIFO, at least 1 and below the clock's
    clock_priority: int
    runaway_ms: int  # processor time without a blocking call after which the process is ended

    def __post_init__(self) -> None:
        if not 1 <= self.priority < self.clock_priority or self.runaway_ms < 1:
            raise PriorityRefused(self.priority, self.clock_priority, self.runaway_ms)


@dataclass(frozen=True, slots=True)
class DispatcherGrant:
    """What the system allowed; where it did not, why."""

    realtime: bool
    reason: str = ""


class _Asked(Protocol):
    """The fields of flight.config.Executive that are meant."""

    @property
    def dispatcher_priority(self) -> int: ...
    @property
    def priority(self) -> int: ...
    @property
    def runaway_ms(self) -> int: ...


def dispatcher_setup(executive: _Asked) -> DispatcherSetup | None:
    """As the configuration says; None: the dispatcher is not to be in real time."""
    if not executive.dispatcher_priority:
        return None
    return DispatcherSetup(executive.dispatcher_priority, executive.priority, executive.runaway_ms)


@contextlib.contextmanager
def real_time_thread(setup: DispatcherSetup | None, *, below_clock: bool) -> Iterator[DispatcherGrant]:
    """The calling thread, the main one, in real time for as long as this lasts. What is refused is said, not raised.

    below_clock: the frame clock has its own priority. Without it, and without the limit, the thread stays as it is.
    Threads and processes that are begun meanwhile do not inherit the priority. The limit is the process's and
    stays lowered where the system does not let it be raised again.
    """
    if setup is None:
        yield DispatcherGrant(False, "not asked for")
        return
    if not below_clock:
        yield DispatcherGrant(False, "the frame clock is not in real time")
        return
    before, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    limits = resource.getrlimit(resource.RLIMIT_RTTIME)
    try:
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)  # whoever started this process may have had it ignored
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGXCPU})
        resource.setrlimit(resource.RLIMIT_RTTIME, _within(setup.runaway_ms * 1000, limits[1]))
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(setup.priority))
    except (OSError, ValueError) as error:  # ValueError: not the main thread, or a limit above the hard one
        _restore_limits(limits)
        yield DispatcherGrant(False, f"SCHED_FIFO priority {setup.priority}: {error}")
        return
    try:
        yield DispatcherGrant(True)
    finally:
        os.sched_setscheduler(0, before, parameters)
        _restore_limits(limits)


def _within(soft_us: int, hard_us: int) -> tuple[int, int]:
    if hard_us == resource.RLIM_INFINITY:
        return soft_us, soft_us * 2
    return min(soft_us, hard_us), min(soft_us * 2, hard_us)


def _restore_limits(limits: tuple[int, int]) -> None:
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_RTTIME, limits)

"""Who measures the activities: the C account in flight, virtual time in simulations. Both keep the same account."""

from __future__ import annotations

from typing import Protocol

from bindings.activity_account import ActivityAccount, ActivityTimes
from hal.clock import Clock, ScaledClock, SystemClock

IGNORED_RUNS = 8  # in real time: the first runs load code and fill caches, and say nothing about the worst case


class ActivityMeter(Protocol):
    """Times of activities by their number."""

    def now_ns(self) -> int:
        """Host monotonic time."""
        ...

    def declare(self, activity: int, worst_us: int) -> None:
        """What counts as over from now on."""
        ...

    def begin(self, activity: int) -> int:
        """The activity starts; returns now_ns()."""
        ...

    def end(self, activity: int) -> int:
        """The one that began last has ended; returns now_ns(). Raises OrderMismatch for another."""
        ...

    def last_cpu_us(self, activity: int) -> int:
        """Processor time of the last run."""
        ...

    def worst_us(self, activity: int) -> int:
        """The longest run ever but for the first ones."""
        ...

    def times(self, activity: int) -> ActivityTimes:
        """The whole account."""
        ...


class MeasuredTime(ActivityAccount):
    """Time as the computer has it: wall and processor, measured in C."""

    def __init__(self, count: int, clock: Clock, *, ignored_runs: int = IGNORED_RUNS) -> None:
        """clock: one whose host time is CLOCK_MONOTONIC. Raises GeometryRefused."""
        super().__init__(count, ignored_runs=ignored_runs)
        self._clock = clock

    def now_ns(self) -> int:
        return int(self._clock.host_s() * 1e9)


class VirtualTime(ActivityAccount):
    """Time as a simulated clock tells it; the processor is busy all the while."""

    def __init__(self, count: int, clock: Clock, *, ignored_runs: int = 0) -> None:
        """Raises GeometryRefused."""
        super().__init__(count, ignored_runs=ignored_runs)
        self._clock = clock
        self._began_ns = 0

    def now_ns(self) -> int:
        return int(self._clock.host_s() * 1e9)

    def begin(self, activity: int) -> int:
        ActivityAccount.begin(self, activity)  # super() would be an object of its own
        self._began_ns = self.now_ns()
        return self._began_ns

    def end(self, activity: int) -> int:
        self.leave(activity)
        now_ns = self.now_ns()
        self.note(activity, now_ns - self._began_ns, now_ns - self._began_ns)
        return now_ns


def meter_for(clock: Clock, count: int) -> ActivityMeter:
    """The meter that fits the clock, for activities 0..count-1. Raises GeometryRefused."""
    if isinstance(clock, (SystemClock, ScaledClock)):
        return MeasuredTime(count, clock)
    return VirtualTime(count, clock)

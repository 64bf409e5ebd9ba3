"""Time is given, never taken: the Clock protocol and the three clocks that implement it.

Mission time is UTC seconds since 1970-01-01 without leap seconds, what an orbit, a job and a contact are
dated with. Host time is the machine's monotonic clock, what a computation or a socket timeout is measured with.
On a scaled clock mission time runs `speed` times faster than host time; on a simulated one it moves only
when told to, and host time with it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hal.errors import HalError


class ClockError(HalError, ValueError):
    """A clock that would run backwards or stand still."""

    code = "clock_error"


@runtime_checkable
class Clock(Protocol):
    """What all code receives instead of calling time.time() or time.sleep()."""

    def mission_s(self) -> float:
        """Mission time: UTC seconds since 1970-01-01."""
        ...

    def host_s(self) -> float:
        """Host monotonic seconds; never scaled, never set back."""
        ...

    def sleep_until(self, mission_s: float) -> None:
        """Return once mission_s() >= `mission_s`. Never called inside a frame."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The computer's own clock."""

    def mission_s(self) -> float:
        return time.time()

    def host_s(self) -> float:
        return time.monotonic()

    def sleep_until(self, mission_s: float) -> None:
        while (left_s := mission_s - time.time()) > 0:
            time.sleep(min(left_s, 0.5))


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """A mission that runs `speed` times faster than the computer, from one epoch that all its processes share.

    CLOCK_MONOTONIC is one clock for the whole machine, so processes given the same three numbers agree.
    """

    epoch_mission_s: float
    epoch_host_s: float
    speed: float

    def __post_init__(self) -> None:
        if not 0 < self.speed <= 100_000:
            raise ClockError(f"speed must be above 0 and at most 100000, got {self.speed}")

    def mission_s(self) -> float:
        return self.epoch_mission_s + (time.monotonic() - self.epoch_host_s) * self.speed

    def host_s(self) -> float:
        return time.monotonic()

    def sleep_until(self, mission_s: float) -> None:
        while (left_s := (mission_s - self.mission_s()) / self.speed) > 0:
            time.sleep(min(left_s, 0.5))


class SimulatedClock:
    """Virtual time: stands still until it is advanced. Deterministic."""

    def __init__(self, start_mission_s: float = 0.0) -> None:
        self._start_s = start_mission_s
        self._now_s = start_mission_s

    def mission_s(self) -> float:
        return self._now_s

    def host_s(self) -> float:
        return self._now_s - self._start_s

    def sleep_until(self, mission_s: float) -> None:
        self.advance_to(max(mission_s, self._now_s))

    def advance_to(self, mission_s: float) -> None:
        """Move forward to `mission_s`. Raises ClockError on a step backwards."""
        if not mission_s >= self._now_s:  # nor to a time that is no number
            raise ClockError(f"a clock does not run backwards: {self._now_s} -> {mission_s}")
        self._now_s = mission_s

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds` of mission time."""
        self.advance_to(self._now_s + seconds)

"""Contestants timed in turns, so that what else happens on the machine meets them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of every round, by wall clock and by processor time of this process."""

    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]

    @property
    def wall_median_s(self) -> float:
        return statistics.median(self.wall_s)

    @property
    def cpu_median_s(self) -> float:
        return statistics.median(self.cpu_s)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one turn took, from a contestant that runs elsewhere and measures itself."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """cost(a) / cost(b), paired round by round: the median, and the 10th and 90th percentile of the rounds."""

    wall: float
    wall_low: float
    wall_high: float
    cpu: float

    def less(self, amount: float) -> Ratio:
        """The ratio as what it exceeds `amount` by."""
        return Ratio(self.wall - amount, self.wall_low - amount, self.wall_high - amount, self.cpu - amount)


def interleave(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Run every contestant once a round, each round beginning with another one. A round before the first warms up.

    A contestant that returns a Cost has measured itself; any other is measured here.
    """
    names = list(contestants)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            wall_began, cpu_began = time.perf_counter(), time.process_time()
            said = contestants[name]()
            wall_s, cpu_s = time.perf_counter() - wall_began, time.process_time() - cpu_began
            if isinstance(said, Cost):
                wall_s, cpu_s = said.wall_s, said.cpu_s
            if number >= 0:
                wall[name].append(wall_s)
                cpu[name].append(cpu_s)
    return {name: Timing(tuple(wall[name]), tuple(cpu[name])) for name in names}


def ratio(a: Timing, b: Timing) -> Ratio:
    """How much more a costs than b."""
    walls = sorted(x / y for x, y in zip(a.wall_s, b.wall_s, strict=True))
    # processor time has a coarse clock on some systems: never divide by nothing
    cpus = [x / max(y, 1e-9) for x, y in zip(a.cpu_s, b.cpu_s, strict=True)]
    last = len(walls) - 1
    return Ratio(statistics.median(walls), walls[round(0.1 * last)], walls[round(0.9 * last)], statistics.median(cpus))

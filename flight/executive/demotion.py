"""Repeat offenders: an activity that takes longer than declared too often gives way, step by step, and comes back.

Pure: one Offender an activity, told the end of each run. What is critical is never demoted; it asks for safe mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from flight.executive.errors import ExecutiveError
from flight.executive.schedule import Criticality

MAX_WINDOW_RUNS: Final = 64


class DemotionInvalid(ExecutiveError, ValueError):
    """A rule that cannot be followed."""

    code = "demotion_invalid"
    exit_status = 2


class Step(IntEnum):
    """One rung of the ladder; goes down with the event."""

    LOWER = 0  # criticality one step lower: it gives way to more of the others
    HALVE = 1  # half as often: its period is doubled
    DISABLE = 2  # not started any more, until a command


class TimeOf(IntEnum):
    """Which time is held against the declared worst case."""

    WALL = 0  # also what others took from it: for a thread of real-time priority
    PROCESSOR = 1  # its own work alone: where the thread competes with others


class Verdict(IntEnum):
    """What a run's end leads to."""

    NOTHING = 0
    DEMOTE = 1  # one step down the ladder
    RESTORE = 2  # one step up
    SAFE = 3  # a critical activity: safe mode is asked for


_NOTHING: Final = Verdict.NOTHING  # named in every frame: a member looked up in its enumeration makes an object


class Restored(IntEnum):
    """Why a step was taken back; goes down with the event."""

    CLEAN_RUNS = 0
    COMMAND = 1


@dataclass(frozen=True, slots=True)
class DemotionRule:
    """`overruns` of the last `window_runs` runs too long: one step down; `clean_runs` in a row within it: one up."""

    overruns: int = 4
    window_runs: int = 16  # at most MAX_WINDOW_RUNS
    clean_runs: int = 1000
    ignored_runs: int = 8  # the first runs of a table, which load code and fill caches
    ladder: tuple[Step, ...] = (Step.LOWER, Step.HALVE, Step.DISABLE)
    time_of: TimeOf = TimeOf.WALL

    def __post_init__(self) -> None:
        """Raises DemotionInvalid."""
        if not 1 <= self.overruns <= self.window_runs <= MAX_WINDOW_RUNS:
            raise DemotionInvalid(
                f"{self.overruns} overruns of {self.window_runs} runs: 1 <= overruns <= runs <= {MAX_WINDOW_RUNS}"
            )
        if self.clean_runs < 1 or self.ignored_runs < 0:
            raise DemotionInvalid(f"{self.clean_runs} clean runs, {self.ignored_runs} ignored")
        if not self.ladder or Step.DISABLE in self.ladder[:-1]:
            raise DemotionInvalid("a ladder has a step, and none after `disable`")

    def steps_for(self, criticality: Criticality) -> tuple[Step, ...]:
        """The ladder of one activity: what is lowest already is not lowered. Empty for a critical one."""
        if criticality is Criticality.CRITICAL:
            return ()
        steps: list[Step] = []
        for step in self.ladder:
            if step is not Step.LOWER or steps.count(Step.LOWER) < criticality:
                steps.append(step)
        return tuple(steps)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an activity is at some level of its ladder."""

    criticality: Criticality
    period: int  # frames
    enabled: bool


class Offender:
    """The record of one activity under a rule."""

    __slots__ = ("_clean", "_declared", "_period", "_rule", "_seen", "_window", "critical", "level", "steps")

    def __init__(self, rule: DemotionRule, criticality: Criticality, period: int) -> None:
        """period: as declared, frames."""
        self._rule, self._declared, self._period = rule, criticality, period
        self.steps = rule.steps_for(criticality)
        self.critical = criticality is Criticality.CRITICAL
        self.level = 0  # steps taken
        self._seen = 0  # runs, up to those ignored
        self._window = 0  # a bit a run, the newest lowest: 1 for too long
        self._clean = 0  # runs in a row that were not

    def ended(self, over: bool) -> Verdict:
        """A run ended; `over`: it took longer than declared."""
        rule = self._rule
        if self._seen < rule.ignored_runs:
            self._seen += 1
            return _NOTHING
        self._window = (self._window << 1 | over) & ((1 << rule.window_runs) - 1)
        if not over:
            if self.level and self._count_clean():
                self.level -= 1
                return Verdict.RESTORE
            return _NOTHING
        self._clean = 0
        if self._window.bit_count() < rule.overruns:
            return _NOTHING
        self._window = 0  # the next verdict needs as many again
        if self.critical:
            return Verdict.SAFE
        if self.level == len(self.steps):
            return _NOTHING
        self.level += 1
        return Verdict.DEMOTE

    def _count_clean(self) -> bool:
        """Whether that was the last of the clean runs that are asked for."""
        self._clean += 1
        if self._clean < self._rule.clean_runs:
            return False
        self._clean = 0
        return True

    def restore(self) -> bool:
        """By command: all steps are taken back. False when none was taken."""
        was, self.level, self._window, self._clean = self.level, 0, 0, 0
        return was > 0

    def standing(self) -> Standing:
        """What the activity is now."""
        taken = self.steps[: self.level]
        return Standing(
            Criticality(self._declared - taken.count(Step.LOWER)),
            self._period << taken.count(Step.HALVE),
            Step.DISABLE not in taken,
        )

"""Does the table fit? One analysis for the ground, before flight, and for the board, before it flies a table.

Every frame of the hyperperiod is summed in every mode: the declared worst cases of what is due, a dispatch cost for
each, the latest release, the longest blocking and the margin must fit the minor frame, and each activity must end by
its deadline when all before it take their worst case. A mode changes between frames only and nothing is carried over
from an accepted frame, so what holds in each mode holds in any sequence of them. Pessimism: worst cases coincide, the
margin is never used, and no activity is ever quicker than declared.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from flight.executive.modes import Mode
from flight.executive.schedule_rules import (
    Problem,
    Rule,
    judge_entry,
    judge_head,
    judge_precedence,
    judge_verified,
    judge_windows,
    modes_of,
)
from flight.executive.schedule_table import Criticality, Entry, Overrun, ScheduleTable, Window, load, parse

__all__ = [
    "MAX_HYPERPERIOD",
    "Analysis",
    "CoreUse",
    "Criticality",
    "Entry",
    "Overrun",
    "Problem",
    "Response",
    "Rule",
    "ScheduleTable",
    "WorstFrame",
    "analyse",
    "load",
    "modes_of",
    "parse",
]

MAX_HYPERPERIOD = 20_000  # frames; what a board can check at start in well under a second


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """The fullest frame: declared times, dispatch and reserve of what is due in it."""

    index: int
    used_us: int
    budget_us: int
    mode: str = ""
    activities: tuple[tuple[str, int], ...] = ()  # (activity, declared us), longest first


@dataclass(frozen=True, slots=True)
class CoreUse:
    """What one core is asked for, 0..1: the cycle in its busiest mode, and the windows of other processes."""

    core: int
    cycle: float
    windows: float

    @property
    def utilisation(self) -> float:
        """Both together."""
        return self.cycle + self.windows


@dataclass(frozen=True, slots=True)
class Response:
    """One activity's worst end after the release of its frame, over all its jobs and modes."""

    activity: str
    jobs: int  # in the hyperperiod
    worst_us: int
    deadline_us: int


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the table asks of a frame. `utilisation` is declared time per time in the busiest mode, 0..1."""

    ok: bool
    hash: str
    utilisation: float
    worst_frame: WorstFrame
    problems: tuple[Problem, ...]
    hyperperiod: int  # frames; 0 when it cannot be had
    harmonic: bool  # of any two periods one divides the other
    verified: bool = False  # the table carries its own hash
    frames_us: tuple[int, ...] = ()  # worst case of every frame, in the mode that asks most of it
    modes: tuple[WorstFrame, ...] = ()  # the fullest frame of each mode in which something runs
    responses: tuple[Response, ...] = ()  # in the order of the table
    cores: tuple[CoreUse, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """What `swath schedule check --json` prints."""
        return {
            "ok": self.ok,
            "hash": self.hash,
            "utilisation": round(self.utilisation, 6),
            "worst_frame": _frame_dict(self.worst_frame),
            "problems": [
                {"line": problem.line, "reason": problem.reason, "rule": problem.rule.name.lower()}
                for problem in self.problems
            ],
            "verified": self.verified,
            "hyperperiod": self.hyperperiod,
            "harmonic": self.harmonic,
            "frames_us": list(self.frames_us),
            "modes": [{"mode": frame.mode, **_frame_dict(frame)} for frame in self.modes],
            "responses": [
                {
                    "activity": response.activity,
                    "jobs": response.jobs,
                    "worst_us": response.worst_us,
                    "deadline_us": response.deadline_us,
                }
                for response in self.responses
            ],
            "cores": [
                {
                    "core": use.core,
                    "utilisation": round(use.utilisation, 6),
                    "cycle": round(use.cycle, 6),
                    "windows": round(use.windows, 6),
                }
                for use in self.cores
            ],
        }


@dataclass(slots=True)
class _Sums:
    """What one walk over every frame in every mode adds up to."""

    frames_us: list[int]
    ends_us: list[int]  # worst end of each entry; 0 when never due
    modes: list[WorstFrame] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def analyse(table: ScheduleTable, known: Collection[str] | None = None) -> Analysis:
    """Judge a table. `known`: the activities that exist; None leaves their names unjudged (on the ground)."""
    problems = judge_head(table)
    for index in range(len(table.entries)):
        problems += judge_entry(table, index, known)
    problems += judge_windows(table)
    periods = [*(entry.period for entry in table.entries), *(window.period for window in table.windows)]
    harmonic = _harmonic(periods)
    cores = _cores(table)
    utilisation = _utilisation(table)
    hyperperiod = math.lcm(max(1, table.frames), *periods)
    if hyperperiod > MAX_HYPERPERIOD:
        parts: list[Entry | Window] = [*table.entries, *table.windows]
        longest = max(parts, key=lambda part: part.period)
        reason = f"the table repeats only after {hyperperiod} frames, above {MAX_HYPERPERIOD}: use harmonic periods"
        problems.append(Problem(longest.line_of("period"), reason, Rule.PERIOD))
        empty = WorstFrame(0, 0, table.minor_us)
        return Analysis(False, table.hash, utilisation, empty, _sorted(problems), 0, harmonic, cores=cores)
    problems += judge_precedence(table, hyperperiod)
    sums = _sum_frames(table, hyperperiod)
    problems += sums.problems
    problems += _judge_cores(table, cores)
    problems += _judge_cycle_windows(table, sums.frames_us)
    responses = tuple(
        Response(entry.activity, hyperperiod // entry.period, end_us, entry.deadline_us)
        for entry, end_us in zip(table.entries, sums.ends_us, strict=True)
    )
    for entry, response in zip(table.entries, responses, strict=True):
        if response.worst_us > entry.deadline_us:
            reason = (
                f"`{entry.activity}` may end {response.worst_us} us after release,"
                f" its deadline is {entry.deadline_us} us"
            )
            problems.append(Problem(entry.line_of("deadline_us"), reason, Rule.DEADLINE))
    if not problems:
        problems += judge_verified(table)  # of a table that has to change the hash has to change anyway
    worst = max(sums.modes, key=lambda frame: frame.used_us, default=WorstFrame(0, 0, table.minor_us))
    return Analysis(
        ok=not problems,
        hash=table.hash,
        utilisation=utilisation,
        worst_frame=worst,
        problems=_sorted(problems),
        hyperperiod=hyperperiod,
        harmonic=harmonic,
        verified=table.verified == table.hash,
        frames_us=tuple(sums.frames_us),
        modes=tuple(sums.modes),
        responses=responses,
        cores=cores,
    )


def _sum_frames(table: ScheduleTable, hyperperiod: int) -> _Sums:
    """Every frame in every mode, in slot order."""
    sums = _Sums([table.reserve_us] * hyperperiod, [0] * len(table.entries))
    for mode in Mode:
        due = sorted(
            ((index, entry) for index, entry in enumerate(table.entries) if mode in modes_of(entry)),
            key=lambda pair: pair[1].slot,
        )
        if not due:
            continue
        used = [table.reserve_us] * hyperperiod
        for index, entry in due:
            cost = entry.wcet_us + table.dispatch_us
            for frame in range(entry.phase, hyperperiod, entry.period):
                used[frame] += cost
                sums.ends_us[index] = max(sums.ends_us[index], used[frame])
        sums.frames_us = [max(pair) for pair in zip(sums.frames_us, used, strict=True)]
        _add_mode(table, mode, [entry for _, entry in due], used, sums)
    return sums


def _add_mode(table: ScheduleTable, mode: Mode, due: Sequence[Entry], used: list[int], sums: _Sums) -> None:
    """The fullest frame of one mode, and the problem that it may be."""
    fullest = max(range(len(used)), key=used.__getitem__)
    inside = sorted(
        (
            (entry.activity, entry.wcet_us)
            for entry in due
            if fullest >= entry.phase and (fullest - entry.phase) % entry.period == 0
        ),
        key=lambda pair: -pair[1],
    )
    name = mode.name.lower()
    sums.modes.append(WorstFrame(fullest, used[fullest], table.minor_us, name, tuple(inside)))
    if used[fullest] <= table.minor_us or not inside:
        return
    over = sum(load > table.minor_us for load in used)
    longest = max((entry for entry in due if entry.activity == inside[0][0]), key=lambda entry: entry.wcet_us)
    listed = ", ".join(f"{activity} {wcet_us}" for activity, wcet_us in inside[:4])
    reason = f"frame {fullest} in mode {name} needs {used[fullest]} of {table.minor_us} us ({listed})"
    if over > 1:
        reason += f"; {over} frames are too full"
    sums.problems.append(Problem(longest.line_of("wcet_us"), reason, Rule.FRAME))


def _utilisation(table: ScheduleTable) -> float:
    """Declared time with dispatch per time, in the busiest mode."""
    return max(
        sum(
            (entry.wcet_us + table.dispatch_us) / (entry.period * table.minor_us)
            for entry in table.entries
            if mode in modes_of(entry)
        )
        for mode in Mode
    )


def _cores(table: ScheduleTable) -> tuple[CoreUse, ...]:
    """Each core that the table speaks of."""
    return tuple(
        CoreUse(
            core,
            _utilisation(table) if core == table.core else 0.0,
            sum(window.length_us / (window.period * table.minor_us) for window in table.windows if window.core == core),
        )
        for core in sorted({table.core, *(window.core for window in table.windows)})
    )


def _judge_cores(table: ScheduleTable, cores: Sequence[CoreUse]) -> list[Problem]:
    return [
        Problem(
            table.line_of("utilisation_limit"),
            f"core {use.core} is asked for {use.utilisation:.1%} of its time, the limit is"
            f" {table.utilisation_limit:.1%}",
            Rule.UTILISATION,
        )
        for use in cores
        if use.utilisation > table.utilisation_limit + 1e-9  # sums of thirds are no whole numbers
    ]


def _judge_cycle_windows(table: ScheduleTable, frames_us: Sequence[int]) -> list[Problem]:
    """On the cycle's core a window opens when its frame's worst case has ended: else the cycle would take from it."""
    problems = []
    for window in table.windows:
        if window.core != table.core:
            continue
        opens_in = range(window.phase % window.period, len(frames_us), window.period)
        worst = max(opens_in, key=frames_us.__getitem__)
        if frames_us[worst] > window.start_us:
            reason = f"opens {window.start_us} us into frame {worst}, whose activities may end at {frames_us[worst]} us"
            problems.append(Problem(window.line_of("start_us"), reason, Rule.CYCLE_WINDOW))
    return problems


def _harmonic(periods: Sequence[int]) -> bool:
    ordered = sorted(set(periods))
    return all(longer % shorter == 0 for shorter, longer in itertools.pairwise(ordered))


def _frame_dict(frame: WorstFrame) -> dict[str, object]:
    return {"index": frame.index, "used_us": frame.used_us, "budget_us": frame.budget_us}


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.reason)))

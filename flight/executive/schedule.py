"""Does the table fit? One analysis for the ground, before flight, and for the board, before it flies a table.

Every frame of the hyperperiod is summed in every mode: the declared worst cases of what is due, a dispatch cost for
each, and the margin kept for late releases must fit the minor frame, and each activity must end by its deadline when
all before it take their worst case. Pessimism: worst cases coincide, and no activity is ever quicker than declared.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection
from dataclasses import dataclass

from flight.executive.modes import Mode
from flight.executive.schedule_table import Criticality, Entry, Overrun, ScheduleTable, load, parse

__all__ = [
    "MAX_HYPERPERIOD",
    "Analysis",
    "Criticality",
    "Entry",
    "Overrun",
    "Problem",
    "ScheduleTable",
    "WorstFrame",
    "analyse",
    "load",
    "modes_of",
    "parse",
]

MAX_HYPERPERIOD = 20_000  # frames; what a board can check at start in well under a second
_MODES = {mode.name.lower(): mode for mode in Mode}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a table does not fit, and where that is written."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """The fullest frame: declared times, dispatch and margin of what is due in it."""

    index: int
    used_us: int
    budget_us: int
    mode: str = ""
    activities: tuple[tuple[str, int], ...] = ()  # (activity, declared us), longest first


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the table asks of a frame. `utilisation` is declared time per time in the busiest mode, 0..1."""

    ok: bool
    hash: str
    utilisation: float
    worst_frame: WorstFrame
    problems: tuple[Problem, ...]
    hyperperiod: int  # frames; 0 when it cannot be had
    responses_us: tuple[int, ...] = ()  # per entry: worst end after its frame's release; 0 when never due

    def as_dict(self) -> dict[str, object]:
        """What `swath schedule check --json` prints."""
        worst = self.worst_frame
        return {
            "ok": self.ok,
            "hash": self.hash,
            "utilisation": round(self.utilisation, 6),
            "worst_frame": {"index": worst.index, "used_us": worst.used_us, "budget_us": worst.budget_us},
            "problems": [{"line": problem.line, "reason": problem.reason} for problem in self.problems],
        }


def modes_of(entry: Entry) -> frozenset[Mode]:
    """The entry's modes; unknown names, which the analysis reports, are left out."""
    return frozenset(_MODES[name] for name in entry.modes if name in _MODES)


def analyse(table: ScheduleTable, known: Collection[str] | None = None) -> Analysis:
    """Judge a table. `known`: the activities that exist; None leaves their names unjudged (on the ground)."""
    problems = _judge_head(table)
    for index, entry in enumerate(table.entries):
        problems += _judge_entry(table, index, known)
        if earlier := _same_name(table, index):
            problems.append(Problem(entry.line_of("activity"), f"`{entry.activity}` is already at line {earlier}"))
    hyperperiod = math.lcm(max(1, table.frames), *(entry.period for entry in table.entries))
    if hyperperiod > MAX_HYPERPERIOD:
        longest = max(table.entries, key=lambda entry: entry.period)
        reason = f"the table repeats only after {hyperperiod} frames, above {MAX_HYPERPERIOD}: use harmonic periods"
        problems.append(Problem(longest.line_of("period"), reason))
        empty = WorstFrame(0, 0, table.minor_us)
        return Analysis(False, table.hash, _utilisation(table), empty, _sorted(problems), 0)
    worst = WorstFrame(0, 0, table.minor_us)
    responses = [0] * len(table.entries)
    for mode in Mode:
        due = [(index, entry) for index, entry in enumerate(table.entries) if mode in modes_of(entry)]
        found, more = _walk(table, mode, due, hyperperiod, responses)
        problems += more
        if found.used_us > worst.used_us:
            worst = found
    for entry, response_us in zip(table.entries, responses, strict=True):
        if response_us > entry.deadline_us:
            reason = (
                f"`{entry.activity}` may end {response_us} us after release, its deadline is {entry.deadline_us} us"
            )
            problems.append(Problem(entry.line_of("deadline_us"), reason))
    ordered = _sorted(problems)
    return Analysis(not ordered, table.hash, _utilisation(table), worst, ordered, hyperperiod, tuple(responses))


def _judge_head(table: ScheduleTable) -> list[Problem]:
    problems = []
    if table.major_us % table.minor_us:
        reason = f"the major frame of {table.major_us} us is no whole number of minor frames of {table.minor_us} us"
        problems.append(Problem(table.head_line, reason))
    if table.margin_us >= table.minor_us:
        reason = f"the margin of {table.margin_us} us leaves nothing of a minor frame of {table.minor_us} us"
        problems.append(Problem(table.head_line, reason))
    return problems


def _judge_entry(table: ScheduleTable, index: int, known: Collection[str] | None) -> list[Problem]:
    entry = table.entries[index]
    found: list[tuple[str, str]] = []
    if known is not None and entry.activity not in known:
        found.append(("activity", f"no activity `{entry.activity}`{_nearest(entry.activity, known)}"))
    for name in entry.modes:
        if name not in _MODES:
            found.append(("modes", f"no mode `{name}`{_nearest(name, _MODES)}"))
    if len(set(entry.modes)) != len(entry.modes):
        found.append(("modes", f"`{entry.activity}` names a mode twice"))
    if entry.phase >= entry.period:
        found.append(("phase", f"phase {entry.phase} is not below the period of {entry.period} frames"))
    if table.frames and table.frames % entry.period and entry.period % table.frames:
        reason = (
            f"period {entry.period} neither divides the major frame of {table.frames} frames nor is a multiple of it"
        )
        found.append(("period", reason))
    if entry.wcet_us > entry.deadline_us:
        found.append(("wcet_us", f"worst case {entry.wcet_us} us is above the deadline {entry.deadline_us} us"))
    if entry.deadline_us > entry.period * table.minor_us:
        reason = f"deadline {entry.deadline_us} us is after the next start, {entry.period * table.minor_us} us later"
        found.append(("deadline_us", reason))
    problems = [Problem(entry.line_of(key), reason) for key, reason in found]
    for earlier in table.entries[:index]:
        if earlier.slot == entry.slot and set(earlier.modes) & set(entry.modes) and _meet(earlier, entry):
            reason = (
                f"slot {entry.slot} is taken by `{earlier.activity}` (line {earlier.line}) in a common frame and mode"
            )
            problems.append(Problem(entry.line_of("slot"), reason))
    return problems


def _same_name(table: ScheduleTable, index: int) -> int:
    """The line of an earlier entry of the same activity, or 0."""
    name = table.entries[index].activity
    return next((entry.line for entry in table.entries[:index] if entry.activity == name), 0)


def _meet(one: Entry, other: Entry) -> bool:
    """Whether two entries are ever due in one frame (their phases agree modulo the periods' common divisor)."""
    return (one.phase - other.phase) % math.gcd(one.period, other.period) == 0


def _walk(
    table: ScheduleTable, mode: Mode, due: list[tuple[int, Entry]], hyperperiod: int, responses: list[int]
) -> tuple[WorstFrame, list[Problem]]:
    """Sum every frame in one mode, in slot order; raises `responses` to the worst end of each entry."""
    used = [0] * hyperperiod
    for index, entry in sorted(due, key=lambda pair: pair[1].slot):
        cost = entry.wcet_us + table.dispatch_us
        worst_us = 0
        for frame in range(entry.phase, hyperperiod, entry.period):
            used[frame] += cost
            if used[frame] > worst_us:
                worst_us = used[frame]
        if worst_us:
            responses[index] = max(responses[index], worst_us + table.margin_us)
    fullest = max(range(hyperperiod), key=used.__getitem__)
    inside = sorted(
        (
            (entry.activity, entry.wcet_us)
            for _, entry in due
            if fullest >= entry.phase and (fullest - entry.phase) % entry.period == 0
        ),
        key=lambda pair: -pair[1],
    )
    name = mode.name.lower()
    worst = WorstFrame(fullest, used[fullest] + table.margin_us, table.minor_us, name, tuple(inside))
    if worst.used_us <= table.minor_us:
        return worst, []
    over = sum(load + table.margin_us > table.minor_us for load in used)
    longest = max((entry for _, entry in due if entry.activity == inside[0][0]), key=lambda entry: entry.wcet_us)
    listed = ", ".join(f"{activity} {wcet_us}" for activity, wcet_us in inside[:4])
    reason = f"frame {fullest} in mode {name} needs {worst.used_us} of {table.minor_us} us ({listed})"
    if over > 1:
        reason += f"; {over} frames are too full"
    return worst, [Problem(longest.line_of("wcet_us"), reason)]


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


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.reason)))


def _nearest(name: str, choices: Collection[str]) -> str:
    found = difflib.get_close_matches(name, sorted(choices), 1)
    return f"; did you mean `{found[0]}`?" if found else f"; known: {', '.join(sorted(choices))}"

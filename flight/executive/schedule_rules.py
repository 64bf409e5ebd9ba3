"""The rules that a schedule table keeps, each with a code; what breaks one is a problem with line and reason."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

from flight.executive.modes import Mode
from flight.executive.schedule_table import Criticality, Entry, Overrun, ScheduleTable, Window

MODES = {mode.name.lower(): mode for mode in Mode}


class Rule(IntEnum):
    """Which rule a table breaks. FRAME and later are about time: only they can be pessimistic."""

    FRAME_SIZE = 0  # minor frames fill the major frame, and something is left of each
    NAME = 1  # activities and modes exist, none twice
    PERIOD = 2  # a period divides the major frame or is a multiple of it, and the table repeats soon enough
    PHASE = 3  # below the period
    SLOT = 4  # one activity a slot, frame and mode
    BOUNDS = 5  # worst case <= deadline <= period
    CRITICALITY = 6  # what is critical is never shed nor switched off
    PRECEDENCE = 7  # each start finds a new run of its producer
    WINDOW = 8  # inside its frame or period, never two on a core at once
    VERIFIED = 9  # a hash that the table carries is its own
    FRAME = 10  # the worst case of every frame fits
    DEADLINE = 11  # the worst response of every activity meets its deadline
    UTILISATION = 12  # no core is asked for more than the limit
    CYCLE_WINDOW = 13  # a window on the cycle's core opens when the frame's worst case has ended


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a table does not fit, and where that is written."""

    line: int
    reason: str
    rule: Rule


def modes_of(entry: Entry) -> frozenset[Mode]:
    """The entry's modes; unknown names, which the rules report, are left out."""
    return frozenset(MODES[name] for name in entry.modes if name in MODES)


def judge_head(table: ScheduleTable) -> list[Problem]:
    """Minor frames fill the major frame, and the reserve leaves something of each."""
    problems = []
    if table.major_us % table.minor_us:
        reason = f"the major frame of {table.major_us} us is no whole number of minor frames of {table.minor_us} us"
        problems.append(Problem(table.head_line, reason, Rule.FRAME_SIZE))
    if table.reserve_us >= table.minor_us:
        kept = "margin" if table.reserve_us == table.margin_us else "margin with jitter and blocking"
        reason = f"the {kept} of {table.reserve_us} us leaves nothing of a minor frame of {table.minor_us} us"
        problems.append(Problem(table.head_line, reason, Rule.FRAME_SIZE))
    return problems


def judge_entry(table: ScheduleTable, index: int, known: Collection[str] | None) -> list[Problem]:
    """One entry by itself, and its name and slot against those before it."""
    entry = table.entries[index]
    found: list[tuple[str, str, Rule]] = []
    if known is not None and entry.activity not in known:
        found.append(("activity", f"no activity `{entry.activity}`{nearest(entry.activity, known)}", Rule.NAME))
    if earlier_line := _same_name(table, index):
        found.append(("activity", f"`{entry.activity}` is already at line {earlier_line}", Rule.NAME))
    for name in entry.modes:
        if name not in MODES:
            found.append(("modes", f"no mode `{name}`{nearest(name, MODES)}", Rule.NAME))
    if len(set(entry.modes)) != len(entry.modes):
        found.append(("modes", f"`{entry.activity}` names a mode twice", Rule.NAME))
    if entry.phase >= entry.period:
        reason = f"phase {entry.phase} is not below the period of {entry.period} frames"
        found.append(("phase", reason, Rule.PHASE))
    if not _harmonic_with_major(table, entry.period):
        found.append(("period", _period_reason(table, entry.period), Rule.PERIOD))
    if entry.wcet_us > entry.deadline_us:
        reason = f"worst case {entry.wcet_us} us is above the deadline {entry.deadline_us} us"
        found.append(("wcet_us", reason, Rule.BOUNDS))
    if entry.deadline_us > entry.period * table.minor_us:
        reason = f"deadline {entry.deadline_us} us is after the next start, {entry.period * table.minor_us} us later"
        found.append(("deadline_us", reason, Rule.BOUNDS))
    if entry.criticality is Criticality.CRITICAL:
        if entry.overrun is Overrun.SHED:
            found.append(("overrun", f"`{entry.activity}` is critical: it gives way to nothing", Rule.CRITICALITY))
        if entry.group:
            reason = f"`{entry.activity}` is critical: it cannot be switched off with group `{entry.group}`"
            found.append(("group", reason, Rule.CRITICALITY))
    problems = [Problem(entry.line_of(key), reason, rule) for key, reason, rule in found]
    for earlier in table.entries[:index]:
        if earlier.slot == entry.slot and set(earlier.modes) & set(entry.modes) and _meet(earlier, entry):
            reason = (
                f"slot {entry.slot} is taken by `{earlier.activity}` (line {earlier.line}) in a common frame and mode"
            )
            problems.append(Problem(entry.line_of("slot"), reason, Rule.SLOT))
    return problems


def judge_precedence(table: ScheduleTable, hyperperiod: int) -> list[Problem]:
    """Every producer exists wherever its consumer runs, and has run anew before each of its starts."""
    by_name = {entry.activity: entry for entry in table.entries}
    problems = []
    for entry in table.entries:
        for name in entry.after:
            reason = _precedence_reason(entry, name, by_name, hyperperiod)
            if reason:
                problems.append(Problem(entry.line_of("after"), reason, Rule.PRECEDENCE))
    return problems


def judge_windows(table: ScheduleTable) -> list[Problem]:
    """Windows that are well formed, and none that is open with another one on its core."""
    problems = []
    for index, window in enumerate(table.windows):
        found: list[tuple[str, str, Rule]] = []
        if window.phase >= window.period:
            reason = f"phase {window.phase} is not below the period of {window.period} frames"
            found.append(("phase", reason, Rule.PHASE))
        if not _harmonic_with_major(table, window.period):
            found.append(("period", _period_reason(table, window.period), Rule.PERIOD))
        if window.start_us >= table.minor_us:
            reason = f"start {window.start_us} us is not inside a minor frame of {table.minor_us} us: give a phase"
            found.append(("start_us", reason, Rule.WINDOW))
        if window.length_us > window.period * table.minor_us:
            reason = f"length {window.length_us} us is longer than the period of {window.period * table.minor_us} us"
            found.append(("length_us", reason, Rule.WINDOW))
        if window.core == table.core and window.start_us + window.length_us > table.minor_us:
            reason = f"on the cycle's core {table.core} a window ends with its frame, after {table.minor_us} us"
            found.append(("length_us", reason, Rule.WINDOW))
        for earlier in table.windows[:index]:
            if earlier.core == window.core and _open_together(table, earlier, window):
                reason = f"core {window.core} is then given to `{earlier.partition}` (line {earlier.line}) as well"
                found.append(("start_us", reason, Rule.WINDOW))
        problems += [Problem(window.line_of(key), reason, rule) for key, reason, rule in found]
    return problems


def judge_verified(table: ScheduleTable) -> list[Problem]:
    """A hash that the table carries is that of its content."""
    if table.verified in ("", table.hash):
        return []
    reason = f"carries the hash {table.verified[:12]} of another table; this one is {table.hash[:12]}"
    return [Problem(table.line_of("verified"), reason, Rule.VERIFIED)]


def nearest(name: str, choices: Collection[str]) -> str:
    """The end of a complaint about a name: what may have been meant, or what there is."""
    found = difflib.get_close_matches(name, sorted(choices), 1)
    return f"; did you mean `{found[0]}`?" if found else f"; known: {', '.join(sorted(choices))}"


def _same_name(table: ScheduleTable, index: int) -> int:
    """The line of an earlier entry of the same activity, or 0."""
    name = table.entries[index].activity
    return next((entry.line for entry in table.entries[:index] if entry.activity == name), 0)


def _harmonic_with_major(table: ScheduleTable, period: int) -> bool:
    return not table.frames or not table.frames % period or not period % table.frames


def _period_reason(table: ScheduleTable, period: int) -> str:
    return f"period {period} neither divides the major frame of {table.frames} frames nor is a multiple of it"


def _meet(one: Entry, other: Entry) -> bool:
    """Whether two entries are ever due in one frame (their phases agree modulo the periods' common divisor)."""
    return (one.phase - other.phase) % math.gcd(one.period, other.period) == 0


def _open_together(table: ScheduleTable, one: Window, other: Window) -> bool:
    """Whether two windows are ever open at once: openings come as near as the periods' common divisor lets them."""
    common_us = math.gcd(one.period, other.period) * table.minor_us
    one_us, other_us = (window.phase * table.minor_us + window.start_us for window in (one, other))
    apart_us = (other_us - one_us) % common_us
    return apart_us < one.length_us or common_us - apart_us < other.length_us


def _precedence_reason(consumer: Entry, name: str, by_name: dict[str, Entry], hyperperiod: int) -> str:
    """What is wrong with `consumer` running after `name`; empty for nothing."""
    producer = by_name.get(name)
    if producer is None:
        return f"runs after `{name}`, which has no entry{nearest(name, by_name)}"
    if producer is consumer:
        return f"`{name}` cannot run after itself"
    if missing := sorted(mode.name.lower() for mode in modes_of(consumer) - modes_of(producer)):
        return f"runs after `{name}`, which does not run in mode {', '.join(missing)}"
    if producer.group not in ("", consumer.group):
        return f"runs after `{name}`, which can be switched off with group `{producer.group}`"
    before = (-1, -1)  # frame and slot of the consumer's previous start
    for frame in range(consumer.phase, 2 * hyperperiod, consumer.period):
        newest = frame - (frame - producer.phase) % producer.period
        if newest == frame and producer.slot >= consumer.slot:
            newest -= producer.period
        if newest < producer.phase or (newest, producer.slot) <= before:
            since = f"since its start in frame {before[0]}" if before[0] >= 0 else "before it"
            return f"starts in frame {frame}, slot {consumer.slot}, without a run of `{name}` {since}"
        before = (frame, consumer.slot)
    return ""

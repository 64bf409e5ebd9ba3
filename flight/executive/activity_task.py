"""One entry of the flown table with all that the frame loop knows about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from flight.executive.demotion import Offender
from flight.executive.frame_context import FrameContext
from flight.executive.modes import Mode
from flight.executive.schedule import Criticality, Entry, Overrun, ScheduleTable, modes_of

Activity = Callable[[FrameContext], None]
NEVER = -1
NO_MODES: Final[frozenset[Mode]] = frozenset()
BITS = 64


@dataclass(slots=True)
class ActivityCounters:
    """What became of one activity: due == run + skipped + shed + disabled + waiting (0 or 1), in its modes.

    How long it took is with the meter.
    """

    due: int = 0
    run: int = 0
    skipped: int = 0  # dropped: no room, deadline past, replaced by the next instance, or its frame was skipped
    shed: int = 0  # dropped for a more critical one
    disabled: int = 0  # due while disabled
    deferred: int = 0  # times put off to a later frame; not an end, so not part of the sum
    waiting: int = 0
    raised: int = 0
    overran: int = 0  # took longer than declared
    late: int = 0  # ended after its deadline


@dataclass(slots=True)
class Task:
    """One entry: what is declared, and what has become of it."""

    number: int  # how events and the meter name the activity, whatever table flies
    entry: Entry
    activity: Activity
    modes: frozenset[Mode]
    wcet_ns: int
    cost_ns: int  # declared time and dispatch
    deadline_ns: int
    critical: bool  # these two are asked for in every frame: a member of an enumeration costs an object
    sheds: bool
    bit: int  # of a critical one, in the map of what is to end in a frame; 0: none
    period: int  # frames; as declared, or longer once demoted
    criticality: Criticality  # as declared, or lower once demoted
    flown_modes: frozenset[Mode]  # as declared, or none while its group is switched off
    counters: ActivityCounters = field(default_factory=ActivityCounters)
    pending: int = NEVER  # the frame whose instance waits to be started
    raises_in_a_row: int = 0
    disabled: bool = False
    offender: Offender | None = None  # its record, where a rule of demotion is flown

    def is_due(self, frame: int) -> bool:
        """Whether an instance is released in `frame`."""
        return frame >= self.entry.phase and (frame - self.entry.phase) % self.period == 0

    def drop_pending(self) -> None:
        """The instance that waits is given up."""
        if self.pending != NEVER:
            self.pending = NEVER
            self.counters.skipped += 1
            self.counters.waiting = 0

    def take_over(self, before: Task | None, raises_to_disable: int) -> None:
        """This table begins to fly: as declared, with what became of the activity under the one before."""
        self.period, self.criticality = self.entry.period, self.entry.criticality
        if before is None or before is self:
            self.disabled = self.raises_in_a_row >= raises_to_disable
            return
        self.counters, self.pending = before.counters, before.pending
        self.raises_in_a_row = before.raises_in_a_row
        self.disabled = not self.critical and self.raises_in_a_row >= raises_to_disable


def make_tasks(
    table: ScheduleTable, activities: Mapping[str, Activity], numbers: Mapping[str, int]
) -> tuple[Task, ...]:
    """Every entry of a table that fits, in the order in which a frame starts them. Raises KeyError.

    The first 64 critical ones have a bit each.
    """
    entries = sorted(table.entries, key=lambda entry: entry.slot)
    critical = [entry.activity for entry in entries if entry.criticality is Criticality.CRITICAL][:BITS]
    bits = {activity: 1 << place for place, activity in enumerate(critical)}
    return tuple(
        Task(
            number=numbers[entry.activity],
            entry=entry,
            activity=activities[entry.activity],
            modes=modes_of(entry),
            wcet_ns=entry.wcet_us * 1000,
            cost_ns=(entry.wcet_us + table.dispatch_us) * 1000,
            deadline_ns=entry.deadline_us * 1000,
            critical=entry.criticality is Criticality.CRITICAL,
            sheds=entry.overrun is Overrun.SHED,
            bit=bits.get(entry.activity, 0),
            period=entry.period,
            criticality=entry.criticality,
            flown_modes=modes_of(entry),
        )
        for entry in entries
    )

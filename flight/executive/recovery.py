"""What one overrun costs: the very frame loop, flown in virtual time with every activity at its declared worst case."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flight.executive.frame_context import FrameContext
from flight.executive.frame_source import SimulatedFrames
from flight.executive.health import HealthGate
from flight.executive.loop import Activity, FrameLoop
from flight.executive.modes import Mode, ModeManager
from flight.executive.schedule import Analysis, Criticality, Entry, Overrun, ScheduleTable
from flight.services.events import EventRing
from hal.clock import SimulatedClock

HORIZON_FRAMES = 200  # after this many frames of trouble behind the overrun it does not recover by itself
MAX_OVERRUN_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Recovery:
    """The worst of one overrun of `overrun_us` by any activity of the fullest frame."""

    overrun_us: int
    frames: int  # from the overrun to the last frame that was late, skipped or short of an activity
    activity: str  # whose overrun is the worst
    safe_mode: bool  # whether some such overrun asks for safe mode, where its count of frames ends
    recovered: bool  # False: trouble went on to the horizon

    def as_dict(self) -> dict[str, object]:
        """What `swath schedule check --json` prints of it."""
        return {
            "frames": self.frames if self.recovered else None,
            "activity": self.activity,
            "safe_mode": self.safe_mode,
        }


def recovery(table: ScheduleTable, analysis: Analysis, overrun_us: int) -> Recovery:
    """Simulate one overrun in the fullest frame, by each of its activities in turn. The table must fit."""
    worst = analysis.worst_frame
    mode = Mode[worst.mode.upper()]
    flown = _from_frame(table, worst.index)
    horizon = overrun_us // table.minor_us + HORIZON_FRAMES
    found = [(*_fly(flown, mode, name, overrun_us, horizon), name) for name, _ in worst.activities]
    frames, _, activity = max(found)
    return Recovery(overrun_us, frames, activity, any(safe for _, safe, _ in found), frames <= horizon)


def recovery_by_policy(table: ScheduleTable, analysis: Analysis, overrun_us: int) -> dict[Overrun, Recovery]:
    """The same overrun if every activity had one policy. What is critical is never shed: there its own stays."""
    found = {}
    for policy in Overrun:
        entries = tuple(
            entry
            if policy is Overrun.SHED and entry.criticality is Criticality.CRITICAL
            else replace(entry, overrun=policy)
            for entry in table.entries
        )
        found[policy] = recovery(replace(table, entries=entries), analysis, overrun_us)
    return found


def _from_frame(table: ScheduleTable, frame: int) -> ScheduleTable:
    """The table with `frame` as its frame 0: a table that fits carries nothing over, so what was before is no matter.

    Precedence and windows, which were judged, say nothing about how the loop recovers.
    """
    entries = tuple(replace(entry, phase=(entry.phase - frame) % entry.period, after=()) for entry in table.entries)
    return replace(table, entries=entries, windows=(), verified="")


def _fly(table: ScheduleTable, mode: Mode, guilty: str, overrun_us: int, horizon: int) -> tuple[int, bool]:
    """Frames until all is as if nothing had happened, and whether safe mode was asked for."""
    clock = SimulatedClock()
    events = EventRing(16, clock)

    def busy(entry: Entry) -> Activity:
        def spend(context: FrameContext) -> None:
            extra_us = overrun_us if entry.activity == guilty and context.frame == 0 else 0
            clock.advance((entry.wcet_us + extra_us) / 1e6)

        return spend

    source = SimulatedFrames(clock, table.minor_us)
    modes = ModeManager(events, mode)
    activities = {entry.activity: busy(entry) for entry in table.entries}
    loop = FrameLoop(table, activities, source, clock, events, modes, HealthGate(events))
    source.start()
    last_trouble = -1
    safe = False
    account = _dropped(loop)
    while (slot := source.wait(table.minor_us)) is not None and slot.frame <= horizon:
        expected = loop.frames.counters().late
        loop.run_frame(slot)
        if modes.wanted is Mode.SAFE and mode is not Mode.SAFE:
            safe = True
            break
        now = _dropped(loop)
        if slot.lateness_us > 0 or now != account or loop.frames.counters().late != expected:
            last_trouble = slot.frame
        account = now
    return last_trouble + 1, safe


def _dropped(loop: FrameLoop) -> int:
    def of(name: str) -> int:
        return sum(getattr(counters, name) for counters in loop.counters().values())

    return of("skipped") + of("shed") + of("deferred") + of("overran")

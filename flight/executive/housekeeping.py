"""The housekeeping packet: the executive's own numbers, once a second."""

from __future__ import annotations

from typing import Protocol

from flight.executive.component import EXECUTIVE
from flight.executive.loop import FrameLoop
from flight.services.telemetry import TelemetryPacket


class JournalQueue(Protocol):
    """The numbers of a journal.WriterClient."""

    @property
    def sequence(self) -> int: ...
    @property
    def durable(self) -> int: ...
    @property
    def queued_bytes(self) -> int: ...


def housekeeping(loop: FrameLoop, journal: JournalQueue, now_s: float) -> TelemetryPacket:
    """The executive's telemetry at mission time `now_s`."""
    frames = loop.frames.counters()
    activities = loop.counters()
    busiest, busiest_us = loop.busiest()
    every = activities.values()
    return TelemetryPacket.of(
        EXECUTIVE,
        now_s,
        mode=loop.modes.mode,
        healthy=int(loop.health.healthy),
        frames_released=frames.released,
        frames_run=frames.run,
        frames_late=frames.late,
        frames_skipped=frames.skipped,
        worst_release_us=frames.worst_release_us,
        worst_done_us=frames.worst_done_us,
        watchdog_pets=frames.pets,
        watchdog_withheld=frames.withheld,
        activities_run=sum(counters.run for counters in every),
        activities_not_started=sum(counters.skipped for counters in every),
        activities_shed=sum(counters.shed for counters in every),
        activities_deferred=sum(counters.deferred for counters in every),
        activities_overran=sum(counters.overran for counters in every),
        activities_late=sum(counters.late for counters in every),
        activities_raised=sum(counters.raised for counters in every),
        activities_disabled=len(loop.disabled()),
        busiest_activity=busiest,
        busiest_us=busiest_us,
        events_queued=len(loop.events),
        events_dropped=loop.events.dropped,
        events_squelched=loop.events.squelched,
        journal_sequence=journal.sequence,
        journal_durable=journal.durable,
        journal_queued=journal.queued_bytes,
        tables_mended=loop.tables.mended,
        frames_incomplete=frames.frames_incomplete,
        watchdog_errors=frames.watchdog_errors,
        silences=frames.silences,
        duties_run=frames.duties_run,
    )

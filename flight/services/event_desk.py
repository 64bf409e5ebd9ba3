"""The event service in flight: settings by command, kept over restarts by the journal.

A setting holds at once; its record is written in the same call, or by step() when the journal had no room.
Worst case: a command appends one record of at most 1.5 KiB; step() the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flight.services import event_component as told
from flight.services.command_slot import Handler
from flight.services.event_filter import EventFilter, FilterReason, FilterRefused, Sink
from flight.services.events import EventRing
from flight.services.kept_state import KeptState, kept_octets
from flight.services.packed_state import StateRefused
from flight.services.records import RecordKind
from flight.services.telemetry import TelemetryPacket


class EventDesk:
    """The commands about events. Before the first frame: replay() for each record of the kind EVENT_FILTER."""

    def __init__(self, filters: EventFilter, append: Callable[[RecordKind, bytes], int], events: EventRing) -> None:
        """append: to the journal; events: made with `filters.squelches`."""
        self._filters, self._events = filters, events
        self._kept = KeptState(RecordKind.EVENT_FILTER, append, filters.pack_state)

    def replay(self, payload: bytes) -> None:
        """One record of the journal; what is damaged is told, and the settings before it hold."""
        try:
            left_out = self._filters.restore(kept_octets(payload))
        except StateRefused as refused:
            self._events.emit(told.FILTER_NOT_RESTORED, reason=refused.reason, left_out=0)
            return
        if left_out:
            self._events.emit(told.FILTER_NOT_RESTORED, reason=0, left_out=left_out)

    def step(self) -> None:
        """Write what could not be written when it was commanded."""
        self._kept.write()

    def handlers(self) -> Mapping[int, Handler]:
        """Opcode -> what does it."""
        filters = self._filters

        def setting(change: Callable[..., None], *names: str) -> Handler:
            def handle(values: Mapping[str, int | float]) -> bool:
                try:
                    change(*(int(values[name]) for name in names))
                except FilterRefused as refused:
                    self._refuse(refused)
                    return False
                self._kept.changed()
                return True

            return handle

        return {
            told.EVENT_LEAST.opcode: setting(filters.set_least, "sink", "severity"),
            told.EVENT_COMPONENT_LEAST.opcode: setting(filters.set_component_least, "sink", "component", "severity"),
            told.EVENT_SQUELCH.opcode: setting(filters.set_squelch, "component", "event", "mode", "burst", "ms"),
            told.EVENT_RESET.opcode: setting(filters.reset),
            told.EVENT_COUNTS.opcode: self._counts,
        }

    def telemetry(self, now_s: float) -> TelemetryPacket:
        """The service's packet at mission time `now_s`."""
        filters, events = self._filters, self._events
        return TelemetryPacket.of(
            told.EVENT_SERVICE,
            now_s,
            emitted=events.emitted,
            queued=len(events),
            dropped=events.dropped,
            squelched=events.squelched,
            downlink_filtered=filters.filtered[Sink.DOWNLINK],
            storage_filtered=filters.filtered[Sink.STORAGE],
            squelches_set=len(filters.squelches),
            unwritten=int(self._kept.unwritten),
        )

    def _counts(self, values: Mapping[str, int | float]) -> bool:
        component, filters = int(values["component"]), self._filters
        if not filters.knows(component):
            self._refuse(FilterRefused(FilterReason.COMPONENT, component))
            return False
        self._events.emit(
            told.FILTER_COUNTS,
            component=component,
            downlink=filters.least(Sink.DOWNLINK, component),
            storage=filters.least(Sink.STORAGE, component),
            downlink_filtered=filters.filtered_of(Sink.DOWNLINK, component),
            storage_filtered=filters.filtered_of(Sink.STORAGE, component),
        )
        return True

    def _refuse(self, refused: FilterRefused) -> None:
        self._events.emit(told.FILTER_REFUSED, reason=refused.reason, component=refused.component, number=refused.event)

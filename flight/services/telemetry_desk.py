"""The telemetry service in flight: rates by command, kept over restarts by the journal.

Worst case: a command appends one record of at most 2.6 KiB; step() the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flight.services import telemetry_component as told
from flight.services.command_slot import Handler
from flight.services.events import EventRing
from flight.services.kept_state import KeptState, kept_octets
from flight.services.packed_state import StateRefused
from flight.services.records import RecordKind
from flight.services.telemetry import TelemetryPacket
from flight.services.telemetry_rates import RateRefused, TelemetryScheduler


class TelemetryDesk:
    """The command about rates. Before the first frame: replay() for each record of the kind TELEMETRY_RATES."""

    def __init__(
        self, scheduler: TelemetryScheduler, append: Callable[[RecordKind, bytes], int], events: EventRing
    ) -> None:
        """append: to the journal."""
        self._scheduler, self._events = scheduler, events
        self._kept = KeptState(RecordKind.TELEMETRY_RATES, append, scheduler.pack_state)

    def replay(self, payload: bytes) -> None:
        """One record of the journal; what is damaged is told, and the rates before it hold."""
        try:
            left_out = self._scheduler.restore(kept_octets(payload))
        except StateRefused as refused:
            self._events.emit(told.RATES_NOT_RESTORED, reason=refused.reason, left_out=0)
            return
        if left_out:
            self._events.emit(told.RATES_NOT_RESTORED, reason=0, left_out=left_out)

    def step(self) -> None:
        """Write what could not be written when it was commanded."""
        self._kept.write()

    def handlers(self) -> Mapping[int, Handler]:
        """Opcode -> what does it."""

        def set_rate(values: Mapping[str, int | float]) -> bool:
            numbers = (int(values[name]) for name in ("component", "mode", "min_ms", "max_ms"))
            try:
                self._scheduler.set_rate(*numbers)
            except RateRefused as refused:
                self._events.emit(told.RATE_REFUSED, reason=refused.reason, component=refused.component)
                return False
            self._kept.changed()
            return True

        return {told.TELEMETRY_RATE.opcode: set_rate}

    def telemetry(self, now_s: float) -> TelemetryPacket:
        """The service's packet at mission time `now_s`."""
        counters = self._scheduler.counters
        return TelemetryPacket.of(
            told.TELEMETRY_SERVICE,
            now_s,
            sent=counters.sent,
            not_due=counters.not_due,
            off=counters.off,
            held=counters.held,
            rates_set=self._scheduler.rates_set,
        )

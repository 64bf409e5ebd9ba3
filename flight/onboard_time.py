"""The time service fed by the spacecraft bus."""

from __future__ import annotations

from flight.services.events import EventRing
from flight.services.leap_seconds import SECOND_NS, UtcTime
from flight.services.telemetry import TelemetryPacket
from flight.services.time_component import TIME
from flight.services.time_service import OscillatorWentBack, Sample, TimeService, TimeSource
from hal.clock import Clock

BUS_TIME_SIGMA_NS = 10_000_000  # of what the bus says and when it is heard


class BusTime:
    """Holds the computer's clock against the bus. What the bus says wrongly is refused with an event."""

    def __init__(self, clock: Clock, events: EventRing) -> None:
        self._clock = clock
        self.service = TimeService(events, self._board_ns())

    def hear(self, mission_s: float) -> None:
        """The bus has just said that it is `mission_s`. Once per platform sample."""
        board_ns = self._board_ns()
        tai_ns = self.service.leaps.tai_ns(UtcTime(round(mission_s * SECOND_NS), leaping=False))
        try:
            self.service.correlate(Sample(board_ns, tai_ns, BUS_TIME_SIGMA_NS, TimeSource.PLATFORM), board_ns)
            self.service.now(board_ns)
        except OscillatorWentBack:
            self.service.begin_again(board_ns)

    def telemetry(self, now_s: float) -> TelemetryPacket:
        """The packet of the time service; it counts from the last hear(), so that it cannot raise."""
        return TelemetryPacket.of(TIME, now_s, **self.service.telemetry(self.service.newest_ns))

    def _board_ns(self) -> int:
        return round(self._clock.mission_s() * SECOND_NS)

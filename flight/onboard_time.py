"""The time service fed by the spacecraft bus."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from flight.services.critical_format import Block
from flight.services.critical_store import BlockLost
from flight.services.declare import OctetsInvalid
from flight.services.events import EventRing
from flight.services.leap_seconds import SECOND_NS, UtcTime
from flight.services.telemetry import TelemetryPacket
from flight.services.time_component import TIME
from flight.services.time_service import STATE_BYTES, OscillatorWentBack, Sample, TimeService, TimeSource
from hal.clock import Clock

BUS_TIME_SIGMA_NS = 10_000_000  # of what the bus says and when it is heard
TIME_BLOCK = Block(3, "time", b"\xff" * STATE_BYTES)  # all ones: no time was ever kept


class KeptBlocks(Protocol):
    """What is needed of the critical store."""

    def read(self, block: Block) -> bytes: ...
    def keep(self, block: Block, pack: Callable[[], bytes]) -> None: ...


class BusTime:
    """Holds the computer's clock against the bus. What the bus says wrongly is refused with an event."""

    def __init__(self, clock: Clock, events: EventRing) -> None:
        self._clock, self._events = clock, events
        self.service = TimeService(events, self._board_ns())

    def keep(self, store: KeptBlocks) -> None:
        """Before the first frame: go on with the elapsed time of earlier lives, and have it kept from now on.

        How long the computer was off nobody knows: the time is lost until the bus says it.
        """
        with contextlib.suppress(BlockLost, OctetsInvalid):  # the store has told it; the time begins anew
            stored = store.read(TIME_BLOCK)
            if stored != TIME_BLOCK.default:
                self.service = TimeService(self._events, self._board_ns(), stored=stored)
        store.keep(TIME_BLOCK, lambda: self.service.pack(self.service.newest_ns))

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

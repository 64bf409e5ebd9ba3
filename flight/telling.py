"""What the satellite tells the ground of itself: events through their filter, telemetry at its rates."""

from __future__ import annotations

from collections.abc import Callable

from flight.onboard_services import Service
from flight.services.dictionary import components
from flight.services.event_component import EVENT_COMMANDS
from flight.services.event_desk import EventDesk
from flight.services.event_filter import EventFilter, Sink
from flight.services.events import EventRecord, EventRing
from flight.services.records import RecordKind
from flight.services.telemetry import TelemetryPacket
from flight.services.telemetry_component import TELEMETRY_COMMANDS
from flight.services.telemetry_desk import TelemetryDesk
from flight.services.telemetry_rates import TelemetryScheduler
from hal.clock import Clock

EVENTS = 512
PLACES = 24  # packets in one run of `telemetry.send`: each component's, and no more


class Telling:
    """The ring of events, and what of it and of the packets goes down. Settings come by command and are kept."""

    def __init__(self, clock: Clock, append: Callable[[RecordKind, bytes], int], minor_us: int) -> None:
        """append: to the journal."""
        board = {component.number: component for component in components()}
        self._filters, self._scheduler = EventFilter(board), TelemetryScheduler(board, PLACES)
        self.events = EventRing(EVENTS, clock, self._filters.squelches)
        self._event_desk = EventDesk(self._filters, append, self.events)
        self._telemetry_desk = TelemetryDesk(self._scheduler, append, self.events)
        self._minor_us = minor_us

    def passes(self, record: EventRecord) -> bool:
        """Whether the event goes to the ground."""
        return self._filters.passes(Sink.DOWNLINK, record)

    def begin(self) -> None:
        """The packets of one second are about to be offered."""
        self._scheduler.begin()

    def offer(self, packet: TelemetryPacket, frame: int) -> bool:
        """Whether the packet goes to the ground. In whole seconds: what ran a frame late is of its second."""
        return self._scheduler.offer(packet, frame * self._minor_us // 1_000_000)

    def services(self) -> tuple[Service, Service]:
        """Commands, telemetry and journal records of both."""
        return (
            Service(
                EVENT_COMMANDS,
                self._event_desk.handlers(),
                telemetry=self._event_desk.telemetry,
                replay={RecordKind.EVENT_FILTER: self._event_desk.replay},
                boundary=self._event_desk.step,
            ),
            Service(
                TELEMETRY_COMMANDS,
                self._telemetry_desk.handlers(),
                telemetry=self._telemetry_desk.telemetry,
                replay={RecordKind.TELEMETRY_RATES: self._telemetry_desk.replay},
                boundary=self._telemetry_desk.step,
            ),
        )

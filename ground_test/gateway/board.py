"""What the satellite last said: newest telemetry of each component, newest events, counters. Bounded, thread-safe."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from bindings.errors import SwathError
from flight.services import dictionary
from flight.services.events import EventRecord
from flight.services.telemetry import TelemetryPacket
from ground_test.gateway.contacts import PlannedContact

EVENTS = 256


class Board:
    """Filled by the station's thread, read by those of the API."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._telemetry: dict[int, dict[str, Any]] = {}  # by component: bounded by the dictionary
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS)
        self._contacts: tuple[PlannedContact, ...] = ()
        self._counts: dict[str, int] = {}
        self._time_s = 0.0
        self._open: str | None = None

    def telemetry(self, octets: bytes) -> None:
        """Raises SwathError for what the dictionary does not have."""
        packet = TelemetryPacket.unpack(octets, dictionary.component)
        entry = {"component": packet.component.name, "time_s": packet.time_us / 1e6, "values": packet.named()}
        with self._lock:
            self._telemetry[packet.component.number] = entry

    def event(self, octets: bytes) -> None:
        """Raises SwathError for what the dictionary does not have."""
        record = EventRecord.unpack(octets)
        entry = {
            "time_s": record.time_us / 1e6,
            "severity": record.severity.name.lower(),
            "text": dictionary.describe(record),
            "squelched": record.squelched,
        }
        with self._lock:
            self._events.append(entry)

    def count(self, what: str, more: int = 1) -> None:
        with self._lock:
            self._counts[what] = self._counts.get(what, 0) + more

    def refuse(self, what: str, error: SwathError) -> None:
        """Something that came down made no sense: counted, and its reason kept as an event of the ground."""
        self.count(f"{what}_refused")
        with self._lock:
            text = f"ground: {what}: {error}"
            self._events.append({"time_s": self._time_s, "severity": "warning", "text": text[:200], "squelched": 0})

    def now(self, time_s: float, contacts: tuple[PlannedContact, ...], open_: PlannedContact | None) -> None:
        with self._lock:
            self._time_s, self._contacts = time_s, contacts
            self._open = open_.station if open_ is not None else None

    def shown(self) -> dict[str, Any]:
        """As the API answers GET /status."""
        with self._lock:
            return {
                "contact": self._open,
                "contacts": [
                    {
                        "station": contact.station,
                        "start_s": contact.start_s,
                        "end_s": contact.end_s,
                        "max_elevation_deg": contact.max_elevation_deg,
                    }
                    for contact in self._contacts
                ],
                "telemetry": [self._telemetry[number] for number in sorted(self._telemetry)],
                "events": list(self._events),
                "counts": dict(self._counts),
            }

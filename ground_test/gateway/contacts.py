"""The contact plan: when which station sees the satellite, from orbit and stations, extended as time goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flight.agent.orbit import At, Station, contacts

AHEAD_S = 43_200.0
BACK_S = 1800.0  # so that a contact under way is found whole
KEPT = 256


@dataclass(frozen=True, slots=True)
class PlannedContact:
    """One station's time with the satellite. Seconds of mission time."""

    station: str
    start_s: float
    end_s: float
    max_elevation_deg: float


class ContactPlan:
    """Contacts of all stations, in order of their start."""

    def __init__(self, stations: Mapping[str, Station], at: At) -> None:
        self._stations, self._at = dict(stations), at
        self._until_s: float | None = None
        self._contacts: list[PlannedContact] = []

    def update(self, now_s: float) -> None:
        """Look ahead again when less than half of the horizon is left. Some tens of milliseconds when it does."""
        if self._until_s is not None and now_s < self._until_s - AHEAD_S / 2:
            return
        start_s = now_s - BACK_S if self._until_s is None else self._until_s
        end_s = now_s + AHEAD_S
        for name, station in self._stations.items():
            for found in contacts(station, self._at, start_s, end_s):
                self._contacts.append(PlannedContact(name, found.start_s, found.end_s, found.max_elevation_deg))
        self._contacts.sort(key=lambda contact: contact.start_s)
        del self._contacts[:-KEPT]
        self._until_s = end_s

    def open(self, now_s: float) -> PlannedContact | None:
        """The contact under way; of several the one that lasts longest."""
        now = [contact for contact in self._contacts if contact.start_s <= now_s <= contact.end_s]
        return max(now, key=lambda contact: contact.end_s, default=None)

    def listed(self) -> tuple[PlannedContact, ...]:
        return tuple(self._contacts)

"""Which events are sent and which are stored: a least severity per sink, for all and per component, and squelches.

Pure and bounded: by the components on board, and MAX_SQUELCHES. A critical event passes every filter and keeps the
squelch that it declares, whatever is set.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum

from flight.services.declare import Component, Event, ServicesError, Severity
from flight.services.events import EventRecord, Squelch
from flight.services.packed_state import StateReason, StateRefused, open_state, seal_state

MAX_SQUELCHES = 64
STATE_MAGIC = b"SWEF"
STATE_FORMAT = 1
FOLLOW = 0xFF  # as a component's least severity: that of all
NO_LIMIT = 0xFFFF_FFFF  # records in a period, where an event is not squelched
_HEAD = struct.Struct(">4B")  # least severity for each sink; components, squelches
_COMPONENT = struct.Struct(">3B")
_SQUELCH = struct.Struct(">BHBHI")
_MAX_BODY = _HEAD.size + 255 * _COMPONENT.size + MAX_SQUELCHES * _SQUELCH.size
_MAX_COUNT = 0xFFFF_FFFF


class Sink(IntEnum):
    """Where an event goes. Numbers are never reused."""

    DOWNLINK = 1
    STORAGE = 2


class SquelchMode(IntEnum):
    """How an event that keeps coming is held back. Numbers are never reused."""

    DECLARED = 0  # as its declaration says
    OFF = 1  # every record passes; the ring is bounded all the same
    SET = 2  # by the burst and period that were set
    MUTED = 3  # no record passes; they are counted


class FilterReason(IntEnum):
    """Why a setting is refused. Numbers are never reused."""

    SINK = 1
    SEVERITY = 2
    COMPONENT = 3  # not on board
    EVENT = 4  # not declared
    MODE = 5
    CRITICAL = 6  # a critical event is not squelched by a setting
    RANGE = 7  # burst or period of 0, or numbers beside a mode that takes none
    FULL = 8  # MAX_SQUELCHES are set


class FilterRefused(ServicesError, ValueError):
    """A setting that is not taken; everything is as it was."""

    code = "event_filter_refused"

    def __init__(self, reason: FilterReason, component: int = 0, event: int = 0) -> None:
        super().__init__(f"event filter refused: {reason.name.lower()}, component {component}, event {event}")
        self.reason, self.component, self.event = reason, component, event


class EventFilter:
    """The settings, and what they held back since the boot. `squelches` is the mapping that an EventRing looks at."""

    def __init__(self, components: Mapping[int, Component]) -> None:
        """components: all on board, by number."""
        self._components = components
        self._events: dict[tuple[int, int], Event] = {
            (component.number, event.number): event for component in components.values() for event in component.events
        }
        self._least = dict.fromkeys(Sink, Severity.DEBUG)
        self._own: dict[tuple[Sink, int], Severity] = {}
        self._set: dict[tuple[int, int], tuple[SquelchMode, int, int]] = {}  # mode, burst, period in ms
        self.squelches: dict[tuple[int, int], Squelch] = {}
        self.filtered = dict.fromkeys(Sink, 0)  # saturates, as do those of each component
        self._filtered: dict[tuple[Sink, int], int] = {}

    # --- settings

    def set_least(self, sink: int, severity: int) -> None:
        """Events below `severity` do not go to that sink. Raises FilterRefused."""
        self._least[_sink(sink)] = _severity(severity)

    def set_component_least(self, sink: int, component: int, severity: int) -> None:
        """The same for one component; FOLLOW: what holds for all holds for it again. Raises FilterRefused."""
        key = _sink(sink), component
        if component not in self._components:
            raise FilterRefused(FilterReason.COMPONENT, component)
        if severity == FOLLOW:
            self._own.pop(key, None)
        else:
            self._own[key] = _severity(severity, component)

    def set_squelch(self, component: int, event: int, mode: int, burst: int = 0, period_ms: int = 0) -> None:
        """How one event is held back; burst and period are 0 but for SET. Raises FilterRefused."""
        key = component, event
        self._check_squelch(key, mode, burst, period_ms)
        if mode == SquelchMode.DECLARED:
            self._set.pop(key, None)
            self.squelches.pop(key, None)
            return
        if key not in self._set and len(self._set) >= MAX_SQUELCHES:
            raise FilterRefused(FilterReason.FULL, component, event)
        self._put(key, SquelchMode(mode), burst, period_ms)

    def reset(self) -> None:
        """Everything passes, and every event is squelched as it declares."""
        self._least = dict.fromkeys(Sink, Severity.DEBUG)
        self._own.clear()
        self._set.clear()
        self.squelches.clear()

    # --- in use

    def knows(self, component: int) -> bool:
        """Whether there is such a component on board."""
        return component in self._components

    def least(self, sink: Sink, component: int) -> Severity:
        """What an event of that component needs for that sink."""
        return self._own.get((sink, component), self._least[sink])

    def passes(self, sink: Sink, record: EventRecord) -> bool:
        """Whether the event goes there; one that does not is counted."""
        if record.severity is Severity.CRITICAL or record.severity >= self.least(sink, record.component):
            return True
        self.filtered[sink] = min(self.filtered[sink] + 1, _MAX_COUNT)
        if record.component in self._components:  # so that the counts are bounded
            key = sink, record.component
            self._filtered[key] = min(self._filtered.get(key, 0) + 1, _MAX_COUNT)
        return False

    def filtered_of(self, sink: Sink, component: int) -> int:
        """Events of that component held back from that sink."""
        return self._filtered.get((sink, component), 0)

    # --- over a restart

    def pack_state(self) -> bytes:
        """The settings as octets; counts are those of one boot.

        Envelope of flight/services/packed_state.py, magic "SWEF", format 1. Body, big-endian: least severity for
        downlink u8 and for storage u8, components u8, squelches u8; per component: number u8, least severity for
        downlink u8 and for storage u8 (255: that of all); per squelch: component u8, event u16, mode u8, burst u16,
        period in milliseconds u32.
        """
        own = sorted({component for _, component in self._own})
        body = _HEAD.pack(self._least[Sink.DOWNLINK], self._least[Sink.STORAGE], len(own), len(self._set))
        for component in own:
            body += _COMPONENT.pack(component, *(self._own.get((sink, component), FOLLOW) for sink in Sink))
        for (component, event), (mode, burst, period_ms) in sorted(self._set.items()):
            body += _SQUELCH.pack(component, event, mode, burst, period_ms)
        return seal_state(STATE_MAGIC, STATE_FORMAT, body)

    def restore(self, octets: bytes) -> int:
        """Take the settings back; how many were left out, being about what is not on board or has become critical.

        Raises StateRefused, having changed nothing.
        """
        body = open_state(octets, STATE_MAGIC, STATE_FORMAT, _MAX_BODY)
        if len(body) < _HEAD.size:
            raise StateRefused(StateReason.SIZE, value=len(body))
        *least, components, squelches = _HEAD.unpack_from(body)
        squelches_at = _HEAD.size + components * _COMPONENT.size
        if squelches > MAX_SQUELCHES or len(body) != squelches_at + squelches * _SQUELCH.size:
            raise StateRefused(StateReason.SIZE, value=len(body))
        taken, left_out = EventFilter(self._components), 0
        try:
            for sink, severity in zip(Sink, least, strict=True):
                taken.set_least(sink, severity)
        except FilterRefused as refused:
            raise StateRefused(StateReason.CONTENT) from refused
        for component, *own in _COMPONENT.iter_unpack(body[_HEAD.size : squelches_at]):
            try:
                for sink, severity in zip(Sink, own, strict=True):
                    taken.set_component_least(sink, component, severity)
            except FilterRefused:
                left_out += 1
        for entry in _SQUELCH.iter_unpack(body[squelches_at:]):
            try:
                taken.set_squelch(*entry)
            except FilterRefused:
                left_out += 1
        self._least, self._own, self._set = taken._least, taken._own, taken._set
        self.squelches.clear()
        self.squelches.update(taken.squelches)
        return left_out

    def _check_squelch(self, key: tuple[int, int], mode: int, burst: int, period_ms: int) -> None:
        if key not in self._events:
            raise FilterRefused(FilterReason.EVENT, *key)
        if mode not in tuple(SquelchMode):
            raise FilterRefused(FilterReason.MODE, *key)
        if self._events[key].severity is Severity.CRITICAL:
            raise FilterRefused(FilterReason.CRITICAL, *key)
        numbers = (1 <= burst <= 0xFFFF, 1 <= period_ms <= 0xFFFF_FFFF)
        if not all(numbers) if mode == SquelchMode.SET else (burst, period_ms) != (0, 0):
            raise FilterRefused(FilterReason.RANGE, *key)

    def _put(self, key: tuple[int, int], mode: SquelchMode, burst: int, period_ms: int) -> None:
        self._set[key] = mode, burst, period_ms
        period_s = self._events[key].period_s
        self.squelches[key] = {
            SquelchMode.OFF: Squelch(NO_LIMIT, period_s),
            SquelchMode.SET: Squelch(burst, period_ms / 1e3),
            SquelchMode.MUTED: Squelch(0, period_s),
        }[mode]


def _sink(number: int) -> Sink:
    if number not in tuple(Sink):
        raise FilterRefused(FilterReason.SINK)
    return Sink(number)


def _severity(number: int, component: int = 0) -> Severity:
    if number not in tuple(Severity):
        raise FilterRefused(FilterReason.SEVERITY, component)
    return Severity(number)

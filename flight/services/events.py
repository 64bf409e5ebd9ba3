"""Events: a bounded ring that never blocks a frame, and the record that goes down."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from flight.services.declare import Event, NumberType, OctetsInvalid, Severity, in_order
from hal.clock import Clock

_CODES = {kind: index for index, kind in enumerate(NumberType, 1)}  # on the wire; append only
_KINDS = {code: kind for kind, code in _CODES.items()}


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event as it happened.

    On the wire, big-endian: component u8, event u16, severity u8, sequence u32, time in microseconds u64,
    squelched u16, argument count u8, then per argument a type code u8 and the number.
    """

    component: int
    number: int
    severity: Severity
    sequence: int  # counts every record of this boot, also those dropped from the ring: a gap is a loss
    time_us: int  # mission time
    squelched: int  # records of the same event held back since its last one
    types: tuple[NumberType, ...]
    values: tuple[int | float, ...]

    HEAD: ClassVar[struct.Struct] = struct.Struct(">BHBIQHB")

    def pack(self) -> bytes:
        """The record's octets."""
        head = self.HEAD.pack(
            self.component, self.number, self.severity, self.sequence, self.time_us, self.squelched, len(self.values)
        )
        arguments = (
            struct.pack(">B" + kind.format, _CODES[kind], value)
            for kind, value in zip(self.types, self.values, strict=True)
        )
        return head + b"".join(arguments)

    @classmethod
    def unpack(cls, octets: bytes) -> EventRecord:
        """Read one record. Raises OctetsInvalid for anything that pack() would not have written."""
        if len(octets) < cls.HEAD.size:
            raise OctetsInvalid(f"an event needs at least {cls.HEAD.size} octets, got {len(octets)}")
        component, number, severity, sequence, time_us, squelched, count = cls.HEAD.unpack_from(octets)
        if severity > max(Severity):
            raise OctetsInvalid(f"no severity {severity}")
        offset = cls.HEAD.size
        types: list[NumberType] = []
        values: list[int | float] = []
        for _ in range(count):
            kind = _KINDS.get(octets[offset]) if offset < len(octets) else None
            if kind is None or offset + 1 + kind.size > len(octets):
                raise OctetsInvalid(f"event argument {len(values)} is cut short or of no known type")
            types.append(kind)
            values.append(struct.unpack_from(">" + kind.format, octets, offset + 1)[0])
            offset += 1 + kind.size
        if offset != len(octets):
            raise OctetsInvalid(f"{len(octets) - offset} octets after the event's last argument")
        return cls(component, number, Severity(severity), sequence, time_us, squelched, tuple(types), tuple(values))

    def matches(self, event: Event) -> bool:
        """Whether this record is what `event` declares, type by type."""
        return (
            self.component == event.component
            and self.number == event.number
            and self.severity == event.severity
            and self.types == tuple(argument.type for argument in event.arguments)
        )


@dataclass(frozen=True, slots=True)
class Squelch:
    """What takes the place of an event's declared burst and period."""

    burst: int  # records in a period; 0: none at all
    period_s: float


@dataclass(slots=True)
class _Window:
    window_start_s: float
    passed: int = 0
    held: int = 0


class EventRing:
    """Newest `capacity` events. emit() never blocks and never grows: the oldest is dropped and counted.

    Events are for one interpreter's slots; other processes report through their control messages.
    """

    def __init__(
        self, capacity: int, clock: Clock, squelches: Mapping[tuple[int, int], Squelch] = MappingProxyType({})
    ) -> None:
        """squelches: by component and event, looked at with every event; critical events keep what they declare."""
        if capacity < 1:
            raise ValueError(f"a ring of {capacity} events")
        self._squelches = squelches
        self._ring: deque[EventRecord] = deque(maxlen=capacity)
        self._clock = clock
        self._windows: dict[tuple[int, int], _Window] = {}  # bounded by the events declared
        self.emitted = 0
        self.dropped = 0
        self.squelched = 0

    def __len__(self) -> int:
        return len(self._ring)

    def emit(self, event: Event, **values: int | float) -> None:
        """Put one event into the ring; values out of a type's range are saturated.

        Raises ValuesMismatch when `values` are not the numbers that the event declares.
        """
        arguments = in_order(
            f"event {event.component}.{event.number}",
            [(argument.name, argument.type) for argument in event.arguments],
            values,
        )
        now_s = self._clock.host_s()
        key = event.component, event.number
        squelch: Squelch | Event = event
        if event.severity is not Severity.CRITICAL:
            squelch = self._squelches.get(key, event)
        window = self._windows.setdefault(key, _Window(now_s))
        if now_s - window.window_start_s >= squelch.period_s:
            window.window_start_s, window.passed = now_s, 0
        if window.passed >= squelch.burst:
            window.held += 1
            self.squelched += 1
            return
        window.passed += 1
        held, window.held = min(window.held, 0xFFFF), 0
        if len(self._ring) == self._ring.maxlen:
            self.dropped += 1
        self.emitted += 1
        self._ring.append(
            EventRecord(
                event.component,
                event.number,
                event.severity,
                self.emitted & 0xFFFF_FFFF,
                max(0, round(self._clock.mission_s() * 1e6)),
                held,
                tuple(argument.type for argument in event.arguments),
                arguments,
            )
        )

    def newest(self, count: int) -> list[EventRecord]:
        """The newest `count` that wait, oldest first; they stay where they are."""
        return list(self._ring)[-count:] if count > 0 else []

    def drain(self, limit: int) -> list[EventRecord]:
        """Take up to `limit` events, oldest first."""
        return [self._ring.popleft() for _ in range(min(limit, len(self._ring)))]

"""Telemetry: one packet per component, made of its declared numbers and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from flight.services.declare import Component, OctetsInvalid, in_order


@dataclass(frozen=True, slots=True)
class TelemetryPacket:
    """A component's numbers at one time.

    On the wire, big-endian: component u8, mission time in microseconds u64, then the fields in declared order.
    """

    component: Component
    time_us: int
    values: tuple[int | float, ...]

    HEAD: ClassVar[struct.Struct] = struct.Struct(">BQ")

    @classmethod
    def of(cls, component: Component, time_s: float, **values: int | float) -> TelemetryPacket:
        """Check and order the values; out of range is saturated. Raises ValuesMismatch."""
        declared = [(field.name, field.number) for field in component.telemetry]
        ordered = in_order(f"telemetry of {component.name}", declared, values)
        return cls(component, max(0, round(time_s * 1e6)), ordered)

    def pack(self) -> bytes:
        """The packet's octets."""
        return self.HEAD.pack(self.component.number, self.time_us) + _layout(self.component).pack(*self.values)

    @classmethod
    def unpack(cls, octets: bytes, component_of: Callable[[int], Component]) -> TelemetryPacket:
        """Read one packet with the dictionary's lookup. Raises OctetsInvalid for a length that does not fit."""
        if len(octets) < cls.HEAD.size:
            raise OctetsInvalid(f"telemetry needs at least {cls.HEAD.size} octets, got {len(octets)}")
        number, time_us = cls.HEAD.unpack_from(octets)
        component = component_of(number)
        layout = _layout(component)
        if len(octets) != cls.HEAD.size + layout.size:
            raise OctetsInvalid(
                f"telemetry of {component.name} is {cls.HEAD.size + layout.size} octets, got {len(octets)}"
            )
        return cls(component, time_us, layout.unpack_from(octets, cls.HEAD.size))

    def named(self) -> dict[str, int | float]:
        """Field name -> value."""
        return dict(zip((field.name for field in self.component.telemetry), self.values, strict=True))


class RateBound:
    """At most one packet per component and `min_period_s`; others are refused and counted."""

    def __init__(self) -> None:
        self._last_s: dict[int, float] = {}  # bounded by the number of components
        self.refused = 0

    def admit(self, component: Component, now_s: float) -> bool:
        """Whether a packet may be made now. `now_s` is a clock that is never set back (Clock.host_s)."""
        last_s = self._last_s.get(component.number)
        if last_s is not None and now_s - last_s < component.min_period_s:
            self.refused += 1
            return False
        self._last_s[component.number] = now_s
        return True


def _layout(component: Component) -> struct.Struct:
    return struct.Struct(">" + "".join(field.number.format for field in component.telemetry))

"""Telemetry packets: declared numbers, nothing else, and not too often."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.services.declare import Component, Field, OctetsInvalid, ValuesMismatch
from flight.services.telemetry import RateBound, TelemetryPacket

TANK = Component(
    "tank",
    244,
    telemetry=(Field("level", "u8", "%"), Field("flow", "f32", "l/s"), Field("pumped", "i32")),
    min_period_s=2,
)


def test_the_packet_is_these_octets() -> None:
    packet = TelemetryPacket.of(TANK, 2.5, level=70, pumped=-2, flow=0.25)
    assert packet.pack() == struct.pack(">BQBfi", 244, 2_500_000, 70, 0.25, -2)


@given(st.integers(0, 255), st.floats(width=32, allow_nan=False), st.integers(-(2**31), 2**31 - 1))
def test_a_packet_survives_the_wire(level: int, flow: float, pumped: int) -> None:
    packet = TelemetryPacket.of(TANK, 1e9, level=level, flow=flow, pumped=pumped)
    again = TelemetryPacket.unpack(packet.pack(), lambda number: {244: TANK}[number])
    assert again == packet
    assert again.named() == {"level": level, "flow": flow, "pumped": pumped}


@given(st.binary(max_size=40))
def test_octets_of_another_length_are_refused(octets: bytes) -> None:
    if len(octets) == 9 + 9:
        return
    with pytest.raises(OctetsInvalid):
        TelemetryPacket.unpack(octets, lambda _: TANK)


@pytest.mark.parametrize(
    "values",
    [{"level": 1, "flow": 1.0}, {"level": b"x", "flow": 1.0, "pumped": 1}, {"level": "1", "flow": 1, "pumped": 1}],
)
def test_what_is_not_the_declared_numbers_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValuesMismatch):
        TelemetryPacket.of(TANK, 0.0, **values)  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 5), max_size=50))
def test_no_two_admitted_packets_are_closer_than_the_period(steps: list[float]) -> None:
    bound = RateBound()
    now, admitted = 0.0, []
    for step in steps:
        now += step
        if bound.admit(TANK, now):
            admitted.append(now)
    assert all(later - earlier >= 2.0 for earlier, later in pairwise(admitted))
    assert len(admitted) + bound.refused == len(steps)
    assert bool(admitted) == bool(steps), "the first is always admitted"

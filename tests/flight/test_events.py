"""Events: what is declared, the bounded ring, the record on the wire."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.services.declare import (
    Component,
    DeclarationInvalid,
    Event,
    Field,
    NumberType,
    OctetsInvalid,
    Severity,
    ValuesMismatch,
)
from flight.services.events import EventRecord, EventRing
from hal.clock import SimulatedClock

HEATED = Event(1, Severity.WARNING, "tank {tank:u8} at {kelvin:f32} K", burst=3, period_s=2.0)
COUNTED = Event(2, Severity.INFO, "{count:u16} of {total:i32}, at {when}", burst=1_000_000)
TEST = Component("test_component", 240, events=(HEATED, COUNTED), telemetry=(Field("level", "u8"),))


def numbers(kind: NumberType) -> st.SearchStrategy[float | int]:
    if kind in (NumberType.F32, NumberType.F64):
        return st.floats(width=32 if kind is NumberType.F32 else 64, allow_nan=False)
    bits = kind.size * 8
    signed = kind.value.startswith("i")
    return st.integers(-(1 << bits - 1) if signed else 0, (1 << bits - (1 if signed else 0)) - 1)


@st.composite
def event_records(draw: st.DrawFn) -> EventRecord:
    types = tuple(draw(st.lists(st.sampled_from(list(NumberType)), max_size=8)))
    return EventRecord(
        draw(st.integers(0, 255)),
        draw(st.integers(0, 65535)),
        draw(st.sampled_from(list(Severity))),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(0, 2**64 - 1)),
        draw(st.integers(0, 65535)),
        types,
        tuple(draw(numbers(kind)) for kind in types),
    )


@given(event_records())
def test_a_record_survives_the_wire(record: EventRecord) -> None:
    assert EventRecord.unpack(record.pack()) == record


@given(st.binary(max_size=80))
def test_octets_are_a_record_or_refused(octets: bytes) -> None:
    try:
        record = EventRecord.unpack(octets)
    except OctetsInvalid:
        return
    if not any(isinstance(value, float) and math.isnan(value) for value in record.values):
        assert record.pack() == octets


def test_the_record_is_these_octets() -> None:
    record = EventRecord(240, 1, Severity.WARNING, 7, 1_000_000, 2, (NumberType.U8, NumberType.F32), (3, 1.5))
    assert record.pack().hex() == "f0 0001 02 00000007 00000000000f4240 0002 02 01 03 07 3fc00000".replace(" ", "")


def test_a_full_ring_drops_the_oldest_and_counts_it() -> None:
    ring = EventRing(3, SimulatedClock())
    for count in range(5):
        ring.emit(COUNTED, count=count, total=5, when=0.5)
    assert (len(ring), ring.dropped, ring.emitted) == (3, 2, 5)
    drained = ring.drain(10)
    assert [record.values[0] for record in drained] == [2, 3, 4]
    assert [record.sequence for record in drained] == [3, 4, 5], "the gap shows what was lost"
    assert ring.drain(10) == []


def test_an_event_that_keeps_coming_is_squelched_and_says_how_often() -> None:
    clock = SimulatedClock(1000.0)
    ring = EventRing(100, clock)
    for _ in range(10):
        ring.emit(HEATED, tank=1, kelvin=300.0)
    assert len(ring) == 3
    clock.advance(2.0)
    ring.emit(HEATED, tank=1, kelvin=300.0)
    assert [record.squelched for record in ring.drain(9)] == [0, 0, 0, 7]
    assert ring.squelched == 7


def test_one_event_squelched_does_not_hold_back_another() -> None:
    ring = EventRing(100, SimulatedClock())
    for _ in range(10):
        ring.emit(HEATED, tank=1, kelvin=300.0)
    ring.emit(COUNTED, count=1, total=1, when=0.0)
    assert ring.drain(9)[-1].number == COUNTED.number


@given(st.one_of(st.integers(), st.floats()))
def test_any_number_is_saturated_not_wrapped_and_always_packs(value: float) -> None:
    for kind in NumberType:
        event = Event(9, Severity.DEBUG, f"{{value:{kind.value}}}")
        Component("one_event", 241, events=(event,))
        ring = EventRing(1, SimulatedClock())
        ring.emit(event, value=value)
        (record,) = ring.drain(1)
        assert EventRecord.unpack(record.pack()).number == 9
        if kind not in (NumberType.F32, NumberType.F64) and not math.isnan(value):
            bits = kind.size * 8
            low = -(1 << bits - 1) if kind.value.startswith("i") else 0
            high = low + (1 << bits) - 1
            nearest = low if value < low else high if value > high else round(value)
            assert record.values == (nearest,)


@pytest.mark.parametrize(
    "values",
    [
        {"tank": 1},
        {"tank": 1, "kelvin": 2.0, "pixel": 3},
        {"tank": b"raw", "kelvin": 1.0},
        {"tank": "1", "kelvin": 1.0},
    ],
)
def test_what_is_not_the_declared_numbers_is_refused(values: dict[str, object]) -> None:
    ring = EventRing(10, SimulatedClock())
    with pytest.raises(ValuesMismatch):
        ring.emit(HEATED, **values)  # type: ignore[arg-type]
    assert len(ring) == 0


def test_there_is_no_type_for_text_or_octets() -> None:
    assert {kind.value for kind in NumberType} == {"u8", "u16", "u32", "u64", "i32", "i64", "f32", "f64"}
    with pytest.raises(DeclarationInvalid):
        Event(1, Severity.INFO, "{name:str}")
    with pytest.raises(DeclarationInvalid):
        Field("name", "bytes")


def test_an_event_belongs_to_one_component() -> None:
    event = Event(1, Severity.INFO, "once")
    Component("first", 242, events=(event,))
    with pytest.raises(DeclarationInvalid, match="belongs to component 242"):
        Component("second", 243, events=(event,))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Event(0, Severity.INFO, "zero"),
        lambda: Event(1, Severity.INFO, "{a:u8} {a:u8}"),
        lambda: Event(1, Severity.INFO, "{0}"),
        lambda: Component("c", 1, events=(Event(1, Severity.INFO, "a"), Event(1, Severity.INFO, "b"))),
        lambda: Component("c", 1, telemetry=(Field("a", "u8"), Field("a", "u8"))),
        lambda: Component("c", 256),
        lambda: Component("Not a name", 1),
        lambda: Field("a", "u7"),
    ],
)
def test_what_cannot_be_declared_is_refused(make: object) -> None:
    with pytest.raises(DeclarationInvalid):
        make()  # type: ignore[operator]

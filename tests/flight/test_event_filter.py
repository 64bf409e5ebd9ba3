"""Event settings: what is held back is counted, a critical event never is, a restart has the last durable settings."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flight.services import cbor
from flight.services import event_component as told
from flight.services.command_set import CommandSet
from flight.services.declare import Component, Event, Severity
from flight.services.event_desk import EventDesk
from flight.services.event_filter import (
    FOLLOW,
    MAX_SQUELCHES,
    EventFilter,
    FilterReason,
    FilterRefused,
    Sink,
    SquelchMode,
)
from flight.services.events import EventRecord, EventRing
from flight.services.journal import FileJournal, JournalFull, MemoryStorage
from flight.services.journal_format import JournalReader
from flight.services.packed_state import StateRefused, seal_state
from flight.services.records import RecordKind
from flight.services.telemetry_component import TELEMETRY_SERVICE
from hal.clock import SimulatedClock

EVERY = tuple(Event(number + 1, severity, "event") for number, severity in enumerate(Severity))
PUMP = Component("pump", 250, events=EVERY)
VALVE = Component("valve", 251, events=tuple(Event(number, Severity.INFO, "moved") for number in range(1, 101)))
BOARD = {250: PUMP, 251: VALVE}
WHERE = tuple(BOARD)


def record(component: int, severity: Severity) -> EventRecord:
    return EventRecord(component, severity + 1, severity, 1, 0, 0, (), ())


def same(one: EventFilter, other: EventFilter) -> bool:
    return one.pack_state() == other.pack_state() and one.squelches == other.squelches


# --- bad input


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f.set_least(3, 1), FilterReason.SINK),
        (lambda f: f.set_least(1, 5), FilterReason.SEVERITY),
        (lambda f: f.set_component_least(1, 7, 1), FilterReason.COMPONENT),
        (lambda f: f.set_component_least(1, 250, 6), FilterReason.SEVERITY),
        (lambda f: f.set_squelch(250, 9, 1), FilterReason.EVENT),
        (lambda f: f.set_squelch(7, 1, 1), FilterReason.EVENT),
        (lambda f: f.set_squelch(250, 1, 4), FilterReason.MODE),
        (lambda f: f.set_squelch(250, 1, SquelchMode.SET, 0, 1), FilterReason.RANGE),
        (lambda f: f.set_squelch(250, 1, SquelchMode.SET, 1, 0), FilterReason.RANGE),
        (lambda f: f.set_squelch(250, 1, SquelchMode.MUTED, 1, 0), FilterReason.RANGE),
        (lambda f: f.set_squelch(250, 5, SquelchMode.MUTED), FilterReason.CRITICAL),
        (lambda f: f.set_squelch(250, 5, SquelchMode.DECLARED), FilterReason.CRITICAL),
    ],
)
def test_a_setting_that_makes_no_sense_changes_nothing(
    change: Callable[[EventFilter], None], reason: FilterReason
) -> None:
    filters = EventFilter(BOARD)
    filters.set_component_least(Sink.STORAGE, 250, Severity.ERROR)
    before = filters.pack_state()
    with pytest.raises(FilterRefused) as refused:
        change(filters)
    assert refused.value.reason is reason
    assert filters.pack_state() == before


def test_squelches_are_bounded() -> None:
    filters = EventFilter(BOARD)
    for number in range(1, MAX_SQUELCHES + 1):
        filters.set_squelch(251, number, SquelchMode.MUTED)
    with pytest.raises(FilterRefused, match="full"):
        filters.set_squelch(251, MAX_SQUELCHES + 1, SquelchMode.MUTED)
    filters.set_squelch(251, 1, SquelchMode.OFF)
    filters.set_squelch(251, 2, SquelchMode.DECLARED)
    filters.set_squelch(251, MAX_SQUELCHES + 1, SquelchMode.MUTED)
    again = EventFilter(BOARD)
    assert again.restore(filters.pack_state()) == 0
    assert same(again, filters)


@given(st.binary(max_size=60))
def test_octets_that_are_no_settings_are_refused_and_change_nothing(octets: bytes) -> None:
    filters = EventFilter(BOARD)
    filters.set_least(1, 2)
    before = filters.pack_state()
    for packed in (octets, seal_state(b"SWEF", 2, octets), seal_state(b"SWXX", 1, octets)):
        with pytest.raises(StateRefused):
            filters.restore(packed)
    try:
        filters.restore(seal_state(b"SWEF", 1, octets))
    except StateRefused:
        assert filters.pack_state() == before


def test_settings_about_what_is_not_on_board_are_left_out_and_the_rest_holds() -> None:
    filters = EventFilter(BOARD)
    filters.set_component_least(1, 251, 3)
    filters.set_squelch(250, 1, SquelchMode.SET, 3, 5000)
    filters.set_squelch(251, 100, SquelchMode.MUTED)
    later = EventFilter({250: PUMP})
    assert later.restore(filters.pack_state()) == 2
    assert set(later.squelches) == {(250, 1)}


def test_an_event_that_has_become_critical_is_not_muted_by_an_old_setting() -> None:
    filters = EventFilter({250: Component("pump", 250, events=(Event(5, Severity.ERROR, "event"),))})
    filters.set_squelch(250, 5, SquelchMode.MUTED)
    later = EventFilter(BOARD)
    assert later.restore(filters.pack_state()) == 1
    assert later.squelches == {}


# --- settings against a model


class FilterMachine(RuleBasedStateMachine):
    """Settings, records and restarts against plain dictionaries."""

    @initialize()
    def begin(self) -> None:
        self.filters = EventFilter(BOARD)
        self.least = dict.fromkeys(Sink, 0)
        self.own: dict[tuple[Sink, int], int] = {}
        self.held = {(sink, component): 0 for sink in Sink for component in WHERE}
        self.muted: set[tuple[int, int]] = set()

    @rule(sink=st.sampled_from(Sink), severity=st.sampled_from(Severity))
    def for_all(self, sink: Sink, severity: Severity) -> None:
        self.filters.set_least(sink, severity)
        self.least[sink] = severity

    @rule(sink=st.sampled_from(Sink), component=st.sampled_from(WHERE), severity=st.sampled_from([*Severity, FOLLOW]))
    def for_one(self, sink: Sink, component: int, severity: int) -> None:
        self.filters.set_component_least(sink, component, severity)
        if severity == FOLLOW:
            self.own.pop((sink, component), None)
        else:
            self.own[sink, component] = severity

    @rule(event=st.integers(1, 4), mode=st.sampled_from(SquelchMode))
    def squelch(self, event: int, mode: SquelchMode) -> None:
        numbers = (2, 3000) if mode is SquelchMode.SET else (0, 0)
        self.filters.set_squelch(250, event, mode, *numbers)
        (self.muted.add if mode is SquelchMode.MUTED else self.muted.discard)((250, event))

    @rule(sink=st.sampled_from(Sink), component=st.sampled_from(WHERE), severity=st.sampled_from(Severity))
    def happens(self, sink: Sink, component: int, severity: Severity) -> None:
        needed = self.own.get((sink, component), self.least[sink])
        passes = severity >= needed or severity is Severity.CRITICAL
        assert self.filters.passes(sink, record(component, severity)) == passes
        self.held[sink, component] += not passes

    @rule()
    def reset(self) -> None:
        self.filters.reset()
        self.least = dict.fromkeys(Sink, 0)
        self.own.clear()
        self.muted.clear()

    @rule()
    def restart(self) -> None:
        before, squelches = self.filters, self.filters.squelches
        self.filters = EventFilter(BOARD)
        assert self.filters.restore(before.pack_state()) == 0
        assert self.filters.squelches == squelches
        self.held = dict.fromkeys(self.held, 0)

    @invariant()
    def counts_are_what_was_held(self) -> None:
        for sink in Sink:
            assert self.filters.filtered[sink] == sum(self.held[sink, component] for component in WHERE)
            assert all(self.filters.filtered_of(sink, each) == self.held[sink, each] for each in WHERE)

    @invariant()
    def muted_events_do_not_pass_and_critical_ones_do(self) -> None:
        ring = EventRing(16, SimulatedClock(), self.filters.squelches)
        for event in EVERY:
            ring.emit(event)
        passed = {entry.number for entry in ring.drain(16)}
        assert passed == {event.number for event in EVERY} - {number for _, number in self.muted}


TestFilterMachine = FilterMachine.TestCase
TestFilterMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_squelch_of_a_critical_event_is_not_looked_at_even_if_it_is_there() -> None:
    filters = EventFilter(BOARD)
    filters.set_squelch(250, 1, SquelchMode.MUTED)
    filters.squelches[250, 5] = filters.squelches[250, 1]
    ring = EventRing(16, SimulatedClock(), filters.squelches)
    ring.emit(EVERY[4])
    assert len(ring) == 1


def test_burst_and_period_are_those_that_were_set_and_what_was_held_is_counted() -> None:
    clock, filters = SimulatedClock(1000.0), EventFilter(BOARD)
    ring = EventRing(100, clock, filters.squelches)
    filters.set_squelch(250, 2, SquelchMode.SET, 2, 5000)
    for _ in range(6):
        ring.emit(EVERY[1])
    clock.advance(4.9)
    ring.emit(EVERY[1])
    clock.advance(0.1)
    ring.emit(EVERY[1])
    assert [each.squelched for each in ring.drain(9)] == [0, 0, 5]
    filters.set_squelch(250, 2, SquelchMode.OFF)
    for _ in range(50):
        ring.emit(EVERY[1])
    assert len(ring) == 50
    filters.set_squelch(250, 2, SquelchMode.DECLARED)
    ring.emit(EVERY[1])
    assert len(ring) == 50, "the declared burst of 10 in a second is used up"


# --- in flight: by command, and over restarts


class Flight:
    """The service with a journal whose queue may be full."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.journal = FileJournal(storage)
        self.full = False
        self.filters = EventFilter(BOARD)
        self.events = EventRing(64, SimulatedClock(), self.filters.squelches)
        self.desk = EventDesk(self.filters, self.append, self.events)
        for entry in JournalReader(storage):
            if entry.kind == RecordKind.EVENT_FILTER:
                self.desk.replay(entry.payload)

    def append(self, kind: RecordKind, payload: bytes) -> int:
        if self.full:
            raise JournalFull(len(payload), 0, 0)
        return self.journal.append(kind, payload)

    def command(self, opcode: int, **values: int) -> bool:
        return self.desk.handlers()[opcode](values)


def commands() -> st.SearchStrategy[tuple[int, dict[str, int]]]:
    least = st.fixed_dictionaries({"sink": st.integers(0, 3), "severity": st.integers(0, 6)})
    own = st.fixed_dictionaries(
        {"sink": st.integers(1, 2), "component": st.sampled_from((250, 251, 9)), "severity": st.integers(0, 4)}
    )
    squelch = st.fixed_dictionaries(
        {
            "component": st.just(250),
            "event": st.integers(1, 6),
            "mode": st.integers(0, 4),
            "burst": st.just(0),
            "ms": st.just(0),
        }
    )
    return st.one_of(
        least.map(lambda values: (told.EVENT_LEAST.opcode, values)),
        own.map(lambda values: (told.EVENT_COMPONENT_LEAST.opcode, values)),
        squelch.map(lambda values: (told.EVENT_SQUELCH.opcode, values)),
        st.just((told.EVENT_RESET.opcode, {})),
    )


@given(st.lists(commands(), max_size=8), st.data())
def test_after_a_cut_at_any_octet_the_settings_are_those_before_or_after(
    given_commands: list[tuple[int, dict[str, int]]], data: st.DataObject
) -> None:
    storage = MemoryStorage()
    flight = Flight(storage)
    states, ends = [flight.filters.pack_state()], [0]
    for opcode, values in given_commands:
        if flight.command(opcode, **values):
            states.append(flight.filters.pack_state())
            ends.append(storage.size())
        else:
            assert flight.filters.pack_state() == states[-1]
    cut = data.draw(st.integers(0, storage.size()))
    storage.cut(cut)
    durable = max(index for index, end in enumerate(ends) if end <= cut)
    assert Flight(storage).filters.pack_state() == states[durable]


def test_without_room_in_the_journal_the_setting_is_written_later() -> None:
    storage = MemoryStorage()
    flight = Flight(storage)
    flight.full = True
    assert flight.command(told.EVENT_LEAST.opcode, sink=1, severity=2)
    assert flight.filters.least(Sink.DOWNLINK, 250) is Severity.WARNING
    assert (storage.size(), flight.desk.telemetry(0.0).named()["unwritten"]) == (0, 1)
    flight.desk.step()
    flight.full = False
    flight.desk.step()
    size = storage.size()
    flight.desk.step()
    assert storage.size() == size > 0
    assert same(Flight(storage).filters, flight.filters)


def test_a_refused_setting_and_the_counts_are_told() -> None:
    flight = Flight(MemoryStorage())
    assert not flight.command(told.EVENT_SQUELCH.opcode, component=250, event=5, mode=3, burst=0, ms=0)
    refused = flight.events.drain(1)[0]
    assert (refused.number, refused.values) == (told.FILTER_REFUSED.number, (FilterReason.CRITICAL, 250, 5))
    flight.command(told.EVENT_LEAST.opcode, sink=2, severity=4)
    flight.filters.passes(Sink.STORAGE, record(250, Severity.ERROR))
    assert flight.command(told.EVENT_COUNTS.opcode, component=250)
    assert flight.events.drain(1)[0].values == (250, 0, 4, 0, 1)
    assert not flight.command(told.EVENT_COUNTS.opcode, component=9)
    assert flight.desk.telemetry(0.0).named()["storage_filtered"] == 1


def test_damaged_settings_are_told_and_those_before_hold() -> None:
    flight = Flight(MemoryStorage())
    flight.command(told.EVENT_LEAST.opcode, sink=1, severity=3)
    before = flight.filters.pack_state()
    for payload in (b"", b"\xff", cbor.encode(3), cbor.encode(b"SWEF"), cbor.encode(before[:-1] + b"\0")):
        flight.desk.replay(payload)
        assert flight.filters.pack_state() == before
        assert flight.events.drain(1)[0].number == told.FILTER_NOT_RESTORED.number


def test_every_command_has_a_handler_and_its_components_number() -> None:
    CommandSet(told.EVENT_COMMANDS)
    assert set(Flight(MemoryStorage()).desk.handlers()) == {each.opcode for each in told.EVENT_COMMANDS}
    assert {each.opcode >> 8 for each in told.EVENT_COMMANDS} == {told.EVENT_SERVICE.number}
    assert TELEMETRY_SERVICE.number != told.EVENT_SERVICE.number


def test_the_state_is_these_octets() -> None:
    filters = EventFilter(BOARD)
    filters.set_least(Sink.DOWNLINK, Severity.WARNING)
    filters.set_component_least(Sink.STORAGE, 251, Severity.ERROR)
    filters.set_squelch(250, 2, SquelchMode.SET, 2, 5000)
    body = bytes((2, 0, 1, 1, 251, 255, 3)) + struct.pack(">BHBHI", 250, 2, 2, 2, 5000)
    assert filters.pack_state() == seal_state(b"SWEF", 1, body)

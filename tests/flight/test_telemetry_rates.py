"""Telemetry rates: when a packet is sent, how many in a frame, and that none that is due is passed over."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flight.services import cbor
from flight.services import telemetry_component as told
from flight.services.declare import Component, DeclarationInvalid, Field
from flight.services.events import EventRing
from flight.services.journal import FileJournal, MemoryStorage
from flight.services.journal_format import JournalReader
from flight.services.packed_state import StateRefused, seal_state
from flight.services.telemetry import TelemetryPacket
from flight.services.telemetry_desk import TelemetryDesk
from flight.services.telemetry_rates import RateMode, RateReason, RateRefused, TelemetryScheduler
from hal.clock import SimulatedClock

SILENT = Component("silent", 239)
PERIODIC = Component("periodic", 240, telemetry=(Field("level", "f64"),))
CHANGING = Component(
    "changing",
    241,
    telemetry=(Field("level", "f64", dead_band=2.0), Field("other", "f64", dead_band=math.inf)),
    min_period_s=2.0,
    max_period_s=10.0,
)
BOARD = {each.number: each for each in (SILENT, PERIODIC, CHANGING)}


def packet(component: Component, level: float, other: float = 0.0) -> TelemetryPacket:
    return TelemetryPacket(component, 0, (level, other)[: len(component.telemetry)])


def sends(scheduler: TelemetryScheduler, component: Component, now_s: float, level: float, other: float = 0.0) -> bool:
    scheduler.begin()
    return scheduler.offer(packet(component, level, other), now_s)


# --- bad input


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ((9, 1, 1000, 0), RateReason.COMPONENT),
        ((239, 1, 1000, 0), RateReason.COMPONENT),
        ((240, 4, 1000, 0), RateReason.MODE),
        ((240, 1, 999, 0), RateReason.TOO_OFTEN),
        ((240, 2, 0, 5000), RateReason.TOO_OFTEN),
        ((240, 1, 1000, 1), RateReason.PERIODS),
        ((240, 0, 1000, 0), RateReason.PERIODS),
        ((240, 3, 0, 1), RateReason.PERIODS),
        ((240, 1, 86_400_001, 0), RateReason.PERIODS),
        ((240, 2, 2000, 1999), RateReason.PERIODS),
        ((240, 2, 2000, 86_400_001), RateReason.PERIODS),
    ],
)
def test_a_rate_that_makes_no_sense_changes_nothing(numbers: tuple[int, int, int, int], reason: RateReason) -> None:
    scheduler = TelemetryScheduler(BOARD, 4)
    scheduler.set_rate(241, RateMode.OFF)
    before = scheduler.pack_state()
    with pytest.raises(RateRefused) as refused:
        scheduler.set_rate(*numbers)
    assert (refused.value.reason, refused.value.component) == (reason, numbers[0])
    assert scheduler.pack_state() == before


@given(st.binary(max_size=40))
def test_octets_that_are_no_rates_are_refused_and_change_nothing(octets: bytes) -> None:
    scheduler = TelemetryScheduler(BOARD, 4)
    scheduler.set_rate(240, RateMode.OFF)
    for packed in (octets, seal_state(b"SWTR", 2, octets), seal_state(b"SWTX", 1, octets)):
        with pytest.raises(StateRefused):
            scheduler.restore(packed)
    assert scheduler.rate(240).mode is RateMode.OFF


@pytest.mark.parametrize(
    "make",
    [
        lambda: Field("level", "f64", dead_band=-1.0),
        lambda: Field("level", "f64", dead_band=math.nan),
        lambda: Component("c", 1, min_period_s=2.0, max_period_s=1.0),
        lambda: Component("c", 1, max_period_s=math.inf),
        lambda: Component("c", 1, max_period_s=math.nan),
        lambda: TelemetryScheduler(BOARD, 0),
    ],
)
def test_what_cannot_be_declared_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises((DeclarationInvalid, ValueError)):
        make()


def test_a_packet_of_a_component_that_is_not_on_board_is_refused() -> None:
    with pytest.raises(RateRefused):
        sends(TelemetryScheduler({}, 1), PERIODIC, 0.0, 1.0)


# --- when a packet is sent


def test_a_period_is_kept_to_the_frame() -> None:
    scheduler = TelemetryScheduler(BOARD, 4)
    frames = [frame for frame in range(2000) if sends(scheduler, PERIODIC, frame * 0.002, 1.0)]
    assert frames == [0, 500, 1000, 1500]


def test_on_change_is_sent_when_the_dead_band_is_left_and_not_too_often_and_not_too_rarely() -> None:
    scheduler = TelemetryScheduler(BOARD, 4)
    offers = [(0, 0.0), (1, 9.0), (2, 9.0), (5, 11.0), (6, 11.1), (7, 6.0), (9, 9.0), (18, 9.1), (19, 9.1), (20, 9.2)]
    assert [now for now, level in offers if sends(scheduler, CHANGING, now, level)] == [0, 2, 6, 9, 19]


def test_a_field_with_an_infinite_dead_band_never_asks() -> None:
    scheduler = TelemetryScheduler(BOARD, 4)
    assert [now for now in range(12) if sends(scheduler, CHANGING, now, 1.0, other=now)] == [0, 10]


def test_a_number_that_becomes_none_has_changed_and_one_that_stays_none_has_not() -> None:
    scheduler = TelemetryScheduler(BOARD, 4)
    levels = {0: 1.0, 2: math.nan, 4: math.nan, 6: 1.0, 8: math.inf, 10: math.inf, 12: -math.inf}
    assert [now for now, level in levels.items() if sends(scheduler, CHANGING, now, level)] == [0, 2, 6, 8, 12]


def test_a_clock_that_goes_back_costs_one_period() -> None:
    scheduler = TelemetryScheduler(BOARD, 4)
    assert sends(scheduler, PERIODIC, 1e6, 1.0)
    assert [now for now in (5.0, 5.5, 6.0, 6.5, 7.0) if sends(scheduler, PERIODIC, now, 1.0)] == [6.0, 7.0]


@given(st.integers(1, 12), st.integers(1, 5), st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=20))
def test_no_frame_sends_more_than_its_places_and_nobody_due_is_passed_over(
    components: int, places: int, quiet: list[set[int]]
) -> None:
    board = {n + 1: Component(f"c{n}", n + 1, telemetry=(Field("x", "u8"),)) for n in range(components)}
    scheduler = TelemetryScheduler(board, places)
    waited = dict.fromkeys(board, 0)
    for frame, silent in enumerate(quiet):  # every packet is due in every frame in which it is offered
        scheduler.begin()
        sent = 0
        for number, component in board.items():
            if number - 1 in silent:
                waited[number] = 0
                continue
            if scheduler.offer(TelemetryPacket(component, 0, (frame % 256,)), frame * 1.0):
                sent += 1
                waited[number] = 0
            else:
                waited[number] += 1
                assert waited[number] <= math.ceil(components / places) - 1
        assert sent <= places


# --- against a model


class RateMachine(RuleBasedStateMachine):
    """Rates, packets and restarts against a model with room for every packet."""

    @initialize()
    def begin(self) -> None:
        self.scheduler = TelemetryScheduler(BOARD, 8)
        self.set: dict[int, tuple[RateMode, float, float]] = {}
        self.sent: dict[int, tuple[float, float]] = {}
        self.now_s = 0.0
        self.offers = 0

    @rule(component=st.sampled_from((240, 241)), mode=st.sampled_from(RateMode), period_s=st.integers(2, 6))
    def rate(self, component: int, mode: RateMode, period_s: int) -> None:
        numbers = {RateMode.PERIODIC: (period_s * 1000, 0), RateMode.ON_CHANGE: (period_s * 1000, period_s * 3000)}
        self.scheduler.set_rate(component, mode, *numbers.get(mode, (0, 0)))
        if mode is RateMode.DECLARED:
            self.set.pop(component, None)
        else:
            self.set[component] = mode, float(period_s), period_s * 3.0

    @rule(component=st.sampled_from((PERIODIC, CHANGING)), level=st.integers(0, 6), wait_s=st.integers(0, 5))
    def offered(self, component: Component, level: int, wait_s: int) -> None:
        self.now_s += wait_s
        declared = (RateMode.PERIODIC, 1.0, math.inf) if component is PERIODIC else (RateMode.ON_CHANGE, 2.0, 10.0)
        mode, least_s, most_s = self.set.get(component.number, declared)
        last_s, last = self.sent.get(component.number, (-math.inf, math.nan))
        elapsed_s = self.now_s - last_s
        changed = not abs(level - last) <= component.telemetry[0].dead_band
        expected = mode is not RateMode.OFF and elapsed_s >= least_s
        expected = expected and (mode is RateMode.PERIODIC or changed or elapsed_s >= most_s)
        assert sends(self.scheduler, component, self.now_s, level) == expected
        self.offers += 1
        if expected:
            self.sent[component.number] = self.now_s, level

    @rule()
    def restart(self) -> None:
        packed, self.scheduler = self.scheduler.pack_state(), TelemetryScheduler(BOARD, 8)
        assert self.scheduler.restore(packed) == 0
        assert self.scheduler.pack_state() == packed
        self.sent.clear()
        self.offers = 0

    @invariant()
    def every_offer_is_counted(self) -> None:
        counters = self.scheduler.counters
        assert counters.sent + counters.not_due + counters.off + counters.held == self.offers
        assert self.scheduler.rates_set == len(self.set)


TestRateMachine = RateMachine.TestCase
TestRateMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


# --- in flight


def flight(storage: MemoryStorage) -> tuple[TelemetryScheduler, TelemetryDesk, EventRing]:
    scheduler, events = TelemetryScheduler(BOARD, 4), EventRing(16, SimulatedClock())
    desk = TelemetryDesk(scheduler, FileJournal(storage).append, events)
    for entry in JournalReader(storage):
        desk.replay(entry.payload)
    return scheduler, desk, events


@given(st.lists(st.tuples(st.sampled_from((240, 241, 9)), st.integers(0, 4)), max_size=6), st.data())
def test_after_a_cut_at_any_octet_the_rates_are_those_before_or_after(
    commands: list[tuple[int, int]], data: st.DataObject
) -> None:
    storage = MemoryStorage()
    scheduler, desk, _ = flight(storage)
    states, ends = [scheduler.pack_state()], [0]
    for component, mode in commands:
        periods = {1: (5000, 0), 2: (5000, 9000)}.get(mode, (0, 0))
        values = {"component": component, "mode": mode, "min_ms": periods[0], "max_ms": periods[1]}
        if desk.handlers()[told.TELEMETRY_RATE.opcode](values):
            states.append(scheduler.pack_state())
            ends.append(storage.size())
    cut = data.draw(st.integers(0, storage.size()))
    storage.cut(cut)
    durable = max(index for index, end in enumerate(ends) if end <= cut)
    assert flight(storage)[0].pack_state() == states[durable]


def test_a_refused_rate_and_damaged_rates_are_told() -> None:
    scheduler, desk, events = flight(MemoryStorage())
    assert not desk.handlers()[told.TELEMETRY_RATE.opcode]({"component": 9, "mode": 1, "min_ms": 1000, "max_ms": 0})
    assert events.drain(1)[0].values == (RateReason.COMPONENT, 9)
    desk.replay(b"\xff")
    assert events.drain(1)[0].number == told.RATES_NOT_RESTORED.number
    desk.replay(cbor.encode(seal_state(b"SWTR", 1, struct.pack(">BBII", 9, 1, 1000, 0))))
    assert events.drain(1)[0].values == (0, 1)
    sends(scheduler, PERIODIC, 0.0, 1.0)
    assert desk.telemetry(0.0).named()["sent"] == 1


def test_the_state_is_these_octets() -> None:
    scheduler = TelemetryScheduler(BOARD, 4)
    scheduler.set_rate(241, RateMode.ON_CHANGE, 3000, 9000)
    scheduler.set_rate(240, RateMode.OFF)
    body = struct.pack(">BBII", 240, 3, 0, 0) + struct.pack(">BBII", 241, 2, 3000, 9000)
    assert scheduler.pack_state() == seal_state(b"SWTR", 1, body)

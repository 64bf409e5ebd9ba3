"""Time on board is continuous, honest about what it knows, and steps only where it says so."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from bindings.crc import crc32c
from flight.services.declare import OctetsInvalid
from flight.services.events import EventRing
from flight.services.leap_seconds import PRESENT_LEAPS, LeapTable, LeapTableRefused, UtcTime
from flight.services.telemetry import TelemetryPacket
from flight.services.time_component import (
    LEAPS_EXPIRED,
    OSCILLATOR_WENT_BACK,
    SAMPLE_REFUSED,
    TIME,
    TIME_STATE,
    TIME_STEPPED,
)
from flight.services.time_service import (
    NEVER_NS,
    STATE_BYTES,
    OscillatorWentBack,
    Sample,
    SampleRefusal,
    TimeConfig,
    TimeService,
    TimeSource,
    TimeState,
)
from hal.clock import SimulatedClock

S = 1_000_000_000
NOW_NS = 1_795_000_000 * S  # TAI, November 2026


def service(board_ns: int = 0, **options: object) -> tuple[TimeService, EventRing]:
    events = EventRing(200, SimulatedClock())
    return TimeService(events, board_ns, **options), events  # type: ignore[arg-type]


def sample(
    board_ns: int, error_ns: int = 0, sigma_ns: int = 1000, source: TimeSource = TimeSource.NAVIGATION
) -> Sample:
    return Sample(board_ns, NOW_NS + board_ns + error_ns, sigma_ns, source)


def told(events: EventRing) -> list[tuple[int, tuple[float, ...]]]:
    return [(record.number, tuple(record.values)) for record in events.drain(200)]


def test_time_is_lost_until_the_first_sample_while_elapsed_time_runs() -> None:
    time, events = service(5)
    known = time.now(5 + 3 * S)
    assert (known.elapsed_ns, known.state, known.sigma_ns) == (3 * S, TimeState.LOST, NEVER_NS)
    assert told(events) == []
    assert time.correlate(sample(4 * S), 4 * S) is None
    known = time.now(4 * S)
    assert (known.tai_ns, known.state, known.sigma_ns) == (NOW_NS + 4 * S, TimeState.CORRELATED, 1000)
    assert known.utc == UtcTime(NOW_NS + 4 * S - 37 * S, leaping=False)
    assert [number for number, _ in told(events)] == [TIME_STEPPED.number, TIME_STATE.number]


def test_without_samples_the_sigma_grows_and_the_state_says_so() -> None:
    time, events = service()
    time.correlate(sample(0), 0)
    assert time.now(50 * S).sigma_ns == pytest.approx(50 * 100_000, rel=1e-3), "100 us a second until its rate is known"
    time.correlate(sample(60 * S), 60 * S)
    sigmas = [time.now((60 + at * 600) * S).sigma_ns for at in range(8)]
    assert sigmas == sorted(sigmas)
    assert sigmas[6] == pytest.approx(3600 * 2000, rel=1e-3), "2 us a second since"
    assert time.now(4300 * S).state is TimeState.FREE_RUNNING
    time.correlate(sample(4300 * S, 10_000), 4300 * S)
    assert time.now(4300 * S).state is TimeState.CORRELATED
    states = [values for number, values in told(events) if number == TIME_STATE.number]
    assert states == [(TimeState.CORRELATED,), (TimeState.FREE_RUNNING,), (TimeState.CORRELATED,)]


def test_a_small_error_is_slewed_away_without_a_step() -> None:
    time, events = service()
    time.correlate(sample(0, sigma_ns=10_000_000), 0)
    time.now(0)
    told(events)
    assert time.correlate(sample(S, 50_000_000, sigma_ns=10_000_000), S) is None
    errors = [time.now(at * S).tai_ns - (NOW_NS + at * S) for at in range(1, 120)]
    assert errors[0] == 0
    assert errors[50] == 25_000_000, "half of it after half of the window"
    assert errors[100:] == [50_000_000] * len(errors[100:])
    assert all(0 <= after - before <= 500_000 for before, after in pairwise(errors))
    assert told(events) == []


def test_one_wrong_sample_changes_nothing_and_three_that_agree_step() -> None:
    time, events = service()
    time.correlate(sample(0), 0)
    time.now(0)
    told(events)
    assert time.correlate(sample(S, 3600 * S), S) is SampleRefusal.JUMP
    assert time.now(S).tai_ns == NOW_NS + S
    assert time.correlate(sample(2 * S, 3600 * S), 2 * S) is SampleRefusal.JUMP
    assert time.correlate(sample(2 * S, 3600 * S), 2 * S) is SampleRefusal.JUMP, "the same moment is no other witness"
    assert time.correlate(sample(3 * S, 3600 * S), 3 * S) is None
    assert time.now(3 * S).tai_ns == NOW_NS + 3603 * S
    assert told(events) == [
        *[(SAMPLE_REFUSED.number, (TimeSource.NAVIGATION, SampleRefusal.JUMP))] * 3,
        (TIME_STEPPED.number, (3_600_000_000, TimeSource.NAVIGATION)),
    ]


def test_wrong_samples_that_contradict_each_other_are_never_believed() -> None:
    time, _ = service()
    time.correlate(sample(0), 0)
    for at in range(1, 50):
        assert time.correlate(sample(at * S, (at % 7 + 1) * 3600 * S), at * S) is SampleRefusal.JUMP
    assert time.now(50 * S).tai_ns == NOW_NS + 50 * S


def test_a_command_is_believed_as_it_is_also_backwards() -> None:
    time, events = service()
    time.correlate(sample(0), 0)
    assert time.correlate(sample(S, -7200 * S, source=TimeSource.COMMAND), S) is None
    assert time.now(S).tai_ns == NOW_NS - 7199 * S
    assert (TIME_STEPPED.number, (-7_200_000_000, TimeSource.COMMAND)) in told(events)


@pytest.mark.parametrize(
    ("given_sample", "reason"),
    [
        (sample(10 * S, sigma_ns=0), SampleRefusal.SIGMA),
        (sample(10 * S, sigma_ns=-1), SampleRefusal.SIGMA),
        (sample(10 * S, sigma_ns=NEVER_NS), SampleRefusal.SIGMA),
        (sample(4 * S), SampleRefusal.OLD),
        (sample(11 * S), SampleRefusal.FUTURE),
    ],
)
def test_a_sample_that_cannot_be_used_is_refused_with_its_reason(given_sample: Sample, reason: SampleRefusal) -> None:
    time, events = service()
    time.correlate(sample(5 * S), 5 * S)
    before = time.now(10 * S)
    told(events)
    assert time.correlate(given_sample, 10 * S) is reason
    assert time.now(10 * S) == before
    assert told(events) == [(SAMPLE_REFUSED.number, (TimeSource.NAVIGATION, reason))]
    assert (time.samples, time.refused) == (1, 1)


def test_the_oscillators_rate_is_learned_and_bounded() -> None:
    time, _ = service(config=TimeConfig(drift_ppb=100))
    for at in range(0, 1000, 10):
        assert time.correlate(sample(at * S, at * 40_000), at * S) is None  # 40 ppm
    assert time.rate_ppb == 40_000
    assert time.now(2000 * S).tai_ns - NOW_NS - 2000 * S == pytest.approx(2000 * 40_000, abs=1000)


def test_an_oscillator_that_counts_back_is_an_error_of_its_driver() -> None:
    time, _ = service(100)
    with pytest.raises(OscillatorWentBack) as raised:
        time.now(99)
    assert (raised.value.before_ns, raised.value.now_ns) == (100, 99)


def test_after_an_oscillator_that_counted_back_elapsed_time_goes_on_and_time_is_lost_until_a_sample() -> None:
    time, events = service()
    time.correlate(sample(0), 0)
    assert time.now(50 * S).state is TimeState.CORRELATED
    told(events)
    time.begin_again(20 * S)
    known = time.now(21 * S)
    assert (known.elapsed_ns, known.tai_ns, known.state) == (51 * S, NOW_NS + 51 * S, TimeState.LOST)
    assert told(events) == [(OSCILLATOR_WENT_BACK.number, (30_000_000,)), (TIME_STATE.number, (TimeState.LOST,))]
    assert time.correlate(sample(21 * S), 21 * S) is SampleRefusal.PAST
    assert time.correlate(sample(21 * S, 60 * S), 21 * S) is None
    assert time.now(21 * S).state is TimeState.CORRELATED


def test_after_a_reset_elapsed_time_goes_on_and_no_sample_from_before_is_believed() -> None:
    time, _ = service()
    time.correlate(sample(0), 0)
    stored = time.pack(100 * S)
    assert len(stored) == STATE_BYTES
    again, _ = service(7, stored=stored)
    known = again.now(7 + S)
    assert (known.elapsed_ns, known.state) == (101 * S, TimeState.LOST)
    assert known.tai_ns == NOW_NS + 101 * S, "it cannot be earlier"
    early = Sample(7 + S, NOW_NS + 50 * S, 1000, TimeSource.PLATFORM)
    assert again.correlate(early, 7 + S) is SampleRefusal.PAST
    assert again.correlate(replace(early, tai_ns=NOW_NS + 500 * S), 7 + S) is None
    assert again.now(7 + S).state is TimeState.CORRELATED


def test_the_stored_time_is_these_octets() -> None:
    time, _ = service()
    time.correlate(sample(0), 0)
    head = struct.pack(">BQqiQ", 1, 2 * S, NOW_NS + 2 * S, 0, time.now(2 * S).sigma_ns)
    assert time.pack(2 * S) == head + struct.pack(">I", crc32c(head))
    assert head.hex().startswith("0100000000773594001")


@given(st.binary(max_size=STATE_BYTES + 2), st.integers(0, 8 * STATE_BYTES - 1))
def test_a_damaged_stored_time_is_refused(octets: bytes, bit: int) -> None:
    with pytest.raises(OctetsInvalid):
        service(stored=octets)
    stored = bytearray(service()[0].pack(0))
    stored[bit // 8] ^= 1 << bit % 8
    with pytest.raises(OctetsInvalid):
        service(stored=bytes(stored))


def test_an_expired_leap_second_table_is_told_once_and_a_newer_one_heals_it() -> None:
    time, events = service(leaps=LeapTable(PRESENT_LEAPS.steps, 1_790_000_000))
    time.correlate(sample(0), 0)
    time.now(0)
    time.now(S)
    assert [number for number, _ in told(events)].count(LEAPS_EXPIRED.number) == 1
    assert time.telemetry(S)["leaps_expired"] == 1
    with pytest.raises(LeapTableRefused, match="contradicts the known step"):
        time.replace_leaps(LeapTable(((1_483_228_800, 37),), 1_813_622_400))
    time.replace_leaps(PRESENT_LEAPS)
    assert time.telemetry(S)["leaps_expired"] == 0


def test_its_telemetry_is_as_declared() -> None:
    time, _ = service()
    for at in (0, S):
        assert TelemetryPacket.of(TIME, 0.0, **time.telemetry(at))
        time.correlate(sample(at), at)


class Board(RuleBasedStateMachine):
    """An oscillator that drifts within its limits, honest samples with noise, and single outliers."""

    @initialize(rate_ppb=st.integers(-50_000, 50_000), start=st.integers(0, 10**15))
    def start(self, rate_ppb: int, start: int) -> None:
        self.time, self.events = service(start)
        self.rate, self.board, self.true = rate_ppb, start, NOW_NS
        self.began, self.shown = start, 0
        self.known = False

    def judge(self) -> None:
        known = self.time.now(self.board)
        steps = sum(number == TIME_STEPPED.number for number, _ in told(self.events))
        assert known.elapsed_ns == self.board - self.began
        assert steps or known.tai_ns >= self.shown, "time goes back only where it says so"
        self.shown = known.tai_ns
        if self.known:
            off = abs(known.tai_ns - self.true)
            # what the samples are off by, what the rate may add until it is learned, and what is being slewed
            assert off <= 6 * 1_000_000 + known.sigma_ns + (self.board - self.sampled) * 150_000 // 10**9 + 100_000_000
        else:
            assert known.state is TimeState.LOST

    @rule(passed_ns=st.integers(0, 600 * S))
    def go_on(self, passed_ns: int) -> None:
        self.board += passed_ns
        self.true += passed_ns + passed_ns * self.rate // 10**9
        self.judge()

    @rule(noise=st.integers(-1_000_000, 1_000_000))
    def hear(self, noise: int) -> None:
        given = Sample(self.board, self.true + noise, 1_000_000, TimeSource.NAVIGATION)
        if self.time.correlate(given, self.board) is None:
            self.known, self.sampled = True, self.board
        self.judge()

    @rule(wrong=st.integers(-(10**15), 10**15).filter(lambda off: abs(off) > 10**11))
    def hear_one_outlier(self, wrong: int) -> None:
        if not self.known:
            return
        given = Sample(self.board, self.true + wrong, 1000, TimeSource.GROUND)
        before = self.time.now(self.board).tai_ns
        assert self.time.correlate(given, self.board) in (SampleRefusal.JUMP, SampleRefusal.PAST)
        assert self.time.now(self.board).tai_ns == before
        self.time.correlate(replace(given, tai_ns=self.true, sigma_ns=1_000_000), self.board)
        self.judge()


Board.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBoard = Board.TestCase

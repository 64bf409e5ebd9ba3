"""The frame loop and its clock: a watchdog that is gone, a Python that was silent, frames that ended incomplete."""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bindings.clock_beat import BEAT_OCTETS, read_beat
from bindings.frame_clock import FrameClock
from flight.executive.activity_task import make_tasks
from flight.executive.clock_notices import ClockNotices
from flight.executive.component import (
    CLOCK_GRANT,
    CLOCK_PINNED,
    DISPATCHER_GRANT,
    DUTIES_BEGAN,
    WATCHDOG_BACK,
    WATCHDOG_GONE,
)
from flight.executive.dispatcher_thread import DispatcherSetup
from flight.executive.frame_context import FrameContext
from flight.executive.frame_source import SimulatedCounters, SimulatedFrames
from flight.executive.health import HealthGate
from flight.executive.loop import FrameLoop
from flight.executive.modes import Mode, ModeManager
from flight.executive.schedule import Criticality, Entry, Overrun, ScheduleTable
from flight.services.dictionary import describe
from flight.services.events import EventRing
from hal.clock import Clock, SimulatedClock, SystemClock

MINOR_US = 2_000
MAX_MISSED = 20
ENOUGH = 40_000  # frames: a flight that lasts longer has gone wrong
_HOLDING = ctypes.PyDLL(None)  # calls that keep the interpreter's lock


def entry(activity: str, slot: int, *, critical: bool, period: int = 1) -> Entry:
    criticality = Criticality.CRITICAL if critical else Criticality.NORMAL
    deadline_us = MINOR_US * period
    return Entry(activity, period, 0, slot, 100, deadline_us, criticality, ("nominal", "safe"), Overrun.SKIP, 1)


def table(*entries: Entry) -> ScheduleTable:
    return ScheduleTable("clock", MINOR_US * 10, MINOR_US, 20, 100, entries, "7" * 64)


TABLE = table(entry("first", 0, critical=True), entry("second", 1, critical=False), entry("third", 2, critical=True))


class Flight:
    """Three activities; `first` does what the test says."""

    def __init__(self, frames: FrameClock | SimulatedFrames, clock: Clock, how: DispatcherSetup | None = None) -> None:
        self.events = EventRing(4096, clock)
        self.frames, self.runs = frames, 0
        self.first: Callable[[], None] = lambda: None
        modes = ModeManager(self.events, Mode.NOMINAL)
        activities = {"first": self._first, "second": self._run, "third": self._run}
        self.loop = FrameLoop(
            TABLE, activities, frames, clock, self.events, modes, HealthGate(self.events), dispatcher=how
        )

    def _first(self, _: FrameContext) -> None:
        self.runs += 1
        self.first()

    def _run(self, _: FrameContext) -> None:
        """Nothing to do."""

    def fly(self, until: Callable[[], bool]) -> None:
        self.loop.run(lambda: not until() and self.frames.counters().released < ENOUGH)
        assert until(), self.frames.counters()
        counters = self.frames.counters()
        assert counters.released == counters.run + counters.late + counters.skipped + counters.open

    def told(self) -> dict[int, list[tuple[int | float, ...]]]:
        found: dict[int, list[tuple[int | float, ...]]] = {}
        for record in self.events.drain(4096):
            assert describe(record)
            found.setdefault(record.number, []).append(record.values)
        return found


def frame_clock(**how: int) -> FrameClock:
    return FrameClock(
        MINOR_US,
        realtime=False,
        lock_memory=False,
        max_missed=MAX_MISSED,
        **how,
    )


@pytest.fixture
def device(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "watchdog"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.close(reader)
    yield path, writer
    os.close(writer)


def test_a_watchdog_that_goes_away_and_comes_back_is_told_once_each_and_the_frame_count_goes_on(
    device: tuple[Path, int],
) -> None:
    path, writer = device
    flight = Flight(frame_clock(watchdog_fd=writer, pet_every_frames=2), SystemClock())
    readers: list[int] = []
    gone_at: list[int] = []

    def first() -> None:
        counters = flight.frames.counters()
        if not readers and counters.watchdog_errors >= 5:
            gone_at.append(flight.runs)
            readers.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK))

    flight.first = first
    flight.fly(lambda: bool(gone_at) and flight.frames.counters().pets >= 5 and flight.runs >= gone_at[0] + 50)
    os.close(readers[0])
    told = flight.told()
    assert told[WATCHDOG_GONE.number] == [(32,)]  # EPIPE
    ((errors,),) = told[WATCHDOG_BACK.number]
    assert errors == flight.frames.counters().watchdog_errors
    assert errors >= 5
    assert flight.loop.health.healthy


def test_while_a_call_holds_the_interpreter_the_clock_does_its_duties_and_the_loop_tells_it_afterwards(
    device: tuple[Path, int],
) -> None:
    path, writer = device
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    clock = frame_clock(watchdog_fd=writer, pet_every_frames=4, duties_after_missed=5, duty_period=3)
    clock.duty_beat(page := bytearray(BEAT_OCTETS))
    flight = Flight(clock, SystemClock())
    held: list[int] = []  # runs, and the pets when it began and when it ended

    def first() -> None:
        if held or flight.runs < 20 or clock.counters().pets < 2:
            return
        before = clock.counters()
        for _ in range(50):  # one call is enough, unless the machine is very busy
            _HOLDING.usleep(200_000)  # 100 frames
            after = clock.counters()
            if after.withheld >= before.withheld + 5 and after.duties_run > before.duties_run:
                break
        held.extend((flight.runs, before.pets, after.pets))

    flight.first = first
    flight.fly(lambda: bool(held) and flight.runs >= held[0] + 30 and clock.counters().pets > held[2])
    os.close(reader)
    assert held[2] - held[1] <= 1, "one for the last word, and none for a Python that is silent"
    told = flight.told()[DUTIES_BEGAN.number]
    assert len(told) == clock.counters().silences
    assert max(missed for missed, _ in told) >= 5
    assert sum(duties for _, duties in told) == clock.counters().duties_run
    beat = read_beat(page)
    assert beat is not None
    assert beat.missed >= 5


def test_a_frame_in_which_a_critical_activity_did_not_end_is_incomplete_in_its_record() -> None:
    clock = frame_clock(history=4096)
    flight = Flight(clock, SystemClock())

    def first() -> None:
        if flight.runs == 5:
            raise ValueError("on purpose")

    flight.first = first
    flight.fly(lambda: flight.runs >= 12)
    records = clock.history(4096)
    ran = records[records["expected"] > 0]
    assert set(ran["expected"].tolist()) == {3}, "the first and the third activity are critical"
    assert ran["done"].tolist().count(3) >= 8
    short = ran[ran["done"] != ran["expected"]]
    assert clock.counters().frames_incomplete == len(short) >= 1
    assert 2 in short["done"].tolist(), "the third ended, the first raised"


def test_the_clock_tells_whether_it_is_pinned_and_the_dispatcher_whether_it_is_in_real_time() -> None:
    core = min(os.sched_getaffinity(0))
    flight = Flight(frame_clock(core=core), SystemClock(), DispatcherSetup(1, 2, 60_000))
    flight.fly(lambda: flight.runs >= 3)
    told = flight.told()
    assert told[CLOCK_GRANT.number] == [(0, 0)]
    assert told[CLOCK_PINNED.number] == [(1,)]
    assert told[DISPATCHER_GRANT.number] == [(1, 60_000, 0)], "the clock itself is not in real time"
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_the_first_64_critical_activities_of_a_table_have_a_bit_each_in_the_order_of_slots() -> None:
    entries = [entry(f"a{slot}", slot, critical=slot % 8 != 0) for slot in range(90)]
    tasks = make_tasks(
        table(*reversed(entries)),
        {one.activity: lambda _: None for one in entries},
        {one.activity: one.slot for one in entries},
    )
    assert [task.entry.slot for task in tasks] == list(range(90))
    critical = [task.bit for task in tasks if task.critical]
    assert critical == [1 << place for place in range(64)] + [0] * (len(critical) - 64)
    assert not any(task.bit for task in tasks if not task.critical)


def test_in_virtual_time_a_frame_is_incomplete_as_under_the_clock() -> None:
    clock = SimulatedClock()
    flight = Flight(SimulatedFrames(clock, MINOR_US), clock)

    def first() -> None:
        if flight.runs in (3, 7):
            raise ValueError("on purpose")

    flight.first = first
    flight.fly(lambda: flight.runs >= 10)
    assert flight.frames.counters().frames_incomplete == 2


class ToldByHand(SimulatedFrames):
    """Counters that a test writes."""

    now = SimulatedCounters(*(0,) * 10, watchdog_errors=4, watchdog_errno=19, silence_frames=30, silence_duties=6)

    def counters(self) -> SimulatedCounters:
        return self.now


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([0, 0, 0], {}),
        ([1, 1, 1], {WATCHDOG_GONE.number: 1}),
        ([1, 1, 0, 0], {WATCHDOG_GONE.number: 1, WATCHDOG_BACK.number: 1}),
        ([1, 0, 1], {WATCHDOG_GONE.number: 2, WATCHDOG_BACK.number: 1}),
        ([2, 2, 0, 2], {DUTIES_BEGAN.number: 3}),
        ([3, 1, 2, 0], {WATCHDOG_GONE.number: 1, WATCHDOG_BACK.number: 1, DUTIES_BEGAN.number: 2}),
    ],
)
def test_answers_of_the_clock_are_told_when_they_change_and_silences_each_time(
    answers: list[int], expected: dict[int, int]
) -> None:
    clock = SimulatedClock()
    events = EventRing(100, clock)
    notices = ClockNotices(ToldByHand(clock, MINOR_US), events)
    for answer in answers:
        notices.hear(answer)
    records = list(events.drain(100))
    assert Counter(record.number for record in records) == expected
    values = {WATCHDOG_GONE.number: (19,), WATCHDOG_BACK.number: (4,), DUTIES_BEGAN.number: (30, 6)}
    assert all(record.values == values[record.number] for record in records)


class WatchdogInVirtualTime(RuleBasedStateMachine):
    """Decided each 5 frames on what was said since the last decision, and not older than 3 frames."""

    EVERY, FRESH = 5, 3

    def __init__(self) -> None:
        super().__init__()
        self.clock = SimulatedClock()
        self.frames = SimulatedFrames(self.clock, MINOR_US, pet_every_frames=self.EVERY, max_missed=self.FRESH)
        self.frames.start()
        self.frame = 0
        self.words: list[tuple[int, bool]] = []
        self.pets = self.withheld = 0

    @rule(healthy=st.booleans())
    def check_in(self, healthy: bool) -> None:
        assert self.frames.check_in(healthy) == 0
        self.words.append((self.frame, healthy))

    @rule(frames=st.integers(1, 12))
    def pass_by(self, frames: int) -> None:
        self.clock.advance(frames * MINOR_US / 1e6)
        for _ in range(frames):
            self.frame += 1
            if self.frame % self.EVERY == 0:
                said = [word for word in self.words if self.frame - self.EVERY <= word[0]]
                self.words = []
                fresh = said and self.frame - said[-1][0] <= self.FRESH
                if fresh and all(healthy for _, healthy in said):
                    self.pets += 1
                else:
                    self.withheld += 1

    @invariant()
    def as_counted(self) -> None:
        counters = self.frames.counters()
        assert (counters.pets, counters.withheld) == (self.pets, self.withheld)
        assert counters.released == counters.run + counters.late + counters.skipped + counters.open


WatchdogInVirtualTime.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestWatchdogInVirtualTime = WatchdogInVirtualTime.TestCase

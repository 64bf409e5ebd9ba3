"""Activities at fault under the real frame clock: the declared reaction, its event and counter, and the count goes on.

What is asserted are counts and events, never how quick this machine is: each fault lasts until the clock has released
as many frames as it is about, and the machine's own noise may only add to what is late.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from bindings.frame_clock import FrameClock
from flight.executive.component import (
    COMPETING_THREADS,
    DEADLINE_MISSED,
    DEMOTED,
    DISABLED,
    FRAME_LATE,
    FRAMES_SKIPPED,
    OVERRAN,
    RAISED,
    UNHEALTHY,
)
from flight.executive.demotion import DemotionRule
from flight.executive.frame_context import FrameContext
from flight.executive.health import HealthGate
from flight.executive.loop import Activity, FrameLoop
from flight.executive.modes import Mode, ModeManager
from flight.executive.schedule import Criticality, Entry, Overrun, ScheduleTable
from flight.services.events import EventRing
from hal.clock import SystemClock

MINOR_US = 4_000
MAX_MISSED = 5  # frames without a check-in beyond which no watchdog is fed
ENOUGH = 20_000  # frames: a flight that lasts longer has gone wrong


def entry(activity: str, slot: int, *, critical: bool = False, wcet_us: int = 500) -> Entry:
    criticality = Criticality.CRITICAL if critical else Criticality.NORMAL
    return Entry(activity, 1, 0, slot, wcet_us, MINOR_US, criticality, ("nominal", "safe"), Overrun.SKIP, 1)


@dataclass
class Flight:
    """`guilty` first in every frame, `sound` after it and critical, until `sound` says so or ENOUGH frames passed."""

    watchdog_fd: int
    demotion: DemotionRule | None = None
    sound_runs: int = 0
    sound_raises: bool = False
    seen: list[tuple[int, tuple[int | float, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = SystemClock()
        self.events = EventRing(4096, clock)
        self.frames = FrameClock(
            MINOR_US,
            realtime=False,
            lock_memory=False,
            watchdog_fd=self.watchdog_fd,
            pet_every_frames=1,
            max_missed=MAX_MISSED,
        )
        self.health = HealthGate(self.events)
        self.modes = ModeManager(self.events, Mode.NOMINAL)
        self.clock = clock

    def fly(self, guilty: Activity, until: Callable[[], bool]) -> FrameLoop:
        entries = (entry("guilty", 0), entry("sound", 1, critical=True))
        table = ScheduleTable("faults", MINOR_US * 10, MINOR_US, 40, 500, entries, "7" * 64)
        activities: dict[str, Activity] = {"guilty": guilty, "sound": self._sound}
        self.loop = loop = FrameLoop(
            table,
            activities,
            self.frames,
            self.clock,
            self.events,
            self.modes,
            self.health,
            demotion=self.demotion,
        )
        loop.run(lambda: not until() and self.released() < ENOUGH)
        assert until(), "the flight went on for too long"
        counters = self.frames.counters()
        assert counters.released == counters.run + counters.late + counters.skipped + counters.open
        for name, account in loop.counters().items():
            ends = account.run + account.skipped + account.shed + account.disabled + account.waiting
            assert account.due == ends, f"{name}: {account}"
        self.seen = [(record.number, record.values) for record in self.events.drain(4096)]
        return loop

    def _sound(self, _: FrameContext) -> None:
        self.sound_runs += 1
        if self.sound_raises:
            raise ValueError("on purpose")

    def released(self) -> int:
        return self.frames.counters().released

    def told(self) -> Counter[int]:
        return Counter(number for number, _ in self.seen)

    def hold_for(self, frames: int, hold: Callable[[], None]) -> None:
        """Go on with `hold` until the clock has released so many more."""
        target = self.released() + frames
        while self.released() < target:
            hold()


@pytest.fixture
def flight() -> Iterator[Flight]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    made = Flight(writing)
    yield made
    made.frames.stop()
    os.close(reading)
    os.close(writing)


def compute() -> None:
    """Hold the processor for a while, letting go of the interpreter in between."""
    sum(range(2_000))


def nothing(_: FrameContext) -> None:
    """An activity without fault."""


NUMBERS = list(range(200_000))


def hold_the_interpreter() -> None:
    """One C call that never lets go of the interpreter; several frames long on a slow machine."""
    NUMBERS.sort(key=float, reverse=True)
    NUMBERS.reverse()


def test_an_activity_that_is_late_is_told_and_the_next_frames_run(flight: Flight) -> None:
    at_fault: list[int] = []

    def late(context: FrameContext) -> None:
        if context.frame >= 5 and not at_fault:
            at_fault.append(context.frame)
            flight.hold_for(2, compute)

    loop = flight.fly(late, lambda: bool(at_fault) and flight.sound_runs >= 20)
    counters = flight.frames.counters()
    assert counters.late >= 1
    assert counters.worst_done_us > MINOR_US
    assert loop.counters()["guilty"].overran >= 1
    assert loop.counters()["guilty"].late >= 1
    assert loop.times()["guilty"].wall[-1] == 0
    told = flight.told()
    assert told[OVERRAN.number] and told[DEADLINE_MISSED.number] and told[FRAME_LATE.number]


@pytest.mark.parametrize(
    "hold", [lambda: time.sleep(0.001), compute, hold_the_interpreter], ids=["waits", "computes", "interpreter"]
)
def test_an_activity_that_is_stuck_costs_counted_frames_and_the_watchdog_is_not_fed_for_it(
    flight: Flight, hold: Callable[[], None]
) -> None:
    pets: list[int] = []

    def stuck(context: FrameContext) -> None:
        if flight.sound_runs < 5 or pets:
            return
        flight.hold_for(MAX_MISSED + 3, hold)
        stale = flight.frames.counters()
        flight.hold_for(5, hold)
        pets.extend((stale.pets, flight.frames.counters().pets))

    def recovered() -> bool:
        return bool(pets) and flight.sound_runs >= 20 and flight.frames.counters().pets > pets[1]

    loop = flight.fly(stuck, recovered)
    counters = flight.frames.counters()
    assert pets[0] == pets[1], "no watchdog is fed while Python stands still"
    assert counters.withheld >= 5
    assert counters.missed_check_ins >= MAX_MISSED + 5
    assert counters.skipped >= MAX_MISSED + 5
    assert loop.counters()["sound"].skipped >= MAX_MISSED + 5
    assert flight.told()[FRAMES_SKIPPED.number] >= 1


def test_an_activity_that_raises_is_disabled_and_the_others_run_on(flight: Flight) -> None:
    def raises(_: FrameContext) -> None:
        raise OSError("on purpose")

    loop = flight.fly(raises, lambda: flight.sound_runs >= 30)
    assert loop.disabled() == ("guilty",)
    assert loop.counters()["guilty"].raised == 3
    assert (flight.told()[RAISED.number], flight.told()[DISABLED.number]) == (3, 1)
    assert [str(error) for _, error in loop.take_failures()] == ["on purpose"] * 3
    assert flight.frames.counters().pets > 0


def test_a_critical_activity_that_falls_silent_is_told_and_the_watchdog_is_no_longer_fed(flight: Flight) -> None:
    flight.sound_raises = True
    flight.fly(nothing, lambda: not flight.health.healthy and flight.frames.counters().withheld >= 3)
    assert flight.modes.mode is Mode.SAFE
    assert flight.told()[UNHEALTHY.number] == 1


def test_a_thread_that_hogs_the_interpreter_is_told_and_every_frame_is_accounted_for(flight: Flight) -> None:
    end = threading.Event()

    def hog() -> None:
        while not end.is_set():
            compute()

    thread = threading.Thread(target=hog)
    thread.start()
    try:
        loop = flight.fly(nothing, lambda: flight.sound_runs >= 20)
    finally:
        end.set()
        thread.join()
    assert flight.told()[COMPETING_THREADS.number] == 1
    assert loop.counters()["sound"].run >= 20


def test_an_activity_that_takes_longer_than_declared_again_and_again_is_demoted(flight: Flight) -> None:
    flight.demotion = DemotionRule(overruns=3, window_runs=5, ignored_runs=2)

    def long(_: FrameContext) -> None:
        until_ns = time.monotonic_ns() + 800_000  # of 500 us declared
        while time.monotonic_ns() < until_ns:
            pass

    loop = flight.fly(long, lambda: flight.loop.disabled() == ("guilty",))
    assert loop.demoted() == {"guilty": 3}
    assert flight.told()[DEMOTED.number] == 3
    assert loop.times()["guilty"].over == loop.counters()["guilty"].overran >= 11

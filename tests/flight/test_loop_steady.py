"""The dispatcher in steady state: it makes nothing, whatever the number of frames.

What is meant: no object that the cycle collector tracks (a container, an iterator, a record) is made in a frame, not
even for a moment; and what `tracemalloc` counts does not grow with the frames. Whole numbers above 256 come and go: the
frame count and times in nanoseconds are such, so the peak is bounded by a constant, not by zero.
"""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bindings.frame_clock import FrameClock
from flight.executive.component import COMPETING_THREADS
from flight.executive.demotion import DemotionRule
from flight.executive.frame_context import FrameContext
from flight.executive.frame_source import SimulatedFrames
from flight.executive.health import HealthGate
from flight.executive.loop import FrameLoop
from flight.executive.mode_machine import HEALTHY_GUARD, flight_machine
from flight.executive.modes import Mode, ModeManager
from flight.executive.schedule import Criticality, Entry, Overrun, ScheduleTable
from flight.services.events import EventRing
from hal.clock import Clock, SimulatedClock, SystemClock

MINOR_US = 1_000_000  # for the virtual slots: far longer than the frame's work, so nothing is late
WCET_US = 40_000
REFUSED = 11  # would be critical and shed: no table may say so


def entry(activity: str, period: int, slot: int, criticality: Criticality, overrun: Overrun, minor_us: int) -> Entry:
    wcet_us = minor_us * WCET_US // MINOR_US
    return Entry(activity, period, 0, slot, wcet_us, minor_us, criticality, ("nominal",), overrun, 1)


def table_of(minor_us: int) -> ScheduleTable:
    """Every policy and criticality that go together, at periods of one frame and more."""
    entries = tuple(
        entry(
            f"activity_{number}", (1, 2, 5)[number % 3], number, Criticality(number % 4), Overrun(number // 4), minor_us
        )
        for number in range(16)
        if number != REFUSED
    )
    return ScheduleTable("steady", minor_us * 10, minor_us, 40, 500, entries, "5" * 64)


@dataclass
class OneSlot:
    """A slot that is used again in every frame."""

    frame: int = -1
    release_ns: int = 0
    lateness_us: int = 0


class HandFrames(SimulatedFrames):
    """Frames handed over by the test, without an object for each."""

    def check_in(self, healthy: bool) -> int:
        assert healthy
        return 0

    def done(self, frame: int) -> bool:
        return True


def loop_on(
    clock: Clock, frames: SimulatedFrames | FrameClock, minor_us: int, activity: Callable[..., None]
) -> FrameLoop:
    events = EventRing(1000, clock)
    modes = ModeManager(events, Mode.BOOT, flight_machine(minor_us), {HEALTHY_GUARD: lambda: True})
    modes.request(Mode.NOMINAL)
    table = table_of(minor_us)
    activities = {one.activity: activity for one in table.entries}
    return FrameLoop(table, activities, frames, clock, events, modes, HealthGate(events), demotion=DemotionRule())


def one_object(context: FrameContext) -> None:
    assert {context.frame}


def nothing(_: FrameContext) -> None:
    """An activity that does nothing."""


class Flight:
    """Frames run by hand, with a meter of each kind."""

    def __init__(self, virtual: bool, activity: Callable[..., None] = nothing) -> None:
        simulated = SimulatedClock()
        self.clock: Clock = simulated if virtual else SystemClock()
        self.loop = loop_on(self.clock, HandFrames(simulated, MINOR_US), MINOR_US, activity)
        self.slot = OneSlot()
        self.held: list[object] | None = None

    def fly(self, frames: int) -> None:
        slot, last = self.slot, self.slot.frame + frames
        while slot.frame < last:
            slot.frame += 1
            slot.release_ns = int(self.clock.host_s() * 1e9)
            if self.held is not None:
                self.held.append([])
            self.loop.run_frame(slot)


@pytest.fixture(params=["measured", "virtual"])
def flight(request: pytest.FixtureRequest) -> Flight:
    return Flight(request.param == "virtual")


def collections(flight: Flight, frames: int) -> int:
    """How often the collector runs when two objects made since it last did are enough, and one a frame is made here.

    A frame that makes none: in every second frame. One that makes any, even for a moment: in every frame.
    """
    runs = 0

    def count(phase: str, info: dict[str, int]) -> None:
        nonlocal runs
        runs += phase == "start"

    flight.fly(100)
    flight.held = []
    before, was_enabled = gc.get_threshold(), gc.isenabled()
    gc.collect()
    gc.freeze()  # young objects alone are looked at, so that this is quick
    gc.callbacks.append(count)
    gc.set_threshold(1, 1 << 30, 1 << 30)
    gc.enable()
    try:
        flight.fly(frames)
    finally:
        gc.disable()
        gc.callbacks.remove(count)
        gc.set_threshold(*before)
        gc.unfreeze()
        if was_enabled:
            gc.enable()
    return runs


def test_no_object_that_the_collector_tracks_is_made_in_a_frame(flight: Flight) -> None:
    assert collections(flight, 2_000) <= 1_002


def test_the_instrument_sees_an_activity_that_makes_one_object(flight: Flight) -> None:
    virtual = flight.clock.__class__ is SimulatedClock
    assert collections(Flight(virtual, one_object), 2_000) >= 1_990


def growth(flight: Flight, frames: int) -> tuple[int, int]:
    """Octets that stay after so many frames, and the peak above where they began."""
    gc.collect()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    flight.fly(frames)
    after, peak = tracemalloc.get_traced_memory()
    return after - before, peak - before


def test_traced_memory_does_not_grow_with_the_number_of_frames(flight: Flight) -> None:
    flight.fly(100)
    tracemalloc.start()
    try:
        flight.fly(500)  # counters pass 256, the numbers that Python keeps ready
        few, few_peak = growth(flight, 500)
        many, many_peak = growth(flight, 5_000)
    finally:
        tracemalloc.stop()
    assert few <= 2_048
    assert many <= 2_048, "a tenth of an octet a frame would be 500"
    assert max(few_peak, many_peak) <= 4_096


def test_the_account_of_the_frames_flown_that_way_is_right(flight: Flight) -> None:
    flight.fly(1_000)
    runs = {name: counters.run for name, counters in flight.loop.counters().items()}
    assert runs == {f"activity_{number}": (1_000, 500, 200)[number % 3] for number in range(16) if number != REFUSED}
    assert {name: times.runs for name, times in flight.loop.times().items()} == runs


def test_other_threads_of_the_interpreter_are_told_at_the_start() -> None:
    end = threading.Event()
    others = [threading.Thread(target=end.wait) for _ in range(2)]
    alive = threading.active_count() - 1
    for other in others:
        other.start()
    clock = SimulatedClock()
    loop = loop_on(clock, SimulatedFrames(clock, MINOR_US), MINOR_US, nothing)
    try:
        loop.run(lambda: False)
    finally:
        end.set()
        for other in others:
            other.join()
    (told,) = (record for record in loop.events.drain(100) if record.number == COMPETING_THREADS.number)
    assert told.values[0] >= alive + 2


def test_a_lone_thread_is_no_event() -> None:
    clock = SimulatedClock()
    loop = loop_on(clock, SimulatedFrames(clock, MINOR_US), MINOR_US, nothing)
    if threading.active_count() > 1:
        pytest.skip("another test left a thread behind")
    loop.run(lambda: False)
    assert COMPETING_THREADS.number not in [record.number for record in loop.events.drain(100)]

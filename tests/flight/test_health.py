"""The watchdog is petted only while all that must live shows that it does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flight.executive.component import HEALTHY, UNHEALTHY
from flight.executive.frame_source import SimulatedFrames
from flight.executive.health import HealthGate
from flight.services.events import EventRing
from hal.clock import SimulatedClock


def test_silence_beyond_the_limit_is_unhealthy_once_told_and_heals() -> None:
    events = EventRing(10, SimulatedClock())
    gate = HealthGate(events)
    gate.watch("heart", 5, number=7)
    verdicts = []
    for frame in range(12):
        if frame == 9:
            gate.check_in("heart", frame)
        verdicts.append(gate.judge(frame))
    assert verdicts == [True] * 6 + [False] * 3 + [True] * 3
    assert [(record.number, record.values) for record in events.drain(9)] == [
        (UNHEALTHY.number, (7, 6)),
        (HEALTHY.number, (9,)),
    ]


@given(st.lists(st.sets(st.sampled_from("abc")), min_size=1, max_size=60), st.integers(1, 6))
def test_the_verdict_is_yes_exactly_when_everyone_was_heard_within_the_limit(heard: list[set[str]], limit: int) -> None:
    gate = HealthGate(EventRing(200, SimulatedClock()))
    last = dict.fromkeys("abc", 0)
    for name in last:
        gate.watch(name, limit)
    for frame, names in enumerate(heard):
        for name in names:
            gate.check_in(name, frame)
            last[name] = frame
        silent = {name for name in last if frame - last[name] > limit}
        assert gate.judge(frame) == (not silent)
        assert set(gate.silent()) == silent


def test_virtual_frames_pet_the_watchdog_only_on_fresh_and_healthy_check_ins() -> None:
    clock = SimulatedClock()
    frames = SimulatedFrames(clock, 10_000, pet_every_frames=10, max_missed=5)
    frames.start()

    def fly(count: int, *, check_in: bool, healthy: bool = True) -> None:
        for _ in range(count):
            slot = frames.wait(20_000)
            assert slot is not None
            if check_in:
                frames.check_in(healthy)
            frames.done(slot.frame)

    fly(31, check_in=True)
    assert (frames.counters().pets, frames.counters().withheld) == (3, 0)
    fly(20, check_in=True, healthy=False)
    assert (frames.counters().pets, frames.counters().withheld) == (3, 2)
    fly(10, check_in=True)
    assert (frames.counters().pets, frames.counters().withheld) == (3, 3), "the last bad word came after the decision"
    fly(10, check_in=True)
    assert (frames.counters().pets, frames.counters().withheld) == (4, 3)
    fly(30, check_in=False)
    assert (frames.counters().pets, frames.counters().withheld) == (4, 6)

"""Activities that take longer than declared too often, in the frame loop: what they become and what is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flight.executive.component import CRITICAL_OVERRUNS, DEMOTED, RESTORED
from flight.executive.demotion import DemotionRule, Restored, Step, TimeOf
from flight.executive.modes import Mode
from flight.executive.schedule import Criticality, Overrun
from tests.flight.test_loop import Bench, entry

RULE = DemotionRule(overruns=3, window_runs=6, clean_runs=10, ignored_runs=2)
LONG_US = 2_000  # of 1 ms declared


def long_until(frame: int) -> dict[str, Callable[[int], int]]:
    return {"hog": lambda now: LONG_US if now < frame else 100}


def told(bench: Bench, number: int) -> list[tuple[int | float, ...]]:
    return [record.values for record in bench.events.drain(1000) if record.number == number]


def test_an_activity_too_long_too_often_is_lowered_then_halved_then_disabled() -> None:
    bench = Bench(
        (entry("hog", criticality=Criticality.NORMAL), entry("rest", slot=1)), spends=long_until(99), demotion=RULE
    )
    bench.fly_to(40)
    assert bench.frames_of("hog") == [*range(8), 8, 10, 12], "two ignored, three, three, and three at half the rate"
    assert bench.loop.disabled() == ("hog",)
    assert bench.loop.demoted() == {"hog": 3}
    assert bench.frames_of("rest") == list(range(41))
    counters = bench.loop.counters()["hog"]
    assert (counters.run, counters.disabled) == (11, 14)
    assert told(bench, DEMOTED.number) == [(0, 3, 6, level, step) for level, step in enumerate(Step, 1)]


def test_a_lowered_activity_gives_way_to_what_it_did_not_before() -> None:
    entries = (
        entry("hog", criticality=Criticality.NORMAL, overrun=Overrun.SHED),
        entry("big", slot=1, wcet_us=6_000, criticality=Criticality.NORMAL),
        entry("other", 100, phase=20, slot=0, wcet_us=1_000, modes=("imaging",)),
    )
    bench = Bench(entries, spends=long_until(5), demotion=RULE)
    bench.fly_to(5)
    assert bench.loop.demoted() == {"hog": 1}
    assert bench.loop.counters()["hog"].shed == 0
    slot = bench.frames.wait(10_000)
    assert slot is not None
    bench.clock.advance(0.0035)  # only one of the two fits what is left
    bench.loop.run_frame(slot)
    assert bench.frames_of("hog")[-1] == 5
    assert bench.frames_of("big")[-1] == slot.frame
    assert bench.loop.counters()["hog"].shed == 1


def test_clean_runs_bring_it_back_step_by_step() -> None:
    bench = Bench((entry("hog", criticality=Criticality.LOW),), spends=long_until(5), demotion=RULE)
    bench.fly_to(5)
    assert bench.loop.demoted() == {"hog": 1}
    bench.fly_to(60)
    assert bench.loop.demoted() == {}
    assert bench.frames_of("hog")[-3:] == [58, 59, 60]
    assert told(bench, RESTORED.number) == [(0, 0, Restored.CLEAN_RUNS)]


def test_a_command_brings_it_back_at_once() -> None:
    bench = Bench((entry("hog", criticality=Criticality.LOW),), spends=long_until(12), demotion=RULE)
    bench.fly_to(30)
    assert bench.loop.disabled() == ("hog",)
    bench.loop.enable("hog")
    bench.fly_to(33)
    assert bench.frames_of("hog")[-3:] == [31, 32, 33]
    assert (bench.loop.disabled(), bench.loop.demoted()) == ((), {})
    assert told(bench, RESTORED.number) == [(0, 0, Restored.COMMAND)]


def test_a_critical_activity_is_not_demoted_but_safe_mode_is_asked_for() -> None:
    heart = entry("hog", criticality=Criticality.CRITICAL, modes=("nominal", "safe"))
    bench = Bench((heart,), spends=long_until(99), demotion=RULE)
    modes = []
    for frame in (4, 5, 20):
        bench.fly_to(frame)
        modes.append(bench.modes.mode)
    assert modes == [Mode.NOMINAL, Mode.SAFE, Mode.SAFE]
    assert bench.frames_of("hog") == list(range(21))
    assert bench.loop.demoted() == {}
    assert (0, 3, 6) in told(bench, CRITICAL_OVERRUNS.number)


@pytest.mark.parametrize("time_of", list(TimeOf))
def test_the_account_of_due_instances_holds_through_every_step(time_of: TimeOf) -> None:
    rule = DemotionRule(
        overruns=2, window_runs=3, clean_runs=3, ignored_runs=0, ladder=(Step.HALVE, Step.HALVE), time_of=time_of
    )
    bench = Bench(
        (entry("hog", 2, phase=1),), spends={"hog": lambda frame: 25_000 if frame // 60 % 2 else 0}, demotion=rule
    )
    bench.fly_to(400)
    counters = bench.loop.counters()["hog"]
    assert counters.due == counters.run + counters.skipped + counters.shed + counters.disabled + counters.waiting
    assert {level for _, level, _ in told(bench, RESTORED.number)} == {0, 1}


def test_without_a_rule_nobody_is_demoted() -> None:
    bench = Bench((entry("hog"),), spends=long_until(99))
    bench.fly_to(90)
    assert len(bench.frames_of("hog")) == 91
    assert bench.loop.demoted() == {}

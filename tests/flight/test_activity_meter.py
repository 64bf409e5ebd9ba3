"""Both meters, of the computer's time and of virtual time, keep the same account."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bindings.faults import GeometryRefused, OrderMismatch
from flight.executive.activity_meter import ActivityMeter, MeasuredTime, VirtualTime, meter_for
from hal.clock import ScaledClock, SimulatedClock, SystemClock

SPENT_US = 3_000


@dataclass
class Bench:
    make: Callable[[int, int], ActivityMeter]  # activities, ignored runs
    spend: Callable[[], None]  # at least SPENT_US


def measured() -> Bench:
    clock = SystemClock()
    return Bench(
        lambda count, ignored: MeasuredTime(count, clock, ignored_runs=ignored), lambda: time.sleep(SPENT_US / 1e6)
    )


def virtual() -> Bench:
    clock = SimulatedClock()
    return Bench(
        lambda count, ignored: VirtualTime(count, clock, ignored_runs=ignored),
        lambda: clock.advance((SPENT_US + 1) / 1e6),
    )


@pytest.fixture(params=[measured, virtual])
def bench(request: pytest.FixtureRequest) -> Bench:
    made = request.param()
    assert isinstance(made, Bench)
    return made


def run(meter: ActivityMeter, activity: int, spend: Callable[[], None]) -> tuple[int, int]:
    began = meter.begin(activity)
    spend()
    return began, meter.end(activity)


def test_a_run_lasts_from_its_begin_to_its_end(bench: Bench) -> None:
    meter = bench.make(2, 0)
    before = meter.now_ns()
    began, ended = run(meter, 1, bench.spend)
    assert before - 1_000 <= began, "float seconds tell the host's time to less than a microsecond"
    assert began + SPENT_US * 1_000 <= ended <= meter.now_ns() + 1_000
    times = meter.times(1)
    assert (times.runs, times.last.wall_ns) == (1, ended - began)
    assert meter.worst_us(1) == (ended - began) // 1_000
    assert meter.last_cpu_us(1) == times.last.cpu_ns // 1_000
    assert meter.times(0).runs == 0


def test_what_takes_longer_than_declared_is_over(bench: Bench) -> None:
    meter = bench.make(2, 0)
    meter.declare(0, SPENT_US - 1)
    meter.declare(1, 60_000_000)
    for activity in (0, 1, 0):
        run(meter, activity, bench.spend)
    assert (meter.times(0).over, meter.times(1).over) == (2, 0)


def test_the_first_runs_are_no_worst_case(bench: Bench) -> None:
    meter = bench.make(1, 2)
    for _ in range(2):
        run(meter, 0, bench.spend)
    assert (meter.worst_us(0), meter.times(0).ignored) == (0, 2)
    run(meter, 0, bench.spend)
    assert meter.worst_us(0) >= SPENT_US


def test_only_what_began_last_can_end_and_nothing_is_counted_for_the_others(bench: Bench) -> None:
    meter = bench.make(2, 0)
    with pytest.raises(OrderMismatch):
        meter.end(0)
    meter.begin(0)
    meter.begin(1)
    with pytest.raises(OrderMismatch):
        meter.end(0)
    meter.end(1)
    with pytest.raises(OrderMismatch):
        meter.end(1)
    assert (meter.times(0).runs, meter.times(1).runs) == (0, 1)


def test_numbers_out_of_range_are_refused(bench: Bench) -> None:
    with pytest.raises(GeometryRefused):
        bench.make(0, 0)
    meter = bench.make(1, 0)
    with pytest.raises(IndexError):
        meter.begin(1)
    with pytest.raises(IndexError):
        meter.declare(1, 5)


def test_the_clock_says_who_measures() -> None:
    assert isinstance(meter_for(SystemClock(), 1), MeasuredTime)
    assert isinstance(meter_for(ScaledClock(0.0, 0.0, 60.0), 1), MeasuredTime)
    assert isinstance(meter_for(SimulatedClock(), 1), VirtualTime)

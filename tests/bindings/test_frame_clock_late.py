"""Late wake-ups of the frame clock: absorbed, caught up within a bound, jumped over; each counted, none lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindings.faults import GeometryRefused
from bindings.frame_clock import FrameClock, FrameCounters

LONG_US = 5_000_000
STOPPED = """
import json, sys, time
from dataclasses import asdict
from bindings.frame_clock import FrameClock
with FrameClock(20_000, realtime=False, lock_memory=False, history=4096, catch_up_frames=int(sys.argv[1])) as clock:
    clock.start()
    clock.done(clock.wait(5_000_000).frame)
    before = asdict(clock.counters())
    print("up", flush=True)
    sys.stdin.readline()
    frames = []
    while not frames or time.monotonic_ns() < until:
        slot = clock.wait(5_000_000)
        until = time.monotonic_ns() + 50_000_000 if not frames else until
        frames.append(slot.frame)
        clock.done(slot.frame)
    clock.stop()
    print(json.dumps({"before": before, "after": asdict(clock.counters()), "frames": frames}), flush=True)
"""


def balanced(counters: FrameCounters) -> bool:
    return counters.released == counters.run + counters.late + counters.skipped + counters.open


def wakes(counters: FrameCounters) -> int:
    return counters.wakes_on_time + counters.wakes_absorbed + counters.wakes_caught_up + counters.wakes_jumped


def until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.001)


def after_a_stop(catch_up_frames: int, stopped_s: float) -> tuple[FrameCounters, FrameCounters, list[int]]:
    """The account of a process that was stopped as a whole, clock thread and all."""
    child = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(catch_up_frames)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    child.send_signal(signal.SIGSTOP)
    time.sleep(stopped_s)
    child.send_signal(signal.SIGCONT)
    told, _ = child.communicate("go\n", timeout=60)
    said = json.loads(told)
    return FrameCounters(**said["before"]), FrameCounters(**said["after"]), said["frames"]


def test_a_stopped_process_jumps_to_the_present_when_it_missed_more_frames_than_it_may_catch_up() -> None:
    before, after, frames = after_a_stop(catch_up_frames=2, stopped_s=0.5)
    assert balanced(after)
    assert after.wakes_jumped > before.wakes_jumped
    assert after.jumps > before.jumps
    assert after.skipped - before.skipped >= 15
    assert frames[0] - before.released >= 15


def test_a_stopped_process_hands_out_every_missed_frame_within_the_bound() -> None:
    before, after, frames = after_a_stop(catch_up_frames=900, stopped_s=0.2)
    assert balanced(after)
    assert (after.skipped, after.jumps, after.wakes_jumped) == (0, 0, 0)
    assert after.wakes_caught_up > before.wakes_caught_up
    assert after.caught_up - before.caught_up >= 5
    assert frames == list(range(frames[0], frames[-1] + 1))
    assert frames[0] <= before.released


def test_every_wake_up_is_counted_once() -> None:
    with FrameClock(1_000, realtime=False, lock_memory=False, tolerance_us=0) as clock:
        clock.start()
        until(lambda: clock.counters().released >= 50)
        clock.stop()
        counters = clock.counters()
    assert balanced(counters)
    assert counters.wakes_on_time == 0  # nothing wakes within no time at all
    assert counters.wakes_absorbed > 0
    overslept = counters.released - wakes(counters)
    assert overslept >= counters.wakes_jumped  # a jump releases more frames than one
    assert (overslept == 0) == (counters.wakes_jumped == 0)


def test_a_whole_frame_of_tolerance_leaves_nothing_to_absorb() -> None:
    with FrameClock(2_000, realtime=False, lock_memory=False, tolerance_us=2_000) as clock:
        clock.start()
        until(lambda: clock.counters().released >= 20)
        assert clock.counters().wakes_absorbed == 0
        assert clock.counters().wakes_on_time > 0


def test_a_reader_within_the_bound_gets_every_frame_in_order_and_knows_how_far_it_is_behind() -> None:
    with FrameClock(2_000, realtime=False, lock_memory=False, catch_up_frames=1000) as clock:
        clock.start()
        until(lambda: clock.counters().released >= 8)
        first = clock.wait(LONG_US)
        assert first is not None
        assert (first.frame, first.behind >= 7) == (0, True)
        assert clock.done(0) is False  # seven frames after its time
        frames = [0]
        for _ in range(7):
            slot = clock.wait(LONG_US)
            assert slot is not None
            frames.append(slot.frame)
        assert frames == list(range(8))
        counters = clock.counters()
        assert balanced(counters)
        assert counters.caught_up >= 7
        assert (counters.skipped, counters.jumps) == (0, 0)


def test_a_reader_beyond_the_bound_jumps_once_and_loses_what_it_missed() -> None:
    with FrameClock(2_000, realtime=False, lock_memory=False, catch_up_frames=3) as clock:
        clock.start()
        until(lambda: clock.counters().released >= 20)
        before = clock.counters()
        slot = clock.wait(LONG_US)
        assert slot is not None
        assert slot.frame >= before.released - 1
        assert before.jumps == 1
        assert before.skipped == before.released - 1
        assert balanced(clock.counters())


@settings(max_examples=25, deadline=None)
@given(
    catch_up=st.integers(0, 6),
    history=st.integers(7, 20),
    steps=st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=8),
)
def test_the_account_holds_whatever_the_reader_misses(
    catch_up: int, history: int, steps: list[tuple[int, bool]]
) -> None:
    with FrameClock(500, realtime=False, lock_memory=False, history=history, catch_up_frames=catch_up) as clock:
        clock.start()
        taken = []
        for stall, finish in steps:
            target = clock.counters().released + stall
            until(lambda target=target: balanced(clock.counters()) and clock.counters().released >= target)  # type: ignore[misc]
            slot = clock.wait(LONG_US)
            assert slot is not None
            assert slot.behind <= catch_up
            taken.append(slot.frame)
            if finish:
                clock.done(slot.frame)
            assert balanced(clock.counters())
        clock.stop()
        counters = clock.counters()
    assert taken == sorted(set(taken))
    assert balanced(counters)
    assert counters.open <= catch_up + 2  # the queue and the one taken
    assert counters.run + counters.late <= len(taken)


@pytest.mark.parametrize("change", [{"tolerance_us": -1}, {"tolerance_us": 2_001}, {"catch_up_frames": -1}])
def test_bounds_of_lateness_out_of_range_are_refused_by_name(change: dict[str, int]) -> None:
    with pytest.raises(GeometryRefused, match=next(iter(change))):
        FrameClock(2_000, realtime=False, lock_memory=False, **change)
    with pytest.raises(GeometryRefused, match="catch_up_frames is 0 to 3"):
        FrameClock(2_000, realtime=False, lock_memory=False, history=4, catch_up_frames=4)

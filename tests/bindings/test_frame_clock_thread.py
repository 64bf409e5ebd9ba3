"""Where the clock's thread runs and what its children inherit; what the system refuses is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bindings.faults import GeometryRefused
from bindings.frame_clock import FrameClock

THERE = min(os.sched_getaffinity(0))
NOT_THERE = 1023


def thread_of_the_clock() -> int:
    (task,) = (
        int(task.name) for task in Path("/proc/self/task").iterdir() if (task / "comm").read_text() == "swath-frames\n"
    )
    return task


def make(core: int, *, realtime: bool = False) -> FrameClock:
    return FrameClock(1_000, realtime=realtime, priority=2, lock_memory=False, core=core)


def test_the_thread_runs_on_the_core_asked_for_and_no_other_thread_is_moved() -> None:
    mine = os.sched_getaffinity(0)
    with make(THERE) as clock:
        grant = clock.start()
        assert grant.pinned
        assert os.sched_getaffinity(thread_of_the_clock()) == {THERE}
        assert os.sched_getaffinity(0) == mine


def test_a_core_that_is_not_there_is_said_and_the_clock_runs_all_the_same() -> None:
    if NOT_THERE in os.sched_getaffinity(0):
        pytest.skip("a machine of a thousand cores")
    with make(NOT_THERE) as clock:
        grant = clock.start()
        assert grant.pinned is False
        assert [line for line in grant.reasons if line.startswith("core 1023: ")]
        assert clock.wait(5_000_000) is not None


def test_no_core_asked_for_is_no_refusal() -> None:
    with make(-1) as clock:
        grant = clock.start()
        assert (grant.pinned, len(grant.reasons)) == (None, 2)
        assert os.sched_getaffinity(thread_of_the_clock()) == os.sched_getaffinity(0)


def test_what_the_thread_in_real_time_begins_does_not_inherit_it() -> None:
    with make(-1, realtime=True) as clock:
        grant = clock.start()
        policy = os.sched_getscheduler(thread_of_the_clock())
        expected = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK if grant.realtime else os.SCHED_OTHER
        assert policy == expected


@pytest.mark.parametrize("core", [-2, 1024])
def test_a_core_out_of_range_is_refused_by_name(core: int) -> None:
    with pytest.raises(GeometryRefused, match="core"):
        make(core)

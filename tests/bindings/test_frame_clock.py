"""The frame clock's account. Times are never judged here, only that nothing is uncounted."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pytest

from bindings.faults import ClockStopped, GeometryRefused, OrderMismatch
from bindings.ffi import ffi, lib
from bindings.frame_clock import ClockGrant, FrameClock, FrameCounters, FrameState
from bindings.frame_records import FRAME

MINOR_US = 2_000
LONG_US = 5_000_000  # far beyond any wait that ends well


def make(**how: object) -> FrameClock:
    setup: dict[str, object] = {"minor_us": MINOR_US, "realtime": False, "lock_memory": False, **how}
    return FrameClock(**setup)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Iterator[FrameClock]:
    with make() as made:
        made.start()
        yield made


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def balanced(counters: FrameCounters) -> bool:
    return counters.released == counters.run + counters.late + counters.skipped + counters.open


def take(clock: FrameClock) -> int:
    slot = clock.wait(LONG_US)
    assert slot is not None
    return slot.frame


def until_released(clock: FrameClock, frames: int) -> FrameCounters:
    """Stall, without taking frames, until `frames` more are released."""
    target = clock.counters().released + frames
    while (counters := clock.counters()).released < target:
        assert balanced(counters), counters
        time.sleep(MINOR_US / 1e6)
    return counters


def test_a_frame_taken_and_done_is_run_and_one_never_taken_is_skipped(clock: FrameClock) -> None:
    for _ in range(30):
        frame = take(clock)
        in_time = clock.done(frame)
        (record,) = (row for row in clock.history(4096) if row["frame"] == frame)
        assert FrameState(record["state"]) == (FrameState.RUN if in_time else FrameState.LATE)
    counters = clock.counters()
    assert balanced(counters)
    assert counters.run + counters.late == 30


def test_a_stall_is_counted_frame_by_frame(clock: FrameClock) -> None:
    clock.done(take(clock))
    before = clock.counters()
    until_released(clock, 7)
    frame = take(clock)
    counters = clock.counters()
    assert balanced(counters)
    assert counters.skipped - before.skipped >= 6  # all of the stall but the newest, which was handed out
    assert (counters.run, counters.late) == (before.run, before.late)
    assert frame >= before.released + 6
    states = {int(row["frame"]): row["state"] for row in clock.history(4096)}
    assert [states[f] for f in range(frame - 5, frame)] == [FrameState.SKIPPED] * 5


def test_the_newest_frame_is_handed_out_and_no_frame_twice(clock: FrameClock) -> None:
    frames = []
    for turn in range(40):
        if turn % 10 == 5:
            until_released(clock, 3)
        released = clock.counters().released
        frames.append(take(clock))
        assert frames[-1] >= released - 1
        clock.done(frames[-1])
    assert frames == sorted(set(frames))


def test_a_frame_done_after_the_next_release_is_late(clock: FrameClock) -> None:
    frame = take(clock)
    until_released(clock, 2)
    assert clock.done(frame) is False
    counters = clock.counters()
    assert (counters.late, balanced(counters)) == (1, True)
    assert counters.worst_done_us > MINOR_US


def test_a_frame_given_up_for_a_newer_one_is_late_and_can_no_longer_be_done(clock: FrameClock) -> None:
    given_up = take(clock)
    newer = take(clock)
    assert clock.counters().late == 1
    with pytest.raises(OrderMismatch, match=str(given_up)):
        clock.done(given_up)
    clock.done(newer)
    with pytest.raises(OrderMismatch):
        clock.done(newer)
    with pytest.raises(OrderMismatch):
        clock.done(-1)
    assert balanced(clock.counters())


def test_the_clock_runs_on_while_the_interpreter_is_held(clock: FrameClock) -> None:
    clock.done(take(clock))
    before = clock.counters()
    numbers = list(range(1_000_000, 0, -1))
    for _ in range(200):  # one C call that never lets go of the interpreter, until frames have passed
        numbers.sort(key=float)
        numbers.reverse()
        if clock.counters().released >= before.released + 5:
            break
    counters = clock.counters()
    assert counters.released >= before.released + 5
    assert balanced(counters)
    assert counters.skipped > before.skipped


def test_the_account_holds_in_every_reading_while_readers_and_a_consumer_race(clock: FrameClock) -> None:
    wrong: list[FrameCounters] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            counters = clock.counters()
            if not balanced(counters):
                wrong.append(counters)
            clock.history(64)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(60):
        frame = take(clock)
        if turn % 7:
            clock.done(frame)
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong


def test_the_history_agrees_with_the_counters_when_nothing_was_overwritten() -> None:
    with make(history=4096) as clock:
        clock.start()
        for turn in range(60):
            frame = take(clock)
            if turn % 3:
                clock.done(frame)
            if turn % 9 == 0:
                until_released(clock, 3)
        clock.stop()
        counters, records = clock.counters(), clock.history(4096)
    assert records["frame"].tolist() == list(range(counters.released))
    by_state = Counter(records["state"].tolist())
    assert by_state == +Counter(
        {
            FrameState.RUN: counters.run,
            FrameState.LATE: counters.late,
            FrameState.SKIPPED: counters.skipped,
            FrameState.OPEN: counters.open,
        }
    )
    assert (records["release_late_ns"] >= 0).all()
    assert records["release_late_ns"].max() // 1000 == counters.worst_release_us
    assert ((records["taken_ns"] > 0) <= (records["state"] != FrameState.SKIPPED)).all()


def test_a_short_history_keeps_the_newest_frames_and_the_counters_keep_all() -> None:
    with make(history=4) as clock:
        clock.start()
        until_released(clock, 12)
        clock.stop()
        counters, records = clock.counters(), clock.history(100)
    assert records["frame"].tolist() == list(range(counters.released - 4, counters.released))
    assert balanced(counters)
    assert clock.history(2)["frame"].tolist() == records["frame"].tolist()[-2:]
    assert len(clock.history(0)) == 0


def test_releases_are_a_whole_number_of_minor_frames_apart(clock: FrameClock) -> None:
    first, second = clock.wait(LONG_US), clock.wait(LONG_US)
    assert first is not None
    assert second is not None
    assert second.release_ns - first.release_ns == (second.frame - first.frame) * MINOR_US * 1000
    assert 0 < first.release_ns <= time.monotonic_ns()
    assert first.lateness_us >= 0


def test_a_wait_ends_when_its_time_is_up() -> None:
    with make(minor_us=1_000_000) as clock:
        clock.start()
        assert clock.wait(1_000) is None
        assert clock.wait(0) is None
        assert clock.wait(-5) is None


def test_stop_wakes_whoever_waits_and_leaves_the_account_readable() -> None:
    clock = make(minor_us=200_000)
    clock.start()
    seen: list[BaseException] = []

    def consume() -> None:
        try:
            while True:
                clock.wait(LONG_US)
        except ClockStopped as error:
            seen.append(error)

    consumer = threading.Thread(target=consume)
    consumer.start()
    clock.stop()
    consumer.join(5)
    assert not consumer.is_alive()
    assert len(seen) == 1
    clock.stop()
    assert balanced(clock.counters())
    with pytest.raises(ClockStopped):
        clock.wait(0)
    with pytest.raises(OrderMismatch):
        clock.start()


def test_a_clock_never_started_hands_out_nothing_and_can_be_dropped() -> None:
    clock = make()
    with pytest.raises(ClockStopped):
        clock.wait(LONG_US)
    assert clock.counters().released == 0
    assert len(clock.history(5)) == 0
    clock.stop()
    del clock
    dropped = make()
    dropped.start()
    del dropped  # stops and joins


def test_the_watchdog_is_petted_while_check_ins_are_fresh_and_healthy(pipe: tuple[int, int]) -> None:
    with make(watchdog_fd=pipe[1], pet_every_frames=3, max_missed=1000) as clock:
        clock.start()
        while clock.counters().pets < 5:
            clock.done(take(clock))
            clock.check_in(True)
        clock.stop()
        pets = clock.counters().pets
    os.set_blocking(pipe[0], False)
    assert len(os.read(pipe[0], 1000)) == pets


def test_the_watchdog_is_not_petted_without_any_check_in(pipe: tuple[int, int]) -> None:
    with make(watchdog_fd=pipe[1], pet_every_frames=2, max_missed=1000) as clock:
        clock.start()
        until_released(clock, 10)
        clock.stop()
        counters = clock.counters()
    assert counters.pets == 0
    assert counters.withheld > 0
    assert counters.missed_check_ins == counters.released - 1


def test_the_watchdog_is_not_petted_for_a_python_that_fell_silent(pipe: tuple[int, int]) -> None:
    with make(watchdog_fd=pipe[1], pet_every_frames=1, max_missed=2) as clock:
        clock.start()
        while not clock.counters().pets:
            take(clock)
            clock.check_in(True)
        until_released(clock, 4)  # the last check-in is now more than two frames old
        stale = clock.counters()
        later = until_released(clock, 5)
        assert (later.pets, later.withheld > stale.withheld) == (stale.pets, True)
        while clock.counters().pets == later.pets:  # it comes back to life
            take(clock)
            clock.check_in(True)


def test_the_watchdog_is_not_petted_for_one_that_says_it_is_ill(pipe: tuple[int, int]) -> None:
    with make(watchdog_fd=pipe[1], pet_every_frames=1, max_missed=1000) as clock:
        clock.check_in(False)
        clock.start()
        until_released(clock, 6)
        assert clock.counters().pets == 0
        clock.check_in(True)
        until_released(clock, 3)
        assert clock.counters().pets > 0


def test_a_watchdog_that_would_block_never_stops_the_clock(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    try:
        while True:
            os.write(pipe[1], bytes(4096))
    except BlockingIOError:
        os.set_blocking(pipe[1], True)
    with make(watchdog_fd=pipe[1], pet_every_frames=1, max_missed=1000) as clock:
        clock.check_in(True)
        clock.start()
        counters = until_released(clock, 8)
        assert counters.pets == 0
        assert counters.unwritable > 0


def test_a_watchdog_whose_other_end_is_gone_is_counted_and_kills_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with make(watchdog_fd=writing, pet_every_frames=1, max_missed=1000) as clock:
        clock.check_in(True)
        clock.start()
        counters = until_released(clock, 5)
        assert counters.pets == 0
        assert counters.watchdog_errors > 0
    os.close(writing)


def test_what_the_system_refuses_is_said_and_the_clock_runs_all_the_same() -> None:
    with make(realtime=True, lock_memory=True) as clock:
        grant = clock.start()
        assert isinstance(grant, ClockGrant)
        assert len(grant.reasons) == (not grant.realtime) + (not grant.memory_locked)
        clock.done(take(clock))
    with make() as clock:
        assert clock.start() == ClockGrant(
            False, False, ("SCHED_FIFO priority 80: not asked for", "locking memory: not asked for")
        )


@pytest.mark.parametrize(
    "change",
    [
        {"minor_us": 99},
        {"minor_us": 1_000_001},
        {"priority": 0},
        {"priority": 100},
        {"history": 0},
        {"history": (1 << 20) + 1},
        {"watchdog_fd": -2},
        {"pet_every_frames": 0},
        {"max_missed": -1},
    ],
)
def test_setups_out_of_range_are_refused_by_name(change: dict[str, int]) -> None:
    with pytest.raises(GeometryRefused, match=next(iter(change))):
        make(**change)


def test_a_forked_child_is_told_that_the_clock_does_not_run(clock: FrameClock) -> None:
    take(clock)
    child = os.fork()
    if child == 0:  # no assertion may escape into a second copy of the test run
        status = 1
        try:
            clock.wait(0)
        except ClockStopped:
            clock.stop()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    clock.done(take(clock))


def test_records_are_laid_out_as_in_c() -> None:
    assert FRAME.itemsize == ffi.sizeof("sw_frame")
    for name in FRAME.names or ():
        assert FRAME.fields is not None
        assert FRAME.fields[name][1] == ffi.offsetof("sw_frame", name)
    assert {state.name: int(state) for state in FrameState} == {
        name: int(getattr(lib, f"SW_FRAME_{name}")) for name in ("OPEN", "RUN", "LATE", "SKIPPED")
    }


def test_counters_are_whole_numbers(clock: FrameClock) -> None:
    take(clock)
    assert all(isinstance(number, int) for number in asdict(clock.counters()).values())
    assert isinstance(clock.history(1), np.ndarray)

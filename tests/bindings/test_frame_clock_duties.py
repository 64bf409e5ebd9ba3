"""What the clock does by itself while Python is silent, and what it never does: feed a watchdog."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindings.clock_beat import BEAT_OCTETS, Beat, read_beat
from bindings.crc import crc32c
from bindings.faults import BufferMismatch, GeometryRefused, OrderMismatch
from bindings.ffi import ffi
from bindings.frame_clock import DUTIES_MOST, FrameClock, FrameCounters, Notice

MINOR_US = 1_000
AFTER, PERIOD, MAX_MISSED = 5, 2, 20
_HOLDING = ctypes.PyDLL(None)  # calls that keep the interpreter's lock


def make(**how: int) -> FrameClock:
    setup = {"duties_after_missed": AFTER, "duty_period": PERIOD, "max_missed": MAX_MISSED, **how}
    return FrameClock(MINOR_US, realtime=False, lock_memory=False, **setup)


def until(clock: FrameClock, true: Callable[[FrameCounters], bool]) -> FrameCounters:
    limit = time.monotonic() + 30
    while not true(counters := clock.counters()):
        assert time.monotonic() < limit, counters
        time.sleep(MINOR_US / 1e6)
    return counters


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_while_a_call_holds_the_interpreter_the_duties_are_done_the_watchdog_is_not_fed_and_all_resumes(
    pipe: tuple[int, int],
) -> None:
    page = mmap.mmap(-1, BEAT_OCTETS)
    signal = os.eventfd(0, os.EFD_NONBLOCK) if hasattr(os, "eventfd") else -1
    clock = make(watchdog_fd=pipe[1], pet_every_frames=4)
    clock.duty_beat(page)
    if signal >= 0:
        clock.duty_signal(signal, octets=8)
    with clock:
        clock.start()
        while clock.counters().pets < 2:
            slot = clock.wait(1_000_000)
            assert slot is not None
            clock.done(slot.frame)
            clock.check_in(True)
        before = clock.counters()
        after = before
        for _ in range(50):  # one call is enough, unless the machine is very busy
            _HOLDING.usleep(200_000)  # 200 frames
            after = clock.counters()
            if after.withheld > before.withheld and after.duties_run > before.duties_run:
                break
        assert after.pets <= before.pets + 1, "one for the last word, and none for a Python that is silent"
        assert after.withheld > before.withheld
        assert (after.silences, after.duties_failed) == (before.silences + 1, 0)
        assert clock.check_in(True) & Notice.DUTIES
        told = clock.counters()
        assert told.silence_frames >= AFTER
        assert told.silence_duties == told.duties_run - before.duties_run
        beat = read_beat(page)
        assert beat is not None
        assert AFTER <= beat.missed <= told.silence_frames
        assert beat.frame < told.released
        assert before.withheld <= beat.withheld <= told.withheld
        if signal >= 0:
            assert struct.unpack("=Q", os.read(signal, 8))[0] == beat.count
            os.close(signal)
        while clock.counters().pets <= after.pets:  # alive again
            slot = clock.wait(1_000_000)
            assert slot is not None
            clock.done(slot.frame)
            clock.check_in(True)
        counters = clock.counters()
    assert counters.released == counters.run + counters.late + counters.skipped + counters.open


def test_a_python_that_never_checked_in_at_all_is_silent_from_frame_0() -> None:
    page = bytearray(BEAT_OCTETS)
    clock = make()
    clock.duty_beat(page)
    with clock:
        clock.start()
        until(clock, lambda c: c.duties_run >= 3)
        clock.stop()
        counters = clock.counters()
    beat = read_beat(page)
    assert beat is not None
    assert (beat.count, counters.silences, counters.silence_duties) == (counters.duties_run, 1, counters.duties_run)
    assert AFTER <= beat.missed == beat.frame <= counters.released


def test_rounds_come_after_the_silence_declared_and_at_the_period_declared(pipe: tuple[int, int]) -> None:
    clock = make()
    clock.duty_signal(pipe[1])
    with clock:
        clock.start()
        until(clock, lambda c: c.duties_run >= 10)
        clock.stop()
        counters = clock.counters()
    assert len(os.read(pipe[0], 4096)) == counters.duties_run
    rounds_at_most = (counters.released - AFTER + PERIOD - 1) // PERIOD
    assert counters.duties_run <= rounds_at_most


def test_a_python_that_checks_in_even_if_ill_leaves_the_clock_without_duties() -> None:
    clock = make(duties_after_missed=1_000)
    clock.duty_beat(page := bytearray(BEAT_OCTETS))
    with clock:
        clock.start()
        target = 300
        while clock.counters().released < target:
            assert not clock.check_in(False) & Notice.DUTIES
            clock.wait(MINOR_US)
        assert clock.counters().duties_run == 0
    assert read_beat(page) is None


def test_without_a_number_of_frames_there_are_no_duties() -> None:
    clock = make(duties_after_missed=0)
    clock.duty_beat(page := bytearray(BEAT_OCTETS))
    with clock:
        clock.start()
        counters = until(clock, lambda c: c.released >= 50)
    assert (counters.duties_run, counters.silences, read_beat(page)) == (0, 0, None)


def test_a_signal_that_nobody_takes_is_counted_and_holds_up_nothing(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(pipe[1], bytes(4096))
    os.set_blocking(pipe[1], True)
    clock = make()
    clock.duty_signal(pipe[1])
    clock.duty_beat(page := bytearray(BEAT_OCTETS))
    with clock:
        clock.start()
        counters = until(clock, lambda c: c.duties_failed >= 5)
    assert counters.duties_run >= counters.duties_failed - 1, "the other duty of each round is done"
    assert read_beat(page) is not None


def test_duties_are_few_declared_before_the_start_and_have_what_they_write_to(pipe: tuple[int, int]) -> None:
    clock = make()
    for page in (bytes(BEAT_OCTETS), bytearray(BEAT_OCTETS - 1), "text"):
        with pytest.raises(BufferMismatch):
            clock.duty_beat(page)  # type: ignore[arg-type]
    for fd, octets in ((-1, 1), (pipe[1], 0), (pipe[1], 2)):
        with pytest.raises(GeometryRefused):
            clock.duty_signal(fd, octets=octets)
    for _ in range(DUTIES_MOST):
        clock.duty_signal(pipe[1])
    with pytest.raises(GeometryRefused, match="more than 8"):
        clock.duty_beat(bytearray(BEAT_OCTETS))
    with make() as other:
        other.start()
        with pytest.raises(OrderMismatch):
            other.duty_signal(pipe[1])


@pytest.mark.parametrize("change", [{"duties_after_missed": -1}, {"duty_period": 0}])
def test_numbers_of_frames_out_of_range_are_refused_by_name(change: dict[str, int]) -> None:
    with pytest.raises(GeometryRefused, match=next(iter(change))):
        make(**change)


def record(count: int) -> bytes:
    octets = struct.pack("=II5q", 0x53574254, 0, count, 10, 20, 30, 40)
    return octets[:4] + struct.pack("=I", crc32c(octets)) + octets[8:]


@given(count=st.integers(1, 1 << 40), place=st.integers(0, BEAT_OCTETS // 2 - 1), flip=st.integers(1, 255))
def test_a_torn_record_leaves_the_one_before_it(count: int, place: int, flip: int) -> None:
    octets = bytearray(BEAT_OCTETS)
    for number in (count, count + 1):
        at = number % 2 * (BEAT_OCTETS // 2)
        octets[at : at + BEAT_OCTETS // 2] = record(number)
    assert read_beat(octets) == Beat(count + 1, 10, 20, 30, 40)
    octets[(count + 1) % 2 * (BEAT_OCTETS // 2) + place] ^= flip
    assert read_beat(octets) == Beat(count, 10, 20, 30, 40)


@given(st.binary(max_size=2 * BEAT_OCTETS))
def test_octets_that_are_no_records_are_none(octets: bytes) -> None:
    assert read_beat(octets) is None


def test_the_record_is_laid_out_as_in_c() -> None:
    assert 2 * ffi.sizeof("sw_beat") == BEAT_OCTETS == 2 * struct.calcsize("=II5q")
    assert [ffi.offsetof("sw_beat", name) for name in ("crc", "count", "withheld")] == [4, 8, 40]

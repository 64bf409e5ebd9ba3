"""Which critical things a frame was to end, and which it did: told by the frame's own record."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindings.faults import ClockStopped, OrderMismatch
from bindings.frame_clock import FrameClock

LONG_US = 5_000_000
TOP = 1 << 63


def make(history: int = 4096) -> FrameClock:
    return FrameClock(1_000, realtime=False, lock_memory=False, history=history)


def take(clock: FrameClock) -> int:
    slot = clock.wait(LONG_US)
    assert slot is not None
    return slot.frame


def bits_of(clock: FrameClock, frame: int) -> tuple[int, int]:
    (record,) = (row for row in clock.history(4096) if row["frame"] == frame)
    return int(record["expected"]), int(record["done"])


@settings(max_examples=30, deadline=None)
@given(
    frames=st.lists(
        st.tuples(
            st.lists(st.sampled_from([0, 1, 2, 4, TOP]), max_size=3),
            st.lists(st.sampled_from([0, 1, 2, 4, TOP]), max_size=4),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_frame_is_incomplete_exactly_if_something_expected_was_not_marked(
    frames: list[tuple[list[int], list[int], bool]],
) -> None:
    incomplete, recorded = 0, []
    with make() as clock:
        clock.start()
        for expected, done, ends in frames:
            frame = take(clock)
            for bits in expected:
                clock.expect(frame, bits)
            for bits in done:
                clock.mark(frame, bits)
            maps = 0, 0
            for bits in expected:
                maps = maps[0] | bits, maps[1]
            for bits in done:
                maps = maps[0], maps[1] | bits
            recorded.append((frame, maps))
            incomplete += bool(maps[0] & ~maps[1])
            if ends:
                clock.done(frame)
        clock.done(take(clock))  # whatever was not done is given up for it
        counters = clock.counters()
        assert counters.frames_incomplete == incomplete
        assert counters.released == counters.run + counters.late + counters.skipped + counters.open
        for frame, maps in recorded:
            assert bits_of(clock, frame) == maps


def test_bits_are_for_the_frame_that_was_taken_alone() -> None:
    clock = make()
    with pytest.raises(OrderMismatch):
        clock.expect(-1, 1)
    with clock:
        clock.start()
        frame = take(clock)
        for other in (frame - 1, frame + 1, -1):
            with pytest.raises(OrderMismatch):
                clock.expect(other, 1)
            with pytest.raises(OrderMismatch):
                clock.mark(other, 1)
        clock.expect(frame, 1)
        clock.done(frame)
        with pytest.raises(OrderMismatch):
            clock.mark(frame, 1)
        assert bits_of(clock, frame) == (1, 0)
        assert clock.counters().frames_incomplete == 1


@pytest.mark.parametrize("bits", [-1, 1 << 64])
def test_more_than_64_bits_are_refused(bits: int) -> None:
    with make() as clock:
        clock.start()
        frame = take(clock)
        with pytest.raises(OverflowError):
            clock.expect(frame, bits)
        with pytest.raises(OverflowError):
            clock.mark(frame, bits)


def test_a_frame_is_incomplete_though_its_record_is_gone() -> None:
    with make(history=1) as clock:
        clock.start()
        frame = take(clock)
        clock.expect(frame, 1)
        while clock.counters().released <= frame + 3:
            clock.check_in(True)
        clock.mark(frame, 2)
        clock.done(frame)
        assert clock.counters().frames_incomplete == 1
        assert clock.history(1)["expected"].tolist() == [0], "a newer frame's record is not written to"


def test_a_forked_child_may_not_mark() -> None:
    with make() as clock:
        clock.start()
        frame = take(clock)
        child = os.fork()
        if child == 0:  # no assertion may escape into a second copy of the test run
            status = 1
            try:
                clock.mark(frame, 1)
            except ClockStopped:
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0

"""The watchdog: one pet at most for each healthy word, and a device that goes away costs no frame."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bindings.frame_clock import FrameClock, FrameCounters, Notice

MINOR_US = 1_000


def make(fd: int, *, pet_every_frames: int = 2, max_missed: int = 100_000) -> FrameClock:
    return FrameClock(
        MINOR_US,
        realtime=False,
        lock_memory=False,
        watchdog_fd=fd,
        pet_every_frames=pet_every_frames,
        max_missed=max_missed,
    )


def until(clock: FrameClock, true: Callable[[FrameCounters], bool], *, well: bool | None = None) -> FrameCounters:
    """Wait for the counters to say so, checking in meanwhile if `well` is given."""
    limit = time.monotonic() + 30
    while not true(counters := clock.counters()):
        assert time.monotonic() < limit, counters
        assert counters.released == counters.run + counters.late + counters.skipped + counters.open
        if well is not None:
            clock.check_in(well)
        time.sleep(MINOR_US / 2e6)
    return counters


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A device file with nobody at it yet, and the descriptor that is petted."""
    path = tmp_path / "watchdog"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.close(reader)
    yield path, writer
    os.close(writer)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_one_healthy_word_is_good_for_one_pet(pipe: tuple[int, int]) -> None:
    with make(pipe[1]) as clock:
        clock.check_in(True)
        clock.start()
        assert until(clock, lambda c: c.withheld >= 5).pets == 1
        clock.check_in(True)
        assert until(clock, lambda c: c.withheld >= 10).pets == 2
    assert os.read(pipe[0], 100) == b"\0\0"


@pytest.mark.parametrize("words", [(True, False), (False, True), (True, False, True), (False,)])
def test_one_unhealthy_word_since_the_last_decision_withholds(pipe: tuple[int, int], words: tuple[bool, ...]) -> None:
    with make(pipe[1]) as clock:
        for word in words:
            clock.check_in(word)
        clock.start()
        assert until(clock, lambda c: c.withheld >= 1).pets == 0
        clock.check_in(True)  # what was said before the decision counts no more
        assert until(clock, lambda c: c.pets >= 1).pets == 1


def test_a_healthy_word_that_is_stale_when_the_decision_comes_is_none(pipe: tuple[int, int]) -> None:
    with make(pipe[1], pet_every_frames=20, max_missed=3) as clock:
        clock.check_in(True)  # before frame 0; the decision is at frame 20
        clock.start()
        assert until(clock, lambda c: c.withheld >= 2).pets == 0


def test_a_device_that_goes_away_is_told_tried_again_and_back(fifo: tuple[Path, int]) -> None:
    path, writer = fifo
    with make(writer) as clock:
        clock.start()
        gone = until(clock, lambda c: c.watchdog_errors >= 3, well=True)
        assert (gone.watchdog_errno, gone.watchdog_gone, gone.pets) == (errno.EPIPE, True, 0)
        assert clock.check_in(True) == Notice.WATCHDOG_GONE
        frames = gone.released
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        back = until(clock, lambda c: c.pets >= 3, well=True)
        assert (back.watchdog_errno, back.watchdog_gone) == (errno.EPIPE, False)
        assert clock.check_in(True) == 0
        assert back.released > frames, "the frames went on"
        assert os.read(reader, 100)[:3] == b"\0\0\0"
        os.close(reader)


def test_a_descriptor_that_stands_for_something_else_is_never_written_to(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    precious = tmp_path / "journal"
    with make(writing) as clock:
        clock.start()
        until(clock, lambda c: c.pets >= 1, well=True)
        with precious.open("wb") as stream:
            os.dup2(stream.fileno(), writing)
        gone = until(clock, lambda c: c.watchdog_errors >= 3, well=True)
    os.close(reading)
    os.close(writing)
    assert gone.watchdog_errno == errno.EBADF
    assert precious.read_bytes() == b""


def test_a_descriptor_that_was_closed_is_an_error_and_the_frames_go_on() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with make(writing) as clock:
        clock.start()
        counters = until(clock, lambda c: c.watchdog_errors >= 3, well=True)
        until(clock, lambda c: c.released >= counters.released + 10)
    assert counters.watchdog_errno == errno.EBADF


def test_one_without_room_is_not_one_that_is_gone(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(pipe[1], bytes(4096))
    with make(pipe[1]) as clock:
        clock.start()
        full = until(clock, lambda c: c.unwritable >= 3, well=True)
        assert (full.watchdog_errors, full.watchdog_gone, full.pets) == (0, False, 0)
        os.read(pipe[0], 65_536)
        until(clock, lambda c: c.pets >= 1, well=True)


def test_no_watchdog_is_neither_petted_nor_missed() -> None:
    with make(-1) as clock:
        clock.start()
        counters = until(clock, lambda c: c.released >= 20, well=True)
    assert (counters.pets, counters.withheld, counters.watchdog_errors, counters.unwritable) == (0, 0, 0, 0)

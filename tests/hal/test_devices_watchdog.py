"""The file watchdog on what stands for the device: a plain file, a FIFO that a bench reads, one that nobody reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bindings.frame_clock import FrameClock
from hal.clock import SystemClock
from hal.errors import DeviceUnavailable
from hal.options import DriverOptions
from hal.testing_watchdog import WatchdogConformance
from hal.watchdog.file import FileWatchdog, driver, selftest_options


class OnAPath(WatchdogConformance):
    path: Path

    def open_watchdog(self) -> FileWatchdog:
        return driver({"path": str(self.path)}, SystemClock())


class TestPlainFile(OnAPath):
    @pytest.fixture(autouse=True)
    def make(self, tmp_path: Path) -> None:
        self.path = tmp_path / "watchdog"
        self.path.touch()


class TestFifoThatNobodyReads(OnAPath):
    @pytest.fixture(autouse=True)
    def make(self, tmp_path: Path) -> None:
        self.path = tmp_path / "watchdog"
        os.mkfifo(self.path)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "watchdog"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def test_a_bench_sees_each_pet_and_the_magic_close(fifo: tuple[Path, int]) -> None:
    path, reader = fifo
    watchdog = driver({"path": str(path), "timeout_s": 2.5}, SystemClock())
    assert watchdog.timeout_s == 2.5
    watchdog.pet()
    watchdog.pet()
    assert os.read(reader, 64) == b"\0\0"
    watchdog.close(disarm=True)
    assert os.read(reader, 64) == b"V"


def test_closed_armed_it_goes_on_running(fifo: tuple[Path, int]) -> None:
    path, reader = fifo
    watchdog = driver({"path": str(path)}, SystemClock())
    watchdog.close(disarm=False)
    assert os.read(reader, 64) == b""


def test_a_full_fifo_never_holds_the_frame(fifo: tuple[Path, int]) -> None:
    path, _ = fifo
    watchdog = driver({"path": str(path)}, SystemClock())
    for _ in range(70_000):  # more than a pipe holds
        watchdog.pet()
    watchdog.close(disarm=True)


def test_the_frame_clock_pets_it_only_while_python_is_healthy(fifo: tuple[Path, int]) -> None:
    path, reader = fifo
    watchdog = driver({"path": str(path)}, SystemClock())
    clock = FrameClock(
        2000, realtime=False, lock_memory=False, watchdog_fd=watchdog.fileno(), pet_every_frames=2, max_missed=100
    )
    with clock:
        clock.start()
        while clock.counters().pets < 5:
            slot = clock.wait(1_000_000)
            assert slot is not None
            clock.check_in(healthy=True)
            clock.done(slot.frame)
        while clock.counters().withheld == 0:  # nobody checks in any more
            assert clock.wait(1_000_000) is not None
        petted = clock.counters().pets
    assert len(os.read(reader, 4096)) == petted >= 5
    watchdog.close(disarm=True)


@pytest.mark.parametrize(
    ("path", "reason"), [("/no/such/watchdog", "No such file"), ("/", "directory"), ("/dev/null", "is no watchdog")]
)
def test_what_is_no_watchdog_is_an_unavailable_device(path: str, reason: str) -> None:
    with pytest.raises(DeviceUnavailable, match=reason):
        driver({"path": path}, SystemClock())


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"timeout_s": 1e9}, {"path": 5}, {"device": "/dev/watchdog"}])
def test_options_that_cannot_work_are_refused(options) -> None:
    with pytest.raises(DriverOptions):
        driver(options, SystemClock())


def test_the_self_test_never_opens_the_real_one(tmp_path: Path) -> None:
    watchdog = driver(selftest_options(tmp_path), SystemClock())
    watchdog.pet()
    watchdog.close(disarm=True)
    assert (tmp_path / "watchdog").read_bytes() == b"\0V"

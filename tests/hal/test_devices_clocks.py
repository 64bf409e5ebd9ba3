"""Clocks: simulated, scaled, and the one that several processes share while its speed changes."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.clock import Clock, ClockError, ScaledClock, SimulatedClock, SystemClock
from hal.errors import DeviceUnavailable
from hal.shared_clock import SharedClock, SharedClockMaster


@given(st.lists(st.floats(0, 1e6), max_size=20))
def test_virtual_time_moves_by_what_it_is_told_and_host_time_with_it(steps: list[float]) -> None:
    clock = SimulatedClock(1e9)
    for step_s in steps:
        before_s = clock.mission_s()
        clock.sleep_until(before_s + step_s)
        assert clock.mission_s() == before_s + step_s
        assert clock.host_s() == clock.mission_s() - 1e9


@pytest.mark.parametrize("target_s", [99.0, math.nan, -math.inf])
def test_virtual_time_never_runs_back_nor_to_no_time_at_all(target_s: float) -> None:
    clock = SimulatedClock(100.0)
    with pytest.raises(ClockError):
        clock.advance_to(target_s)
    assert clock.mission_s() == 100.0


def test_sleeping_until_what_is_past_changes_nothing() -> None:
    clock = SimulatedClock(100.0)
    clock.sleep_until(5.0)
    assert clock.mission_s() == 100.0


def test_all_clocks_are_clocks(tmp_path: Path) -> None:
    master = SharedClockMaster(tmp_path / "clock", 0.0, 1.0)
    for clock in (SystemClock(), ScaledClock(0.0, 0.0, 2.0), SimulatedClock(), master, SharedClock(tmp_path / "clock")):
        assert isinstance(clock, Clock)
        assert clock.mission_s() <= clock.mission_s()
        assert clock.host_s() <= clock.host_s()


def test_scaled_time_runs_at_its_speed_from_the_shared_epoch() -> None:
    clock = ScaledClock(1e9, time.monotonic(), 1000.0)
    began_s = clock.host_s()
    first_s = clock.mission_s()
    clock.sleep_until(first_s + 30.0)  # 30 ms of the computer's time
    assert clock.mission_s() >= first_s + 30.0
    assert clock.host_s() - began_s >= 0.03 - 1e-4
    assert ScaledClock(1e9, clock.epoch_host_s, 1000.0).mission_s() == pytest.approx(clock.mission_s(), abs=500.0)


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, math.inf, 200_000.0])
def test_a_speed_that_is_none_is_refused(speed: float, tmp_path: Path) -> None:
    with pytest.raises(ClockError):
        ScaledClock(0.0, 0.0, speed)
    master = SharedClockMaster(tmp_path / "clock", 0.0, 1.0)
    with pytest.raises(ClockError):
        master.set_speed(speed)
    assert SharedClock(tmp_path / "clock").speed == 1.0


def test_a_change_of_speed_is_seen_by_every_reader_and_time_never_jumps(tmp_path: Path) -> None:
    master = SharedClockMaster(tmp_path / "clock", 1e9, 1.0)
    reader = SharedClock(tmp_path / "clock")
    for speed in (100.0, 0.5, 5000.0, 1.0):
        before_s = reader.mission_s()
        old_speed = reader.speed
        host_s = reader.host_s()
        master.set_speed(speed)
        after_s = reader.mission_s()
        passed_s = reader.host_s() - host_s
        assert reader.speed == speed
        assert before_s <= after_s <= before_s + passed_s * max(speed, old_speed) + 1e-6


def test_a_sleeper_wakes_early_when_time_is_made_faster(tmp_path: Path) -> None:
    master = SharedClockMaster(tmp_path / "clock", 0.0, 1.0)
    reader = SharedClock(tmp_path / "clock")
    sleeper = threading.Thread(target=reader.sleep_until, args=(1000.0,), daemon=True)
    sleeper.start()
    master.set_speed(50_000.0)
    sleeper.join(timeout=10.0)
    assert not sleeper.is_alive()


def test_another_process_reads_the_same_time(tmp_path: Path) -> None:
    SharedClockMaster(tmp_path / "clock", 5e8, 10.0)
    code = "import sys, pathlib, hal.shared_clock as s; print(s.SharedClock(pathlib.Path(sys.argv[1])).mission_s())"
    command = [sys.executable, "-c", code, str(tmp_path / "clock")]
    before_s = SharedClock(tmp_path / "clock").mission_s()
    printed = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert before_s <= printed <= SharedClock(tmp_path / "clock").mission_s()


def test_readers_never_meet_a_half_written_record(tmp_path: Path) -> None:
    master = SharedClockMaster(tmp_path / "clock", 1e9, 1.0)
    reader = SharedClock(tmp_path / "clock")
    speeds = {1.0, 99_999.0}
    ended = threading.Event()

    def change() -> None:
        while not ended.is_set():
            for speed in speeds:
                master.set_speed(speed)

    writer = threading.Thread(target=change, daemon=True)
    writer.start()
    seen = {reader.speed for _ in range(5000)}
    ended.set()
    writer.join()
    assert seen <= speeds


@pytest.mark.parametrize("octets", [b"", b"short", bytes(63)])
def test_a_file_that_is_no_clock_is_an_unavailable_device(octets: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clock"
    path.write_bytes(octets)
    with pytest.raises(DeviceUnavailable):
        SharedClock(path)
    with pytest.raises(DeviceUnavailable):
        SharedClock(tmp_path / "nothing")


def test_a_record_that_fails_its_check_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    SharedClockMaster(path, 1e9, 1.0)
    octets = bytearray(path.read_bytes())
    octets[3] ^= 1
    path.write_bytes(octets)
    with pytest.raises(ClockError, match="no valid clock record"):
        SharedClock(path)

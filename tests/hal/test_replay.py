"""The replay sensor: a line comes once, at its time; one not taken is lost and counted."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.clock import Clock, ScaledClock, SimulatedClock
from hal.errors import BufferRefused, DeadlineExceeded, DeviceClosed
from hal.options import DriverOptions
from hal.sensor.replay import GROUND_SPEED_M_S, ReplaySensor, driver, selftest_options
from hal.sensor.scene import SceneUnreadable, open_scene
from hal.testing import SensorConformance

START_S = 1_790_000_000.25
SCENES = Path(__file__).resolve().parents[2] / "examples" / "scenes"


def scene_file(folder: Path, lines: int, columns: int = 2) -> Path:
    """A scene whose every sample of line n is n."""
    path = folder / f"lines{lines}.npz"
    rows = np.arange(lines, dtype=np.uint16)[:, None, None]
    np.savez(path, img=np.broadcast_to(rows, (lines, columns, 3)), sensor="RGB")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


def replay(folder: Path, clock, lines: int, rate_hz: float = 100.0, fifo: int = 64) -> ReplaySensor:
    return ReplaySensor(open_scene(scene_file(folder, lines)), clock, rate_hz, fifo)


@settings(max_examples=120, deadline=None)
@given(
    lines=st.integers(1, 60),
    fifo=st.integers(1, 70),
    rate_hz=st.sampled_from([0.3, 7.0, 100.0, 229.77, 1000.0]),
    reads=st.lists(st.tuples(st.floats(0, 40), st.integers(1, 50)), max_size=40),
)
def test_every_line_is_delivered_once_in_order_or_counted_as_lost(folder, lines, fifo, rate_hz, reads) -> None:
    clock = SimulatedClock(START_S)
    with_lines = replay(folder, clock, lines, rate_hz, fifo)
    with_lines.start(START_S + 1.0)
    seen: list[int] = []
    lost = 0
    last = False
    clock.advance(1.0)
    for wait_lines, room in [*reads, (lines + 1, lines), (0, lines)]:
        clock.advance(wait_lines / rate_hz)
        buffer = np.full((room, 2, 3), 65535, np.uint16)
        try:
            block = with_lines.read_into(buffer, clock.host_s())
        except DeadlineExceeded:
            continue
        assert not last, "a line followed the last one"
        assert 1 <= block.count <= min(room, fifo)
        assert block.first == (seen[-1] + 1 if seen else 0) + block.lost
        assert (buffer[: block.count] == np.arange(block.first, block.first + block.count)[:, None, None]).all()
        assert (buffer[block.count :] == 65535).all(), "wrote beyond what it reported"
        assert block.time_s == START_S + 1.0 + block.first / rate_hz
        assert block.time_s + (block.count - 1) / rate_hz <= clock.mission_s() + 1e-6, "a line before its time"
        seen += range(block.first, block.first + block.count)
        lost += block.lost
        last = block.last
        if last:
            assert len(seen) + lost == lines
            assert (with_lines.delivered, with_lines.lost) == (len(seen), lost)
    assert seen == sorted(set(seen))


@given(line=st.integers(0, 59), rate_hz=st.floats(0.1, 5000), start=st.floats(0, 4e9))
@settings(max_examples=150, deadline=None)
def test_a_line_is_due_exactly_at_the_time_it_is_dated_with(folder, line, rate_hz, start) -> None:
    clock = SimulatedClock(0.0)
    sensor = replay(folder, clock, 60, rate_hz, 1)
    sensor.start(start)
    clock.advance_to(start + line / rate_hz)
    block = sensor.read_into(np.empty((1, 2, 3), np.uint16), 0.0)
    assert block.first >= line and block.time_s <= clock.mission_s()


def test_a_sensor_read_in_time_loses_nothing(folder: Path) -> None:
    clock = SimulatedClock(START_S)
    sensor = replay(folder, clock, 50, fifo=8)
    sensor.start(START_S)
    taken = 0
    while taken < 50:
        block = sensor.read_into(np.empty((8, 2, 3), np.uint16), 0.0)
        taken += block.count
        assert block.lost == 0
        clock.advance(0.05)
    assert block.last


def test_a_reader_that_sleeps_through_the_capture_gets_the_end_and_the_count_of_the_rest(folder: Path) -> None:
    clock = SimulatedClock(START_S)
    sensor = replay(folder, clock, 50, fifo=8)
    sensor.start(START_S)
    clock.advance(3600)
    block = sensor.read_into(np.empty((50, 2, 3), np.uint16), 0.0)
    assert (block.first, block.count, block.lost, block.last) == (42, 8, 42, True)


def test_nothing_is_due_before_the_start_nor_after_the_last_line(folder: Path) -> None:
    clock = SimulatedClock(START_S)
    sensor = replay(folder, clock, 3)
    buffer = np.empty((4, 2, 3), np.uint16)
    with pytest.raises(DeadlineExceeded):
        sensor.read_into(buffer, 100.0)
    sensor.start(START_S + 5)
    with pytest.raises(DeadlineExceeded):
        sensor.read_into(buffer, 100.0)
    clock.advance(6)
    assert sensor.read_into(buffer, 100.0).last
    with pytest.raises(DeadlineExceeded):
        sensor.read_into(buffer, 100.0)


def test_on_a_running_clock_a_read_waits_for_the_line_but_never_past_its_deadline(folder: Path) -> None:
    clock = ScaledClock(START_S, time.monotonic(), 10.0)
    sensor = replay(folder, clock, 50, rate_hz=100.0)
    buffer = np.empty((1, 2, 3), np.uint16)
    sensor.start(clock.mission_s() + 0.5)  # 0.05 s of host time from now
    block = sensor.read_into(buffer, clock.host_s() + 5.0)
    assert (block.first, clock.mission_s() >= block.time_s) == (0, True)
    sensor.start(clock.mission_s() + 3600)
    began = clock.host_s()
    with pytest.raises(DeadlineExceeded):
        sensor.read_into(buffer, began + 0.05)
    assert clock.host_s() >= began + 0.04
    assert clock.host_s() < began + 2.0, "slept on although its deadline had passed"


@pytest.mark.parametrize(
    "buffer",
    [
        np.empty((4, 3, 3), np.uint16),
        np.empty((4, 2, 3), np.uint8),
        np.empty((0, 2, 3), np.uint16),
        np.empty((4, 6), np.uint16),
        np.broadcast_to(np.uint16(0), (4, 2, 3)),
    ],
)
def test_a_buffer_that_does_not_fit_is_refused_and_no_line_is_spent(folder: Path, buffer) -> None:
    clock = SimulatedClock(START_S)
    sensor = replay(folder, clock, 4)
    sensor.start(START_S)
    clock.advance(1)
    with pytest.raises(BufferRefused):
        sensor.read_into(buffer, 0.0)
    assert sensor.read_into(np.empty((9, 2, 3), np.uint16), 0.0).count == 4


def test_a_closed_sensor_says_so(folder: Path) -> None:
    sensor = replay(folder, SimulatedClock(START_S), 4)
    sensor.close()
    sensor.close()
    with pytest.raises(DeviceClosed):
        sensor.start(0.0)
    with pytest.raises(DeviceClosed):
        sensor.read_into(np.empty((1, 2, 3), np.uint16), 0.0)


def test_the_driver_takes_the_line_rate_from_the_pixel_size_and_orbital_speed() -> None:
    sensor = driver({"path": str(SCENES / "landsat8_itaipu_bgr_uint16.tif")}, SimulatedClock())
    assert sensor.format.line_rate_hz == pytest.approx(GROUND_SPEED_M_S / 30.0)
    assert (sensor.info.sensor, sensor.format.lines, sensor.format.dtype) == ("L8", 800, "uint16")
    sensor.close()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({}, DriverOptions, "path"),
        ({"pth": "x.tif"}, DriverOptions, "did you mean `path`"),
        ({"path": "x.tif", "line_rate_hz": 0}, DriverOptions, "line_rate_hz"),
        ({"path": "x.tif", "fifo_lines": 1.5}, DriverOptions, "fifo_lines"),
        ({"path": "absent.tif"}, SceneUnreadable, "absent.tif"),
    ],
)
def test_the_driver_names_the_option_that_is_wrong(options, error, says: str) -> None:
    with pytest.raises(error, match=says):
        driver(options, SimulatedClock())


def test_the_self_test_scene_opens(tmp_path: Path) -> None:
    sensor = driver(selftest_options(tmp_path), SimulatedClock())
    assert sensor.format.lines == 16
    sensor.close()


class TestReplaySensorConforms(SensorConformance):
    """The driver through the very tests that a vendor's camera has to pass."""

    def open_sensor(self, clock: Clock) -> ReplaySensor:
        return driver({"path": str(self._path), "line_rate_hz": 229.7, "fifo_lines": 7}, clock)

    @pytest.fixture(autouse=True)
    def _scene(self, folder: Path) -> None:
        self._path = scene_file(folder, 40)


class TestReplaySensorConformsOnARunningClock(TestReplaySensorConforms):
    def make_clock(self) -> Clock:
        return ScaledClock(START_S, time.monotonic(), 100.0)

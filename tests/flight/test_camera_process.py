"""The commanded capture: once, whatever is repeated, killed or fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flight.pipeline.camera import Camera
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.control import CaptureOrder, ReleaseOrder
from flight.pipeline.strip_buffer import StripReader, StripWriter, create_strip_memory
from flight.pipeline.strip_source import StripSource
from flight.pipeline.strip_store import StripStore
from hal.clock import SimulatedClock
from hal.errors import DeadlineExceeded, DeviceUnavailable
from hal.sensor.protocol import LineBlock, SensorFormat

LINES = 60
META = CaptureMeta(
    columns=5,
    bands=3,
    dtype="uint16",
    line_rate_hz=10.0,
    lines=LINES,
    band_names=("B03", "B04", "B08"),
    band_common=("green", "red", "nir"),
    band_centre_nm=(560.0, 665.0, 842.0),
    sensor="sentinel2",
    radiometry="toa",
    scale=(1e-4,) * 3,
    offset=(0.0,) * 3,
)
SCENE = (np.arange(LINES, dtype=np.uint16)[:, None, None] * 16 + np.arange(15, dtype=np.uint16).reshape(5, 3)).astype(
    np.uint16
)
ONE, TWO = b"1" * 16, b"2" * 16


class Pushbroom:
    """A line comes once, at its time; `fifo` of them wait."""

    def __init__(self, clock: SimulatedClock, fifo: int = 8) -> None:
        self._clock, self._fifo, self._next, self._start_s = clock, fifo, 0, 0.0
        self.closed = False
        self.fail_at: int | None = None

    @property
    def format(self) -> SensorFormat:
        return SensorFormat(5, 3, "uint16", 10.0, LINES)

    def start(self, at_mission_s: float) -> None:
        self._start_s = at_mission_s

    def read_into(self, buffer: np.ndarray, deadline_s: float) -> LineBlock:
        due = min(LINES, int((self._clock.mission_s() - self._start_s) * 10.0 + 1e-6))
        if self.fail_at is not None and due >= self.fail_at:
            raise OSError(5, "the detector is gone")
        if due <= self._next:
            raise DeadlineExceeded("pushbroom", deadline_s)
        first = max(self._next, due - self._fifo)
        count = min(due - first, len(buffer))
        buffer[:count] = SCENE[first : first + count]
        lost, self._next = first - self._next, first + count
        return LineBlock(first, count, lost, 0.0, self._next == LINES)

    def close(self) -> None:
        self.closed = True


class Bench:
    """A camera process's inside, that can be killed and started again over the same store and ring."""

    def __init__(self, folder: Path, opener: Callable[[float], tuple[Pushbroom, CaptureMeta]] | None = None) -> None:
        self.folder, self.clock = folder, SimulatedClock()
        self.descriptor = create_strip_memory(1 << 14)
        self.sensors: list[Pushbroom] = []
        self._opener = opener or self._open
        self.restart()

    def _open(self, start_s: float) -> tuple[Pushbroom, CaptureMeta]:
        self.sensors.append(Pushbroom(self.clock))
        self.sensors[-1].start(start_s)
        return self.sensors[-1], META

    def restart(self) -> None:
        store = StripStore(self.folder, 1 << 20)
        self.camera = Camera(self._opener, store, StripWriter(self.descriptor), self.clock)

    def fly(self, seconds: float, order: CaptureOrder | None = None, step_s: float = 0.3) -> None:
        for _ in range(round(seconds / step_s)):
            if order is not None:
                self.camera.obey(order)
            self.clock.advance(step_s)
            self.camera.step(0.0)

    def lines(self, capture: bytes = ONE) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
        reader = StripReader(self.descriptor)
        source = StripSource(self.folder, capture, reader)
        pixels = np.empty((source.available, source.columns, source.bands), source.dtype)
        source.read_into(0, pixels)
        lost = source.lost_ranges()
        source.close()
        reader.close()
        return pixels, lost

    def close(self) -> None:
        self.camera.close()
        os.close(self.descriptor)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_a_capture_waits_for_its_time_and_then_takes_every_line(bench: Bench) -> None:
    bench.camera.obey(CaptureOrder(capture=ONE, start_s=5.0))
    bench.fly(3.0)
    assert bench.camera.report(1).state == "armed"
    bench.fly(3.0)
    assert bench.camera.report(1).state == "capturing"
    bench.fly(6.0)
    report = bench.camera.report(1)
    assert (report.state, report.lines, report.lost, report.reason, report.meta) == ("done", LINES, 0, "", META)
    pixels, lost = bench.lines()
    assert np.array_equal(pixels, SCENE) and lost == ()
    assert bench.sensors[0].closed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kills=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 6)), max_size=4), data=st.data())
def test_kills_and_repeated_orders_make_one_capture_with_honest_coverage(
    tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Killed at any step and away for a while: no line twice, lost ones counted, the rest as the sensor saw them."""
    bench = Bench(tmp_path_factory.mktemp("store"))
    order = CaptureOrder(capture=ONE, start_s=0.5)
    try:
        for steps, away in kills:
            for _ in range(steps):
                bench.fly(0.3, order if data.draw(st.booleans()) else None)
            bench.restart()
            bench.clock.advance(away * 0.5)
        bench.fly(12.0, order)
        report = bench.camera.report(1)
        assert (report.state, report.lines) == ("done", LINES)
        pixels, lost = bench.lines()
        named = {line for first, count in lost for line in range(first, first + count)}
        assert len(named) == report.lost
        for line in range(LINES):
            assert np.array_equal(pixels[line], SCENE[line]) or (line in named and not pixels[line].any())
        sensors = len(bench.sensors)
        bench.restart()
        bench.fly(1.0, order)
        assert bench.camera.report(1) == report
        assert len(bench.sensors) == sensors, "a finished capture was looked at again"
    finally:
        bench.close()


def test_another_order_waits_until_the_capture_is_over(bench: Bench) -> None:
    bench.fly(1.0, CaptureOrder(capture=ONE, start_s=0.0))
    bench.fly(9.0, CaptureOrder(capture=TWO, start_s=20.0))
    assert bench.camera.report(1).capture == TWO
    assert bench.lines(ONE)[0].shape[0] == LINES


def test_a_driver_that_fails_ends_the_capture_with_its_reason_and_what_was_taken(bench: Bench) -> None:
    bench.fly(2.0, CaptureOrder(capture=ONE, start_s=0.0))
    bench.sensors[0].fail_at = 30
    bench.fly(3.0)
    report = bench.camera.report(1)
    assert (report.state, report.reason) == ("failed", "driver_error")
    assert 0 < report.lines < LINES
    source = StripSource(bench.folder, ONE, None)
    assert source.lines == report.lines
    source.close()
    bench.restart()
    bench.fly(1.0, CaptureOrder(capture=ONE, start_s=0.0))
    assert (bench.camera.report(1).state, bench.camera.report(1).reason) == ("failed", "driver_error")


def test_a_sensor_that_cannot_be_opened_is_a_failed_capture_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    def broken(start_s: float) -> tuple[Pushbroom, CaptureMeta]:
        raise DeviceUnavailable("sensor", "unplugged")

    bench = Bench(tmp_path, broken)
    bench.fly(1.0, CaptureOrder(capture=ONE, start_s=0.0))
    assert (bench.camera.report(1).state, bench.camera.report(1).reason) == ("failed", "device_unavailable")
    bench.close()


@pytest.mark.parametrize(
    "block",
    [
        LineBlock(0, 0, 0, 0, False),
        LineBlock(-1, 1, 0, 0, False),
        LineBlock(59, 2, 0, 0, True),
        LineBlock(0, 9999, 0, 0, False),
    ],
)
def test_a_driver_that_counts_wrongly_is_caught(bench: Bench, block: LineBlock) -> None:
    bench.camera.obey(CaptureOrder(capture=ONE, start_s=0.0))
    bench.sensors[0].read_into = lambda buffer, deadline_s: block  # type: ignore[method-assign]
    bench.fly(0.3)
    report = bench.camera.report(1)
    assert report.lines == 0
    assert report.state == ("capturing" if block.count == 0 else "failed")


def test_a_capture_larger_than_the_store_is_refused_before_its_first_line(tmp_path: Path) -> None:
    clock = SimulatedClock()
    big = msgspec.structs.replace(META, lines=1_000_000)
    bench = Bench(tmp_path, lambda start_s: (Pushbroom(clock), big))
    bench.fly(1.0, CaptureOrder(capture=ONE, start_s=0.0))
    assert (bench.camera.report(1).state, bench.camera.report(1).reason) == ("failed", "store_full")
    bench.close()


def test_a_release_ends_what_is_going_on_and_a_repeated_order_does_not_begin_it_again(bench: Bench) -> None:
    bench.fly(2.0, CaptureOrder(capture=ONE, start_s=0.0))
    bench.camera.obey(ReleaseOrder(capture=ONE))
    assert (bench.camera.report(1).state, bench.camera.report(1).reason) == ("failed", "capture_released")
    bench.camera.obey(ReleaseOrder(capture=ONE))
    assert bench.camera.report(1).state == "idle"
    bench.fly(1.0, CaptureOrder(capture=ONE, start_s=0.0))
    assert bench.camera.report(1).state == "failed"
    assert len(bench.sensors) == 1


def test_the_ring_shows_the_newest_lines_while_the_capture_goes_on(bench: Bench) -> None:
    bench.fly(3.0, CaptureOrder(capture=ONE, start_s=0.0))
    reader = StripReader(bench.descriptor)
    state = reader.state()
    assert state is not None and state.written == bench.camera.report(1).lines > 20 and not state.ended
    assert np.array_equal(reader.read(ONE, 10, 10)[0], SCENE[10:20])
    bench.fly(6.0)
    state = reader.state()
    assert state is not None and state.ended
    reader.close()

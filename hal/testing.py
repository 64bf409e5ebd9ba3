"""What every sensor driver must do, as a class of tests. A vendor's driver passes it by inheriting from it:

class TestMyCamera(SensorConformance):
    def open_sensor(self, clock): return driver({"device": "/dev/video0"}, clock)

The classes of the other device kinds are in hal/testing_<kind>.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hal.clock import Clock, SimulatedClock
from hal.errors import BufferRefused, DeadlineExceeded, DeviceClosed
from hal.sensor.protocol import LineBlock, Sensor

DTYPES = ("uint8", "uint16", "int16", "float32")
START_MISSION_S = 1_790_000_000.0


class SensorConformance:
    """Inherit, and override open_sensor (and make_clock where the device needs real time)."""

    patience_s = 2.0  # host time that the device may need for one line

    def open_sensor(self, clock: Clock) -> Sensor:
        """A fresh device that has not been started."""
        raise NotImplementedError("a conformance test names its driver by overriding open_sensor")

    def make_clock(self) -> Clock:
        return SimulatedClock(START_MISSION_S)

    def pass_lines(self, clock: Clock, sensor: Sensor, lines: float) -> None:
        """Let `lines` lines be exposed."""
        clock.sleep_until(clock.mission_s() + lines / sensor.format.line_rate_hz)

    def buffer(self, sensor: Sensor, lines: int) -> NDArray[Any]:
        form = sensor.format
        return np.zeros((lines, form.columns, form.bands), form.dtype)

    def read(self, clock: Clock, sensor: Sensor, lines: int) -> LineBlock:
        return sensor.read_into(self.buffer(sensor, lines), clock.host_s() + self.patience_s)

    def test_the_format_is_one_that_the_pipeline_takes(self) -> None:
        sensor = self.open_sensor(self.make_clock())
        form = sensor.format
        assert form.columns >= 1 and form.bands >= 1 and form.line_rate_hz > 0
        assert form.dtype in DTYPES
        assert form.lines is None or form.lines >= 1
        sensor.close()

    def test_before_start_no_line_is_due_and_the_call_comes_back_by_its_deadline(self) -> None:
        clock = self.make_clock()
        sensor = self.open_sensor(clock)
        began_s = clock.host_s()
        with pytest.raises(DeadlineExceeded):
            sensor.read_into(self.buffer(sensor, 1), began_s + 0.05)
        assert clock.host_s() < began_s + 0.05 + self.patience_s
        sensor.close()

    def test_a_start_in_the_future_gives_no_line_early(self) -> None:
        clock = self.make_clock()
        sensor = self.open_sensor(clock)
        sensor.start(clock.mission_s() + 3600)
        with pytest.raises(DeadlineExceeded):
            sensor.read_into(self.buffer(sensor, 1), clock.host_s())
        sensor.close()

    def test_the_first_line_is_line_0_at_the_start_time(self) -> None:
        clock = self.make_clock()
        sensor = self.open_sensor(clock)
        start_s = clock.mission_s()
        sensor.start(start_s)
        block = self.read(clock, sensor, 1)
        assert (block.first - block.lost, block.count) == (0, 1)
        assert block.time_s == pytest.approx(start_s + block.first / sensor.format.line_rate_hz, abs=1e-5)
        sensor.close()

    def test_blocks_follow_each_other_and_lost_lines_are_counted(self) -> None:
        clock = self.make_clock()
        sensor = self.open_sensor(clock)
        sensor.start(clock.mission_s())
        following = 0
        for exposed, room in ((1, 1), (3, 2), (0, 4), (5, 8)):
            self.pass_lines(clock, sensor, exposed)
            try:
                block = self.read(clock, sensor, room)
            except DeadlineExceeded:
                continue
            assert 1 <= block.count <= room
            assert block.first == following + block.lost, "a line was given twice or vanished uncounted"
            following = block.first + block.count
            if block.last:
                break
        assert following > 0
        sensor.close()

    def test_a_finite_capture_accounts_for_each_of_its_lines(self) -> None:
        clock = self.make_clock()
        sensor = self.open_sensor(clock)
        lines = sensor.format.lines
        if lines is None:
            pytest.skip("an endless pushbroom")
        sensor.start(clock.mission_s())
        delivered = lost = 0
        last = False
        while not last:
            self.pass_lines(clock, sensor, max(1, lines / 7))
            block = self.read(clock, sensor, max(1, lines // 5))
            delivered, lost, last = delivered + block.count, lost + block.lost, block.last
        assert delivered + lost == lines
        with pytest.raises(DeadlineExceeded):
            sensor.read_into(self.buffer(sensor, 1), clock.host_s())
        sensor.close()

    def test_nothing_is_written_beyond_the_lines_reported(self) -> None:
        clock = self.make_clock()
        sensor = self.open_sensor(clock)
        buffer = self.buffer(sensor, 64)
        buffer.view(np.uint8)[...] = 0xA5
        sensor.start(clock.mission_s())
        block = sensor.read_into(buffer, clock.host_s() + self.patience_s)
        assert (buffer[block.count :].view(np.uint8) == 0xA5).all()
        sensor.close()

    def test_a_buffer_of_another_shape_or_type_is_refused(self) -> None:
        clock = self.make_clock()
        sensor = self.open_sensor(clock)
        sensor.start(clock.mission_s())
        form = sensor.format
        for wrong in (
            np.zeros((4, form.columns + 1, form.bands), form.dtype),
            np.zeros((4, form.columns, form.bands), np.float64),
            np.zeros((4, form.columns * form.bands), form.dtype),
        ):
            with pytest.raises(BufferRefused):
                sensor.read_into(wrong, clock.host_s() + self.patience_s)
        sensor.close()

    def test_closing_twice_is_harmless_and_a_closed_device_says_so(self) -> None:
        clock = self.make_clock()
        sensor = self.open_sensor(clock)
        buffer = self.buffer(sensor, 1)
        sensor.close()
        sensor.close()
        with pytest.raises(DeviceClosed):
            sensor.read_into(buffer, clock.host_s())

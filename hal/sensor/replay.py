"""A scene file played back as a pushbroom sensor would deliver it: a line comes once, at its time.

Lines fall due at the line rate and wait in a FIFO of `fifo_lines`. When it is full the oldest line is lost and counted,
as on a real camera interface. After the last line the rest of the FIFO stays until it is taken, so that every line of a
capture ends up in exactly one of two counts: delivered + lost == lines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hal.clock import Clock, SimulatedClock
from hal.errors import BufferRefused, DeadlineExceeded, DeviceClosed
from hal.options import DriverOptions, Options
from hal.sensor.protocol import LineBlock, SensorFormat
from hal.sensor.scene import Scene, SceneInfo, open_scene

GROUND_SPEED_M_S = 6900.0  # of the sub-satellite point in a low orbit
DEFAULT_LINE_RATE_HZ = 250.0
DEFAULT_FIFO_LINES = 2048
LONGEST_NAP_S = 0.02  # host time
OPTIONS = ("path", "sensor", "line_rate_hz", "fifo_lines", "geometry")
GEOMETRIES = ("file", "camera")


class ReplaySensor:
    """A hal.sensor.protocol.Sensor over one scene. Owns the scene and closes it."""

    def __init__(
        self,
        scene: Scene,
        clock: Clock,
        line_rate_hz: float,
        fifo_lines: int = DEFAULT_FIFO_LINES,
        *,
        placed: bool = True,
    ) -> None:
        """line_rate_hz: lines per second of mission time; fifo_lines: lines that wait before the oldest is lost;
        placed: False keeps the file's transform back, as a camera's lines have none."""
        if not (math.isfinite(line_rate_hz) and line_rate_hz > 0) or fifo_lines < 1:
            raise ValueError(f"a line rate and a FIFO above zero, got {line_rate_hz} Hz and {fifo_lines} lines")
        self._scene: Scene | None = scene
        self._clock = clock
        self._fifo = fifo_lines
        self._start_s: float | None = None
        self._next = 0  # first line not yet taken
        self._delivered = self._lost = 0
        self._info = scene.info if placed else replace(scene.info, transform=None, epsg=None)
        self._name = f"sensor file {scene.info.path}"
        self._format = SensorFormat(
            columns=scene.info.width,
            bands=len(scene.info.bands),
            dtype=scene.info.dtype,
            line_rate_hz=line_rate_hz,
            lines=scene.info.height,
        )

    @property
    def format(self) -> SensorFormat:
        return self._format

    @property
    def info(self) -> SceneInfo:
        """What the scene file says about bands, radiometry and place."""
        return self._info

    @property
    def delivered(self) -> int:
        """Lines of this capture that were read."""
        return self._delivered

    @property
    def lost(self) -> int:
        """Lines of this capture that were lost so far, as far as reads have noticed."""
        return self._lost

    def start(self, at_mission_s: float) -> None:
        """Begin a capture; a running one ends, its lines not yet taken are dropped."""
        if self._scene is None:
            raise DeviceClosed(self._name)
        if not math.isfinite(at_mission_s):
            raise ValueError(f"a capture starts at a time, got {at_mission_s}")
        self._start_s = at_mission_s
        self._next = self._delivered = self._lost = 0

    def read_into(self, buffer: NDArray[Any], deadline_s: float) -> LineBlock:
        """Fill buffer[:count] with the lines that are due. Raises hal.errors types and SceneError.

        Before start() and after the last line nothing is ever due: DeadlineExceeded at once. So it is on a simulated
        clock, which nobody else advances while this call waits.
        """
        if self._scene is None:
            raise DeviceClosed(self._name)
        self._check(buffer)
        due = self._lines_due()
        while due == self._next:
            if not self._wait_for_line(deadline_s):
                raise DeadlineExceeded(self._name, deadline_s)
            due = self._lines_due()
        first = max(self._next, due - self._fifo)
        count = min(due - first, len(buffer))
        buffer[:count] = self._scene.read_rows(first, count)
        block = LineBlock(
            first=first,
            count=count,
            lost=first - self._next,
            time_s=self._line_time_s(first),
            last=first + count == self._info.height,
        )
        self._next = first + count
        self._delivered += count
        self._lost += block.lost
        return block

    def close(self) -> None:
        if self._scene is not None:
            self._scene.close()
            self._scene = None

    def _check(self, buffer: NDArray[Any]) -> None:
        shape, dtype = (self._format.columns, self._format.bands), np.dtype(self._format.dtype)
        if buffer.ndim != 3 or buffer.shape[1:] != shape or not buffer.shape[0]:
            raise BufferRefused(self._name, f"delivers lines of {shape}, the buffer is {buffer.shape}")
        if buffer.dtype != dtype:
            raise BufferRefused(self._name, f"delivers {dtype.name}, the buffer is {buffer.dtype.name}")
        if not buffer.flags.writeable:
            raise BufferRefused(self._name, "the buffer is read-only")

    def _line_time_s(self, line: int) -> float:
        assert self._start_s is not None
        return self._start_s + line / self._format.line_rate_hz

    def _lines_due(self) -> int:
        """Lines whose time has come, 0 ... lines; never fewer than were taken."""
        if self._start_s is None:
            return 0
        now_s, lines = self._clock.mission_s(), self._info.height
        elapsed = (now_s - self._start_s) * self._format.line_rate_hz
        due = int(min(max(elapsed, -1.0), float(lines))) + 1
        # Rounding may be off by one line either way; the time that a block is dated with decides.
        while due > 0 and self._line_time_s(due - 1) > now_s:
            due -= 1
        while due < lines and self._line_time_s(due) <= now_s:
            due += 1
        return max(self._next, min(due, lines))  # a clock set back takes no line away

    def _wait_for_line(self, deadline_s: float) -> bool:
        """Wait until the next line is due; False when that is not before the deadline (host time)."""
        if self._start_s is None or self._next >= self._info.height or isinstance(self._clock, SimulatedClock):
            return False
        left_s = deadline_s - self._clock.host_s()
        if left_s <= 0:
            return False
        speed = float(getattr(self._clock, "speed", 1.0))  # mission seconds per host second; may change meanwhile
        nap_s = min(left_s, LONGEST_NAP_S) * speed
        self._clock.sleep_until(min(self._line_time_s(self._next), self._clock.mission_s() + nap_s))
        return True


def driver(options: Mapping[str, Any], clock: Clock) -> ReplaySensor:
    """Options: path (required), sensor, line_rate_hz, fifo_lines, geometry: "file" (default) gives lines the place that
    the file says, "camera" none, so that orbit, attitude and camera place them. Raises DriverOptions, SceneError."""
    read = Options("sensor file", options, OPTIONS)
    path = Path(read.text("path"))
    fifo_lines = read.integer("fifo_lines", DEFAULT_FIFO_LINES, minimum=1, maximum=1 << 24)
    rate_given = read.number("line_rate_hz", minimum=1e-3, maximum=1e6) if read.has("line_rate_hz") else None
    geometry = read.text("geometry", "file")
    if geometry not in GEOMETRIES:
        raise DriverOptions("geometry", f"`{geometry}` is neither {' nor '.join(GEOMETRIES)}")
    scene = open_scene(path, sensor=read.text("sensor") if read.has("sensor") else None)
    rate_hz = rate_given or usual_line_rate_hz(scene.info)
    return ReplaySensor(scene, clock, rate_hz, fifo_lines, placed=geometry == "file")


def usual_line_rate_hz(info: SceneInfo) -> float:
    """One line per ground sample at orbital ground speed; 250 Hz where the pixel's size is unknown."""
    return GROUND_SPEED_M_S / info.gsd_m if info.gsd_m is not None else DEFAULT_LINE_RATE_HZ


def selftest_options(folder: Path) -> dict[str, Any]:
    """Options that open this driver on a small scene written into `folder`, for `swath hal selftest`."""
    path = folder / "selftest.npz"
    np.savez(path, img=np.arange(16 * 8 * 3, dtype=np.uint16).reshape(16, 8, 3), sensor="RGB")
    return {"path": str(path), "line_rate_hz": 1000.0}

"""The commanded capture: orders in, lines from the sensor into the store and the ring, a report out.

An order names its capture by id and may be repeated at will: the same id goes on with what was begun, also in a new
process, or answers how it ended. It never looks a second time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Literal

from bindings.errors import SwathError
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.control import CameraOrder, CameraReport, CaptureOrder, ReleaseOrder
from flight.pipeline.process_errors import CaptureAbsent
from flight.pipeline.strip_buffer import StripWriter
from flight.pipeline.strip_store import CaptureWriter, StripStore
from hal.clock import Clock
from hal.errors import DeadlineExceeded
from hal.sensor.protocol import LineBlock, Sensor

MAX_BLOCK_LINES = 256
BLOCK_BYTES = 4 << 20  # lines taken from the sensor at once

State = Literal["idle", "armed", "capturing", "done", "failed"]
# (start of the capture, mission time) -> the sensor, started, and what its lines mean
OpenSensor = Callable[[float], tuple[Sensor, CaptureMeta]]


class Camera:
    """One sensor and at most one capture at a time."""

    def __init__(self, open_sensor: OpenSensor, store: StripStore, ring: StripWriter, clock: Clock) -> None:
        self._open_sensor, self._store, self._ring, self._clock = open_sensor, store, ring, clock
        self._state: State = "idle"
        self._capture: bytes | None = None
        self._reason = ""
        self._start_s = 0.0
        self._meta: CaptureMeta | None = None
        self._lines = self._lost = 0
        self._writer: CaptureWriter | None = None
        self._sensor: Sensor | None = None
        self._shown = False  # whether the ring holds this capture

    @property
    def busy(self) -> bool:
        """Whether step() has lines to wait for."""
        return self._state in ("armed", "capturing")

    def obey(self, order: CameraOrder) -> None:
        """Take one order. While a capture is armed or going on, orders for another have no effect; they come again."""
        match order:
            case CaptureOrder():
                if order.capture != self._capture and not self.busy:
                    self._begin(order)
            case ReleaseOrder():
                if order.capture == self._capture:
                    if self.busy:
                        self._finish("capture_released")
                    else:
                        self._state, self._capture = "idle", None
                self._store.release(order.capture)

    def step(self, deadline_s: float) -> None:
        """Take the lines that are due before `deadline_s` (host time). Returns at once when no capture is going on."""
        if not self.busy or self._sensor is None:
            return
        if self._clock.mission_s() >= self._start_s:
            self._state = "capturing"
        try:
            block = self._sensor.read_into(self._buffer, deadline_s)
            self._take(block)
        except DeadlineExceeded:
            return
        except Exception as error:
            # Whatever a driver or a disk does must end this capture, with a reason, and nothing else.
            self._finish(_reason(error))

    def report(self, incarnation: int) -> CameraReport:
        """The state, as it goes to the flight process."""
        idle = self._state == "idle"
        return CameraReport(
            incarnation=incarnation,
            state=self._state,
            capture=self._capture,
            lines=0 if idle else self._lines,
            lost=0 if idle else self._lost,
            reason="" if idle else self._reason,
            meta=None if idle else self._meta,
        )

    def close(self) -> None:
        """Stop where it is: the capture can be gone on with by another process."""
        if self._sensor is not None:
            self._sensor.close()
            self._sensor = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _begin(self, order: CaptureOrder) -> None:
        self.close()
        self._capture, self._start_s, self._reason = order.capture, order.start_s, ""
        self._meta, self._lines, self._lost, self._shown = None, 0, 0, False
        try:
            if self._store.known(order.capture):
                self._go_on(order.capture)
            else:
                self._sensor, self._meta = self._open_sensor(self._start_s)
                self._writer = self._store.begin(order.capture, self._meta)
            if self._writer is not None and self._writer.ended is None:
                self._start(self._writer)
        except Exception as error:
            self._finish(_reason(error))

    def _go_on(self, capture: bytes) -> None:
        """What an earlier process began: either it has ended, or its sensor is opened again."""
        try:
            writer = self._writer = self._store.resume(capture)
        except CaptureAbsent:
            self._state, self._reason = "failed", "capture_released"
            return
        self._meta, self._lines, self._lost = writer.meta, writer.lines, writer.lost
        if writer.ended is not None:
            self._state, self._reason = ("failed" if writer.ended.reason else "done"), writer.ended.reason
            return
        self._sensor, found = self._open_sensor(self._start_s)
        if found != writer.meta:
            self._finish("sensor_changed")

    def _start(self, writer: CaptureWriter) -> None:
        if self._sensor is None:
            return
        form = writer.meta.format
        state = self._ring.begin(writer.capture, form, base=writer.lines, lost=writer.lost)
        self._shown = True
        rows = max(1, min(MAX_BLOCK_LINES, BLOCK_BYTES // form.line_bytes, state.capacity // 2))
        self._buffer = form.empty(rows)
        self._state = "armed"

    def _take(self, block: LineBlock) -> None:
        writer = self._writer
        assert writer is not None
        total = writer.meta.lines
        end = block.first + block.count
        if not 0 <= block.count <= len(self._buffer) or block.first < 0 or (total is not None and end > total):
            self._finish("sensor_misbehaved")
            return
        self._note_lost(writer, block.first - writer.lines)
        # A sensor with a queue may give a restarted process lines that the one before it had stored.
        fresh = self._buffer[max(0, writer.lines - block.first) : block.count]
        if len(fresh):
            # Stored before it is shown: no reader may see a line that a restart could not give it again.
            writer.append(fresh)
            self._ring.append(fresh)
        if block.last and total is not None:
            self._note_lost(writer, total - writer.lines)
        self._lines, self._lost = writer.lines, writer.lost
        if block.last or writer.lines == total:
            self._finish("")

    def _note_lost(self, writer: CaptureWriter, count: int) -> None:
        if count > 0:
            writer.append_lost(count)
            self._ring.append_lost(count)

    def _finish(self, reason: str) -> None:
        """The capture ends here; with a reason it is partial, and its coverage says how much."""
        writer, self._state, self._reason = self._writer, ("failed" if reason else "done"), reason
        try:
            if writer is not None and writer.ended is None:
                self._lines, self._lost = writer.lines, writer.lost
                writer.end(reason)
            if self._shown:
                self._ring.end()
            self.close()
        except Exception as error:
            self._state, self._reason = "failed", _reason(error)
            self._sensor = self._writer = None


def _reason(error: Exception) -> str:
    """The reason code of an error; its text goes to the log, not over the link."""
    print(f"camera: {type(error).__name__}: {error}", file=sys.stderr)
    return error.code[:48] if isinstance(error, SwathError) else "driver_error"

"""What stands for hardware and pixels in virtual time. Everything else in a simulated satellite is the flight code.

The camera and the inference are models of time and size: they speak the control messages of the real processes, and
hold no pixel. The class map is synthetic: discs whose places follow from the job's id alone, so that it is the same at
every attempt, after every restart and on every machine.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flight.agent.orbit import At
from flight.pipeline.answer_slots import AnswerGeometry
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.control import (
    CameraReport,
    CaptureOrder,
    ForgetOrder,
    IdleOrder,
    InferOrder,
    Message,
    PayloadReport,
    ReleaseOrder,
    StripOffer,
)
from ground_test.sim.scenario import CameraTable, PayloadTable
from hal.clock import Clock
from hal.errors import DeadlineExceeded
from hal.radio.protocol import RadioStatus

SIMULATED = (
    "radio: frames go into a lossy link",
    "camera: a model of time and size, no pixels",
    "inference: a model of time; the class map is synthetic, from the job's id",
    "executive: the activities of the nominal table run in passes, not in slots",
    "journal: memory, durable at once",
    "power, platform: the simulated drivers of the HAL",
)
FRAME_BYTES = 1024
MODEL_TILE = 256
OFFERED = 4  # strips in answer slots at once
_METRES_PER_DEGREE = 111_320.0
_BANDS = (("blue", 490.0), ("green", 560.0), ("red", 665.0), ("nir", 842.0), ("swir16", 1610.0))


class RadioModel:
    """The Radio protocol between a satellite and its link. Nothing is taken before `transmit` is the link's send()."""

    def __init__(self) -> None:
        self.inbox: deque[bytes] = deque(maxlen=256)
        self.transmit: Callable[[bytes], bool] = lambda frame: False
        self._sent = self._received = self._refused = self._bytes_sent = self._bytes_received = 0

    @property
    def max_frame_bytes(self) -> int:
        return FRAME_BYTES

    def send(self, frame: bytes) -> bool:
        if len(frame) > FRAME_BYTES or not self.transmit(frame):
            self._refused += 1
            return False
        self._sent += 1
        self._bytes_sent += len(frame)
        return True

    def receive_into(self, buffer: bytearray, deadline_s: float) -> int:
        if not self.inbox:
            raise DeadlineExceeded("radio model", deadline_s)
        frame = self.inbox.popleft()
        buffer[: len(frame)] = frame
        self._received += 1
        self._bytes_received += len(frame)
        return len(frame)

    def status(self) -> RadioStatus:
        return RadioStatus(self._sent, self._received, self._refused, self._bytes_sent, self._bytes_received)

    def close(self) -> None:
        self.inbox.clear()


class CameraModel:
    """The camera process's end of its control socket. It outlives the flight process, as the real one does."""

    def __init__(self, table: CameraTable, clock: Clock, at: At, chance: random.Random) -> None:
        self._table, self._clock, self._at, self._chance = table, clock, at, chance
        self._order: CaptureOrder | None = None
        self._fails = False
        self._missed = 0  # lines before the order came
        self.lines_of: dict[bytes, int] = {}  # what is in the strip store, by capture

    @property
    def waits_until_s(self) -> float | None:
        """The start of a capture that is armed."""
        armed = self._order is not None and self._clock.mission_s() < self._order.start_s
        return self._order.start_s if armed and self._order is not None else None

    @property
    def busy(self) -> bool:
        """A capture is ordered, and its end not yet told."""
        return self._order is not None and self._order.capture not in self.lines_of

    def poll(self, now_s: float) -> list[CameraReport]:
        """What the camera says. now_s: host time."""
        order = self._order
        if order is None:
            return [CameraReport(incarnation=1, state="idle")]
        elapsed_s = self._clock.mission_s() - order.start_s
        if elapsed_s < 0:
            return [CameraReport(incarnation=1, state="armed", capture=order.capture)]
        lines = min(self._table.lines, int(elapsed_s * self._table.line_rate_hz))
        if lines < self._table.lines:
            return [CameraReport(incarnation=1, state="capturing", capture=order.capture, lines=lines)]
        if self._fails:
            self.lines_of[order.capture] = 0
            return [CameraReport(incarnation=1, state="failed", capture=order.capture, reason="model")]
        self.lines_of[order.capture] = lines
        meta = self._meta(order.start_s)
        lost = min(self._missed, lines - 1)
        return [
            CameraReport(incarnation=1, state="done", capture=order.capture, lines=lines, lost=lost, meta=meta),
        ]

    def send(self, order: Message) -> bool:
        """Take an order."""
        match order:
            case CaptureOrder() if self._order is None or self._order.capture != order.capture:
                self._order = order
                late_s = max(0.0, self._clock.mission_s() - order.start_s)
                self._missed = int(late_s * self._table.line_rate_hz)
                self._fails = self._chance.random() < self._table.failure
            case ReleaseOrder():
                self.lines_of.pop(order.capture, None)
                if self._order is not None and self._order.capture == order.capture:
                    self._order = None
        return True

    def silent_s(self, now_s: float) -> float:
        return 0.0

    def close(self) -> None:
        """The flight process has gone; the camera stays."""

    def _meta(self, start_s: float) -> CaptureMeta:
        """A north-up strip round the point below the satellite at the capture's middle."""
        table = self._table
        fix = self._at(start_s + table.lines / table.line_rate_hz / 2)
        north = table.gsd_m / _METRES_PER_DEGREE
        east = north / max(0.01, math.cos(math.radians(fix.latitude_deg)))
        west, top = fix.longitude_deg - east * table.columns / 2, fix.latitude_deg + north * table.lines / 2
        return CaptureMeta(
            columns=table.columns,
            bands=len(_BANDS),
            dtype="uint16",
            line_rate_hz=table.line_rate_hz,
            lines=table.lines,
            band_names=tuple(name for name, _ in _BANDS),
            band_common=tuple(name for name, _ in _BANDS),
            band_centre_nm=tuple(centre for _, centre in _BANDS),
            sensor="model",
            radiometry="toa",
            scale=(1e-4,) * len(_BANDS),
            offset=(0.0,) * len(_BANDS),
            transform=(east, 0.0, west, 0.0, -north, top),
            epsg=4326,
            gsd_m=table.gsd_m,
        )


class PayloadModel:
    """The payload process's end of its control socket: tiles are done as time goes by."""

    def __init__(self, table: PayloadTable, camera: CameraTable, clock: Clock, lines_of: dict[bytes, int]) -> None:
        self._table, self._camera, self._clock, self._lines_of = table, camera, clock, lines_of
        self._order: InferOrder | None = None
        self._began_s = 0.0

    @property
    def busy(self) -> bool:
        return self._order is not None

    def poll(self, now_s: float) -> list[PayloadReport]:
        """How far it is. now_s: host time."""
        order = self._order
        if order is None:
            return [PayloadReport(incarnation=1, state="idle")]
        lines = self._lines_of.get(order.capture, 0)
        if lines == 0:
            return [PayloadReport(incarnation=1, state="failed", job=order.job, reason="capture_unknown")]
        across, down = -(-self._camera.columns // MODEL_TILE), -(-lines // MODEL_TILE)
        total = across * down
        elapsed_s = self._clock.mission_s() - self._began_s
        done = min(total, int(elapsed_s / self._table.tile_s))
        final = lines if done == total else done // across * MODEL_TILE
        strips = []
        for index in range(order.acked_strips, order.acked_strips + OFFERED):
            first = index * order.strip_rows
            rows = min(order.strip_rows, lines - first)
            if rows < 1 or first + rows > final:
                break
            strips.append(StripOffer(index, index % OFFERED, index, first, rows, 0))
        return [
            PayloadReport(
                incarnation=1,
                state="done" if done == total else "running",
                job=order.job,
                tiles_total=total,
                tiles_done=done,
                tiles_inferred=done,
                rows_final=final,
                confidence=(128 + order.job[0] // 2) / 255,
                inference_s=done * self._table.tile_s,
                strips=tuple(strips),
            )
        ]

    def send(self, order: Message) -> bool:
        """Take an order."""
        match order:
            case InferOrder():
                if self._order is None or not self._order.same_job(order):
                    self._began_s = self._clock.mission_s()
                self._order = order
            case IdleOrder():
                self._order = None
            case ForgetOrder() if self._order is not None and self._order.job == order.job:
                self._order = None
        return True

    def silent_s(self, now_s: float) -> float:
        return 0.0

    def close(self) -> None:
        """The flight process has gone; the payload stays."""


class SyntheticAnswer:
    """Gives the class rows that are offered (flight.pipeline.answers.Reader)."""

    def __init__(self, findings: int) -> None:
        self._findings = findings

    def take(self, offer: StripOffer, geometry: AnswerGeometry) -> NDArray[np.uint8]:
        """Rows of the synthetic class map, (rows, width)."""
        height = geometry.scene_rows or 1
        rows = np.arange(offer.first_row, offer.first_row + offer.rows, dtype=np.int64)[:, None]
        columns = np.arange(geometry.width, dtype=np.int64)[None, :]
        out = np.zeros((offer.rows, geometry.width), np.uint8)
        for number in range(self._findings):
            digest = hashlib.sha256(geometry.job + number.to_bytes(2, "big")).digest()
            row, column = int.from_bytes(digest[:4], "big") % height, int.from_bytes(digest[4:8], "big")
            radius = 2 + digest[8] % 24
            inside = (rows - row) ** 2 + (columns - column % geometry.width) ** 2 <= radius * radius
            out[inside] = geometry.classes - 1
        return out

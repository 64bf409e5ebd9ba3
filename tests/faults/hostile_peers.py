"""Camera and payload processes as a test plays them, at the real control endpoints and the real answer memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flight.pipeline.answer_slots import AnswerWriter
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.control import (
    CameraOrder,
    CameraReport,
    CaptureOrder,
    ForgetOrder,
    IdleOrder,
    InferOrder,
    PayloadOrder,
    PayloadReport,
    ReleaseOrder,
    StripOffer,
)
from flight.pipeline.control_sockets import ControlPeer
from hal.clock import SimulatedClock

WIDTH, LINES, BANDS = 300, 200, 3
STRIP_ROWS = 64
META = CaptureMeta(
    columns=WIDTH,
    bands=BANDS,
    dtype="uint8",
    line_rate_hz=400.0,
    lines=LINES,
    band_names=("green", "nir", "swir"),
    band_common=("green", "nir", "swir16"),
    band_centre_nm=(560.0, 830.0, 1650.0),
    sensor="landsat7",
    radiometry="dn8",
    scale=(1 / 255,) * 3,
    offset=(0.0,) * 3,
    transform=(28.5, 0.0, 354_000.0, 0.0, -28.5, 4_530_000.0),
    epsg=32612,
    gsd_m=28.5,
)


def raw_strip(seed: int = 7) -> NDArray[np.uint8]:
    """The lines that the satellite looks at, (rows, columns, bands): no 8 octets of them come up by chance."""
    return np.random.default_rng(seed).integers(0, 256, (LINES, WIDTH, BANDS), dtype=np.uint8)


def class_rows(seed: int = 3) -> NDArray[np.uint8]:
    """An honest answer: (rows, columns) of 0 and 1 with some without an answer, smooth as a class map is."""
    draw = np.random.default_rng(seed)
    rows = np.zeros((LINES, WIDTH), np.uint8)
    for _ in range(12):
        row, column, size = draw.integers(0, LINES), draw.integers(0, WIDTH), draw.integers(5, 40)
        rows[row : row + size, column : column + 2 * size] = 1
    rows[:3] = 255
    return rows


class Camera:
    """An honest camera that sees `LINES` lines at once."""

    def __init__(self, endpoint: str, incarnation: int) -> None:
        self.peer = ControlPeer[CameraOrder](endpoint, (CaptureOrder, ReleaseOrder), incarnation)
        self.order: CaptureOrder | None = None

    def step(self, clock: SimulatedClock) -> None:
        for heard in self.peer.orders(0.0):
            self.order = heard if isinstance(heard, CaptureOrder) else None
        order = self.order
        seen = order is not None and clock.mission_s() >= order.start_s
        report = CameraReport(
            incarnation=self.peer.incarnation,
            state="idle" if order is None else "done" if seen else "armed",
            capture=order.capture if order else None,
            lines=LINES if seen else 0,
            meta=META if seen else None,
        )
        self.peer.report(report, clock.host_s())


class Payload:
    """A payload peer: `act` is called in every step with this and says what it likes."""

    def __init__(self, endpoint: str, answer_fd: int, incarnation: int, act: Callable[[Payload], None]) -> None:
        self.endpoint, self.answer_fd = endpoint, answer_fd
        self.peer = ControlPeer[PayloadOrder](endpoint, (InferOrder, IdleOrder, ForgetOrder), incarnation)
        self.slots = AnswerWriter(answer_fd)
        self.act = act
        self.order: InferOrder | None = None
        self.now_s = 0.0
        self.offered: dict[int, StripOffer] = {}
        self.steps = 0

    def step(self, clock: SimulatedClock) -> None:
        self.now_s = clock.host_s()
        for order in self.peer.orders(0.0):
            if isinstance(order, InferOrder):
                if self.order is None or not order.same_job(self.order):
                    self.offered.clear()
                self.order = order
            elif isinstance(order, IdleOrder) or (self.order is not None and order.job == self.order.job):
                self.order = None
        self.steps += 1
        self.act(self)

    def say(self, **fields: object) -> None:
        """A report of the job in work, with any field changed."""
        order = self.order
        report = PayloadReport(
            incarnation=self.peer.incarnation,
            state="idle" if order is None else "running",
            job=order.job if order else None,
        )
        self.peer.report(replace_struct(report, **fields), self.now_s)

    def close(self) -> None:
        self.peer.close()
        self.slots.close()


def replace_struct(report: PayloadReport, **fields: object) -> PayloadReport:
    values = {name: getattr(report, name) for name in report.__struct_fields__}
    return PayloadReport(**{**values, **fields})


def offers(payload: Payload, rows: NDArray[np.uint8]) -> tuple[StripOffer, ...]:
    """Put the strips that are not acknowledged into the slots, once each."""
    order = payload.order
    assert order is not None
    count = -(-len(rows) // STRIP_ROWS)
    for index in range(order.acked_strips, min(order.acked_strips + payload.slots.slots, count)):
        if index not in payload.offered:
            first = index * STRIP_ROWS
            payload.offered[index] = payload.slots.put(
                index % payload.slots.slots, order.job, index, first, rows[first : first + STRIP_ROWS]
            )
    return tuple(offer for index, offer in payload.offered.items() if index >= order.acked_strips)


def honest(rows: NDArray[np.uint8]) -> Callable[[Payload], None]:
    """A payload process that does its work."""

    def act(payload: Payload) -> None:
        if payload.order is None:
            return payload.say()
        strips = offers(payload, rows)
        done = payload.order.acked_strips * STRIP_ROWS >= len(rows)
        return payload.say(
            state="done" if done else "running",
            strips=strips,
            tiles_total=2,
            tiles_done=2,
            tiles_inferred=2,
            rows_final=len(rows),
            confidence=0.75,
            inference_s=0.5,
        )

    return act

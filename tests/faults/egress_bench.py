"""A gate with a radio that records, and honest products to begin an attack from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from flight.agent.audit import AuditLog, AuditRecord
from flight.agent.egress import EgressGate
from flight.agent.job import ProductKind
from flight.agent.keys import SigningKey
from flight.agent.terms import ReleaseTerms
from flight.link.packet import SpacePacket
from flight.link.tm_frame import TmDeframer, TmFramer
from flight.product.assembler import ProductAssembler
from flight.product.container import seal
from flight.product.header import GeoModel, ProductHeader
from flight.product.summary import Coverage
from flight.services.journal import JournalFull
from flight.services.records import RecordKind
from hal.clock import SimulatedClock
from hal.radio.protocol import RadioStatus
from tests.flight.agent.world import KEYS, SATELLITE, T0

ENTITY, GROUND_ENTITY, SPACECRAFT, FRAME_BYTES = 68, 1, 68, 512
JOB_ID, CAPTURE_ID = bytes(range(32)), bytes(range(16))
RECIPIENT_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")  # RFC 7748, 6.1


class RecordingRadio:
    """Takes frames, or not."""

    max_frame_bytes = 1024

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.room = 1 << 20

    def send(self, frame: bytes) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        self.frames.append(frame)
        return True

    def receive_into(self, buffer: bytearray, deadline_s: float) -> int:
        raise NotImplementedError

    def status(self) -> RadioStatus:
        return RadioStatus(len(self.frames), 0, 0, sum(map(len, self.frames)), 0)

    def close(self) -> None:
        return None


TERMS = ReleaseTerms(
    job_id=JOB_ID,
    application="water",
    capture_id=CAPTURE_ID,
    recipient=RECIPIENT_PUBLIC,
    products=frozenset(ProductKind),
    declared=frozenset(ProductKind),
    parameters=(("threshold", 0.35),),
    byte_budget=20_000,
    day_bytes_left=20_000,
    awaits_product=True,
)
HEADER = ProductHeader(
    job_id=JOB_ID,
    capture_id=CAPTURE_ID,
    application="water",
    application_version="1.0.0",
    model_sha256=bytes(32),
    parameters=(("threshold", 0.35),),
    software="swath 0.1.0",
    sensor="S2",
    radiometry="toa",
    calibrated=True,
    start_s=T0,
    line_rate_hz=100.0,
    width=64,
    height=64,
    classes=("land", "water"),
    finding_class=1,
    geo=GeoModel(None, None, 0.0),
    footprint=(),
)


def sealed(key: SigningKey = SATELLITE, *, pixels: Any = None, **changes: Any) -> bytes:
    """An honest product, but for `changes` in its header."""
    header = replace(HEADER, **changes)
    assembler = ProductAssembler(header)
    if pixels is None:
        pixels = np.zeros((header.height, header.width), np.uint8)
        pixels[10:20, 10:20] = 1
    assembler.add(0, pixels)
    body = assembler.finish(Coverage(header.height, 0, 1, 0, 1, 0), 0.75)
    return seal(body, key.private, key.key_id, T0)


@dataclass
class Bench:
    """The gate, and what an attacker can see of it."""

    terms: dict[bytes, ReleaseTerms] = field(default_factory=lambda: {JOB_ID: TERMS})
    journal_full: bool = False

    def __post_init__(self) -> None:
        self.clock = SimulatedClock(T0)
        self.radio = RecordingRadio()
        self.records: list[bytes] = []
        self.audit = AuditLog(self._append)
        self._drawn = 0
        self.gate = self.new_gate()

    def new_gate(self) -> EgressGate:
        return EgressGate(
            self.radio,
            TmFramer(SPACECRAFT, FRAME_BYTES),
            KEYS,
            lambda job_id, now_s: self.terms.get(job_id),
            self.audit,
            self.clock,
            self._random,
            entity=ENTITY,
            ground_entity=GROUND_ENTITY,
        )

    def packets(self) -> list[SpacePacket]:
        """All that reached the transmitter."""
        while self.gate.pump(T0):
            pass
        deframer = TmDeframer(SPACECRAFT, FRAME_BYTES)
        return [SpacePacket.unpack(octets) for frame in self.radio.frames for octets in deframer.push(frame)]

    def log(self) -> list[AuditRecord]:
        return [AuditRecord.decode(payload) for payload in self.records]

    def _append(self, kind: RecordKind, payload: bytes) -> None:
        if self.journal_full:
            raise JournalFull(1, 1, 1)
        assert kind is RecordKind.AUDIT
        self.records.append(payload)

    def _random(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(count, "big")

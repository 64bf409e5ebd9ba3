"""The ground's keys and what it signs and frames."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path

from flight.agent import cose
from flight.agent.area import Box
from flight.agent.command import Command, CommandKind
from flight.agent.grant import Grant
from flight.agent.job import Job, ProductKind
from flight.agent.keys import SigningKey, create_keystore, generate_recipient_key, generate_signing_key
from flight.agent.receipt import Receipt
from flight.link.packet import SequenceCounters
from flight.link.tc_frame import TcFramer
from tests.faults.hostile_tap import SPACECRAFT

T0 = 1_790_879_400
AREA = ((-112.77, 40.74), (-112.52, 40.74), (-112.52, 41.0), (-112.77, 41.0))
BYTE_BUDGET = 30_000


class Ground:
    """Keys, orders and reception; says again what is not answered."""

    def __init__(self, folder: Path) -> None:
        draw = random.Random(1).randbytes
        self.mission, self.key, self.tenant, self.stranger = (generate_signing_key(draw) for _ in range(4))
        self.reader = generate_recipient_key(draw)
        self.keys = create_keystore(
            folder / "keys",
            draw,
            mission={"mission": self.mission.public},
            ground={"ground": self.key.public},
            demonstration=True,
        )
        self.grant = Grant(
            tenant="lakes",
            public_key=self.tenant.public,
            recipient=self.reader.public_key().public_bytes_raw(),
            applications=("water",),
            boxes=(Box(-114 * 10**7, 40 * 10**7, -111 * 10**7, 42 * 10**7),),
            products=tuple(ProductKind),
            max_bytes_per_job=200_000,
            max_bytes_per_day=2_000_000,
            valid_from_s=T0 - 86_400,
            valid_to_s=T0 + 10**7,
            serial=1,
        )
        self._framer, self._packets = TcFramer(SPACECRAFT), SequenceCounters()

    def job(self, number: int = 0, **changes: object) -> Job:
        base = Job(
            tenant="lakes",
            application="water",
            version_min=(1, 0, 0),
            version_below=(2, 0, 0),
            area=tuple((round(x * 10**7), round(y * 10**7)) for x, y in AREA),
            earliest_s=T0 - 300,
            latest_s=T0 + 80_000,
            deadline_s=T0 + 80_000,
            expires_s=T0 + 82_000,
            parameters=(),
            products=tuple(ProductKind),
            byte_budget=BYTE_BUDGET,
            energy_budget_j=50_000,
            compute_budget_s=600,
            priority=3,
            nonce=number.to_bytes(16, "big"),
        )
        return replace(base, **changes)  # type: ignore[arg-type]

    def signed_grant(self, grant: Grant | None = None, key: SigningKey | None = None) -> bytes:
        key = key or self.mission
        return cose.sign1((grant or self.grant).encode(), key.private, key.key_id, cose.aad(cose.Purpose.GRANT))

    def signed_job(self, job: Job, key: SigningKey | None = None) -> bytes:
        key = key or self.tenant
        return cose.sign1(job.encode(), key.private, key.key_id, cose.aad(cose.Purpose.JOB))

    def signed_command(self, kind: CommandKind, subject: bytes, key: SigningKey, expires_s: int = T0 + 9**6) -> bytes:
        payload = Command(kind, subject, expires_s).encode()
        return cose.sign1(payload, key.private, key.key_id, cose.aad(cose.Purpose.COMMAND))

    def signed_receipt(self, product_id: bytes, octets: bytes, key: SigningKey | None = None) -> bytes:
        key = key or self.key
        payload = Receipt(product_id, hashlib.sha256(octets).digest()).encode()
        return cose.sign1(payload, key.private, key.key_id, cose.aad(cose.Purpose.RECEIPT))

    def frames(self, apid: int, payload: bytes, map_id: int = 0) -> list[bytes]:
        return self._framer.frames(self._packets.packet(apid, payload, telecommand=True), map_id)

    def segments(self, packet: bytes) -> list[bytes]:
        return self._framer.frames(packet)

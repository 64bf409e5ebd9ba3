"""A small world round the agent: keys, an orbit, a journal with a durable prefix, and effects that wait for it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import Any

from flight.agent import cose
from flight.agent.admission import ApplicationTerms, Limits
from flight.agent.area import Box, ring_of
from flight.agent.command import Command, CommandKind
from flight.agent.core import AgentCore
from flight.agent.effects import Effect, Input, Outcome, Record, Uplinked
from flight.agent.grant import Grant
from flight.agent.job import Job, ProductKind
from flight.agent.keys import KeyStore, SigningKey, generate_signing_key
from flight.agent.receipt import Receipt
from flight.agent.release import Release, write_release
from flight.link.apids import Apid
from flight.services.records import RecordKind
from hal.navigation.protocol import NavigationFix

T0 = 1_800_000_000.0
SET = "demo"
MISSION, GROUND, SATELLITE, TENANT, OTHER = (
    generate_signing_key(lambda n, seed=seed: bytes([seed]) * n) for seed in (1, 2, 3, 4, 5)
)
KEYS = KeyStore(SATELLITE, MISSION.verifier, GROUND.verifier, demonstration=True, alert_key=bytes(range(32, 64)))
RECIPIENT = bytes(range(32))
AREA = ring_of([(9.0, -1.0), (11.0, -1.0), (11.0, 1.0), (9.0, 1.0)])
EVERY = (ProductKind.MASK, ProductKind.REGIONS, ProductKind.COUNTS, ProductKind.ALERT)
APPLICATIONS = {
    "water": ApplicationTerms("water", (1, 2, 0), frozenset(EVERY), {"threshold": (0.1, 0.2, 0.35)}),
    "old": ApplicationTerms("old", (1, 0, 0), frozenset(EVERY), enabled=False),
    "change": ApplicationTerms("change", (1, 0, 0), frozenset(EVERY), needs_reference=True),
}
LIMITS = Limits(strip_s=20.0, horizon_s=86_400.0, plan_evaluations=5000)


def at(time_s: float) -> NavigationFix:
    """A circular equatorial orbit 500 km up that passes longitude 0 at T0 and comes round every 6300 s over ground."""
    radius = 6_878_137.0
    angle = 2 * math.pi * ((time_s - T0) % 6300.0) / 6300.0
    speed = radius * 2 * math.pi / 6300.0
    longitude = math.degrees(math.atan2(math.sin(angle), math.cos(angle)))
    return NavigationFix(
        time_s,
        (radius * math.cos(angle), radius * math.sin(angle), 0.0),
        (-speed * math.sin(angle), speed * math.cos(angle), 0.0),
        0.0,
        longitude,
        500_000.0,
        10.0,
    )


def job(number: int = 0, **changes: Any) -> Job:
    base = Job(
        tenant="acme",
        application="water",
        version_min=(1, 0, 0),
        version_below=(2, 0, 0),
        area=AREA,
        earliest_s=int(T0),
        latest_s=int(T0) + 30_000,
        deadline_s=int(T0) + 40_000,
        expires_s=int(T0) + 80_000,
        parameters=(("threshold", 0.35),),
        products=EVERY,
        byte_budget=50_000,
        energy_budget_j=5_000,
        compute_budget_s=100,
        priority=3,
        nonce=number.to_bytes(16, "big"),
    )
    return replace(base, **changes)


def grant(key: SigningKey = TENANT, **changes: Any) -> Grant:
    base = Grant(
        tenant="acme",
        public_key=key.public,
        recipient=RECIPIENT,
        applications=("change", "old", "unknown", "water"),
        boxes=(Box(-200_000_000, -200_000_000, 200_000_000, 200_000_000),),
        products=EVERY,
        max_bytes_per_job=100_000,
        max_bytes_per_day=1_000_000,
        valid_from_s=int(T0) - 100,
        valid_to_s=int(T0) + 1_000_000,
        serial=1,
    )
    return replace(base, **changes)


def signed_job(order: Job, key: SigningKey = TENANT, satellite_set: str = SET) -> bytes:
    return cose.sign1(order.encode(), key.private, key.key_id, cose.aad(cose.Purpose.JOB, satellite_set))


def signed_grant(given: Grant, key: SigningKey = MISSION) -> bytes:
    return cose.sign1(given.encode(), key.private, key.key_id, cose.aad(cose.Purpose.GRANT))


def signed_receipt(release: Release, key: SigningKey = GROUND, sha256: bytes | None = None) -> bytes:
    payload = Receipt(release.product_id, sha256 or release.sha256).encode()
    return cose.sign1(payload, key.private, key.key_id, cose.aad(cose.Purpose.RECEIPT))


def signed_command(kind: CommandKind, subject: bytes, key: SigningKey, expires_s: int = int(T0) + 10**6) -> bytes:
    payload = Command(kind, subject, expires_s).encode()
    return cose.sign1(payload, key.private, key.key_id, cose.aad(cose.Purpose.COMMAND, SET))


def release_of(
    job_id: bytes, now_s: float, *, salt: int = 0, size: int = 1000, findings: int = 3
) -> tuple[Release, bytes]:
    """A product as the gate would release it; `salt` makes another product of the same job."""
    octets = hashlib.sha256(job_id + bytes([salt])).digest() * (size // 32)
    digest = hashlib.sha256(octets).digest()
    release = Release(digest[:16], job_id, digest, len(octets), findings, 1.0, int(now_s), bytes(48))
    return release, write_release(release, octets, SATELLITE)


def new_core(limits: Limits = LIMITS) -> AgentCore:
    return AgentCore(KEYS, APPLICATIONS, limits, at, SET)


@dataclass
class World:
    """The runtime in small: journal first, effects when durable; crash() loses what was not."""

    limits: Limits = LIMITS
    now_s: float = T0
    durable: list[Record] = field(default_factory=list)
    pending: list[Record] = field(default_factory=list)
    waiting: list[tuple[int, Effect]] = field(default_factory=list)
    performed: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.core = new_core(self.limits)

    def tell(self, happened: Input, *, commit: bool = True) -> list[Effect]:
        """Handle one input; with `commit`, everything becomes durable. Returns what was performed."""
        self._queue(self.core.handle(happened, self.now_s))
        return self.commit(len(self.pending)) if commit else []

    def uplink(self, apid: Apid, octets: bytes) -> list[Effect]:
        return self.tell(Uplinked(apid, octets))

    def commit(self, count: int) -> list[Effect]:
        """The next `count` records become durable; what waited for them is performed."""
        self.durable += self.pending[:count]
        del self.pending[:count]
        ready = [effect for sequence, effect in self.waiting if sequence <= len(self.durable)]
        self.waiting = [each for each in self.waiting if each[0] > len(self.durable)]
        self.performed += ready
        return ready

    def crash(self) -> list[Effect]:
        """Lose what is not durable; come back."""
        self.pending.clear()
        self.waiting.clear()
        self.core = self.replayed()
        self._queue(self.core.resume(self.now_s))
        return self.commit(0)

    def replayed(self) -> AgentCore:
        core = new_core(self.limits)
        for record in self.durable:
            core.apply(record.kind, record.payload)
        return core

    def records(self, kind: RecordKind) -> list[bytes]:
        return [record.payload for record in self.durable if record.kind is kind]

    def _queue(self, outcome: Outcome) -> None:
        self.pending += outcome.records
        sequence = len(self.durable) + len(self.pending)
        self.waiting += [(sequence, effect) for effect in outcome.effects]

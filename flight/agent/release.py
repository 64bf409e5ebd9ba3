"""A release: the gate's own signed statement that exactly these octets may leave, and the journal record of it.

The record is the gate's signature over the statement, and the octets. A restarted gate believes a record only when its
own signature holds and the octets have the hash that was signed: a journal that was tampered with releases nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flight.agent import cose
from flight.agent.claims import Claims
from flight.agent.errors import AgentError, EgressRefused
from flight.agent.keys import SigningKey
from flight.agent.reasons import EgressReason
from flight.agent.receipt import PRODUCT_ID_BYTES
from flight.services import cbor

FORMAT = 1
ALERT_BYTES = 48
MAX_PRODUCT_BYTES = 15 << 20  # with its frame in the journal below the journal's own bound
_AAD = cose.aad(cose.Purpose.RELEASE)


@dataclass(frozen=True, slots=True)
class Release:
    """Which octets may leave, and for which job."""

    product_id: bytes  # 16 bytes: the start of the SHA-256 of the sealed container
    job_id: bytes
    sha256: bytes  # of the octets that may leave: the encrypted container
    size: int  # of those octets
    findings: int
    confidence: float  # 0..1 in steps of 1/255
    time_s: int  # whole seconds: the day that the bytes are counted in
    alert: bytes  # what goes ahead of it when the job asks for an alert

    @property
    def name(self) -> str:
        """The name under which the product travels."""
        return product_name(self.product_id)

    def encode(self) -> bytes:
        """The payload that the gate signs."""
        fields = (self.product_id, self.job_id, self.sha256, self.size, self.findings, round(self.confidence * 255))
        return cbor.encode({0: FORMAT, **dict(enumerate((*fields, self.time_s, self.alert), 1))})

    @classmethod
    def decode(cls, payload: bytes) -> Release:
        """Raises ClaimsInvalid."""
        body = Claims.decode("release", payload)
        body.version(0, FORMAT)
        release = cls(
            product_id=body.octets(1, "product_id", PRODUCT_ID_BYTES),
            job_id=body.octets(2, "job_id", 32),
            sha256=body.octets(3, "sha256", 32),
            size=body.number(4, "size", 1, MAX_PRODUCT_BYTES),
            findings=body.number(5, "findings", 0, 1 << 53),
            confidence=body.number(6, "confidence", 0, 255) / 255,
            time_s=body.time(7, "time_s"),
            alert=body.octets(8, "alert", ALERT_BYTES),
        )
        body.end()
        return release


def product_name(product_id: bytes) -> str:
    """`<32 hexadecimal digits>.swx`: a sealed product, encrypted."""
    return product_id.hex() + ".swx"


def write_release(release: Release, octets: bytes, key: SigningKey) -> bytes:
    """The payload of the PRODUCT record."""
    return cbor.encode([cose.sign1(release.encode(), key.private, key.key_id, _AAD), octets])


def read_release(record: bytes) -> Release:
    """The statement in a PRODUCT record, not verified. Raises AgentError or CborError."""
    return Release.decode(cose.parse1(_parts(record)[0]).payload)


def verify_release(record: bytes, key: SigningKey) -> tuple[Release, bytes]:
    """The statement and the octets of a record that this gate wrote. Raises EgressRefused (RELEASE_INVALID)."""
    try:
        signed, octets = _parts(record)
        release = Release.decode(cose.verify1(signed, key.verifier, _AAD).payload)
    except (AgentError, cbor.CborError) as error:
        raise EgressRefused(EgressReason.RELEASE_INVALID, str(error)) from error
    if len(octets) != release.size or hashlib.sha256(octets).digest() != release.sha256:
        raise EgressRefused(EgressReason.RELEASE_INVALID, "the octets are not those that were released")
    return release, octets


def _parts(record: bytes) -> tuple[bytes, bytes]:
    parts = cbor.decode(record, max_depth=1, max_items=3, max_bytes=MAX_PRODUCT_BYTES + 4096)
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, bytes) for part in parts):
        raise cbor.CborError("a release record has two byte strings")
    return parts[0], parts[1]

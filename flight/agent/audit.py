"""The audit log: what left and what was refused, each record bound to the one before it by its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from flight.agent.claims import Claims
from flight.agent.errors import AgentError, AuditBroken
from flight.services import cbor
from flight.services.records import RecordKind

FIRST = bytes(32)  # what the first record of all follows
MAX_SUBJECT = 32


class What(IntEnum):
    """What wanted to leave."""

    PRODUCT = 1
    ALERT = 2
    TELEMETRY = 3
    EVENT = 4
    STATUS = 5
    LINK_UNIT = 6
    OTHER = 7


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One line of the log. The payload of an AUDIT journal record."""

    sequence: int
    previous: bytes  # SHA-256 of the record before
    time_s: int
    what: What
    reason: int  # an EgressReason; 0: it left
    subject: bytes  # product id; empty when there is none
    size: int
    held: int  # refusals not written since the record before, because there were too many

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.encode()).digest()

    def encode(self) -> bytes:
        fields = (self.sequence, self.previous, self.time_s, int(self.what), self.reason, self.subject)
        return cbor.encode(dict(enumerate((*fields, self.size, self.held))))

    @classmethod
    def decode(cls, payload: bytes) -> AuditRecord:
        """Raises ClaimsInvalid."""
        body = Claims.decode("audit", payload)
        record = cls(
            sequence=body.number(0, "sequence", 1, 1 << 62),
            previous=body.octets(1, "previous", 32),
            time_s=body.time(2, "time_s"),
            what=What(body.number(3, "what", 1, len(What))),
            reason=body.number(4, "reason", 0, 255),
            subject=bytes(body.take(5, "subject")),
            size=body.number(6, "size", 0, 1 << 40),
            held=body.number(7, "held", 0, 1 << 40),
        )
        body.end()
        return record


class AuditLog:
    """Appends to the journal; append() may raise, and then nothing was logged."""

    def __init__(self, append: Callable[[RecordKind, bytes], object]) -> None:
        self._append = append
        self.head = FIRST
        self.sequence = 0
        self.broken = 0  # records of an earlier process that did not follow
        self.held = 0

    def replay(self, payload: bytes) -> None:
        """One AUDIT record of an earlier process. A break in the chain is counted, and the chain goes on behind it."""
        try:
            follow(self.head, self.sequence, payload)
        except AgentError:
            self.broken += 1
        self.head, self.sequence = hashlib.sha256(payload).digest(), self.sequence + 1

    def write(self, time_s: float, what: What, reason: int, subject: bytes, size: int) -> None:
        """Log one thing."""
        held = self.held
        record = AuditRecord(
            self.sequence + 1, self.head, max(0, int(time_s)), what, reason, subject[:MAX_SUBJECT], size, held
        )
        self._append(RecordKind.AUDIT, record.encode())
        self.head, self.sequence, self.held = record.digest, record.sequence, 0

    def hold(self) -> None:
        """Count a refusal that is not written."""
        self.held += 1


def follow(head: bytes, sequence: int, payload: bytes) -> AuditRecord:
    """The record in `payload`, which must follow the one with that hash and number. Raises AgentError."""
    record = AuditRecord.decode(payload)
    if record.sequence != sequence + 1:
        raise AuditBroken(record.sequence, f"{sequence + 1} is next")
    if record.previous != head:
        raise AuditBroken(record.sequence, "it does not follow the record before it")
    return record

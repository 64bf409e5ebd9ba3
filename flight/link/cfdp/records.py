"""What a transaction leaves in the journal or beside its file: deterministic CBOR, version first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from flight.link.cfdp.checksum import FileChecksum
from flight.link.cfdp.codes import ChecksumKind, Condition
from flight.link.cfdp.errors import RecordInvalid
from flight.link.cfdp.extents import Range
from flight.link.cfdp.pdu import Eof, Metadata, Transaction
from flight.link.errors import LinkError
from flight.services.cbor import CborError, decode, encode

_VERSION = 1
_SENDER, _RECEIVER = "sender", "receiver"


@dataclass(frozen=True, slots=True)
class SenderRecord:
    """One file being sent, as a restart needs it (payload of RecordKind.TRANSFER)."""

    transaction: Transaction
    name: str
    size: int
    checksum: FileChecksum
    acknowledged: tuple[Range, ...] = ()
    condition: Condition | None = None  # None: not finished
    delivered: bool = False

    def encode(self) -> bytes:
        return encode(
            [
                _SENDER,
                _VERSION,
                _plain(self.transaction),
                self.name,
                self.size,
                [int(self.checksum.kind), self.checksum.value],
                [list(one) for one in self.acknowledged],
                None if self.condition is None else int(self.condition),
                self.delivered,
            ]
        )

    @classmethod
    def decode(cls, octets: bytes) -> SenderRecord:
        """Raises RecordInvalid, whatever the octets."""
        try:
            transaction, name, size, (kind, value), acknowledged, condition, delivered = _fields(octets, _SENDER)
            return cls(
                _transaction(transaction),
                _typed(str, name),
                _typed(int, size),
                FileChecksum(ChecksumKind(kind), _typed(int, value)),
                _ranges(acknowledged),
                None if condition is None else Condition(condition),
                _typed(bool, delivered),
            )
        except (CborError, LinkError, TypeError, ValueError) as problem:
            raise RecordInvalid(str(problem)) from problem


class ReceptionState(IntEnum):
    """Where a reception stands."""

    RECEIVING = 1
    CHECKING = 2  # everything is here, the checksum is being computed; stored as RECEIVING
    FINISHED = 3  # Finished is repeated until it is acknowledged
    CLOSED = 4


@dataclass(frozen=True, slots=True)
class ReceiverRecord:
    """One file being received, as a restart needs it. `extents` are octets that are durable in the file."""

    transaction: Transaction
    state: ReceptionState
    metadata: Metadata | None = None
    eof: Eof | None = None
    extents: tuple[Range, ...] = ()
    condition: Condition = Condition.NO_ERROR
    published: str = ""  # the name the file has got, "" when it was discarded or is not finished

    def encode(self) -> bytes:
        metadata, eof = self.metadata, self.eof
        return encode(
            [
                _RECEIVER,
                _VERSION,
                _plain(self.transaction),
                int(self.state),
                None if metadata is None else [metadata.name, metadata.size, int(metadata.checksum), metadata.closure],
                None if eof is None else [eof.checksum, eof.size],
                [list(one) for one in self.extents],
                int(self.condition),
                self.published,
            ]
        )

    @classmethod
    def decode(cls, octets: bytes) -> ReceiverRecord:
        """Raises RecordInvalid, whatever the octets."""
        try:
            transaction, state, metadata, eof, extents, condition, published = _fields(octets, _RECEIVER)
            return cls(
                _transaction(transaction),
                ReceptionState(state),
                None if metadata is None else _metadata(*metadata),
                None if eof is None else Eof(*(_typed(int, one) for one in eof)),
                _ranges(extents),
                Condition(condition),
                _typed(str, published),
            )
        except (CborError, LinkError, TypeError, ValueError) as problem:
            raise RecordInvalid(str(problem)) from problem


def _fields(octets: bytes, role: str) -> list[Any]:
    fields: list[Any]
    kind, version, *fields = decode(octets)
    if kind != role or version != _VERSION:
        raise RecordInvalid(f"{kind} version {version} where {role} version {_VERSION} is read")
    return fields


def _plain(transaction: Transaction) -> list[Any]:
    return [
        transaction.source,
        transaction.sequence,
        transaction.destination,
        transaction.entity_bytes,
        transaction.sequence_bytes,
        transaction.crc,
    ]


def _transaction(plain: Any) -> Transaction:
    *numbers, crc = plain
    source, sequence, destination, wide, long = (_typed(int, number) for number in numbers)
    return Transaction(source, sequence, destination, wide, long, _typed(bool, crc))


def _metadata(name: Any, size: Any, checksum: Any, closure: Any) -> Metadata:
    return Metadata(_typed(str, name), _typed(int, size), ChecksumKind(checksum), _typed(bool, closure))


def _ranges(plain: Iterable[Any]) -> tuple[Range, ...]:
    ranges = tuple((_typed(int, start), _typed(int, end)) for start, end in plain)
    if any(not 0 <= start < end for start, end in ranges):
        raise RecordInvalid("a range that is empty or ends before it starts")
    return ranges


def _typed(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise RecordInvalid(f"{kind.__name__} expected, {type(value).__name__} found")
    return value

"""Protocol data units of file delivery (CCSDS 727.0-B-5, section 5): typed records and their octets.

One space packet carries one unit. Class 2 only; files below 4 GiB; the CRC is always on in what this end begins, and a
reply has the field widths and CRC flag of what it answers. Filestore requests are refused when they are read: no file
of this end is named, moved or removed by a peer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from bindings.crc import crc16_ccitt
from flight.link.cfdp.codes import ChecksumKind, Condition, Directive, FileStatus, TransactionStatus
from flight.link.cfdp.errors import PduCheckFailed, PduLengthMismatch, PduTooShort, PduUnsupported
from flight.link.cfdp.extents import Range
from flight.link.errors import require

FIXED_HEADER_BYTES = 4
MAX_DATA_FIELD_BYTES = 65535
MAX_FILE_BYTES = (1 << 32) - 1
MAX_NAME_BYTES = 255

_VERSION = 0b001 << 5
_FILE_DATA, _TOWARDS_SENDER, _UNACKNOWLEDGED, _WITH_CRC, _LARGE = 0x10, 0x08, 0x04, 0x02, 0x01
_CLOSURE = 0x40
_U32 = struct.Struct(">I")
_RANGE = struct.Struct(">II")
_CHECK = struct.Struct(">H")
_FILESTORE_REQUEST = 0x00

CodeT = TypeVar("CodeT", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class Transaction:
    """Who sends which file to whom, and how wide the fields are in which this is written."""

    source: int
    sequence: int
    destination: int
    entity_bytes: int = 2
    sequence_bytes: int = 4
    crc: bool = True

    def __post_init__(self) -> None:
        require("entity id octets", self.entity_bytes, 1, 8)
        require("transaction sequence octets", self.sequence_bytes, 1, 8)
        for field, value in (("source entity", self.source), ("destination entity", self.destination)):
            require(field, value, 0, (1 << 8 * self.entity_bytes) - 1)
        require("transaction sequence", self.sequence, 0, (1 << 8 * self.sequence_bytes) - 1)

    @property
    def key(self) -> tuple[int, int]:
        """What names a transaction everywhere: source entity and sequence number."""
        return self.source, self.sequence

    @property
    def overhead_bytes(self) -> int:
        """Header and CRC octets of every unit of this transaction."""
        return FIXED_HEADER_BYTES + 2 * self.entity_bytes + self.sequence_bytes + 2 * self.crc


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the file is. `name` is both source and destination name."""

    name: str
    size: int
    checksum: ChecksumKind
    closure: bool = False


@dataclass(frozen=True, slots=True)
class FileData:
    """Octets of the file from `offset` on."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Eof:
    """The sender has sent everything once, or gives up (`condition`)."""

    checksum: int
    size: int
    condition: Condition = Condition.NO_ERROR


@dataclass(frozen=True, slots=True)
class Ack:
    """An EOF (towards the sender) or a Finished (towards the receiver) has come."""

    of: Directive
    condition: Condition
    status: TransactionStatus


@dataclass(frozen=True, slots=True)
class Nak:
    """Everything in `scope` has come, but for `gaps` and, if `metadata`, for the metadata."""

    scope: Range
    gaps: tuple[Range, ...]
    metadata: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """How the delivery ended at the receiver."""

    condition: Condition
    complete: bool
    status: FileStatus


Pdu = Metadata | FileData | Eof | Ack | Nak | Finished


def _towards_sender(pdu: Pdu) -> bool:
    return isinstance(pdu, (Nak, Finished)) or (isinstance(pdu, Ack) and pdu.of is Directive.EOF)


def encode(transaction: Transaction, pdu: Pdu) -> bytes:
    """The unit's octets. Raises FieldOutOfRange."""
    if isinstance(pdu, FileData):
        require("file offset", pdu.offset, 0, MAX_FILE_BYTES)
        kind, content = _FILE_DATA, _U32.pack(pdu.offset) + pdu.data
    else:
        kind, content = 0, _encode_directive(pdu)
    length = len(content) + 2 * transaction.crc
    require("protocol data unit octets", length, 1, MAX_DATA_FIELD_BYTES)
    first = _VERSION | kind | (_WITH_CRC if transaction.crc else 0)
    if kind == 0 and _towards_sender(pdu):
        first |= _TOWARDS_SENDER
    wide, long = transaction.entity_bytes, transaction.sequence_bytes
    octets = (
        bytes([first, length >> 8, length & 0xFF, (wide - 1) << 4 | (long - 1)])
        + transaction.source.to_bytes(wide, "big")
        + transaction.sequence.to_bytes(long, "big")
        + transaction.destination.to_bytes(wide, "big")
        + content
    )
    return octets + _CHECK.pack(crc16_ccitt(octets)) if transaction.crc else octets


def _encode_directive(pdu: Metadata | Eof | Ack | Nak | Finished) -> bytes:
    match pdu:
        case Metadata():
            name = pdu.name.encode()
            require("file name octets", len(name), 1, MAX_NAME_BYTES)
            require("file octets", pdu.size, 0, MAX_FILE_BYTES)
            named = bytes([len(name)]) + name
            flags = (_CLOSURE if pdu.closure else 0) | pdu.checksum
            return bytes([Directive.METADATA, flags]) + _U32.pack(pdu.size) + named + named
        case Eof():
            require("file octets", pdu.size, 0, MAX_FILE_BYTES)
            return bytes([Directive.EOF, pdu.condition << 4]) + _RANGE.pack(pdu.checksum, pdu.size)
        case Ack():
            subtype = 1 if pdu.of is Directive.FINISHED else 0
            return bytes([Directive.ACK, pdu.of << 4 | subtype, pdu.condition << 4 | pdu.status])
        case Nak():
            requests = ((0, 0), *pdu.gaps) if pdu.metadata else pdu.gaps
            for start, end in (pdu.scope, *requests):
                require("file offset", start, 0, end)
                require("file offset", end, 0, MAX_FILE_BYTES)
            return bytes([Directive.NAK]) + b"".join(_RANGE.pack(*one) for one in (pdu.scope, *requests))
        case Finished():
            return bytes([Directive.FINISHED, pdu.condition << 4 | (not pdu.complete) << 2 | pdu.status])


def decode(octets: bytes) -> tuple[Transaction, Pdu]:
    """The transaction and the unit, believed only as far as their form goes. Raises LinkError subclasses only."""
    if len(octets) < FIXED_HEADER_BYTES:
        raise PduTooShort(FIXED_HEADER_BYTES, len(octets))
    first, widths = octets[0], octets[3]
    if first & 0xE0 != _VERSION:
        raise PduUnsupported("CFDP version", first >> 5)
    if first & _LARGE:
        raise PduUnsupported("large file flag", 1)
    if first & _UNACKNOWLEDGED:
        raise PduUnsupported("transmission mode", 1)
    wide, long = (widths >> 4 & 7) + 1, (widths & 7) + 1
    crc = bool(first & _WITH_CRC)
    start = FIXED_HEADER_BYTES + 2 * wide + long
    size = start + (octets[1] << 8 | octets[2])
    if len(octets) != size:
        raise PduLengthMismatch(size, len(octets))
    end = size - 2 * crc
    if end <= start:
        raise PduTooShort(start + 1 + 2 * crc, size)
    if crc:
        computed, carried = crc16_ccitt(octets[:end]), _CHECK.unpack_from(octets, end)[0]
        if computed != carried:
            raise PduCheckFailed(carried, computed)
    transaction = Transaction(
        int.from_bytes(octets[4 : 4 + wide], "big"),
        int.from_bytes(octets[4 + wide : 4 + wide + long], "big"),
        int.from_bytes(octets[4 + wide + long : start], "big"),
        wide,
        long,
        crc,
    )
    body = octets[start:end]
    if first & _FILE_DATA:
        return transaction, _decode_data(body, segment_metadata=bool(widths & 0x08))
    pdu = _decode_directive(body)
    if bool(first & _TOWARDS_SENDER) != _towards_sender(pdu):
        raise PduUnsupported("direction of this directive", first >> 3 & 1)
    return transaction, pdu


def _decode_data(body: bytes, *, segment_metadata: bool) -> FileData:
    start = 1 + (body[0] & 0x3F) if segment_metadata else 0
    if len(body) < start + 5:
        raise PduTooShort(start + 5, len(body))
    return FileData(_U32.unpack_from(body, start)[0], bytes(body[start + 4 :]))


def _decode_directive(body: bytes) -> Metadata | Eof | Ack | Nak | Finished:
    match body[0]:
        case Directive.METADATA:
            return _decode_metadata(body)
        case Directive.EOF:
            _need(body, 10)
            condition = _code(Condition, "condition code", body[1] >> 4)
            _check_options(body, 10, requests_allowed=False)
            checksum, size = _RANGE.unpack_from(body, 2)
            return Eof(checksum, size, condition)
        case Directive.ACK:
            _exactly(body, 3)
            of = body[1] >> 4
            if of not in (Directive.EOF, Directive.FINISHED):
                raise PduUnsupported("acknowledgement of directive", of)
            condition = _code(Condition, "condition code", body[2] >> 4)
            return Ack(Directive(of), condition, TransactionStatus(body[2] & 3))
        case Directive.NAK:
            return _decode_nak(body)
        case Directive.FINISHED:
            _need(body, 2)
            condition = _code(Condition, "condition code", body[1] >> 4)
            _check_options(body, 2, requests_allowed=True)
            return Finished(condition, not body[1] & 0x04, FileStatus(body[1] & 3))
        case other:
            raise PduUnsupported("file directive", other)


def _decode_metadata(body: bytes) -> Metadata:
    _need(body, 8)
    checksum = _code(ChecksumKind, "checksum type", body[1] & 0x0F)
    at = 6
    names = []
    for _ in range(2):
        _need(body, at + 1)
        length = body[at]
        _need(body, at + 1 + length)
        names.append(body[at + 1 : at + 1 + length])
        at += 1 + length
    _check_options(body, at, requests_allowed=False)
    # octets that are no UTF-8 stay visible in the name, and no receiver takes such a name
    name = names[1].decode("utf-8", "backslashreplace")
    return Metadata(name, _U32.unpack_from(body, 2)[0], checksum, bool(body[1] & _CLOSURE))


def _decode_nak(body: bytes) -> Nak:
    _need(body, 9)
    if (len(body) - 1) % 8:
        raise PduLengthMismatch(len(body) // 8 * 8 + 1, len(body))
    ranges = list(_RANGE.iter_unpack(body[1:]))
    for start, end in ranges:
        require("end of a requested range", end, start, MAX_FILE_BYTES)
    scope, requests = ranges[0], ranges[1:]
    gaps = tuple((start, end) for start, end in requests if start < end)
    return Nak(scope, gaps, (0, 0) in requests)


def _check_options(body: bytes, start: int, *, requests_allowed: bool) -> None:
    """Options must be whole; they are not used. A filestore request is refused (in Finished its type is a response)."""
    at = start
    while at < len(body):
        _need(body, at + 2)
        if body[at] == _FILESTORE_REQUEST and not requests_allowed:
            raise PduUnsupported("filestore request", body[at])
        at += 2 + body[at + 1]
    if at != len(body):
        raise PduLengthMismatch(at, len(body))


def _need(body: bytes, size: int) -> None:
    if len(body) < size:
        raise PduTooShort(size, len(body))


def _exactly(body: bytes, size: int) -> None:
    if len(body) != size:
        raise PduLengthMismatch(size, len(body))


def _code(codes: type[CodeT], what: str, value: int) -> CodeT:
    try:
        return codes(value)
    except ValueError as problem:
        raise PduUnsupported(what, value) from problem

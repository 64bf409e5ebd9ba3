"""The journal's record: how it is written, and how a file of them is read after a power cut.

A record, big-endian: magic "SWJ1", payload length u32, sequence u64, kind u8, payload, CRC-32C u32 over all before it.
Sequences go up by one. Reading stops at the first octets that are not the next whole record: everything before them
is sound, and since a sequence is reported durable only after its octets and all before them were synced, nothing that
was reported lies behind.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bindings.crc import crc32c
from flight.services.declare import ServicesError
from flight.services.journal_storage import FileStorage, Storage
from flight.services.records import RecordKind

MAGIC = b"SWJ1"
HEAD = struct.Struct(">4sIQB")
TAIL = struct.Struct(">I")
MAX_PAYLOAD_BYTES = 16 << 20


class JournalError(ServicesError):
    """Base of every error of the journal."""

    code = "journal_error"


class JournalFull(JournalError, BufferError):
    """The bounded queue to the writer has no room: the caller keeps its state and tries again in a later slot."""

    code = "journal_full"

    def __init__(self, needed: int, queued: int, capacity: int) -> None:
        super().__init__(f"{needed} bytes do not fit: {queued} of {capacity} bytes are queued")
        self.needed, self.queued, self.capacity = needed, queued, capacity


class RecordTooLarge(JournalError, ValueError):
    """A payload above MAX_PAYLOAD_BYTES."""

    code = "record_too_large"

    def __init__(self, size: int) -> None:
        super().__init__(f"a journal record holds at most {MAX_PAYLOAD_BYTES} bytes, got {size}")
        self.size, self.limit = size, MAX_PAYLOAD_BYTES


class JournalLost(JournalError, ConnectionError):
    """The writer is gone: what was not reported durable may be lost, and nothing more can be made durable."""

    code = "journal_lost"


class JournalNotReady(JournalError, TimeoutError):
    """The writer has not yet said where the journal ends."""

    code = "journal_not_ready"


class JournalStorageFailed(JournalError, OSError):
    """A write or sync failed. After a failed sync nobody knows what is on the medium: this journal takes no more."""

    code = "journal_storage_failed"


class JournalNoSpace(JournalError, OSError):
    """The medium has no room for these records. What was durable is, and they may be committed again later."""

    code = "journal_no_space"


class JournalMissing(JournalError, FileNotFoundError):
    """No journal under that path."""

    code = "journal_missing"
    exit_status = 2

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: no journal there")
        self.path = path


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One journalled fact. `kind` is a RecordKind, or a number that a newer version wrote."""

    sequence: int
    kind: int
    payload: bytes

    def pack(self) -> bytes:
        """The record's octets. Raises RecordTooLarge."""
        body = head(self.sequence, self.kind, len(self.payload)) + self.payload
        return body + TAIL.pack(crc32c(body))


class Journal(Protocol):
    """What the runtime writes to from its slots. No call blocks."""

    def append(self, kind: RecordKind, payload: bytes) -> int:
        """Queue one record; returns its sequence. Raises JournalFull, RecordTooLarge, JournalLost."""
        ...

    def poll(self) -> int:
        """The highest durable sequence. Raises JournalLost."""
        ...

    def close(self) -> None: ...


def head(sequence: int, kind: int, size: int) -> bytes:
    """The octets before the payload. Raises RecordTooLarge."""
    if size > MAX_PAYLOAD_BYTES:
        raise RecordTooLarge(size)
    return HEAD.pack(MAGIC, size, sequence, kind)


class JournalReader:
    """Iterates over the sound records of a storage, once; afterwards `end` and `torn_bytes` say where it stopped."""

    def __init__(self, storage: Storage, *, close: bool = False) -> None:
        self._storage = storage
        self._close = close
        self.end = 0  # offset behind the last sound record
        self.torn_bytes = 0  # octets behind it
        self.last_sequence = 0  # 0: no record

    def __iter__(self) -> Iterator[JournalRecord]:
        try:
            size = self._storage.size()
            while (record := self._next(size)) is not None:
                self.end += HEAD.size + len(record.payload) + TAIL.size
                self.last_sequence = record.sequence
                yield record
            self.torn_bytes = size - self.end
        finally:
            if self._close:
                self._storage.close()

    def _next(self, size: int) -> JournalRecord | None:
        start = self._storage.read(self.end, HEAD.size)
        if len(start) < HEAD.size:
            return None
        magic, length, sequence, kind = HEAD.unpack(start)
        expected = (self.last_sequence + 1,) if self.last_sequence else (sequence,)
        if magic != MAGIC or length > MAX_PAYLOAD_BYTES or sequence not in expected or sequence < 1:
            return None
        if self.end + HEAD.size + length + TAIL.size > size:
            return None
        rest = self._storage.read(self.end + HEAD.size, length + TAIL.size)
        if len(rest) < length + TAIL.size:
            return None
        payload = rest[:length]
        if crc32c(payload, crc32c(start)) != TAIL.unpack_from(rest, length)[0]:
            return None
        return JournalRecord(sequence, kind, payload)


def read_journal(path: Path) -> JournalReader:
    """The sound records of a journal file; nothing is changed. Raises JournalMissing."""
    try:
        return JournalReader(FileStorage(path, writable=False), close=True)
    except FileNotFoundError as error:
        raise JournalMissing(str(path)) from error

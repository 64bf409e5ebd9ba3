"""The two journals: FileJournal writes and syncs itself, WriterClient hands its records to the writer process.

The flight process uses WriterClient: no storage call is ever made in a slot. A transition takes effect when poll()
has reached the sequence that append() gave to its record.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path

from flight.services.journal_format import (
    MAX_PAYLOAD_BYTES,
    Journal,
    JournalError,
    JournalFull,
    JournalLost,
    JournalMissing,
    JournalNoSpace,
    JournalNotReady,
    JournalReader,
    JournalRecord,
    JournalStorageFailed,
    RecordTooLarge,
    head,
    read_journal,
)
from flight.services.journal_storage import FileStorage, MemoryStorage, SlowStorage, Storage
from flight.services.records import RecordKind

__all__ = [
    "HELLO",
    "MAX_PAYLOAD_BYTES",
    "NO_SPACE",
    "REPORT",
    "FileJournal",
    "FileStorage",
    "Journal",
    "JournalError",
    "JournalFull",
    "JournalLost",
    "JournalMissing",
    "JournalNoSpace",
    "JournalNotReady",
    "JournalReader",
    "JournalRecord",
    "JournalStorageFailed",
    "MemoryStorage",
    "RecordTooLarge",
    "SlowStorage",
    "Storage",
    "WriterClient",
    "read_journal",
]

HELLO = struct.Struct(">4sQQ")  # "SWJH", highest durable sequence, torn octets cut off at start
HELLO_MAGIC = b"SWJH"
REPORT = struct.Struct(">Q")  # highest durable sequence; with NO_SPACE while the medium has no room for more
NO_SPACE = 1 << 63
_NO_SPACE_ERRORS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
APPEND_SEND_BYTES = 64 << 10  # the most that append() hands to the socket, so that a large record costs no slot dear
POLL_SEND_BYTES = 256 << 10
_MAX_VIEWS = 64  # buffers in one sendmsg


class FileJournal:
    """A journal that is durable when append() returns. For the writer process, tools and virtual time, never a slot."""

    def __init__(self, storage: Storage) -> None:
        """Reads the storage through, and cuts off a torn tail."""
        self._storage = storage
        reader = JournalReader(storage)
        deque(reader, maxlen=0)
        self._end = reader.end
        self._durable = reader.last_sequence
        self.torn_bytes = reader.torn_bytes  # cut off at start
        self._failed = False
        if reader.torn_bytes:
            storage.cut(reader.end)

    @classmethod
    def open(cls, path: Path) -> FileJournal:
        """The journal in a file, made if it is not there; waits for another writer of it to end."""
        return cls(FileStorage(path))

    def append(self, kind: RecordKind, payload: bytes) -> int:
        """Write and sync one record; returns its sequence. Raises RecordTooLarge, JournalStorageFailed."""
        record = JournalRecord(self._durable + 1, kind, payload)
        self.commit(record.pack(), record.sequence)
        return record.sequence

    def commit(self, octets: bytes, last_sequence: int) -> None:
        """Write and sync packed records that go on from the last one up to `last_sequence`, all with one sync.

        Raises JournalNoSpace, after which the same may be tried again, and JournalStorageFailed, which is the end.
        """
        if self._failed:
            raise JournalStorageFailed("an earlier write or sync failed")
        try:
            self._storage.write(self._end, octets)
        except OSError as error:
            self._take_back(error)
        try:
            self._storage.sync()
        except OSError as error:
            self._failed = True
            with contextlib.suppress(OSError):
                self._storage.cut(self._end)
            raise JournalStorageFailed(error.strerror or str(error)) from error
        self._end += len(octets)
        self._durable = last_sequence

    def _take_back(self, error: OSError) -> None:
        """A write failed, and nothing was synced: without what it left behind the journal is what it was."""
        try:
            self._storage.cut(self._end, aside=False)
        except OSError:
            self._failed = True
        if self._failed or error.errno not in _NO_SPACE_ERRORS:
            self._failed = True
            raise JournalStorageFailed(error.strerror or str(error)) from error
        raise JournalNoSpace(error.strerror or str(error)) from error

    def poll(self) -> int:
        """The highest durable sequence."""
        return self._durable

    @property
    def sequence(self) -> int:
        """The sequence of the last record appended."""
        return self._durable

    @property
    def durable(self) -> int:
        """The highest durable sequence."""
        return self._durable

    @property
    def queued_bytes(self) -> int:
        """Nothing waits: append() returns when the record is durable."""
        return 0

    def close(self) -> None:
        """Close the storage."""
        self._storage.close()


class WriterClient:
    """The flight process's end of the stream socket to the journal writer. No call but ready() and close() waits.

    append() keeps a reference to the payload and copies nothing; the writer adds the checksum. At most `capacity_bytes`
    are queued here.
    """

    def __init__(self, connection: socket.socket, *, capacity_bytes: int = 32 << 20) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._capacity = capacity_bytes
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        self._inbox = bytearray()
        self._sequence = 0
        self._durable = 0
        self._ready = False
        self._lost = ""
        self.torn_bytes = 0  # what the writer cut off when it started
        self.no_space = False  # the writer has said that the medium has no room: it tries again by itself

    @property
    def sequence(self) -> int:
        """The sequence of the last record appended."""
        return self._sequence

    @property
    def durable(self) -> int:
        """The highest durable sequence that poll() has seen."""
        return self._durable

    @property
    def queued_bytes(self) -> int:
        """Octets not yet handed to the socket."""
        return self._queued

    @property
    def lost(self) -> str:
        """Why nothing appended can become durable any more; empty: it can."""
        return self._lost

    def ready(self, timeout_s: float) -> int:
        """Wait, before the first frame, until the writer owns the file and has cut its tail; returns the last sequence.

        From then on read_journal() gives what this journal holds. Raises JournalNotReady, JournalLost.
        """
        while not self._ready:
            if not select.select([self._connection], [], [], timeout_s)[0]:
                raise JournalNotReady(f"the journal writer did not answer in {timeout_s} s")
            self._receive()
        return self._durable

    def append(self, kind: RecordKind, payload: bytes) -> int:
        """Queue one record; returns its sequence. Raises JournalFull, RecordTooLarge, JournalLost, JournalNotReady."""
        if self._lost:
            raise JournalLost(self._lost)
        if not self._ready:
            raise JournalNotReady("the journal writer has not answered yet")
        start = head(self._sequence + 1, kind, len(payload))
        size = len(start) + len(payload)
        if self._queued + size > self._capacity:
            raise JournalFull(size, self._queued, self._capacity)
        self._sequence += 1
        self._queue.append(memoryview(start))
        if payload:
            self._queue.append(memoryview(bytes(payload)))  # bytes() of bytes is the same object, not a copy
        self._queued += size
        self._send(APPEND_SEND_BYTES)
        return self._sequence

    def poll(self) -> int:
        """Send some of what is queued and return the highest durable sequence. Raises JournalLost."""
        self._send(POLL_SEND_BYTES)
        self._receive()
        if self._lost:
            raise JournalLost(self._lost)
        return self._durable

    def close(self, timeout_s: float = 10.0) -> None:
        """After the last frame: hand over what is queued and wait until it is durable. Raises JournalLost."""
        try:
            self._wait_for(lambda: not self._queue, timeout_s, write=True)
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_WR)
            self._wait_for(lambda: self._durable >= self._sequence, timeout_s, write=False)
        finally:
            self._connection.close()
        if self._durable < self._sequence:
            raise JournalLost(f"records {self._durable + 1} to {self._sequence} were not reported durable")

    def _wait_for(self, done: Callable[[], bool], timeout_s: float, *, write: bool) -> None:
        while not done() and not self._lost:
            writers = [self._connection] if write else []
            readable, writable, _ = select.select([self._connection], writers, [], timeout_s)
            if not readable and not writable:
                return
            if writable:
                self._send(POLL_SEND_BYTES)
            if readable:
                self._receive()

    def _send(self, budget: int) -> None:
        while self._queue and budget > 0 and not self._lost:
            views, total = [], 0
            for view in self._queue:
                views.append(view[: budget - total])
                total += len(views[-1])
                if total >= budget or len(views) == _MAX_VIEWS:
                    break
            try:
                sent = self._connection.sendmsg(views, (), socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost = f"the journal writer is gone: {error.strerror}"
                return
            budget -= sent
            self._queued -= sent
            while sent:
                if sent < len(self._queue[0]):
                    self._queue[0] = self._queue[0][sent:]
                    break
                sent -= len(self._queue.popleft())

    def _receive(self) -> None:
        try:
            octets = self._connection.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost = f"the journal writer is gone: {error.strerror}"
            return
        if not octets:
            self._lost = "the journal writer has closed the connection"
            return
        self._inbox += octets
        if not self._ready and len(self._inbox) >= HELLO.size:
            magic, self._durable, self.torn_bytes = HELLO.unpack_from(self._inbox)
            if magic != HELLO_MAGIC:
                self._lost = "what answers is no journal writer"
                return
            self._sequence = self._durable
            self._ready = True
            del self._inbox[: HELLO.size]
        whole = len(self._inbox) // REPORT.size * REPORT.size
        if self._ready and whole:
            reported = REPORT.unpack_from(self._inbox, whole - REPORT.size)[0]
            del self._inbox[:whole]
            self.no_space = reported >= NO_SPACE
            reported &= ~NO_SPACE
            if not self._durable <= reported <= self._sequence:
                self._lost = (
                    f"the journal writer reported sequence {reported}, {self._durable}..{self._sequence} expected"
                )
                return
            self._durable = reported

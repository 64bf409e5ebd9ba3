"""A bounded ring of messages from one process to another, in memory that both map (docs/bus.md has the layout).

One writer, one reader, neither ever waits for the other, and either may be killed at any instruction: the next one of
its kind goes on where it stopped. Nothing that the other process can write is believed before it is checked.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import select
import struct
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from bindings.bus import Batch
from bindings.bus_faults import (
    BufferTooSmall,
    MessageTooLong,
    RingClosed,
    RingDamaged,
    RingHeld,
    RingRefused,
    UnknownMessage,
)
from bindings.faults import BufferMismatch
from bindings.ffi import Octets, check, ffi, lib, octets

_SIZE_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW  # none can end the other by taking its memory away
_RECORD: Final = struct.Struct("=HHiqq")  # as sw_ring_record in csrc/decl/bus_ring.h
_BATCH_MESSAGES_MAX: Final = 1 << 20
_BATCH_OCTETS_MAX: Final = 1 << 30


class RingMessage(NamedTuple):
    """A message out of a ring."""

    topic: int
    source: int
    sequence: int  # of this ring since it was made, from 0: what is missing between two is counted as lost
    octets: bytes


@dataclass(frozen=True, slots=True)
class WriterCounters:
    written: int
    dropped: int  # for want of room
    refused: int  # longer than the ring was made for
    impossible: int  # positions of the reader that cannot be


@dataclass(frozen=True, slots=True)
class ReaderCounters:
    read: int
    lost: int  # sequence numbers that never came: dropped by the writer, damaged, or taken by a reader that was killed
    restarts: int  # of the writer
    damaged: int  # findings that no writer writes
    resynchronised: int  # of those, jumps to the writer's position
    impossible: int  # positions of the writer that cannot be


def create_ring(room: int, max_octets: int, *, checked: bool = True) -> int:
    """Descriptor (close-on-exec) of an empty ring; pass it to the two processes.

    room: octets for records, a power of two from 256 to 64 Mi; a message takes 32 and its own, rounded up to 8.
    checked: each payload has a CRC-32C. Raises RingRefused.
    """
    if not lib.SW_RING_ROOM_MIN <= room <= lib.SW_RING_ROOM_MAX or room & (room - 1):
        raise RingRefused(f"a room of {room} octets is no power of two from 256 to {lib.SW_RING_ROOM_MAX}")
    size = lib.SW_RING_HEADER + room
    descriptor = os.memfd_create("swath-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SIZE_SEALS | fcntl.F_SEAL_SEAL)
        with mmap.mmap(descriptor, size) as mapped, ffi.from_buffer("uint8_t[]", mapped) as memory:
            if not 0 <= max_octets <= lib.SW_BUS_OCTETS_MAX or lib.sw_ring_format(memory, size, max_octets, checked):
                raise RingRefused(f"messages of {max_octets} octets do not fit into a room of {room}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class _End:
    """What both ends are: a mapping, a lock that says there is one of the kind, and the state of the end in C."""

    _WRITER: ClassVar[bool]

    def __init__(self, descriptor: int, wake: int | None = None) -> None:
        """Attach; the descriptors stay the caller's. wake: an eventfd (non-blocking) that both ends are given.

        Raises RingRefused, RingHeld.
        """
        self._end: Any = None
        self._wake: int | None = None
        self._lock = _held(descriptor, self._WRITER)
        try:
            size = os.fstat(self._lock).st_size
            if not 0 < size <= lib.SW_RING_HEADER + lib.SW_RING_ROOM_MAX:
                raise RingRefused(f"memory of {size} octets is no ring")
            self._map = mmap.mmap(self._lock, size)
            self._memory = ffi.from_buffer("uint8_t[]", self._map)
            end = ffi.new("sw_ring_end *")
            if lib.sw_ring_attach(end, self._memory, size, self._WRITER):
                ffi.release(self._memory)
                self._map.close()
                raise RingRefused("the memory holds no ring of this layout")
            if wake is not None:
                self._wake = fcntl.fcntl(wake, fcntl.F_DUPFD_CLOEXEC, 0)
        except BaseException:
            os.close(self._lock)
            raise
        self._end = end
        self.max_octets: int = end.max_octets  # of a message
        _ENDS.add(self)

    def close(self) -> None:
        """Give the end up, so that another may attach. What waits in the ring stays there."""
        if self._end is None:
            return
        self._end = None
        ffi.release(self._memory)
        self._map.close()
        os.close(self._lock)
        if self._wake is not None:
            os.close(self._wake)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _open(self) -> Any:
        if self._end is None:
            raise RingClosed
        return self._end


_ENDS: weakref.WeakSet[_End] = weakref.WeakSet()


def _close_inherited() -> None:
    for end in list(_ENDS):
        end.close()  # the parent's mapping and lock are not touched by that, and go when the parent ends


os.register_at_fork(after_in_child=_close_inherited)


def _held(descriptor: int, writer: bool) -> int:
    """A descriptor of our own for the same memory, with the lock of that end, which the kernel gives up with us."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        if seals & _SIZE_SEALS != _SIZE_SEALS:
            raise RingRefused("the size of the memory is not sealed")
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise RingRefused(f"the descriptor is no sealed memory to write to: {error.strerror}") from error
    try:
        fcntl.fcntl(own, fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, int(writer), 1, 0))
    except OSError as error:
        os.close(own)
        raise RingHeld("writer" if writer else "reader") from error
    return own


class RingWriter(_End):
    """The writing end, for one thread at a time."""

    _WRITER = True

    def send(self, topic: int, source: int, data: Octets) -> bool:
        """Copy a message into the ring. False: there is no room; it is dropped and counted.

        topic, source: 0..65535. Raises MessageTooLong, UnknownMessage, BufferMismatch, RingClosed.
        """
        end, held = self._open(), data if type(data) is bytes else octets(data)
        try:
            written = lib.sw_ring_write(end, topic, source, held, len(held))
        except OverflowError:
            raise UnknownMessage(topic) from None
        if written == lib.SW_E_SPACE:
            raise MessageTooLong(topic, len(held), self.max_octets)
        if self._wake is not None:
            self._wake_reader()
        return bool(check(written))

    def send_batch(self, source: int, batch: Batch) -> int:
        """Those of a bus batch, in order; how many were written. The others are counted as dropped or refused."""
        records, room = batch.address
        written = check(lib.sw_ring_write_batch(self._open(), source, records, len(batch), room, batch.size))
        if self._wake is not None:
            self._wake_reader()
        return written

    def _wake_reader(self) -> None:
        if self._wake is not None and lib.sw_ring_wakes(self._end):
            with contextlib.suppress(BlockingIOError):  # its count is full: it is awake
                os.eventfd_write(self._wake, 1)

    def counters(self) -> WriterCounters:
        end = self._open()
        return WriterCounters(end.written, end.dropped, end.refused, end.impossible)


class RingBatch:
    """Messages one behind the other in memory that is used again."""

    def __init__(self, messages: int, size: int) -> None:
        """Room for so many messages and octets. Raises RingRefused."""
        if not (1 <= messages <= _BATCH_MESSAGES_MAX and 0 <= size <= _BATCH_OCTETS_MAX):
            raise RingRefused(f"a batch of {messages} messages and {size} octets")
        self.room, self.size, self.count = messages, size, 0
        self._records = ffi.new("sw_ring_record[]", messages)
        self._octets = ffi.new("uint8_t[]", max(size, 1))
        self.octets = memoryview(ffi.buffer(self._octets, size)).cast("B")

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, int, int, memoryview]]:
        """(topic, source, sequence, octets) of each; the octets are valid until the batch is used again."""
        for topic, source, length, offset, sequence in self._entries():
            yield topic, source, sequence, self.octets[offset : offset + length]

    def take(self) -> list[RingMessage]:
        """Each as a copy."""
        return [RingMessage(topic, source, sequence, bytes(held)) for topic, source, sequence, held in self]

    def _entries(self) -> Iterator[tuple[int, ...]]:
        return _RECORD.iter_unpack(ffi.buffer(self._records, self.count * _RECORD.size))

    @property
    def address(self) -> tuple[Any, Any]:
        """Records and octets, for C."""
        return self._records, self._octets


class RingReader(_End):
    """The reading end, for one thread at a time.

    Every method that receives raises RingDamaged where the memory holds what no writer writes; what was there is
    skipped, and the next call goes on.
    """

    _WRITER = False

    def __init__(self, descriptor: int, wake: int | None = None) -> None:
        super().__init__(descriptor, wake)
        self._record = ffi.new("sw_ring_record *")
        self._own = ffi.new("uint8_t[]", max(self.max_octets, 1))
        self._own_view = ffi.buffer(self._own)

    def receive(self) -> RingMessage | None:
        """The oldest message; None: none waits. Raises RingDamaged, RingClosed."""
        if not self._read(self._record, 1, self._own, self.max_octets):
            return None
        record = self._record
        return RingMessage(record.topic, record.source, record.sequence, self._own_view[: record.length])

    def receive_into(self, buffer: Any) -> tuple[int, int, int, int] | None:
        """The oldest message into a writable buffer of the caller's: (topic, source, sequence, length).

        Raises BufferTooSmall, and the message stays; BufferMismatch, RingDamaged, RingClosed.
        """
        try:
            held = ffi.from_buffer("uint8_t[]", buffer, require_writable=True)
        except (TypeError, ValueError, BufferError) as error:
            raise BufferMismatch("buffer", str(error)) from error
        if not self._read(self._record, 1, held, len(held)):
            return None
        record = self._record
        return record.topic, record.source, record.sequence, record.length

    def receive_batch(self, batch: RingBatch) -> int:
        """As many as wait and fit, in place of what the batch held; at most what waited when the call began.

        Raises BufferTooSmall where not even one fits; RingDamaged, RingClosed.
        """
        records, room = batch.address
        batch.count = 0
        batch.count = self._read(records, batch.room, room, batch.size)
        return batch.count

    def _read(self, records: Any, count: int, into: Any, capacity: int) -> int:
        end = self._open()
        taken: int = lib.sw_ring_read(end, records, count, into, capacity)
        if taken == lib.SW_E_DAMAGED:
            raise RingDamaged(end.damaged, end.resynchronised)
        if taken == lib.SW_E_SPACE:
            raise BufferTooSmall(records[0].length, capacity)
        return check(taken)

    def wait(self, timeout_ms: int) -> bool:
        """Whether a message waits, now or within so long. Raises RingRefused without a wake-up, RingClosed."""
        end, wake = self._open(), self._wake
        if wake is None:
            raise RingRefused("the reader was attached without a wake-up")
        if lib.sw_ring_arm(end):
            return True
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        if poll.poll(timeout_ms):
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(wake)
        return bool(lib.sw_ring_arm(end))

    def counters(self) -> ReaderCounters:
        end = self._open()
        return ReaderCounters(end.read, end.lost, end.restarts, end.damaged, end.resynchronised, end.impossible)

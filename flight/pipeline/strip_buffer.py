"""The strip buffer: the newest sensor lines of one capture in a ring, from the camera process to whoever may read.

One writer, any number of readers, no locks. The header record is written between an odd and an even sequence
word and carries a CRC-32C; every line's entry carries its number and its own CRC-32C. A reader copies first and
believes afterwards: when the writer has lapped it, died in the middle of a line, or began another generation, the
copy is thrown away. The checks do not rest on the order in which a processor makes stores visible.

Layout, native byte order (the memory never leaves the machine), 64-bit words:
    0    magic, total bytes
    64   sequence, generation, capture id (2), columns, bands, dtype, capacity, base, reserved, written, lost, ended,
         CRC-32C of the words between
    4096 capacity entries of 2 words: line number + 1 | state << 32 | CRC-32C
    then capacity lines of line_bytes, each at a multiple of 64
`base` is the first line of this generation, `written` the line after the newest, `reserved` the line after the newest
that the writer has begun to overwrite slots for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindings.crc import crc32c
from flight.pipeline.process_errors import StripInvalid, StripLapped, StripTooWide
from flight.pipeline.shared_memory import SharedMemory, create_memory

MAGIC = int.from_bytes(b"SWSTRIP1", "little")
HEADER_BYTES = 4096
ENTRY_BYTES = 16
RECORD_AT = 64
RECORD_WORDS = 14
DTYPES = ("uint8", "uint16", "int16", "float32")
MAX_COLUMNS = 65_536
MAX_BANDS = 64
MAX_LINES = 1 << 31
PRESENT, LOST = 1, 2
_TRIES = 64  # reads of a header that changes under the reader before it is called unreadable


@dataclass(frozen=True, slots=True)
class StripFormat:
    """What every line of a strip looks like: (columns, bands), interleaved by pixel."""

    columns: int  # 1 ... 65536
    bands: int  # 1 ... 64
    dtype: str  # one of DTYPES

    def __post_init__(self) -> None:
        if not 1 <= self.columns <= MAX_COLUMNS:
            raise StripInvalid("columns", self.columns)
        if not 1 <= self.bands <= MAX_BANDS:
            raise StripInvalid("bands", self.bands)
        if self.dtype not in DTYPES:
            raise StripInvalid("dtype", -1)

    @property
    def line_bytes(self) -> int:
        return self.columns * self.bands * np.dtype(self.dtype).itemsize

    @property
    def line_stride(self) -> int:
        """Octets from one line of the ring to the next."""
        return (self.line_bytes + 63) & ~63

    def empty(self, count: int) -> NDArray[Any]:
        """`count` lines of zeros."""
        return np.zeros((count, self.columns, self.bands), dtype=self.dtype)


@dataclass(frozen=True, slots=True)
class StripState:
    """The validated header at one moment."""

    generation: int
    capture: bytes  # 16
    format: StripFormat
    capacity: int  # lines in the ring
    base: int  # first line of this generation
    reserved: int
    written: int
    lost: int  # lost lines of the whole capture
    ended: bool

    @property
    def oldest(self) -> int:
        """First line that a reader may still find."""
        return max(self.base, self.reserved - self.capacity)


def create_strip_memory(size: int) -> int:
    """Descriptor of an empty strip buffer of `size` bytes. Called by the supervisor."""
    if size < 2 * HEADER_BYTES:
        raise StripTooWide(0, size)
    descriptor = create_memory("swath-strip", size)
    with SharedMemory(descriptor, writable=True, least_bytes=HEADER_BYTES) as memory:
        memory.words(0, 2)[:] = (MAGIC, size)
    return descriptor


def capacity_of(form: StripFormat, size: int) -> int:
    """Lines of this format that fit a strip buffer of `size` bytes. Raises StripTooWide below two."""
    capacity = (size - HEADER_BYTES - 64) // (form.line_stride + ENTRY_BYTES)
    if capacity < 2:
        raise StripTooWide(form.line_bytes, size)
    return min(capacity, MAX_LINES)


class _Strip:
    """What writer and reader share: the mapping and where things lie in it."""

    def __init__(self, descriptor: int, *, writable: bool) -> None:
        self._memory = SharedMemory(descriptor, writable=writable, least_bytes=2 * HEADER_BYTES)
        magic, size = (int(word) for word in self._memory.words(0, 2))
        if magic != MAGIC:
            raise StripInvalid("magic", magic)
        if size != self._memory.size:
            raise StripInvalid("size", size)
        self._record = self._memory.words(RECORD_AT, RECORD_WORDS)
        self._entries: NDArray[np.uint64] = self._memory.words(HEADER_BYTES, 0)
        self._lines: NDArray[np.uint8] = self._memory.octets[:0]

    def _lay_out(self, form: StripFormat, capacity: int) -> None:
        """Point at the entries and the lines of `capacity` lines; the caller has checked that they fit."""
        entries_end = HEADER_BYTES + capacity * ENTRY_BYTES
        lines_at = (entries_end + 63) & ~63
        self._entries = self._memory.words(HEADER_BYTES, 2 * capacity).reshape(capacity, 2)
        lines = self._memory.octets[lines_at : lines_at + capacity * form.line_stride]
        self._lines = lines.reshape(capacity, form.line_stride)[:, : form.line_bytes]

    def close(self) -> None:
        """Unmap the memory. The descriptor stays the caller's."""
        self._record = np.zeros(0, dtype=np.uint64)
        self._entries = np.zeros((0, 2), dtype=np.uint64)
        self._lines = np.zeros((0, 0), dtype=np.uint8)
        self._memory.close()


class StripWriter(_Strip):
    """The camera process's end. One at a time; a restarted one begins a new generation."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, writable=True)
        self._state: StripState | None = None
        # A header that a killed writer left half written still has a whole generation word.
        self._generation = int(self._record[1])

    def begin(self, capture: bytes, form: StripFormat, *, base: int = 0, lost: int = 0) -> StripState:
        """Start a generation for `capture`, whose line `base` comes next. Raises StripTooWide.

        base, lost: what an earlier writer of the same capture had reached.
        """
        capacity = capacity_of(form, self._memory.size)
        self._generation = (self._generation + 1) % (1 << 63)
        # Readers must stop believing the old entries before the first of them is overwritten.
        self._publish(StripState(self._generation, capture, form, capacity, base, base, base, lost, ended=False))
        self._lay_out(form, capacity)
        self._entries[:] = 0
        assert self._state is not None
        return self._state

    def append(self, lines: NDArray[Any]) -> None:
        """Write (count, columns, bands) lines after the newest one, at most `capacity` at a time."""
        state = self._begun()
        count = int(lines.shape[0])
        if count > state.capacity or lines.shape[1:] != (state.format.columns, state.format.bands):
            raise StripInvalid("lines", count)
        octets = np.ascontiguousarray(lines, dtype=state.format.dtype).view(np.uint8).reshape(count, -1)
        self._publish(replace(state, reserved=state.written + count))
        for row, number in zip(octets, range(state.written, state.written + count), strict=True):
            slot = number % state.capacity
            self._entries[slot, 0] = 0
            self._lines[slot] = row
            self._entries[slot, 1] = PRESENT << 32 | crc32c(row.data)
            self._entries[slot, 0] = number + 1
        self._publish(replace(state, reserved=state.written + count, written=state.written + count))

    def append_lost(self, count: int) -> None:
        """Note that the next `count` lines never came."""
        state = self._begun()
        end = state.written + count
        self._publish(replace(state, reserved=end))
        for number in range(max(state.written, end - state.capacity), end):
            slot = number % state.capacity
            self._entries[slot, 0] = 0
            self._entries[slot, 1] = LOST << 32
            self._entries[slot, 0] = number + 1
        self._publish(replace(state, reserved=end, written=end, lost=state.lost + count))

    def end(self) -> None:
        """No line follows."""
        self._publish(replace(self._begun(), ended=True))

    def _begun(self) -> StripState:
        if self._state is None:
            raise StripInvalid("generation", 0)
        return self._state

    def _publish(self, state: StripState) -> None:
        self._state = state
        words = np.array(
            [
                state.generation,
                int.from_bytes(state.capture[:8], "little"),
                int.from_bytes(state.capture[8:16], "little"),
                state.format.columns,
                state.format.bands,
                DTYPES.index(state.format.dtype),
                state.capacity,
                state.base,
                state.reserved,
                state.written,
                state.lost,
                int(state.ended),
            ],
            dtype=np.uint64,
        )
        sequence = int(self._record[0]) & ((1 << 62) - 1)
        self._record[0] = sequence | 1
        self._record[1:13] = words
        self._record[13] = crc32c(words.data)
        self._record[0] = (sequence | 1) + 1


class StripReader(_Strip):
    """A reader's end: believes nothing that it has not checked, and never blocks."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, writable=False)

    def state(self) -> StripState | None:
        """The header, or None where no capture was begun or its writer died in the middle of a header.

        Raises StripInvalid for a whole header that describes what cannot be.
        """
        for _ in range(_TRIES):
            before = int(self._record[0])
            if before == 0:
                return None
            words = self._record[1:13].copy()
            crc = int(self._record[13])
            if before % 2 == 0 and int(self._record[0]) == before and crc32c(words.data) == crc:
                return self._believe([int(word) for word in words])
        return None

    def read(self, capture: bytes, first: int, count: int) -> tuple[NDArray[Any], tuple[tuple[int, int], ...]]:
        """Lines first ... first + count - 1 of `capture` as (count, columns, bands), and the lost ranges in them.

        Raises StripLapped when any of them is not in the ring, or left it while it was copied.
        """
        state = self.state()
        if state is None or count < 1:
            raise StripLapped(first, count)
        pixels = state.format.empty(count)
        return pixels, self.read_into(capture, first, pixels)

    def read_into(self, capture: bytes, first: int, out: NDArray[Any]) -> tuple[tuple[int, int], ...]:
        """The same into `out` (count, columns, bands), C-contiguous; the lost ranges, whose lines are zeros.

        Raises StripLapped as read() does, and when the ring holds samples of another shape or type; `out` holds
        anything then.
        """
        count = out.shape[0]
        state = self.state()
        if state is None or state.capture != capture or count < 1:
            raise StripLapped(first, count)
        if first < state.oldest or first + count > state.written:
            raise StripLapped(first, count)
        form = state.format
        if out.shape[1:] != (form.columns, form.bands) or out.dtype.name != form.dtype:
            raise StripLapped(first, count)
        self._lay_out(state.format, state.capacity)
        octets = out.view(np.uint8).reshape(count, -1)
        lost: list[tuple[int, int]] = []
        for row, number in zip(octets, range(first, first + count), strict=True):
            slot = number % state.capacity
            entry, kind_and_crc = (int(word) for word in self._entries[slot].copy())
            kind, crc = kind_and_crc >> 32, kind_and_crc & 0xFFFF_FFFF
            if entry != number + 1 or kind not in (PRESENT, LOST):
                raise StripLapped(first, count)
            if kind == LOST:
                lost.append((number, 1))
                row[:] = 0
                continue
            row[:] = self._lines[slot]
            if crc32c(row.data) != crc:
                raise StripLapped(first, count)
        after = self.state()
        if after is None or after.generation != state.generation or first < after.oldest:
            raise StripLapped(first, count)
        return merge_ranges(lost)

    def _believe(self, words: list[int]) -> StripState:
        generation, low, high, columns, bands, dtype, capacity, base, reserved, written, lost, ended = words
        if dtype >= len(DTYPES):
            raise StripInvalid("dtype", dtype)
        form = StripFormat(columns, bands, DTYPES[dtype])
        if capacity < 2 or capacity > (self._memory.size - HEADER_BYTES - 64) // (form.line_stride + ENTRY_BYTES):
            raise StripInvalid("capacity", capacity)
        if reserved > MAX_LINES:
            raise StripInvalid("reserved", reserved)
        if not base <= written <= reserved:
            raise StripInvalid("written", written)
        if lost > written:
            raise StripInvalid("lost", lost)
        if ended > 1:
            raise StripInvalid("ended", ended)
        capture = low.to_bytes(8, "little") + high.to_bytes(8, "little")
        return StripState(generation, capture, form, capacity, base, reserved, written, lost, bool(ended))


def merge_ranges(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """(first, count) ranges, ascending, overlapping and adjoining ones made one."""
    merged: list[tuple[int, int]] = []
    for first, count in sorted(ranges):
        if merged and first <= merged[-1][0] + merged[-1][1]:
            start, length = merged[-1]
            merged[-1] = (start, max(length, first + count - start))
        else:
            merged.append((first, count))
    return tuple(merged)

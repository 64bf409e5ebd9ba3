"""Finished class map rows on their way from the payload process to the flight process: fixed slots of shared memory.

The payload process writes a strip into a slot and offers it over control (StripOffer); it does not touch the slot again
until the flight process has acknowledged the strip. The flight process copies first and checks its copy, so nothing
that a hostile payload process does to the memory afterwards can matter.

Layout, native byte order: 64 octets (magic, total bytes, slots, slot bytes), then per slot 64 octets of eight 64-bit
words (generation, strip index, first row, rows, width, CRC-32C, first 16 octets of the job id), then every slot's rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindings.crc import crc32c
from flight.pipeline.control import StripOffer
from flight.pipeline.process_errors import (
    AnswerClassInvalid,
    AnswerCorrupt,
    AnswerOutOfRange,
    AnswerStale,
    MemoryRefused,
)
from flight.pipeline.shared_memory import SharedMemory, create_memory

MAGIC = int.from_bytes(b"SWANSWR1", "little")
HEAD_BYTES = 64
MAX_SLOTS = 64
NO_ANSWER = 255


@dataclass(frozen=True, slots=True)
class AnswerGeometry:
    """What the flight process expects of the strips of one job; nothing else is read out of a slot."""

    job: bytes  # 32
    width: int  # columns of the scene
    strip_rows: int
    scene_rows: int | None  # None while the capture goes on
    classes: int  # class ids 0 ... classes - 1, and 255 for no answer


def create_answer_memory(slots: int, slot_bytes: int) -> int:
    """Descriptor of `slots` empty slots for up to `slot_bytes` class map pixels each. Called by the supervisor."""
    if not 1 <= slots <= MAX_SLOTS or slot_bytes < 1:
        raise MemoryRefused(f"{slots} slots of {slot_bytes} bytes")
    slot_bytes = (slot_bytes + 63) & ~63
    size = HEAD_BYTES + slots * (HEAD_BYTES + slot_bytes)
    descriptor = create_memory("swath-answers", size)
    with SharedMemory(descriptor, writable=True, least_bytes=HEAD_BYTES) as memory:
        memory.words(0, 4)[:] = (MAGIC, size, slots, slot_bytes)
    return descriptor


class _Slots:
    """The mapping, and where the slots lie in it."""

    def __init__(self, descriptor: int, *, writable: bool) -> None:
        self._memory = SharedMemory(descriptor, writable=writable, least_bytes=HEAD_BYTES)
        magic, size, self.slots, self.slot_bytes = (int(word) for word in self._memory.words(0, 4))
        fits = HEAD_BYTES + self.slots * (HEAD_BYTES + self.slot_bytes) == size == self._memory.size
        if magic != MAGIC or not 1 <= self.slots <= MAX_SLOTS or self.slot_bytes < 1 or not fits:
            self._memory.close()
            raise MemoryRefused("no answer slots in it")
        # Offsets come from the numbers checked above and are never read from the memory again.
        heads = self._memory.words(HEAD_BYTES, 8 * self.slots)
        self._heads: NDArray[np.uint64] = heads.reshape(self.slots, 8)
        self._rows: NDArray[np.uint8] = self._memory.octets[HEAD_BYTES * (1 + self.slots) :].reshape(self.slots, -1)

    def close(self) -> None:
        """Unmap. The descriptor stays the caller's."""
        self._heads = np.zeros((0, 8), dtype=np.uint64)
        self._rows = np.zeros((0, 0), dtype=np.uint8)
        self._memory.close()


class AnswerWriter(_Slots):
    """The payload process's end."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, writable=True)

    def put(self, slot: int, job: bytes, index: int, first_row: int, rows: NDArray[np.uint8]) -> StripOffer:
        """Write the rows (n, width) of one strip into `slot` and return what to offer. Raises AnswerOutOfRange."""
        if not 0 <= slot < self.slots:
            raise AnswerOutOfRange("slot", slot, self.slots - 1)
        if rows.size > self.slot_bytes:
            raise AnswerOutOfRange("bytes", rows.size, self.slot_bytes)
        head, octets = self._heads[slot], np.ascontiguousarray(rows).reshape(-1)
        crc = crc32c(octets.data)
        generation = (int(head[0]) + 1) % (1 << 62)  # goes on over restarts of this process
        head[0] = generation
        self._rows[slot, : octets.size] = octets
        job_words = (int.from_bytes(job[:8], "little"), int.from_bytes(job[8:16], "little"))
        head[1:8] = (index, first_row, rows.shape[0], rows.shape[1], crc, *job_words)
        return StripOffer(
            index=index, slot=slot, generation=generation, first_row=first_row, rows=int(rows.shape[0]), crc32c=crc
        )


class AnswerReader(_Slots):
    """The flight process's end: bounded work per strip, and nothing is believed before it is checked on the copy."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, writable=False)

    def take(self, offer: StripOffer, geometry: AnswerGeometry) -> NDArray[np.uint8]:
        """A copy of the offered strip, (rows, width).

        Raises AnswerOutOfRange, AnswerStale, AnswerCorrupt or AnswerClassInvalid; the strip is then not acknowledged.
        """
        self._check_bounds(offer, geometry)
        size = offer.rows * geometry.width
        self._check_head(offer, geometry)
        copied: NDArray[np.uint8] = self._rows[offer.slot, :size].copy()
        self._check_head(offer, geometry)
        crc = crc32c(copied.data)
        if crc != offer.crc32c:
            raise AnswerCorrupt(offer.slot, offer.crc32c, crc)
        wrong = copied[(copied >= geometry.classes) & (copied != NO_ANSWER)]
        if wrong.size:
            raise AnswerClassInvalid(int(wrong[0]), geometry.classes)
        rows: NDArray[np.uint8] = copied.reshape(offer.rows, geometry.width)
        return rows

    def _check_bounds(self, offer: StripOffer, geometry: AnswerGeometry) -> None:
        if not 0 <= offer.slot < self.slots:
            raise AnswerOutOfRange("slot", offer.slot, self.slots - 1)
        if offer.first_row != offer.index * geometry.strip_rows:
            raise AnswerOutOfRange("first_row", offer.first_row, offer.index * geometry.strip_rows)
        if not 1 <= offer.rows <= geometry.strip_rows:
            raise AnswerOutOfRange("rows", offer.rows, geometry.strip_rows)
        if geometry.scene_rows is None:
            # Only the last strip may be short, and which one is last is not known before the capture has ended.
            if offer.rows != geometry.strip_rows:
                raise AnswerOutOfRange("rows", offer.rows, geometry.strip_rows)
        else:
            expected = min(geometry.strip_rows, geometry.scene_rows - offer.first_row)
            if offer.rows != expected:
                raise AnswerOutOfRange("rows", offer.rows, max(expected, 0))
        if offer.rows * geometry.width > self.slot_bytes:
            raise AnswerOutOfRange("bytes", offer.rows * geometry.width, self.slot_bytes)

    def _check_head(self, offer: StripOffer, geometry: AnswerGeometry) -> None:
        head = [int(word) for word in self._heads[offer.slot].copy()]
        if head[0] != offer.generation:
            raise AnswerStale(offer.slot, offer.generation, head[0])
        job = geometry.job
        words = (int.from_bytes(job[:8], "little"), int.from_bytes(job[8:16], "little"))
        expected = [offer.index, offer.first_row, offer.rows, geometry.width, offer.crc32c, *words]
        for name, found, wanted in zip(
            ("index", "first_row", "rows", "width", "crc32c", "job", "job"), head[1:], expected, strict=True
        ):
            if found != wanted:
                raise AnswerOutOfRange(name, found, wanted)

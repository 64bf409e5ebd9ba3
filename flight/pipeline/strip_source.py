"""A capture as the engine reads it: from the ring while its lines are there, otherwise from the store."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindings.crc import crc32c
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.process_errors import CaptureAbsent, LinesUnavailable, StripInvalid, StripLapped
from flight.pipeline.strip_blocks import END, LOST, Block, CaptureEnd, read_end, scan
from flight.pipeline.strip_buffer import StripReader, merge_ranges
from flight.pipeline.strip_store import folder_of, read_description

MAX_INDEX = 65_536  # blocks known ahead of the last release
MAX_RANGES = 4096  # lost ranges remembered behind the last release


class StoredLines:
    """Reads one capture of the store while, or after, the camera process writes it. Writes nothing."""

    def __init__(self, store: Path, capture: bytes) -> None:
        """Raises CaptureAbsent when it is not there (yet), StoreDamaged when its description cannot be read."""
        stored = read_description(store, capture)
        if stored is None:
            raise CaptureAbsent(capture)
        try:
            path = folder_of(store, capture) / "lines.bin"
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise CaptureAbsent(capture) from error
        self.meta: CaptureMeta = stored.meta
        self.ended: CaptureEnd | None = None
        self.damaged_lines = 0  # lines whose block failed its CRC; they are read as lost
        self._blocks: deque[Block] = deque()
        self._at = 0
        self._next = 0

    @property
    def available(self) -> int:
        """Lines known to be in the file; at most MAX_INDEX blocks ahead of the last release."""
        if self.ended is None and len(self._blocks) < MAX_INDEX:
            for block in scan(self._descriptor, self.meta.format.line_bytes, at=self._at, next_line=self._next):
                if block.header.kind == END:
                    self.ended = read_end(self._descriptor, block)
                    break
                self._blocks.append(block)
                self._at = block.end_at
                self._next += block.header.count
                if len(self._blocks) >= MAX_INDEX:
                    break
        return self._next

    def read(self, first: int, count: int) -> tuple[NDArray[Any], tuple[tuple[int, int], ...]]:
        """Lines as (count, columns, bands) and the lost ranges in them. Raises LinesUnavailable."""
        pixels = self.meta.format.empty(max(count, 0))
        return pixels, self.read_into(first, pixels)

    def read_into(self, first: int, pixels: NDArray[Any]) -> tuple[tuple[int, int], ...]:
        """The same into `pixels`; the lost ranges, whose lines are zeros. Raises LinesUnavailable."""
        count = pixels.shape[0]
        end = first + count
        if first < 0 or count < 1 or end > self.available or not self._blocks or first < self._blocks[0].header.first:
            raise LinesUnavailable(first, count, self._next)
        lost: list[tuple[int, int]] = []
        for block in self._blocks:
            header = block.header
            start, stop = max(first, header.first), min(end, header.first + header.count)
            if header.first >= end:
                break
            if start >= stop:
                continue
            if header.kind == LOST or not self._copy(block, start, stop, pixels[start - first : stop - first]):
                lost.append((start, stop - start))
                pixels[start - first : stop - first] = 0
        return merge_ranges(lost)

    def release(self, before: int) -> None:
        """Forget where lines < before lie."""
        while self._blocks and self._blocks[0].header.first + self._blocks[0].header.count <= before:
            self._blocks.popleft()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _copy(self, block: Block, start: int, stop: int, out: NDArray[Any]) -> bool:
        """Lines start ... stop - 1 of one block into `out`; False, and nothing done, when the block is damaged."""
        octets = os.pread(self._descriptor, block.header.length, block.payload_at)
        if len(octets) != block.header.length or crc32c(octets) != block.header.payload_crc:
            self.damaged_lines += stop - start
            return False
        form = self.meta.format
        lines = np.frombuffer(octets, dtype=form.dtype).reshape(-1, form.columns, form.bands)
        out[:] = lines[start - block.header.first : stop - block.header.first]
        return True


class StripSource:
    """The LineSource of one capture. Its lines are the same whichever place they come from."""

    def __init__(self, store: Path, capture: bytes, ring: StripReader | None) -> None:
        """Raises CaptureAbsent when the capture was not begun yet, StoreDamaged when it cannot be read."""
        self._capture, self._ring = capture, ring
        self._stored = StoredLines(store, capture)
        self._released = 0
        self._lost: tuple[tuple[int, int], ...] = ()
        self.lines_from_ring = 0
        self.lines_from_store = 0

    @property
    def meta(self) -> CaptureMeta:
        return self._stored.meta

    @property
    def columns(self) -> int:
        return self._stored.meta.columns

    @property
    def bands(self) -> int:
        return self._stored.meta.bands

    @property
    def dtype(self) -> str:
        return self._stored.meta.dtype

    @property
    def lines(self) -> int | None:
        """Lines of the whole capture, known once its end block is in the store."""
        if self._stored.ended is None:
            _ = self._stored.available
        return None if self._stored.ended is None else self._stored.ended.lines

    @property
    def ended(self) -> CaptureEnd | None:
        """How the capture ended, None while it has not."""
        return self._stored.ended if self.lines is not None else None

    @property
    def available(self) -> int:
        # The camera process stores a line before it shows it, so the store always knows of every line.
        return self._stored.available

    def read_into(self, first: int, out: NDArray[Any]) -> None:
        """See LineSource. Raises LinesUnavailable."""
        count = out.shape[0]
        if first < self._released or count < 1 or first + count > self.available:
            raise LinesUnavailable(first, count, self._stored.available)
        lost = self._read_into(first, out)
        if lost:
            self._note(lost)

    def release(self, before: int) -> None:
        """See LineSource."""
        self._released = max(self._released, before)
        self._stored.release(self._released)

    def lost_ranges(self) -> tuple[tuple[int, int], ...]:
        """See LineSource."""
        return self._lost

    def close(self) -> None:
        """Close the store's file; the ring stays the caller's."""
        self._stored.close()

    def _read_into(self, first: int, out: NDArray[Any]) -> tuple[tuple[int, int], ...]:
        if self._ring is not None:
            try:
                lost = self._ring.read_into(self._capture, first, out)
                self.lines_from_ring += out.shape[0]
                return lost
            except (StripLapped, StripInvalid):
                pass  # the store has them
        self.lines_from_store += out.shape[0]
        return self._stored.read_into(first, out)

    def _note(self, lost: tuple[tuple[int, int], ...]) -> None:
        ranges = merge_ranges([*self._lost, *lost])
        if len(ranges) > MAX_RANGES:
            ranges = tuple(item for item in ranges if item[0] + item[1] > self._released)
        self._lost = ranges

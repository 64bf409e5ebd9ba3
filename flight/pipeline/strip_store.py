"""The strip store: captures spooled to a folder of bounded size: a restart reads lines again and never looks again.

    <folder>/<capture id in hex>/meta.json   what is known about the capture, written first and made durable
    <folder>/<capture id in hex>/lines.bin   blocks (flight/pipeline/strip_blocks.py), appended
    <folder>/<capture id in hex>/released    nobody needs the lines any more

The camera process is the only writer. After a kill the kernel still has what was written; after a power cut the tail
may be torn: it is found by its CRC and cut off, and what it held is counted as lost. The end block is made durable
before the capture is called done.

A removed capture leaves its description behind (a bounded number of them), so that a repeated order for it is
recognised and not looked at again.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bindings.crc import crc32c
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.process_errors import CaptureAbsent, CaptureExists, StoreDamaged, StoreError, StoreFull
from flight.pipeline.strip_blocks import (
    END,
    LINES,
    LOST,
    MAX_BLOCK_BYTES,
    BlockHeader,
    CaptureEnd,
    payload_is_whole,
    read_end,
    scan,
)

MAX_META_BYTES = 1 << 16
MAX_TOMBSTONES = 256  # descriptions of removed captures that are kept
END_ROOM = 1 << 13  # room for meta.json and the end block in every reservation
_CAPTURE_NAME = re.compile(r"[0-9a-f]{32}")


class StoredCapture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What meta.json holds."""

    order: int  # captures of this store, counted up
    reserved_bytes: int
    meta: CaptureMeta


class CaptureWriter:
    """One capture being spooled. Blocks are whole or absent: each is one write, taken back when it fell short."""

    def __init__(self, descriptor: int, capture: bytes, meta: CaptureMeta, reserved_bytes: int) -> None:
        self.capture, self.meta = capture, meta
        self.lines = self.lost = 0
        self.truncated_bytes = 0
        self.ended: CaptureEnd | None = None
        self._descriptor = descriptor
        self._reserved = reserved_bytes
        self._size = 0
        self._recover()

    def append(self, lines: NDArray[Any]) -> None:
        """Append (count, columns, bands) lines. Raises StoreFull above what was reserved, StoreError for the disk."""
        octets = np.ascontiguousarray(lines, dtype=self.meta.dtype).view(np.uint8).reshape(-1)
        if octets.size > MAX_BLOCK_BYTES or octets.size != lines.shape[0] * self.meta.format.line_bytes:
            raise StoreError(errno.EINVAL, f"a block of shape {lines.shape}")
        self._write(LINES, int(lines.shape[0]), octets.data)
        self.lines += int(lines.shape[0])

    def append_lost(self, count: int) -> None:
        """Note that the next `count` lines never came."""
        self._write(LOST, count, memoryview(b""))
        self.lines += count
        self.lost += count

    def end(self, reason: str = "") -> CaptureEnd:
        """Write the end block and wait until everything is on the disk."""
        ended = CaptureEnd(self.lines, self.lost, reason)
        self._write(END, 0, memoryview(msgspec.json.encode(ended)))
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise StoreError(error.errno, error.strerror) from error
        self.ended = ended
        return ended

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _recover(self) -> None:
        """Find what is already there and cut a torn tail off."""
        size = os.fstat(self._descriptor).st_size
        for block in scan(self._descriptor, self.meta.format.line_bytes):
            if block.header.kind == END:
                self.ended = read_end(self._descriptor, block)
                if self.ended is None:
                    break
            elif not payload_is_whole(self._descriptor, block):
                break
            self._size = block.end_at
            self.lines += block.header.count
            self.lost += block.header.count if block.header.kind == LOST else 0
        if size > self._size:
            self.truncated_bytes = size - self._size
            os.ftruncate(self._descriptor, self._size)

    def _write(self, kind: int, count: int, payload: memoryview) -> None:
        needed = BlockHeader.SIZE + len(payload)
        room = self._reserved if kind == END else self._reserved - END_ROOM
        if self._size + needed > room:
            raise StoreFull(self._size + needed, room)
        header = BlockHeader(kind, self.lines, count, len(payload), crc32c(payload))
        try:
            written = os.pwritev(self._descriptor, [header.pack(), payload], self._size)
            if written != needed:  # a full disk takes a part
                os.ftruncate(self._descriptor, self._size)
                raise StoreFull(needed, written)
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(error.errno, error.strerror) from error
        self._size += needed


class StripStore:
    """The camera process's view of the whole store."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit = folder, limit_bytes
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, capture: bytes, meta: CaptureMeta) -> CaptureWriter:
        """A new capture. Its whole size is reserved before its first line, released captures giving way.

        Raises StoreFull when the bound leaves no room, CaptureExists for an id used before.
        """
        if read_description(self._folder, capture) is not None:
            raise CaptureExists(capture)
        overhead = 2 * BlockHeader.SIZE  # a block of one line, and a gap before it
        lines = 1 if meta.lines is None else meta.lines
        needed = lines * (meta.format.line_bytes + overhead) + END_ROOM
        self._make_room(needed)
        # An endless strip gets what is left; it ends when that is full.
        reserved = needed if meta.lines is not None else self._limit - self.used_bytes(released=False)
        if meta.lines is None:
            self._make_room(reserved)
        order = max((stored.order for _, stored in self._captures()), default=0) + 1
        folder = folder_of(self._folder, capture)
        folder.mkdir(exist_ok=True)
        write_durably(folder / "meta.json", msgspec.json.encode(StoredCapture(order, reserved, meta)))
        sync_folder(self._folder)
        return self._open(capture, meta, reserved)

    def resume(self, capture: bytes) -> CaptureWriter:
        """Go on with a capture that an earlier process began. Raises CaptureAbsent when its lines are not there."""
        stored = read_description(self._folder, capture)
        if stored is None or not (folder_of(self._folder, capture) / "lines.bin").exists():
            raise CaptureAbsent(capture)
        return self._open(capture, stored.meta, stored.reserved_bytes)

    def known(self, capture: bytes) -> bool:
        """Whether this id was ever begun here, also when its lines are gone."""
        return read_description(self._folder, capture) is not None

    def release(self, capture: bytes) -> None:
        """Nobody needs the lines any more: they go when room is needed. Repeats do nothing."""
        folder = folder_of(self._folder, capture)
        if read_description(self._folder, capture) is not None and not (folder / "released").exists():
            write_durably(folder / "released", b"")

    def is_released(self, capture: bytes) -> bool:
        return (folder_of(self._folder, capture) / "released").exists()

    def used_bytes(self, *, released: bool = True) -> int:
        """Octets that count against the limit; without the released captures on request."""
        return sum(
            self._bytes_of(capture, stored)
            for capture, stored in self._captures()
            if released or not self.is_released(capture)
        )

    def _open(self, capture: bytes, meta: CaptureMeta, reserved: int) -> CaptureWriter:
        path = folder_of(self._folder, capture) / "lines.bin"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreError(error.errno, error.strerror) from error
        sync_folder(path.parent)
        return CaptureWriter(descriptor, capture, meta, reserved)

    def _captures(self) -> list[tuple[bytes, StoredCapture]]:
        """Every capture with a readable description, oldest first."""
        found = []
        for entry in os.scandir(self._folder):
            if _CAPTURE_NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                capture = bytes.fromhex(entry.name)
                try:
                    stored = read_description(self._folder, capture)
                except StoreDamaged:
                    # Nobody can tell what its lines are any more; the id stays known and is refused by name.
                    (folder_of(self._folder, capture) / "lines.bin").unlink(missing_ok=True)
                    continue
                if stored is not None:
                    found.append((capture, stored))
        return sorted(found, key=lambda item: (item[1].order, item[0]))

    def _bytes_of(self, capture: bytes, stored: StoredCapture) -> int:
        folder = folder_of(self._folder, capture)
        try:
            size = (folder / "lines.bin").stat().st_size
        except FileNotFoundError:
            return 0
        if self.is_released(capture) or find_end(self._folder, capture, stored.meta) is not None:
            return size + END_ROOM
        return max(size, stored.reserved_bytes)

    def _make_room(self, needed: int) -> None:
        captures = self._captures()
        used = sum(self._bytes_of(capture, stored) for capture, stored in captures)
        for capture, stored in captures:
            if used + needed <= self._limit:
                break
            if self.is_released(capture):
                used -= self._bytes_of(capture, stored)
                (folder_of(self._folder, capture) / "lines.bin").unlink(missing_ok=True)
        if used + needed > self._limit:
            raise StoreFull(used + needed, self._limit)
        gone = [item for item, _ in captures if not (folder_of(self._folder, item) / "lines.bin").exists()]
        for capture in gone[:-MAX_TOMBSTONES]:
            folder = folder_of(self._folder, capture)
            for name in ("released", "meta.json"):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()


def folder_of(store: Path, capture: bytes) -> Path:
    """Where a capture lies. Nothing that came over a link is ever part of a path but this hexadecimal number."""
    if len(capture) != 16:
        raise CaptureAbsent(capture)
    return store / capture.hex()


def read_description(store: Path, capture: bytes) -> StoredCapture | None:
    """meta.json of a capture, None when there is none. Raises StoreDamaged when it cannot be read."""
    try:
        with (folder_of(store, capture) / "meta.json").open("rb") as stream:
            octets = stream.read(MAX_META_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreDamaged(capture, error.strerror or "unreadable") from error
    try:
        return msgspec.json.decode(octets, type=StoredCapture)
    except msgspec.DecodeError as error:
        raise StoreDamaged(capture, str(error)) from error


def find_end(store: Path, capture: bytes, meta: CaptureMeta) -> CaptureEnd | None:
    """How a capture ended, None while it has not."""
    try:
        descriptor = os.open(folder_of(store, capture) / "lines.bin", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        for block in scan(descriptor, meta.format.line_bytes):
            if block.header.kind == END:
                return read_end(descriptor, block)
        return None
    finally:
        os.close(descriptor)


def write_durably(path: Path, octets: bytes) -> None:
    """The whole file or none of it, also after a power cut."""
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as stream:
            stream.write(octets)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(error.errno, error.strerror) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

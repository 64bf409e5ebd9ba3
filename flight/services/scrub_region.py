"""What is scrubbed: octets in memory or a file beneath a root, what they should be, what to do when they are not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from flight.services.declare import DeclarationInvalid, ServicesError
from flight.services.rooted import PathRefused, Root, components

MAX_MEMORY_OCTETS = 1 << 20  # tables, not images
CRC_OCTETS, SHA256_OCTETS = 4, 32
MAX_WAITS = 50  # reads in a row that found nothing in the page cache


class UnreadableReason(IntEnum):
    """Why a region could not be read. Numbers are never reused; 1 to 11 are those of PathReason."""

    READ_FAILED = 32
    CUT_SHORT = 33  # fewer octets than at the start of the pass
    NOT_OCTETS = 34  # memory that is neither bytes nor bytearray, or more than MAX_MEMORY_OCTETS


class Unreadable(ServicesError, OSError):
    """A region that could not be read. `reason` is of UnreadableReason or PathReason; `number` the errno or 0."""

    code = "region_unreadable"

    def __init__(self, reason: int, number: int = 0) -> None:
        super().__init__(f"region unreadable: reason {reason}, errno {number}")
        self.reason, self.number = reason, number


class Outcome(IntEnum):
    """How a reaction ended. Numbers are never reused."""

    REPAIRED = 1  # a good copy is in place; should it be bad again, the reaction is called again
    WITHDRAWN = 2  # what needs the region is disabled; not called again until the region was found sound
    FAILED = 3  # tried again after the next pass


class Source(Protocol):
    """Octets that can be read from an offset on. All raise Unreadable."""

    def begin(self) -> int:
        """Take hold for one pass; the size in octets."""
        ...

    def read(self, offset: int, into: memoryview) -> int:
        """Fill `into`; how many octets came. 0: they are on their way, ask again in a later frame."""
        ...

    def end(self) -> None:
        """Let go; also when nothing was held."""
        ...


class MemorySource:
    """Octets of this process. Only bytes and bytearray: shared memory and arrays, where pixels are, cannot be given."""

    def __init__(self, octets: Callable[[], bytes | bytearray]) -> None:
        self._octets = octets
        self._held: bytes | bytearray = b""

    def begin(self) -> int:
        """Called once a pass: the owner of octets that it replaces calls Scrubber.rebaseline()."""
        held = self._octets()
        if type(held) not in (bytes, bytearray) or len(held) > MAX_MEMORY_OCTETS:
            raise Unreadable(UnreadableReason.NOT_OCTETS)
        self._held = held
        return len(held)

    def read(self, offset: int, into: memoryview) -> int:
        """Raises Unreadable when a bytearray became shorter."""
        count = len(into)
        if offset + count > len(self._held):
            raise Unreadable(UnreadableReason.CUT_SHORT)
        with memoryview(self._held) as whole:
            into[:] = whole[offset : offset + count]
        return count

    def end(self) -> None:
        """Let go of the octets."""
        self._held = b""


class FileSource:
    """A regular file beneath a root. What the medium has not brought yet is asked for and read in a later frame.

    A medium that brings nothing MAX_WAITS times is read from all the same, so that its error is told.
    """

    def __init__(self, root: Root, path: str) -> None:
        """Raises PathRefused for a name that could never be used."""
        components(path)
        self._root, self._path = root, path
        self._file = -1
        self._waits = 0

    def begin(self) -> int:
        """Open it anew: a file that was replaced is seen in the next pass."""
        self.end()
        try:
            self._file = self._root.open_file(self._path)
            return os.fstat(self._file).st_size
        except PathRefused as error:
            raise Unreadable(error.reason, error.errno) from error

    def read(self, offset: int, into: memoryview) -> int:
        """One read. The pages that were read are given up, so that the next pass asks the medium again."""
        try:
            count = self._read_cached(offset, into)
            if count < 0:
                os.posix_fadvise(self._file, offset, len(into), os.POSIX_FADV_WILLNEED)
                return 0
            os.posix_fadvise(self._file, offset, len(into), os.POSIX_FADV_DONTNEED)
        except OSError as error:
            raise Unreadable(UnreadableReason.READ_FAILED, error.errno or 0) from error
        if count == 0:
            raise Unreadable(UnreadableReason.CUT_SHORT)
        return count

    def _read_cached(self, offset: int, into: memoryview) -> int:
        """Below 0: it would have to wait for the medium, and with it the frame."""
        if self._waits < MAX_WAITS:
            try:
                count = os.preadv(self._file, [into], offset, os.RWF_NOWAIT)
            except BlockingIOError:
                self._waits += 1
                return -1
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:  # a file system without it
                    raise
            else:
                self._waits = 0
                return count
        self._waits = 0
        return os.preadv(self._file, [into], offset)

    def end(self) -> None:
        """Close it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


@dataclass(frozen=True, slots=True)
class Region:
    """One region. `reaction` returns within its slot; a FlightError or OSError from it counts as FAILED."""

    number: int  # 1..255, unique
    source: Source
    reaction: Callable[[], Outcome]
    expected: bytes = b""  # SHA-256 (32 octets) or CRC-32C (4, big-endian); empty: the first pass is the baseline

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 0xFF:
            raise DeclarationInvalid(f"region number {self.number} is not in 1..255")
        check_expected(self.expected)


def check_expected(expected: bytes) -> None:
    """Raises DeclarationInvalid for what is no digest."""
    if len(expected) not in (0, CRC_OCTETS, SHA256_OCTETS):
        raise DeclarationInvalid(f"{len(expected)} octets are neither a CRC-32C nor a SHA-256")

"""File checksums (727.0-B-5, 4.2): modular, CRC-32C, CRC-32, and none. Fed in order, piece by piece."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bindings.crc import crc32c
from flight.link.cfdp.codes import ChecksumKind

_PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class FileChecksum:
    """A kind and its 32-bit value."""

    kind: ChecksumKind
    value: int


class RunningChecksum:
    """The checksum of a file read from its start.

    >>> running = RunningChecksum(ChecksumKind.CRC_32C)
    >>> running.update(b"1234"); running.update(b"56789"); hex(running.value)
    '0xe3069283'
    """

    __slots__ = ("_odd", "kind", "value")

    def __init__(self, kind: ChecksumKind) -> None:
        self.kind, self.value = kind, 0
        self._odd = b""  # modular: octets that do not yet make a word

    def update(self, octets: bytes) -> None:
        """Go on with the next octets of the file."""
        if self.kind is ChecksumKind.CRC_32C:
            self.value = crc32c(octets, self.value)
        elif self.kind is ChecksumKind.CRC_32:
            self.value = zlib.crc32(octets, self.value)
        elif self.kind is ChecksumKind.MODULAR:
            octets = self._odd + octets
            whole = len(octets) & ~3
            # the word begun is counted as if filled up with zeros, and taken back when it goes on
            self.value -= _word(self._odd)
            self._odd = octets[whole:]
            words = np.frombuffer(octets, dtype=">u4", count=whole // 4)
            self.value = (self.value + int(words.sum(dtype=np.uint64)) + _word(self._odd)) & 0xFFFFFFFF


def _word(octets: bytes) -> int:
    return int.from_bytes(octets.ljust(4, b"\0"), "big")


def file_checksum(kind: ChecksumKind, size: int, read: Callable[[int, int], bytes]) -> FileChecksum:
    """Checksum of a whole file of `size` octets; `read(offset, count)` gives its octets. Not for use in a frame."""
    running = RunningChecksum(kind)
    for offset in range(0, size, _PIECE_BYTES):
        running.update(read(offset, min(_PIECE_BYTES, size - offset)))
    return FileChecksum(kind, running.value)

"""The blocks of a spooled capture's file: whole or absent, each under its own CRC-32C.

A block is a header of 32 octets, little-endian: magic "SWLB", kind u8 (1 lines, 2 lost lines, 3 end), 3 zero octets,
first line u64, count u32, payload length u32, CRC-32C of the payload, CRC-32C of the 28 octets before.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from bindings.crc import crc32c
from flight.pipeline.strip_buffer import MAX_LINES

LINES, LOST, END = 1, 2, 3
MAX_END_BYTES = 1024
MAX_BLOCK_BYTES = 1 << 26


class CaptureEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a capture ended; the payload of its end block."""

    lines: int
    lost: int
    reason: str = ""  # reason code of a capture that failed; empty when it was taken to its end


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """The 32 octets before every payload."""

    kind: int
    first: int
    count: int
    length: int
    payload_crc: int

    PACKED: ClassVar[struct.Struct] = struct.Struct("<4sB3xQIII")
    SIZE: ClassVar[int] = 32

    def pack(self) -> bytes:
        head = self.PACKED.pack(b"SWLB", self.kind, self.first, self.count, self.length, self.payload_crc)
        return head + crc32c(head).to_bytes(4, "little")

    @classmethod
    def unpack(cls, octets: bytes) -> BlockHeader | None:
        """None when the octets are no header: the tail is torn or still being written."""
        if len(octets) != cls.SIZE or crc32c(octets[:28]) != int.from_bytes(octets[28:], "little"):
            return None
        magic, kind, first, count, length, payload_crc = cls.PACKED.unpack(octets[:28])
        if magic != b"SWLB" or kind not in (LINES, LOST, END) or first + count > MAX_LINES:
            return None
        return cls(kind, first, count, length, payload_crc)


@dataclass(frozen=True, slots=True)
class Block:
    """One block whose header is good and whose payload lies wholly in the file."""

    header: BlockHeader
    payload_at: int

    @property
    def end_at(self) -> int:
        return self.payload_at + self.header.length


def scan(descriptor: int, line_bytes: int, *, at: int = 0, next_line: int = 0) -> Iterator[Block]:
    """Blocks from octet `at` on, in order and without gaps, up to the first that is not whole. Reads no payload."""
    size = os.fstat(descriptor).st_size
    while at + BlockHeader.SIZE <= size:
        header = BlockHeader.unpack(os.pread(descriptor, BlockHeader.SIZE, at))
        if header is None or header.first != next_line or not _fits(header, line_bytes):
            return
        block = Block(header, at + BlockHeader.SIZE)
        if block.end_at > size:
            return
        yield block
        if header.kind == END:
            return
        next_line += header.count
        at = block.end_at


def payload_is_whole(descriptor: int, block: Block) -> bool:
    """Whether the payload has its CRC-32C; read in pieces of bounded size."""
    crc, at = 0, block.payload_at
    while at < block.end_at:
        piece = os.pread(descriptor, min(1 << 20, block.end_at - at), at)
        if not piece:
            return False
        crc, at = crc32c(piece, crc), at + len(piece)
    return crc == block.header.payload_crc


def read_end(descriptor: int, block: Block) -> CaptureEnd | None:
    """The end block's payload, None when it is damaged."""
    octets = os.pread(descriptor, block.header.length, block.payload_at)
    if crc32c(octets) != block.header.payload_crc:
        return None
    try:
        return msgspec.json.decode(octets, type=CaptureEnd)
    except msgspec.DecodeError:
        return None


def _fits(header: BlockHeader, line_bytes: int) -> bool:
    if header.kind == LINES:
        return header.count > 0 and header.length == header.count * line_bytes <= MAX_BLOCK_BYTES
    if header.kind == LOST:
        return header.count > 0 and header.length == 0
    return header.count == 0 and header.length <= MAX_END_BYTES

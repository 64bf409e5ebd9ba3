"""Paths by slot: commands carry numbers alone, so a path is loaded into a slot first, and a command names the slot.

Big-endian: magic "SWPT", format u8 (1), count u8; per path, slots ascending: slot u8, octets u16, the path in ASCII;
at the end CRC-32C u32 over all before it. A load replaces the whole table.

>>> unpack_paths(pack_paths({1: "tables/a.toml"}))
{1: 'tables/a.toml'}
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum

from bindings.crc import crc32c
from flight.services.declare import ServicesError
from flight.services.rooted import PathRefused, plain_components

MAGIC = b"SWPT"
FORMAT = 1
MAX_SLOTS = 32
MAX_OCTETS = 4094  # with its opcode it is one telecommand
_HEAD = struct.Struct(">4sBB")
_ENTRY = struct.Struct(">BH")
_TAIL = struct.Struct(">I")


class PathTableReason(IntEnum):
    """Why octets are no path table. Numbers are never reused; 1 to 12 are those of PathReason, of one path."""

    SIZE = 32  # too short, too long, or octets left over
    MAGIC = 33
    FORMAT = 34
    CRC = 35
    SLOT = 36  # not in 1..32, or not above the one before
    NOT_ASCII = 37


class PathTableRefused(ServicesError, ValueError):
    """A load that is not taken. `reason`: of PathTableReason or PathReason; `slot`: 0 unless one path is at fault."""

    code = "path_table_refused"

    def __init__(self, reason: int, slot: int = 0) -> None:
        super().__init__(f"path table refused: reason {reason}, slot {slot}")
        self.reason, self.slot = reason, slot


def pack_paths(paths: Mapping[int, str]) -> bytes:
    """The octets of a load. Raises PathTableRefused for what unpack_paths() would refuse."""
    entries = [(slot, path.encode("ascii", "replace")) for slot, path in sorted(paths.items()) if 0 <= slot <= 0xFF]
    body = _HEAD.pack(MAGIC, FORMAT, len(paths) & 0xFF)
    body += b"".join(_ENTRY.pack(slot, len(path) & 0xFFFF) + path for slot, path in entries)
    packed = body + _TAIL.pack(crc32c(body))
    if unpack_paths(packed) != paths:
        raise PathTableRefused(PathTableReason.SLOT)
    return packed


def unpack_paths(octets: bytes) -> dict[int, str]:
    """Slot -> path. Raises PathTableRefused, whatever the octets."""
    if not _HEAD.size + _TAIL.size <= len(octets) <= MAX_OCTETS:
        raise PathTableRefused(PathTableReason.SIZE)
    end = len(octets) - _TAIL.size
    magic, version, count = _HEAD.unpack_from(octets)
    if magic != MAGIC:
        raise PathTableRefused(PathTableReason.MAGIC)
    if version != FORMAT:
        raise PathTableRefused(PathTableReason.FORMAT)
    if _TAIL.unpack_from(octets, end)[0] != crc32c(octets[:end]):
        raise PathTableRefused(PathTableReason.CRC)
    paths: dict[int, str] = {}
    offset, before = _HEAD.size, 0
    for _ in range(count):
        if offset + _ENTRY.size > end:
            raise PathTableRefused(PathTableReason.SIZE)
        slot, size = _ENTRY.unpack_from(octets, offset)
        offset += _ENTRY.size
        if not before < slot <= MAX_SLOTS:
            raise PathTableRefused(PathTableReason.SLOT, slot)
        if offset + size > end:
            raise PathTableRefused(PathTableReason.SIZE, slot)
        paths[slot] = _path(slot, octets[offset : offset + size])
        offset, before = offset + size, slot
    if offset != end:
        raise PathTableRefused(PathTableReason.SIZE)
    return paths


def path_crc(*paths: str) -> int:
    """What a dangerous command says of the paths that it means: CRC-32C over them, a NUL between two."""
    return crc32c(b"\0".join(path.encode() for path in paths))


def _path(slot: int, octets: bytes) -> str:
    try:
        path = octets.decode("ascii")
        plain_components(path)
    except UnicodeDecodeError as error:
        raise PathTableRefused(PathTableReason.NOT_ASCII, slot) from error
    except PathRefused as refused:
        raise PathTableRefused(refused.reason, slot) from refused
    return path

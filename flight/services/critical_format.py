"""One copy of the critical store: its octets, and what of them is sound. The bytes are in docs/critical-store.md."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bindings.crc import crc32c
from flight.services.declare import DeclarationInvalid

MAGIC = b"SWC1"
MAX_BLOCKS = 256
MAX_BLOCK_BYTES = 4096

_HEAD = struct.Struct(">4sH")
_ENTRY = struct.Struct(">HH")
_GENERATION = struct.Struct(">Q")
_CRC = struct.Struct(">I")
_COVERED = struct.Struct(">HHQ")  # what a block's CRC covers before the payload
MAX_COPY_BYTES = _HEAD.size + _CRC.size + MAX_BLOCKS * (_ENTRY.size + _GENERATION.size + MAX_BLOCK_BYTES + _CRC.size)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


@dataclass(frozen=True, slots=True)
class Block:
    """A named block of fixed size. Numbers are never reused; another size is another block."""

    number: int  # 1..65535
    name: str
    default: bytes  # what it holds at first, and when both copies are bad; its length is the block's size

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 0xFFFF or not _NAME.fullmatch(self.name):
            raise DeclarationInvalid(f"block `{self.name}` number {self.number}: name or number cannot be used")
        if not 1 <= len(self.default) <= MAX_BLOCK_BYTES:
            raise DeclarationInvalid(
                f"critical block `{self.name}` of {len(self.default)} octets; 1 to {MAX_BLOCK_BYTES} can be stored"
            )

    @property
    def size(self) -> int:
        """Octets of the payload."""
        return len(self.default)


@dataclass(frozen=True, slots=True)
class Copy:
    """What was found in one copy."""

    generation: int  # of its sound blocks; 0: there are none
    sound: Mapping[int, bytes]  # block number -> payload
    listed: frozenset[int]  # declared blocks in its directory; all of them where the directory is bad
    retired: frozenset[int]  # blocks in its directory that are not declared, or not with that size


def pack_copy(blocks: Sequence[Block], generation: int, payloads: Mapping[int, bytes]) -> bytes:
    """The octets of a copy that holds all `blocks`."""
    head = _HEAD.pack(MAGIC, len(blocks)) + b"".join(_ENTRY.pack(block.number, block.size) for block in blocks)
    parts = [head, _CRC.pack(crc32c(head))]
    for block in blocks:
        payload = payloads[block.number]
        crc = crc32c(payload, crc32c(_COVERED.pack(block.number, block.size, generation)))
        parts += [_GENERATION.pack(generation), payload, _CRC.pack(crc)]
    return b"".join(parts)


def unpack_copy(octets: bytes, declared: Sequence[Block]) -> Copy:
    """The sound blocks of a copy, whatever `octets` are. Where the directory is bad the declared one is assumed."""
    layout = _directory(octets)
    if layout is None:
        layout = [(block.number, block.size) for block in declared]
    offset = _HEAD.size + len(layout) * _ENTRY.size + _CRC.size
    found: list[tuple[int, int, bytes]] = []
    for number, size in layout:
        end = offset + _GENERATION.size + size + _CRC.size
        if end > len(octets):
            break
        (generation,) = _GENERATION.unpack_from(octets, offset)
        payload = octets[offset + _GENERATION.size : end - _CRC.size]
        crc = crc32c(payload, crc32c(_COVERED.pack(number, size, generation)))
        if generation and crc == _CRC.unpack_from(octets, end - _CRC.size)[0]:
            found.append((generation, number, payload))
        offset = end
    # one copy is written at once, with one generation: blocks of an earlier one are left from a torn write
    newest = max((generation for generation, _, _ in found), default=0)
    sound = {number: payload for generation, number, payload in found if generation == newest}
    current = {(block.number, block.size) for block in declared}
    return Copy(
        newest,
        {number: sound[number] for number, size in layout if number in sound and (number, size) in current},
        frozenset(number for number, size in layout if (number, size) in current),
        frozenset(number for number, size in layout if (number, size) not in current),
    )


def _directory(octets: bytes) -> list[tuple[int, int]] | None:
    """(number, size) of each block in order, or None."""
    if len(octets) < _HEAD.size:
        return None
    magic, count = _HEAD.unpack_from(octets)
    end = _HEAD.size + count * _ENTRY.size
    if magic != MAGIC or count > MAX_BLOCKS or end + _CRC.size > len(octets):
        return None
    if crc32c(octets[:end]) != _CRC.unpack_from(octets, end)[0]:
        return None
    return list(_ENTRY.iter_unpack(octets[_HEAD.size : end]))

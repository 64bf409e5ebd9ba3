"""A service's state as octets that check themselves: what is damaged is refused, never half believed.

Big-endian: magic (4 octets), format u8, body, CRC-32C u32 over all before it. Where the octets are kept, and that a cut
leaves the old or the new ones, is the business of the store.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from bindings.crc import crc32c
from flight.services.declare import ServicesError

HEAD = struct.Struct(">4sB")
TAIL = struct.Struct(">I")


class StateReason(IntEnum):
    """Why octets are not a state. Numbers are never reused."""

    SIZE = 1
    MAGIC = 2
    FORMAT = 3
    CRC = 4
    CONTENT = 5  # sound octets that say what no service would have written
    FRAME_WENT_BACK = 6  # the state is of a later frame than the present one


class StateRefused(ServicesError, ValueError):
    """Octets that are not the state of this service. `offset` counts from the start of the body."""

    code = "state_refused"

    def __init__(self, reason: StateReason, offset: int = 0, value: int = 0) -> None:
        super().__init__(f"state refused: {reason.name.lower()} ({value}) at octet {offset} of the body")
        self.reason, self.offset, self.value = reason, offset, value


def seal_state(magic: bytes, version: int, body: bytes) -> bytes:
    """The body with its head and its CRC."""
    octets = HEAD.pack(magic, version) + body
    return octets + TAIL.pack(crc32c(octets))


def open_state(octets: bytes, magic: bytes, version: int, max_body_octets: int) -> bytes:
    """The body of sound octets. Raises StateRefused."""
    size = len(octets) - HEAD.size - TAIL.size
    if not 0 <= size <= max_body_octets:
        raise StateRefused(StateReason.SIZE, value=len(octets))
    octets = bytes(octets)
    found_magic, found_version = HEAD.unpack_from(octets)
    if found_magic != magic:
        raise StateRefused(StateReason.MAGIC)
    if found_version != version:
        raise StateRefused(StateReason.FORMAT, value=found_version)
    if TAIL.unpack_from(octets, len(octets) - TAIL.size)[0] != crc32c(octets[: -TAIL.size]):
        raise StateRefused(StateReason.CRC)
    return octets[HEAD.size : -TAIL.size]

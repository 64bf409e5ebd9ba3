"""Space packets (CCSDS 133.0-B-2, 4.1): the unit that every message on the ground link is.

```
version 3 | type 1 | secondary header 1 | APID 11 || flags 2 | sequence count 14 || length - 1, 16 || data
```
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

from flight.link.apids import Apid
from flight.link.errors import PacketTooLong, PacketTooShort, PacketVersionUnsupported, require

_HEADER = struct.Struct(">HHH")

HEADER_BYTES = 6
MIN_PACKET_BYTES = 7
MAX_PACKET_BYTES = 65542
SEQUENCE_MODULO = 1 << 14


class SequenceFlags(IntEnum):
    """Which part of a user's data a packet carries."""

    CONTINUATION = 0
    FIRST = 1
    LAST = 2
    UNSEGMENTED = 3


@dataclass(frozen=True, slots=True)
class SpacePacket:
    """One space packet; `payload` is everything after the primary header, 1..65536 octets.

    >>> SpacePacket(Apid.EVENT, 5, b"hi").pack().hex()
    '0002c00500016869'
    >>> SpacePacket.unpack(bytes.fromhex("0002c00500016869")).payload
    b'hi'
    """

    apid: int
    sequence: int
    payload: bytes
    telecommand: bool = False
    secondary_header: bool = False
    flags: SequenceFlags = SequenceFlags.UNSEGMENTED

    SIZE: ClassVar[int] = HEADER_BYTES

    def __post_init__(self) -> None:
        require("apid", self.apid, 0, 0x7FF)
        require("packet sequence count", self.sequence, 0, SEQUENCE_MODULO - 1)
        require("packet data octets", len(self.payload), 1, MAX_PACKET_BYTES - HEADER_BYTES)

    def pack(self) -> bytes:
        """The packet's octets."""
        first = (self.telecommand << 12) | (self.secondary_header << 11) | self.apid
        return _HEADER.pack(first, (self.flags << 14) | self.sequence, len(self.payload) - 1) + self.payload

    @classmethod
    def unpack(cls, octets: bytes) -> SpacePacket:
        """Exactly one packet. Raises PacketError subclasses; trailing octets are refused."""
        size = packet_bytes(octets)
        if len(octets) < size:
            raise PacketTooShort(size, len(octets))
        if len(octets) > size:
            raise PacketTooLong(size, len(octets))
        first, second, _ = _HEADER.unpack_from(octets)
        return cls(
            apid=first & 0x7FF,
            sequence=second & 0x3FFF,
            payload=bytes(octets[HEADER_BYTES:]),
            telecommand=bool(first & 0x1000),
            secondary_header=bool(first & 0x0800),
            flags=SequenceFlags(second >> 14),
        )


def packet_bytes(octets: bytes | bytearray | memoryview) -> int:
    """Whole length of the packet that starts at octets[0], from its header alone.

    Raises PacketTooShort with fewer than 6 octets, PacketVersionUnsupported.
    """
    if len(octets) < HEADER_BYTES:
        raise PacketTooShort(HEADER_BYTES, len(octets))
    if octets[0] >> 5:
        raise PacketVersionUnsupported(octets[0] >> 5)
    return MIN_PACKET_BYTES + (octets[4] << 8 | octets[5])


def is_idle(octets: bytes | bytearray | memoryview) -> bool:
    """Whether the packet at octets[0] is fill. Needs 2 octets."""
    return (octets[0] & 0x07) == 0x07 and octets[1] == 0xFF


def idle_packet(size: int) -> bytes:
    """A packet of `size` octets (7..65542) that every receiver discards (133.0-B-2, 4.1.3.3.4.4)."""
    require("idle packet octets", size, MIN_PACKET_BYTES, MAX_PACKET_BYTES)
    return _HEADER.pack(Apid.IDLE, SequenceFlags.UNSEGMENTED << 14, size - MIN_PACKET_BYTES) + b"\x55" * (
        size - HEADER_BYTES
    )


def split_packets(octets: bytes) -> list[bytes]:
    """Whole packets that fill `octets` to the end, idle ones dropped. Raises PacketError subclasses."""
    packets = []
    start = 0
    while start < len(octets):
        size = packet_bytes(octets[start : start + HEADER_BYTES])
        if start + size > len(octets):
            raise PacketTooShort(size, len(octets) - start)
        if not is_idle(octets[start : start + 2]):
            packets.append(bytes(octets[start : start + size]))
        start += size
    return packets


@dataclass(slots=True)
class SequenceCounters:
    """The next sequence count of every APID, modulo 16384: the one place where they roll over.

    >>> counters = SequenceCounters({Apid.EVENT: 16383})
    >>> counters.take(Apid.EVENT), counters.take(Apid.EVENT)
    (16383, 0)
    """

    following: dict[int, int] = field(default_factory=dict)

    def take(self, apid: int) -> int:
        """This packet's count; the next call gives the next one."""
        require("apid", apid, 0, 0x7FF)
        count = self.following.get(apid, 0)
        self.following[apid] = (count + 1) % SEQUENCE_MODULO
        return count

    def packet(self, apid: int, payload: bytes, *, telecommand: bool = False) -> bytes:
        """The next packet of `apid`, packed."""
        require("packet data octets", len(payload), 1, MAX_PACKET_BYTES - HEADER_BYTES)
        return SpacePacket(apid, self.take(apid), payload, telecommand).pack()

"""Telecommand transfer frames (CCSDS 232.0-B-4): variable length, sequence-checked, packets cut into MAP segments.

```
version 2 | bypass 1 | control 1 | spare 2 | spacecraft 10 || channel 6 | length - 1, 10 || sequence 8 ||
segment flags 2 | MAP 6 || data || FECF 16
```
Every frame carries a segment header. A frame that was accepted among the last 128 is refused when it comes again; one
with an unexpected number but other octets is a sender that lost frames or started anew, and is accepted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from bindings.crc import crc16_ccitt, crc32c
from flight.link.errors import (
    FrameCheckFailed,
    FrameDuplicate,
    FrameForeign,
    FrameLengthMismatch,
    FrameTooShort,
    FrameUnsupported,
    LinkError,
    PacketError,
    PacketTooLong,
    PacketTooShort,
    SegmentRefused,
    require,
)
from flight.link.packet import packet_bytes, split_packets

_HEADER = struct.Struct(">HHB")
_CHECK = struct.Struct(">H")

HEADER_BYTES = 5
OVERHEAD_BYTES = HEADER_BYTES + 1 + 2
MAX_FRAME_BYTES = 1024
MIN_FRAMER_BYTES = OVERHEAD_BYTES + 6  # a first segment holds the packet's header
MAX_UPLINK_PACKET_BYTES = 8192
_REMEMBERED = 128  # half of the sequence numbers: an older frame cannot be told from a new one


class SegmentFlags(IntEnum):
    """Which part of a packet a frame carries. Not numbered like a packet's flags."""

    CONTINUATION = 0
    FIRST = 1
    LAST = 2
    WHOLE = 3


class TcFramer:
    """The ground's side: one packet in, the frames that carry it out.

    spacecraft 0..1023, channel 0..63, max_frame_bytes 14..1024, sequence: the first frame's number.
    """

    def __init__(
        self, spacecraft: int, channel: int = 0, *, max_frame_bytes: int = MAX_FRAME_BYTES, sequence: int = 0
    ) -> None:
        require("spacecraft", spacecraft, 0, 1023)
        require("virtual channel", channel, 0, 63)
        require("frame octets", max_frame_bytes, MIN_FRAMER_BYTES, MAX_FRAME_BYTES)
        require("frame sequence", sequence, 0, 255)
        self.spacecraft, self.channel, self.sequence = spacecraft, channel, sequence
        self._piece = max_frame_bytes - OVERHEAD_BYTES

    def frames(self, packet: bytes, map_id: int = 0) -> list[bytes]:
        """Frames of one whole packet, in order. Raises PacketError subclasses."""
        require("MAP", map_id, 0, 63)
        size = packet_bytes(packet)
        if size != len(packet):
            raise (PacketTooShort if len(packet) < size else PacketTooLong)(size, len(packet))
        if size > MAX_UPLINK_PACKET_BYTES:
            raise PacketTooLong(MAX_UPLINK_PACKET_BYTES, size)
        pieces = [packet[start : start + self._piece] for start in range(0, size, self._piece)]
        if len(pieces) == 1:
            return [self._frame(SegmentFlags.WHOLE, map_id, packet)]
        flags = [SegmentFlags.FIRST] + [SegmentFlags.CONTINUATION] * (len(pieces) - 2) + [SegmentFlags.LAST]
        return [self._frame(flag, map_id, piece) for flag, piece in zip(flags, pieces, strict=True)]

    def _frame(self, flags: SegmentFlags, map_id: int, data: bytes) -> bytes:
        size = OVERHEAD_BYTES + len(data)
        body = _HEADER.pack(self.spacecraft, self.channel << 10 | (size - 1), self.sequence)
        body += bytes([flags << 6 | map_id]) + data
        self.sequence = (self.sequence + 1) % 256
        return body + _CHECK.pack(crc16_ccitt(body))


@dataclass(slots=True)
class TcCounters:
    """What one channel received."""

    frames: int = 0
    packets: int = 0
    lost: int = 0  # frames that the sequence says are missing
    restarts: int = 0  # times the sender began with another number


class TcDeframer:
    """The satellite's side: frames in, whole packets out.

    A frame that is refused changes nothing; a segment that is refused drops the packet it belonged to.
    spacecraft, channel: what to listen to; maps: the MAP identifiers in use; max_packet_bytes bounds each one's
    reassembly.
    """

    def __init__(
        self,
        spacecraft: int,
        channel: int = 0,
        *,
        maps: Iterable[int] = (0,),
        max_packet_bytes: int = MAX_UPLINK_PACKET_BYTES,
    ) -> None:
        require("spacecraft", spacecraft, 0, 1023)
        require("virtual channel", channel, 0, 63)
        self.spacecraft, self.channel = spacecraft, channel
        self.counters = TcCounters()
        self._max_packet = max_packet_bytes
        self._partial: dict[int, bytearray | None] = dict.fromkeys(maps)
        self._expected: int | None = None
        self._accepted: dict[int, int] = {}  # sequence -> CRC-32C of the frame accepted under it

    def push(self, frame: bytes) -> list[bytes]:
        """Packets that this frame completes. Raises FrameError and PacketError subclasses."""
        sequence, flags, map_id = self._check(frame)
        digest = crc32c(frame)
        if self._accepted.get(sequence) == digest:
            raise FrameDuplicate(self.channel, sequence)
        data = frame[HEADER_BYTES + 1 : -2]
        try:
            packets = self._reassemble(sequence, flags, map_id, data)
        except LinkError:
            self._partial[map_id] = None
            self._advance(sequence, None)
            raise
        self._advance(sequence, digest)
        self.counters.packets += len(packets)
        return packets

    def _check(self, frame: bytes) -> tuple[int, SegmentFlags, int]:
        if len(frame) < OVERHEAD_BYTES + 1:
            raise FrameTooShort(OVERHEAD_BYTES + 1, len(frame))
        first, second, sequence = _HEADER.unpack_from(frame)
        size = (second & 0x3FF) + 1
        if size != len(frame):
            raise FrameLengthMismatch(size, len(frame))
        computed, carried = crc16_ccitt(frame[:-2]), _CHECK.unpack_from(frame, size - 2)[0]
        if computed != carried:
            raise FrameCheckFailed(carried, computed)
        if first >> 10:  # version, bypass, control and spare bits: only sequence-controlled data is offered
            raise FrameUnsupported("telecommand frame type", first >> 10)
        if first & 0x3FF != self.spacecraft:
            raise FrameForeign("spacecraft", self.spacecraft, first & 0x3FF)
        if second >> 10 != self.channel:
            raise FrameForeign("virtual channel", self.channel, second >> 10)
        map_id = frame[HEADER_BYTES] & 0x3F
        if map_id not in self._partial:
            raise FrameForeign("MAP", min(self._partial, default=0), map_id)
        return sequence, SegmentFlags(frame[HEADER_BYTES] >> 6), map_id

    def _reassemble(self, sequence: int, flags: SegmentFlags, map_id: int, data: bytes) -> list[bytes]:
        partial = self._partial[map_id]
        if flags is SegmentFlags.WHOLE:
            self._partial[map_id] = None
            return split_packets(data)
        if flags is SegmentFlags.FIRST:
            size = packet_bytes(data)
            if size > self._max_packet:
                raise SegmentRefused(map_id, f"begins a packet of {size} octets, at most {self._max_packet} are taken")
            self._partial[map_id] = bytearray(data)
            return []
        if partial is None:
            raise SegmentRefused(map_id, "continues a packet whose beginning was lost")
        if sequence != self._expected:
            raise SegmentRefused(map_id, "does not follow the segment before it")
        if len(partial) + len(data) > packet_bytes(partial):
            raise SegmentRefused(map_id, "makes the packet longer than its header says")
        partial += data
        if flags is SegmentFlags.CONTINUATION:
            return []
        self._partial[map_id] = None
        try:
            return split_packets(bytes(partial))
        except PacketError as problem:
            raise SegmentRefused(map_id, str(problem)) from problem

    def _advance(self, sequence: int, digest: int | None) -> None:
        """Move the expected number past `sequence`; a digest of None remembers nothing (the frame may come again)."""
        if self._expected is not None and sequence != self._expected:
            gap = (sequence - self._expected) % 256
            if gap < _REMEMBERED:
                self.counters.lost += gap
            else:
                self.counters.restarts += 1
        self._expected = (sequence + 1) % 256
        if digest is not None:
            self.counters.frames += 1
            self._accepted.pop(sequence, None)
            self._accepted[sequence] = digest
            if len(self._accepted) > _REMEMBERED:
                del self._accepted[next(iter(self._accepted))]

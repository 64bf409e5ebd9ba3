"""Telemetry transfer frames (CCSDS 132.0-B-3): fixed length, eight virtual channels, packets that span frames.

```
version 2 | spacecraft 10 | channel 3 | OCF 1 || master count 8 || channel count 8 ||
secondary header 1 | sync 1 | order 1 | segment length 2 | first header pointer 11 || data || FECF 16
```
The first header pointer is where the first packet that begins in this frame begins; a receiver that lost a frame
drops the packet it was in and goes on from there.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from bindings.crc import crc16_ccitt
from flight.link.errors import (
    ChannelFull,
    FrameCheckFailed,
    FrameForeign,
    FrameLengthMismatch,
    FrameUnsupported,
    PacketTooLong,
    PacketTooShort,
    PacketVersionUnsupported,
    require,
)
from flight.link.packet import HEADER_BYTES as PACKET_HEADER_BYTES
from flight.link.packet import MIN_PACKET_BYTES, idle_packet, is_idle, packet_bytes

_HEADER = struct.Struct(">HBBH")
_CHECK = struct.Struct(">H")

HEADER_BYTES = 6
OVERHEAD_BYTES = HEADER_BYTES + 2
MIN_FRAME_BYTES = OVERHEAD_BYTES + MIN_PACKET_BYTES
MAX_FRAME_BYTES = 2048  # as 132.0-B-3 bounds it, and so that a pointer reaches every octet
CHANNELS = 8
IDLE_CHANNEL = 7
NO_PACKET_STARTS = 0x7FF
ONLY_IDLE_DATA = 0x7FE
_UNSEGMENTED_STATUS = 0x1800  # segment length identifier 3, as is fixed when the sync flag is 0
_LATE = 192  # a jump further forward than this is a frame that came late


@dataclass(slots=True)
class _Queue:
    """Octets of one virtual channel that wait for a frame, and where packets begin in them."""

    octets: bytearray = field(default_factory=bytearray)
    starts: deque[int] = field(default_factory=deque)  # counted from the channel's first octet ever
    taken: int = 0  # octets gone into frames
    fill: int = 0  # octets at the front that are the rest of an idle packet
    count: int = 0

    def add(self, packet: bytes) -> None:
        self.starts.append(self.taken + len(self.octets))
        self.octets += packet

    def take(self, size: int) -> tuple[bytes, int]:
        """The next `size` octets, completed by an idle packet, and their first header pointer."""
        missing = size - len(self.octets)
        if missing > 0:
            self.add(idle_packet(max(missing, MIN_PACKET_BYTES)))
            self.fill = len(self.octets) - size
        else:
            self.fill = max(self.fill - size, 0)
        data = bytes(self.octets[:size])
        del self.octets[:size]
        pointer = NO_PACKET_STARTS
        while self.starts and self.starts[0] < self.taken + size:
            start = self.starts.popleft()
            if pointer == NO_PACKET_STARTS:
                pointer = start - self.taken
        self.taken += size
        return data, pointer


class TmFramer:
    """Packets in, frames out; lower virtual channels first, so an alert on 0 passes a product on 2.

    spacecraft: 0..1023; frame_bytes: 15..2048, the same for every frame of the link; max_pending_bytes: what one
    channel may queue; counts: {channel: next count} to continue after a restart.
    """

    def __init__(
        self,
        spacecraft: int,
        frame_bytes: int,
        *,
        max_pending_bytes: int = 1 << 20,
        counts: Mapping[int, int] | None = None,
        master_count: int = 0,
    ) -> None:
        require("spacecraft", spacecraft, 0, 1023)
        require("frame octets", frame_bytes, MIN_FRAME_BYTES, MAX_FRAME_BYTES)
        self.spacecraft, self.frame_bytes = spacecraft, frame_bytes
        self.data_bytes = frame_bytes - OVERHEAD_BYTES
        self.master_count = master_count
        self.frames = 0
        self._max_pending = max_pending_bytes
        self._queues = {channel: _Queue() for channel in range(IDLE_CHANNEL)}
        self._idle_count = 0
        for channel, count in (counts or {}).items():
            require("virtual channel", channel, 0, IDLE_CHANNEL - 1)
            self._queues[channel].count = count % 256

    def push(self, channel: int, packet: bytes) -> None:
        """Queue one whole packet on virtual channel 0..6. Raises PacketError subclasses, ChannelFull."""
        require("virtual channel", channel, 0, IDLE_CHANNEL - 1)
        size = packet_bytes(packet)
        if size != len(packet):
            raise (PacketTooShort if len(packet) < size else PacketTooLong)(size, len(packet))
        queue = self._queues[channel]
        if len(queue.octets) + size > self._max_pending:
            raise ChannelFull(channel, len(queue.octets), self._max_pending)
        queue.add(packet)

    def pending(self, channel: int) -> int:
        """Octets of packets that wait on `channel`; the rest of a fill packet is not counted."""
        queue = self._queues[channel]
        return len(queue.octets) - queue.fill

    def next_frame(self, *, flush: bool = False, idle: bool = False) -> bytes | None:
        """The next frame, or None when there is nothing to send.

        Without `flush` only a full frame goes; with it the first channel that holds anything is completed with an idle
        packet. `idle`: send a frame of only idle data rather than none, for a link that must not fall silent.
        """
        for channel, queue in self._queues.items():
            waiting = len(queue.octets)
            if waiting >= self.data_bytes or (flush and waiting > queue.fill):
                data, pointer = queue.take(self.data_bytes)
                frame = self._frame(channel, queue.count, pointer, data)
                queue.count = (queue.count + 1) % 256
                return frame
        if not idle:
            return None
        frame = self._frame(IDLE_CHANNEL, self._idle_count, ONLY_IDLE_DATA, b"\x55" * self.data_bytes)
        self._idle_count = (self._idle_count + 1) % 256
        return frame

    def _frame(self, channel: int, count: int, pointer: int, data: bytes) -> bytes:
        body = _HEADER.pack(
            self.spacecraft << 4 | channel << 1, self.master_count, count, _UNSEGMENTED_STATUS | pointer
        )
        body += data
        self.master_count = (self.master_count + 1) % 256
        self.frames += 1
        return body + _CHECK.pack(crc16_ccitt(body))


@dataclass(slots=True)
class TmCounters:
    """What one virtual channel received."""

    frames: int = 0
    packets: int = 0
    lost: int = 0  # frames that the channel count says are missing
    late: int = 0  # frames that came after younger ones; read, but nothing spans into them
    duplicates: int = 0
    resyncs: int = 0  # times a packet begun was dropped


@dataclass(slots=True)
class _Reassembly:
    counters: TmCounters = field(default_factory=TmCounters)
    expected: int | None = None
    partial: bytearray | None = None  # None: waiting for a first header pointer
    last: bytes = b""
    late_expected: int | None = None

    def drop_partial(self) -> None:
        if self.partial:
            self.counters.resyncs += 1
        self.partial = None


class TmDeframer:
    """Frames in, packets out, idle ones dropped. A refused frame changes nothing.

    frame_bytes: the link's frame length; spacecraft: the one to listen to.
    """

    def __init__(self, spacecraft: int, frame_bytes: int) -> None:
        require("spacecraft", spacecraft, 0, 1023)
        require("frame octets", frame_bytes, MIN_FRAME_BYTES, MAX_FRAME_BYTES)
        self.spacecraft, self.frame_bytes = spacecraft, frame_bytes
        self._channels = {channel: _Reassembly() for channel in range(CHANNELS)}

    def counters(self, channel: int) -> TmCounters:
        """Live counters of one virtual channel."""
        return self._channels[channel].counters

    @property
    def lost(self) -> int:
        """Frames missing on all channels so far."""
        return sum(channel.counters.lost for channel in self._channels.values())

    def push(self, frame: bytes) -> list[bytes]:
        """Packets that this frame completes. Raises FrameError subclasses."""
        if len(frame) != self.frame_bytes:
            raise FrameLengthMismatch(self.frame_bytes, len(frame))
        computed, carried = crc16_ccitt(frame[:-2]), _CHECK.unpack_from(frame, len(frame) - 2)[0]
        if computed != carried:
            raise FrameCheckFailed(carried, computed)
        identity, _, count, status = _HEADER.unpack_from(frame)
        if identity >> 14:
            raise FrameUnsupported("telemetry frame version", identity >> 14)
        if (identity >> 4) & 0x3FF != self.spacecraft:
            raise FrameForeign("spacecraft", self.spacecraft, (identity >> 4) & 0x3FF)
        if identity & 1:
            raise FrameUnsupported("operational control field flag", 1)
        if status & ~NO_PACKET_STARTS != _UNSEGMENTED_STATUS:
            raise FrameUnsupported("data field status", status)
        return self._accept(self._channels[(identity >> 1) & 7], count, status & NO_PACKET_STARTS, frame)

    def _accept(self, channel: _Reassembly, count: int, pointer: int, frame: bytes) -> list[bytes]:
        counters = channel.counters
        if frame == channel.last:
            counters.duplicates += 1
            return []
        channel.last = frame
        counters.frames += 1
        gap = 0 if channel.expected is None else (count - channel.expected) % 256
        data = memoryview(frame)[HEADER_BYTES:-2]
        if gap > _LATE and count != channel.late_expected:
            # one frame out of order is read by itself; a second one in a row is a sender that began anew
            counters.late += 1
            counters.lost = max(counters.lost - 1, 0)
            channel.late_expected = (count + 1) % 256
            packets = _continue(_Reassembly(), pointer, data)
        else:
            channel.expected = (count + 1) % 256
            channel.late_expected = None
            if gap:
                counters.lost += gap if gap <= _LATE else 0
                channel.drop_partial()
            packets = _continue(channel, pointer, data)
        counters.packets += len(packets)
        return packets


def _continue(channel: _Reassembly, pointer: int, data: memoryview) -> list[bytes]:
    """Add one frame's data field; the whole packets it completes. Between frames at most one packet is begun."""
    packets: list[bytes] = []
    begins = pointer < len(data)  # else no packet does, or all is idle data, or the pointer points nowhere
    if channel.partial is not None:
        if begins or pointer == NO_PACKET_STARTS:
            channel.partial += data[: pointer if begins else len(data)]
            packets += _cut(channel, last=True)
        if begins or pointer != NO_PACKET_STARTS:
            channel.drop_partial()
    if begins:
        channel.partial = bytearray(data[pointer:])
        packets += _cut(channel, last=False)
    return packets


def _cut(channel: _Reassembly, *, last: bool) -> list[bytes]:
    """Whole packets at the front of the partial data, all of which is dropped where it is no packet.

    last: the data ends with the packet it begins with, or before that packet's end.
    """
    partial = channel.partial
    assert partial is not None
    packets: list[bytes] = []
    start = 0
    while len(partial) - start >= PACKET_HEADER_BYTES:
        try:
            size = packet_bytes(partial[start : start + PACKET_HEADER_BYTES])
        except PacketVersionUnsupported:
            channel.drop_partial()
            return packets
        end = start + size
        if last and end < len(partial):  # something begins here, against the header
            channel.drop_partial()
            return packets
        if end > len(partial):
            break
        if not is_idle(partial[start : start + 2]):
            packets.append(bytes(partial[start:end]))
        start = end
    del partial[:start]
    return packets

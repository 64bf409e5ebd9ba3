"""A ground radio over UDP: one datagram a transfer frame, paced to the rate of the real one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hal.clock import Clock
from hal.datagram import Address, DatagramSocket, numeric, parse_address
from hal.errors import DeviceClosed
from hal.options import DriverOptions, Options
from hal.radio.protocol import RadioStatus


class UdpRadio:
    """The Radio protocol over one UDP socket.

    The transmitter takes `rate_bps` of mission time and holds `queue_bytes`; what does not fit is refused, so
    that the sender is paced as by a modem. An accepted frame leaves at once: the queue is only accounted for.
    Frames come from the peer's address only.
    """

    def __init__(
        self, bind: Address, peer: Address, clock: Clock, *, rate_bps: float, queue_bytes: int, max_frame_bytes: int
    ) -> None:
        self._clock = clock
        self._peer = numeric("radio udp", peer)
        self._rate_bps, self._queue_bytes, self._max_frame_bytes = rate_bps, queue_bytes, max_frame_bytes
        self._socket = DatagramSocket("radio udp", bind, clock, max_frame_bytes)
        self._free_at_s = clock.mission_s()
        self._sent = self._received = self._refused = self._bytes_sent = self._bytes_received = 0

    @property
    def max_frame_bytes(self) -> int:
        return self._max_frame_bytes

    @property
    def address(self) -> Address:
        """The bound address."""
        return self._socket.address

    def send(self, frame: bytes) -> bool:
        if self._socket.closed:
            raise DeviceClosed("radio udp")
        now_s = self._clock.mission_s()
        start_s = max(now_s, self._free_at_s)
        backlog_bytes = (start_s - now_s) * self._rate_bps / 8
        fits = 0 < len(frame) <= self._max_frame_bytes and backlog_bytes + len(frame) <= self._queue_bytes
        if not fits or not self._socket.send(frame, self._peer):
            self._refused += 1
            return False
        self._free_at_s = start_s + len(frame) * 8 / self._rate_bps
        self._sent += 1
        self._bytes_sent += len(frame)
        return True

    def receive_into(self, buffer: bytearray, deadline_s: float) -> int:
        count, _ = self._socket.receive_into(buffer, deadline_s, self._peer.__eq__)
        self._received += 1
        self._bytes_received += count
        return count

    def status(self) -> RadioStatus:
        refused = self._refused + self._socket.discarded
        return RadioStatus(self._sent, self._received, refused, self._bytes_sent, self._bytes_received)

    def close(self) -> None:
        self._socket.close()


def address_option(options: Options, name: str, default: str | None = None) -> Address:
    """A `host:port` option. Raises DriverOptions."""
    try:
        return parse_address(options.text(name, default))
    except ValueError as error:
        raise DriverOptions(name, str(error)) from error


def driver(options: Mapping[str, Any], clock: Clock) -> UdpRadio:
    """Entry point. Options: bind (default 127.0.0.1:0), peer, rate_bps, queue_bytes, max_frame_bytes."""
    checked = Options("radio udp", options, ("bind", "peer", "rate_bps", "queue_bytes", "max_frame_bytes"))
    max_frame_bytes = checked.integer("max_frame_bytes", 2048, minimum=16, maximum=65_000)
    return UdpRadio(
        address_option(checked, "bind", "127.0.0.1:0"),
        address_option(checked, "peer"),
        clock,
        rate_bps=checked.number("rate_bps", 1e6, minimum=1.0, maximum=1e12),
        # a queue that one frame does not fit into would refuse it forever
        queue_bytes=checked.integer("queue_bytes", 65_536, minimum=max_frame_bytes, maximum=1 << 30),
        max_frame_bytes=max_frame_bytes,
    )


def selftest_options(folder: Path) -> dict[str, Any]:
    """Options that open this driver anywhere, for `swath hal selftest`: nobody is at the peer's port (discard)."""
    return {"peer": "127.0.0.1:9"}

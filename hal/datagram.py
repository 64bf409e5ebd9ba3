"""A bounded, non-blocking UDP socket: what the UDP radio and the UDP inter-satellite terminal share."""

from __future__ import annotations

import contextlib
import select
import socket

from hal.clock import Clock
from hal.errors import BufferRefused, DeadlineExceeded, DeviceClosed, DeviceUnavailable

Address = tuple[str, int]


class DatagramSocket:
    """One bound UDP socket. Never blocks past a deadline given in host time."""

    def __init__(self, device: str, bind: Address, clock: Clock, max_bytes: int) -> None:
        self._device, self._clock, self._max_bytes = device, clock, max_bytes
        self._socket: socket.socket | None = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self._socket.bind(bind)
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise DeviceUnavailable(device, f"cannot bind {bind[0]}:{bind[1]}: {error}") from error

    @property
    def address(self) -> Address:
        """The address it is bound to (port 0 in the options picks one)."""
        host, port = self._open().getsockname()
        return str(host), int(port)

    def send(self, frame: bytes, to: Address) -> bool:
        """True when the datagram left; a full or refusing socket is a False, not an error."""
        try:
            return self._open().sendto(frame, to) == len(frame)
        except OSError:
            return False

    def receive_into(self, buffer: bytearray, deadline_s: float) -> tuple[int, Address]:
        """(bytes, sender) of the next datagram that fits. Raises DeadlineExceeded."""
        if len(buffer) < self._max_bytes:
            raise BufferRefused(self._device, f"a frame may have {self._max_bytes} bytes, the buffer has {len(buffer)}")
        opened = self._open()
        while True:
            try:
                count, sender = opened.recvfrom_into(buffer)
            except (BlockingIOError, InterruptedError):
                pass
            except ConnectionError:
                continue  # a peer that is not there yet bounced an earlier datagram
            else:
                if 0 < count <= self._max_bytes:
                    return count, (str(sender[0]), int(sender[1]))
                continue
            left_s = deadline_s - self._clock.host_s()
            if left_s <= 0 or not select.select([opened], [], [], left_s)[0]:
                raise DeadlineExceeded(self._device, deadline_s)

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise DeviceClosed(self._device)
        return self._socket


def parse_address(text: str) -> Address:
    """`host:port` -> (host, port). Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"`{text}` is not host:port")
    return host, int(port)

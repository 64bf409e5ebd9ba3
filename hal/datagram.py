"""A bounded, non-blocking UDP socket: what the UDP radio and the UDP inter-satellite terminal share."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable

from hal.clock import Clock
from hal.errors import BufferRefused, DeadlineExceeded, DeviceClosed, DeviceUnavailable

Address = tuple[str, int]
MAX_DISCARDED = 64  # datagrams that one call throws away: a flood of foreign ones holds nobody past a deadline
LONGEST_WAIT_S = 60.0


class DatagramSocket:
    """One bound UDP socket. Never blocks past a deadline given in host time."""

    def __init__(self, device: str, bind: Address, clock: Clock, max_bytes: int) -> None:
        self._device, self._clock, self._max_bytes = device, clock, max_bytes
        self.discarded = 0  # empty, too long, or from somebody else
        self._socket: socket.socket | None = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self._socket.bind(bind)
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise DeviceUnavailable(device, f"cannot bind {bind[0]}:{bind[1]}: {error}") from error
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)

    @property
    def address(self) -> Address:
        """The address it is bound to (port 0 in the options picks one)."""
        host, port = self._open().getsockname()
        return str(host), int(port)

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._socket is None

    def send(self, frame: bytes, to: Address) -> bool:
        """True when the datagram left; a full or refusing socket is a False, not an error."""
        try:
            return self._open().sendto(frame, to) == len(frame)
        except OSError:
            return False

    def receive_into(
        self, buffer: bytearray, deadline_s: float, accept: Callable[[Address], bool] | None = None
    ) -> tuple[int, Address]:
        """(bytes, sender) of the next whole datagram, from a sender that `accept` takes. Raises DeadlineExceeded.

        On a simulated clock, which nobody advances meanwhile, the wait is one of the computer's time. No wait is
        longer than LONGEST_WAIT_S.
        """
        if len(buffer) < self._max_bytes:
            raise BufferRefused(self._device, f"a frame may have {self._max_bytes} bytes, the buffer has {len(buffer)}")
        opened = self._open()
        discarded = 0
        while True:
            try:
                count, _, flags, address = opened.recvmsg_into([buffer])
            except BlockingIOError:
                left_s = min(deadline_s - self._clock.host_s(), LONGEST_WAIT_S)
                if not left_s > 0 or not self._readable.poll(int(left_s * 1000)):  # early by a part of a millisecond
                    raise DeadlineExceeded(self._device, deadline_s) from None
                continue
            except ConnectionError:
                continue  # a peer that is not there yet bounced an earlier datagram
            sender = (str(address[0]), int(address[1]))
            whole = 0 < count <= self._max_bytes and not flags & socket.MSG_TRUNC
            if whole and (accept is None or accept(sender)):
                return count, sender
            self.discarded += 1
            discarded += 1
            if discarded >= MAX_DISCARDED and self._clock.host_s() >= deadline_s:
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
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f"`{text}` is not host:port")
    return host, int(port)


def numeric(device: str, address: Address) -> Address:
    """The address with its name looked up, once and not in a frame: datagrams name their sender by number.

    Raises DeviceUnavailable.
    """
    try:
        found = socket.getaddrinfo(*address, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise DeviceUnavailable(device, f"no address of `{address[0]}`: {error}") from error
    host, port = found[0][4][:2]
    return str(host), int(port)

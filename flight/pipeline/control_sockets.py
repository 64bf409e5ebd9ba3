"""The two ends of a control connection: the flight process binds and polls, a camera or payload process connects.

A ROUTER and a DEALER over an ipc path below the supervisor's folder. Queues are short and nothing lingers: a message
that cannot go now is dropped, the next one says the same. Either end may be restarted at any time; the peer's socket
connects again by itself, and the server listens to the newest incarnation only.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Generic, TypeVar

import zmq

from flight.pipeline.control import (
    MAX_MESSAGE_BYTES,
    CameraReport,
    Message,
    MessageT,
    PayloadReport,
    decode,
    encode,
)
from flight.pipeline.process_errors import ControlError, EndpointRefused

HEARTBEAT_S = 0.1  # a peer reports at least this often, except while it computes one tile
MAX_PER_POLL = 32  # messages taken in one poll of the server
QUEUE = 8
MAX_IPC_PATH = 100  # sun_path holds 108

ReportT = TypeVar("ReportT", CameraReport, PayloadReport)


class ControlServer(Generic[ReportT]):
    """The flight process's end: never blocks."""

    def __init__(self, endpoint: str, reports: type[ReportT]) -> None:
        """endpoint: ipc:///path. Takes over a path that a killed process left behind. Raises EndpointRefused."""
        self._path = ipc_path(endpoint)
        self._reports: type[ReportT] = reports
        self._context = zmq.Context(1)
        self._socket = self._context.socket(zmq.ROUTER)
        _bound(self._socket)
        try:
            self._socket.bind(endpoint)
            self._path.chmod(0o600)
        except (zmq.ZMQError, OSError) as error:
            self._socket.close(0)
            self._context.term()
            raise EndpointRefused(endpoint, str(error)) from error
        self._peer: bytes | None = None
        self.incarnation = -1
        self.heard_s: float | None = None  # host time of the newest report
        self.taken = 0  # reports of the expected kind
        self.refused = 0  # messages that were no report of the expected kind
        self.outdated = 0  # reports of an earlier incarnation
        self.unsent = 0

    def poll(self, now_s: float) -> list[ReportT]:
        """Reports that have come, oldest first, of the newest incarnation only. now_s: host time."""
        taken: list[ReportT] = []
        for _ in range(MAX_PER_POLL):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            try:
                if len(frames) != 2:
                    raise ControlError(f"{len(frames) - 1} frames")
                report = decode(frames[1], (self._reports,))
                # An incarnation is the host time of the start in microseconds: none can be from the future, and so
                # no peer that has ended shuts out the one after it.
                if report.incarnation > now_s * 1e6:
                    raise ControlError("an incarnation from the future")
            except ControlError:
                self.refused += 1
                continue
            if report.incarnation < self.incarnation:
                self.outdated += 1
                continue
            if report.incarnation > self.incarnation:
                taken.clear()
            self.incarnation, self._peer, self.heard_s = report.incarnation, frames[0], now_s
            taken.append(report)
            self.taken += 1
        return taken

    def send(self, order: Message) -> bool:
        """Send to the newest peer; False when there is none or its queue is full."""
        if self._peer is None:
            return False
        try:
            self._socket.send_multipart([self._peer, encode(order)], zmq.NOBLOCK)
        except zmq.ZMQError:
            self.unsent += 1
            return False
        return True

    def silent_s(self, now_s: float) -> float:
        """Seconds since the newest report; infinite before the first."""
        return float("inf") if self.heard_s is None else now_s - self.heard_s

    def close(self) -> None:
        """Close and remove the path."""
        if not self._socket.closed:
            self._socket.close(0)
            self._context.term()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()


class ControlPeer(Generic[MessageT]):
    """A camera or payload process's end."""

    def __init__(self, endpoint: str, orders: tuple[type[MessageT], ...], incarnation: int) -> None:
        """Raises EndpointRefused. The server need not be there yet."""
        ipc_path(endpoint)
        self._orders = orders
        self.incarnation = incarnation
        self.refused = 0
        self._sent_s = float("-inf")
        self._sent: bytes = b""
        self._context = zmq.Context(1)
        self._socket = self._context.socket(zmq.DEALER)
        _bound(self._socket)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a flight process that is not there
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 100)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise EndpointRefused(endpoint, str(error)) from error

    def orders(self, wait_s: float) -> list[MessageT]:
        """Orders that have come; waits up to `wait_s` for the first one."""
        taken: list[MessageT] = []
        if not self._socket.poll(round(wait_s * 1000), zmq.POLLIN):
            return taken
        for _ in range(MAX_PER_POLL):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            try:
                if len(frames) != 1:
                    raise ControlError(f"{len(frames)} frames")
                taken.append(decode(frames[0], self._orders))
            except ControlError:
                self.refused += 1
        return taken

    def report(self, message: Message, now_s: float) -> None:
        """Send the state when it changed or a heartbeat is due; dropped when nobody listens. now_s: host time."""
        octets = encode(message)
        if octets == self._sent and now_s - self._sent_s < HEARTBEAT_S / 2:
            return
        try:
            self._socket.send(octets, zmq.NOBLOCK)
        except zmq.ZMQError:
            return
        self._sent, self._sent_s = octets, now_s

    def close(self, *, linger_s: float = 0.0) -> None:
        """linger_s: how long the newest report may take to go."""
        if not self._socket.closed:
            self._socket.close(round(linger_s * 1000))
            self._context.term()


def ipc_path(endpoint: str) -> Path:
    """The file behind ipc:///path. Raises EndpointRefused for anything else."""
    scheme, _, path = endpoint.partition("://")
    if scheme != "ipc" or not path.startswith("/"):
        raise EndpointRefused(endpoint, "not of the form ipc:///path")
    if len(path.encode()) > MAX_IPC_PATH:
        raise EndpointRefused(endpoint, f"the path is longer than {MAX_IPC_PATH} bytes")
    return Path(path)


def _bound(socket: zmq.Socket[bytes]) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, QUEUE)
    socket.setsockopt(zmq.RCVHWM, QUEUE)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)

"""A bus on sockets of this machine, for the bench and for tools: one pipe goes out, declared ids come in.

The satellite's processes speak over rings (docs/bus.md); no socket leads into them. A tool that wants to listen makes a
bus of its own, fed by a ring, and puts that on a socket. Both sockets are bounded, and neither is ever waited for.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
import zmq
from msgspec import Meta

from bindings.bus import Bus, Pipe
from bindings.bus_faults import MessageTooLong, UnknownMessage
from flight.pipeline.control_sockets import ipc_path
from flight.pipeline.process_errors import EndpointRefused
from ground_test.errors import GroundError

OCTETS_MAX: Final = 65_535  # of one message, as on the bus
FRAME_MAX: Final = OCTETS_MAX + 32  # octets and what msgpack needs beside them
QUEUE: Final = 256  # messages that wait for one listener, or for us
PER_STEP: Final = 64  # each way
_LOOPBACK: Final = re.compile(r"tcp://127\.0\.0\.1:[1-9]\d{0,4}")

U16 = Annotated[int, Meta(ge=0, le=65_535)]


class BusFrame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One message: a msgpack array of four."""

    topic: U16
    source: U16
    sequence: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]  # of this topic: what is missing between two was dropped
    octets: Annotated[bytes, Meta(max_length=OCTETS_MAX)]


class FrameRefused(GroundError, ValueError):
    """Octets that are no message of the bus, or none that may come in."""

    code = "frame_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SocketCounters:
    sent: int
    received: int  # and published
    refused: int  # that were no message, of an id that is not taken, or too long


_DECODER: Final = msgspec.msgpack.Decoder(BusFrame)


def encode(frame: BusFrame) -> bytes:
    return msgspec.msgpack.encode(frame)


def decode(octets: bytes) -> BusFrame:
    """Raises FrameRefused for anything that is no message, and only that."""
    if len(octets) > FRAME_MAX:
        raise FrameRefused(f"{len(octets)} octets, at most {FRAME_MAX}")
    try:
        return _DECODER.decode(octets)
    except (msgspec.DecodeError, RecursionError, OverflowError, ValueError) as error:
        raise FrameRefused(str(error)) from error


def prefix(topic: int) -> bytes:
    """What a listener subscribes to: the first of the two parts in which a message goes out."""
    return topic.to_bytes(2, "big")


class BusSocket:
    """Puts one pipe of a bus on a PUB socket, and takes messages for the bus from a PULL socket. For one thread."""

    def __init__(self, bus: Bus, *, source: int, tells: tuple[Pipe, str], takes: tuple[Collection[int], str]) -> None:
        """tells: the pipe, and where; takes: the ids that may come in, and where.

        Where: ipc:///path or tcp://127.0.0.1:port. Raises EndpointRefused.
        """
        self._bus, self._source = bus, source
        self._pipe, self._accepts = tells[0], frozenset(takes[0])
        self._sent = self._received = self._refused = 0
        self._paths: list[Path] = []
        self._context = zmq.Context(1)
        try:
            self._pub = self._bound(zmq.PUB, tells[1])
            self._pull = self._bound(zmq.PULL, takes[1])
        except EndpointRefused:
            self.close()
            raise

    def _bound(self, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        path = None if _LOOPBACK.fullmatch(endpoint) else ipc_path(endpoint)
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, QUEUE)
        socket.setsockopt(zmq.RCVHWM, QUEUE)
        socket.setsockopt(zmq.MAXMSGSIZE, FRAME_MAX)
        try:
            socket.bind(endpoint)
            if path is not None:
                self._paths.append(path)
                path.chmod(0o600)
        except (zmq.ZMQError, OSError) as error:
            raise EndpointRefused(endpoint, str(error)) from error
        return socket

    def step(self) -> int:
        """Tell and take what waits, at most PER_STEP each way; how many messages moved."""
        return self._tell() + self._take()

    def _tell(self) -> int:
        for number in range(PER_STEP):
            received = self._pipe.receive()
            if received is None:
                return number
            frame = BusFrame(received.message, self._source, received.sequence, received.octets)
            self._pub.send_multipart([prefix(frame.topic), encode(frame)], zmq.NOBLOCK)
            self._sent += 1
        return PER_STEP

    def _take(self) -> int:
        for number in range(PER_STEP):
            try:
                parts = self._pull.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return number
            try:
                self._publish(parts)
                self._received += 1
            except (FrameRefused, MessageTooLong, UnknownMessage):
                self._refused += 1
        return PER_STEP

    def _publish(self, parts: list[bytes]) -> None:
        if len(parts) != 1:
            raise FrameRefused(f"{len(parts)} parts")
        frame = decode(parts[0])
        if frame.topic not in self._accepts:
            raise FrameRefused(f"topic {frame.topic} is not taken")
        self._bus.publish(frame.topic, frame.octets)

    def counters(self) -> SocketCounters:
        return SocketCounters(self._sent, self._received, self._refused)

    def close(self) -> None:
        """Close the sockets and remove their paths."""
        self._context.destroy(linger=0)
        for path in self._paths:
            path.unlink(missing_ok=True)

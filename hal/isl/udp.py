"""An inter-satellite terminal over UDP, with the link emulated in user space: rate, delay, loss, windows.

A datagram is the sender's spacecraft number (u16, big endian) and the frame. Every neighbour has its own
link model, seeded, so that a seed reproduces the losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hal.clock import Clock
from hal.datagram import Address, DatagramSocket, parse_address
from hal.errors import DeadlineExceeded, DeviceClosed
from hal.isl.protocol import IslStatus
from hal.link_model import LinkModel, LinkSettings
from hal.options import DriverOptions, Options
from hal.radio.udp import address_option

HEADER_BYTES = 2
POLL_S = 0.005


class UdpIslTerminal:
    """The IslTerminal protocol over one UDP socket and one emulated link a neighbour."""

    def __init__(
        self,
        spacecraft: int,
        bind: Address,
        neighbours: Mapping[int, tuple[Address, LinkModel]],
        clock: Clock,
        max_frame_bytes: int,
    ) -> None:
        self._spacecraft, self._clock, self._max_frame_bytes = spacecraft, clock, max_frame_bytes
        self._links = dict(neighbours)
        self._socket = DatagramSocket("isl udp", bind, clock, max_frame_bytes + HEADER_BYTES)
        self._scratch = bytearray(max_frame_bytes + HEADER_BYTES)
        self._sent = self._received = self._refused = 0
        self._closed = False

    @property
    def max_frame_bytes(self) -> int:
        return self._max_frame_bytes

    @property
    def address(self) -> Address:
        """The bound address."""
        return self._socket.address

    def connect(self, neighbour: int, address: Address, settings: LinkSettings, seed: int) -> None:
        """Add or replace the link to one neighbour."""
        self._links[neighbour] = (address, LinkModel(settings, seed))

    def send(self, neighbour: int, frame: bytes) -> bool:
        if self._closed:
            raise DeviceClosed("isl udp")
        link = self._links.get(neighbour)
        accepted = (
            link is not None
            and 0 < len(frame) <= self._max_frame_bytes
            and link[1].offer(self._spacecraft.to_bytes(2, "big") + frame, self._clock.mission_s())
        )
        self._refused += not accepted
        self._sent += accepted
        self._release()
        return accepted

    def receive_into(self, buffer: bytearray, deadline_s: float) -> tuple[int, int]:
        if self._closed:
            raise DeviceClosed("isl udp")
        while True:
            self._release()
            # delayed frames of ours must leave on time even while we wait for one of theirs
            step_s = min(deadline_s, self._clock.host_s() + POLL_S)
            try:
                count, sender = self._socket.receive_into(self._scratch, step_s)
            except DeadlineExceeded:
                if self._clock.host_s() >= deadline_s:
                    raise DeadlineExceeded("isl udp", deadline_s) from None
                continue
            neighbour = int.from_bytes(self._scratch[:HEADER_BYTES], "big")
            size = count - HEADER_BYTES
            known = self._links.get(neighbour)
            if size <= 0 or known is None or known[0] != sender or size > len(buffer):
                self._refused += 1
                continue
            buffer[:size] = self._scratch[HEADER_BYTES:count]
            self._received += 1
            return neighbour, size

    def status(self) -> IslStatus:
        now_s = self._clock.mission_s()
        up = tuple(sorted(number for number, (_, model) in self._links.items() if model.is_open(now_s)))
        return IslStatus(self._sent, self._received, self._refused, up)

    def close(self) -> None:
        self._closed = True
        self._socket.close()

    def _release(self) -> None:
        now_s = self._clock.mission_s()
        for address, model in self._links.values():
            for datagram in model.due(now_s):
                self._socket.send(datagram, address)


def driver(options: Mapping[str, Any], clock: Clock) -> UdpIslTerminal:
    """Entry point. Options: spacecraft, bind, max_frame_bytes, seed, neighbours = {number = {address, rate_bps,
    delay_s, loss, queue_bytes, windows}}."""
    checked = Options("isl udp", options, ("spacecraft", "bind", "max_frame_bytes", "seed", "neighbours"))
    seed = checked.integer("seed", 0)
    neighbours: dict[int, tuple[Address, LinkModel]] = {}
    for key, table in checked.table("neighbours").items():
        if not str(key).isdigit() or int(key) > 65_535:
            raise DriverOptions("neighbours", f"`{key}` is not a spacecraft number")
        fields = Options(
            f"isl udp neighbour {key}", table, ("address", "rate_bps", "delay_s", "loss", "queue_bytes", "windows")
        )
        try:
            address = parse_address(fields.text("address"))
        except ValueError as error:
            raise DriverOptions("address", str(error)) from error
        settings = LinkSettings(
            rate_bps=fields.number("rate_bps", 1e6, minimum=1.0),
            delay_s=fields.number("delay_s", 0.0, minimum=0.0, maximum=3600.0),
            loss=fields.number("loss", 0.0, minimum=0.0, maximum=1.0),
            queue_bytes=fields.integer("queue_bytes", 65_536, minimum=64),
            windows=_windows(table.get("windows")),
        )
        neighbours[int(key)] = (address, LinkModel(settings, seed + int(key)))
    return UdpIslTerminal(
        checked.integer("spacecraft", minimum=0, maximum=65_535),
        address_option(checked, "bind", "127.0.0.1:0"),
        neighbours,
        clock,
        checked.integer("max_frame_bytes", 2048, minimum=16, maximum=65_000),
    )


def _windows(value: Any) -> tuple[tuple[float, float], ...] | None:
    if value is None:
        return None
    try:
        windows = tuple((float(start), float(end)) for start, end in value)
    except (TypeError, ValueError) as error:
        raise DriverOptions("windows", "a list of [start, end] in mission seconds is needed") from error
    if any(not start < end for start, end in windows):
        raise DriverOptions("windows", "a window must end after it starts")
    return windows

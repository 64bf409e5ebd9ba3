"""An inter-satellite terminal over UDP, with the link emulated in user space: rate, delay, loss, windows.

A datagram is the sender's spacecraft number (u16), the mission time at which the frame arrives (f64), both big endian,
and the frame. It crosses the bench at once and the receiving end holds it until that time; both ends share a clock.
Every neighbour has its own link model, seeded, so that a seed reproduces the losses.
"""

from __future__ import annotations

import heapq
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hal.clock import Clock
from hal.datagram import LONGEST_WAIT_S, MAX_DISCARDED, Address, DatagramSocket, numeric
from hal.errors import BufferRefused, DeadlineExceeded, DeviceClosed
from hal.isl.protocol import IslStatus
from hal.link_model import LinkModel, LinkSettings
from hal.options import DriverOptions, Options
from hal.radio.udp import address_option

HEADER = struct.Struct(">Hd")
POLL_S = 0.005  # host time between two looks at the frames that are held
MAX_HELD = 4096  # frames on their way to this end; more are refused
MAX_DELAY_S = 7200.0  # a frame that claims to arrive later is a forgery


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
        self._links = {number: (numeric("isl udp", address), model) for number, (address, model) in neighbours.items()}
        self._socket = DatagramSocket("isl udp", bind, clock, max_frame_bytes + HEADER.size)
        self._scratch = bytearray(max_frame_bytes + HEADER.size)
        self._held: list[tuple[float, int, int, bytes]] = []  # arrival, order, neighbour, frame
        self._sent = self._received = self._refused = self._order = 0

    @property
    def max_frame_bytes(self) -> int:
        return self._max_frame_bytes

    @property
    def address(self) -> Address:
        """The bound address."""
        return self._socket.address

    def connect(self, neighbour: int, address: Address, settings: LinkSettings, seed: int) -> None:
        """Add or replace the link to one neighbour."""
        self._links[neighbour] = (numeric("isl udp", address), LinkModel(settings, seed))

    def send(self, neighbour: int, frame: bytes) -> bool:
        if self._socket.closed:
            raise DeviceClosed("isl udp")
        link = self._links.get(neighbour)
        fits = link is not None and 0 < len(frame) <= self._max_frame_bytes
        accepted = link is not None and fits and link[1].offer(frame, self._clock.mission_s())
        self._refused += not accepted
        self._sent += accepted
        if link is not None:
            address, model = link
            while (arrival_s := model.next_due_s()) is not None:
                for flown in model.due(arrival_s):
                    self._socket.send(HEADER.pack(self._spacecraft, arrival_s) + flown, address)
        return accepted

    def receive_into(self, buffer: bytearray, deadline_s: float) -> tuple[int, int]:
        if self._socket.closed:
            raise DeviceClosed("isl udp")
        if len(buffer) < self._max_frame_bytes:
            reason = f"a frame may have {self._max_frame_bytes} bytes, the buffer has {len(buffer)}"
            raise BufferRefused("isl udp", reason)
        left_s = deadline_s - self._clock.host_s()
        # counted beforehand: a simulated clock does not move while we wait
        waits = math.ceil(min(left_s, LONGEST_WAIT_S) / POLL_S) if left_s > 0 else 0
        while True:
            self._take_what_came()
            if self._held and self._held[0][0] <= self._clock.mission_s():
                _, _, neighbour, frame = heapq.heappop(self._held)
                buffer[: len(frame)] = frame
                self._received += 1
                return neighbour, len(frame)
            if not waits:
                raise DeadlineExceeded("isl udp", deadline_s)
            waits -= 1
            self._hold(min(deadline_s, self._clock.host_s() + POLL_S))

    def status(self) -> IslStatus:
        now_s = self._clock.mission_s()
        up = tuple(sorted(number for number, (_, model) in self._links.items() if model.is_open(now_s)))
        refused = self._refused + self._socket.discarded
        return IslStatus(self._sent, self._received, refused, up)

    def close(self) -> None:
        self._socket.close()

    def _take_what_came(self) -> None:
        for _ in range(MAX_DISCARDED):
            if not self._hold(-math.inf):
                return

    def _hold(self, until_s: float) -> bool:
        """Wait for one datagram and keep its frame until it has arrived. False when none came."""
        try:
            count, sender = self._socket.receive_into(self._scratch, until_s)
        except DeadlineExceeded:
            return False
        if count <= HEADER.size:
            self._refused += 1
            return True
        neighbour, arrival_s = HEADER.unpack_from(self._scratch)
        known = self._links.get(neighbour)
        late_s = arrival_s - self._clock.mission_s()
        if known is None or known[0] != sender or not late_s <= MAX_DELAY_S or len(self._held) >= MAX_HELD:
            self._refused += 1
            return True
        heapq.heappush(self._held, (arrival_s, self._order, neighbour, bytes(self._scratch[HEADER.size : count])))
        self._order += 1
        return True


def driver(options: Mapping[str, Any], clock: Clock) -> UdpIslTerminal:
    """Entry point. Options: spacecraft, bind, max_frame_bytes, seed, neighbours = {number = {address, rate_bps,
    delay_s, loss, queue_bytes, windows}}."""
    checked = Options("isl udp", options, ("spacecraft", "bind", "max_frame_bytes", "seed", "neighbours"))
    seed = checked.integer("seed", 0)
    max_frame_bytes = checked.integer("max_frame_bytes", 2048, minimum=16, maximum=65_000)
    neighbours: dict[int, tuple[Address, LinkModel]] = {}
    for key, table in checked.table("neighbours").items():
        if not (str(key).isascii() and str(key).isdigit()) or int(key) > 65_535:
            raise DriverOptions("neighbours", f"`{key}` is not a spacecraft number")
        if not isinstance(table, Mapping):
            raise DriverOptions("neighbours", f"{key} needs a table, got {type(table).__name__}")
        fields = Options(
            f"isl udp neighbour {key}", table, ("address", "rate_bps", "delay_s", "loss", "queue_bytes", "windows")
        )
        settings = LinkSettings(
            rate_bps=fields.number("rate_bps", 1e6, minimum=1.0, maximum=1e12),
            delay_s=fields.number("delay_s", 0.0, minimum=0.0, maximum=3600.0),
            loss=fields.number("loss", 0.0, minimum=0.0, maximum=1.0),
            # a queue that one frame does not fit into would refuse it forever
            queue_bytes=fields.integer("queue_bytes", 65_536, minimum=max_frame_bytes),
            windows=_windows(table.get("windows")),
        )
        neighbours[int(key)] = (address_option(fields, "address"), LinkModel(settings, seed + int(key)))
    return UdpIslTerminal(
        checked.integer("spacecraft", minimum=0, maximum=65_535),
        address_option(checked, "bind", "127.0.0.1:0"),
        neighbours,
        clock,
        max_frame_bytes,
    )


def selftest_options(folder: Path) -> dict[str, Any]:
    """Options that open this driver anywhere, for `swath hal selftest`: nobody is at the neighbour's port (discard)."""
    return {"spacecraft": 1, "neighbours": {"2": {"address": "127.0.0.1:9"}}}


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

"""The station's end of the link: one UDP socket to the modem, frames to packets, packets to frames. A thin edge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flight.agent.orbit import Station as StationPlace
from flight.agent.release import MAX_PRODUCT_BYTES
from flight.link.apids import Apid
from flight.link.cfdp.receiver import CompletedFile, Receiver
from flight.link.cfdp.reception import ReceiverConfig
from flight.link.cfdp.store import FolderStore
from flight.link.errors import LinkError
from flight.link.packet import SequenceCounters, SpacePacket
from flight.link.tc_frame import TcFramer
from flight.link.tm_frame import TmDeframer
from ground_test.gateway.board import Board
from ground_test.gateway.config import GatewayConfig
from ground_test.gateway.contacts import ContactPlan
from ground_test.gateway.desk import Desk
from ground_test.gateway.store import GatewayStore
from hal.clock import Clock
from hal.datagram import Address, DatagramSocket, parse_address
from hal.errors import DeadlineExceeded
from hal.navigation.orbit import driver as navigation_driver

MAX_DATAGRAM = 4096
FRAMES_PER_STEP = 256
MAX_RECEIVING_BYTES = 128 << 20
SATELLITE_ENTITY = 256  # a satellite's CFDP entity is its spacecraft number and this


class Station:
    """step() often: it moves what is there and waits at most `wait_s` for more."""

    def __init__(
        self,
        config: GatewayConfig,
        clock: Clock,
        store: GatewayStore,
        board: Board,
        alert_key: bytes,
        files: Path,
        received: Callable[[CompletedFile, float, float], None],
    ) -> None:
        """files: folder for what is being received; received(file, mission_s, host_s): a whole file is there."""
        link = config.link
        self._clock, self._board = clock, board
        self._socket = DatagramSocket("station", parse_address(link.bind), clock, MAX_DATAGRAM)
        self._peer = parse_address(link.peer)
        self._buffer = bytearray(MAX_DATAGRAM)
        self._deframer = TmDeframer(link.spacecraft, link.frame_bytes)
        self._framer = TcFramer(link.spacecraft)
        self._counters = SequenceCounters()
        navigation = navigation_driver(config.orbit, clock)
        places = {
            place.name: StationPlace(place.latitude_deg, place.longitude_deg, place.altitude_m, place.min_elevation_deg)
            for place in config.station
        }
        self._plan = ContactPlan(places, navigation.at)
        receiver = Receiver(
            ReceiverConfig(
                max_file_bytes=MAX_PRODUCT_BYTES,
                max_total_bytes=MAX_RECEIVING_BYTES,
                nak_timer_s=link.nak_timer_s,
                finish_timer_s=link.nak_timer_s,
            ),
            link.entity,
            FolderStore(files),
            clock.mission_s(),
            sources=[link.spacecraft + SATELLITE_ENTITY],
        )
        receiver.freeze(clock.mission_s())
        self._desk = Desk(store, board, receiver, alert_key, received, repeat_s=link.repeat_s)

    @property
    def address(self) -> Address:
        """Where the socket is bound."""
        return self._socket.address

    def step(self, wait_s: float) -> None:
        """Everything that is due. wait_s: host time to wait for the first frame."""
        self._plan.update(self._clock.mission_s())
        self._receive(self._clock.host_s() + wait_s)
        now_s, host_s = self._clock.mission_s(), self._clock.host_s()
        contact = self._plan.open(now_s)
        self._board.now(now_s, self._plan.listed(), contact)
        self._desk.contact(contact is not None, now_s)
        for apid, payload in self._desk.due(now_s, host_s):
            self._send(apid, payload)

    def close(self) -> None:
        self._socket.close()

    def _receive(self, deadline_s: float) -> None:
        for _ in range(FRAMES_PER_STEP):
            try:
                count, sender = self._socket.receive_into(self._buffer, deadline_s)
            except DeadlineExceeded:
                return
            deadline_s = 0.0  # only the first is waited for
            if sender != self._peer:
                self._board.count("foreign_datagrams")
                continue
            self._take(bytes(self._buffer[:count]))

    def _take(self, frame: bytes) -> None:
        now_s, host_s = self._clock.mission_s(), self._clock.host_s()
        try:
            packets = self._deframer.push(frame)
        except LinkError as error:
            self._board.refuse("frame", error)
            return
        self._board.count("frames")
        self._board.count("frame_bytes", len(frame))
        for octets in packets:
            try:
                packet = SpacePacket.unpack(octets)
            except LinkError as error:
                self._board.refuse("packet", error)
                continue
            self._desk.take(packet, now_s, host_s)

    def _send(self, apid: Apid, payload: bytes) -> None:
        for frame in self._framer.frames(self._counters.packet(apid, payload, telecommand=True)):
            self._board.count("frames_up")
            self._socket.send(frame, self._peer)

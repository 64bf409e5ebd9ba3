"""The whole stack at 5 % frame loss: a file down in packets and frames, answers and jobs up in segments."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace

from flight.link.apids import Apid
from flight.link.cfdp.checksum import file_checksum
from flight.link.cfdp.codes import ChecksumKind
from flight.link.cfdp.pdu import Transaction
from flight.link.cfdp.receiver import Receiver
from flight.link.cfdp.reception import ReceiverConfig
from flight.link.cfdp.sender import Sender, SenderConfig
from flight.link.errors import LinkError
from flight.link.packet import SequenceCounters, SpacePacket
from flight.link.tc_frame import TcDeframer, TcFramer
from flight.link.tm_frame import TmDeframer, TmFramer
from ground_test.sim.kernel import EventKernel
from ground_test.sim.link import LinkConfig, LossyLink
from hal.clock import SimulatedClock
from tests.flight.link.memory_store import MemoryStore

FRAME_BYTES = 256
CONTENT = random.Random(5).randbytes(40_000)


def read(offset: int, count: int) -> bytes:
    return CONTENT[offset : offset + count]


class Pass:
    """A contact: the satellite sends a file, alerts and events; the ground answers and sends a job again and again."""

    def __init__(self, loss: float) -> None:
        self.kernel = kernel = EventKernel(9, SimulatedClock())
        down = LinkConfig(rate_bps=256_000.0, delay_s=0.02, loss=loss, backlog_s=0.02)
        self.down = LossyLink(kernel, "d", down, self.on_ground)
        self.up = LossyLink(kernel, "u", replace(down, backlog_s=0.5), self.on_board)
        checksum = file_checksum(ChecksumKind.CRC_32C, len(CONTENT), read)
        sender_config = SenderConfig(segment_bytes=900, eof_timer_s=1.0)
        self.sender = Sender(sender_config, Transaction(2, 1, 1), "p.swp", len(CONTENT), read, checksum, 0.0)
        self.store = MemoryStore()
        self.receiver = Receiver(ReceiverConfig(nak_timer_s=1.0, finish_timer_s=1.0), 1, self.store, 0.0, sources=[2])
        self.board, self.ground = SequenceCounters(), SequenceCounters()
        self.framer, self.deframer = TmFramer(68, FRAME_BYTES), TmDeframer(68, FRAME_BYTES)
        self.tc_framer, self.tc_deframer = TcFramer(68, max_frame_bytes=FRAME_BYTES), TcDeframer(68)
        self.alerts: list[tuple[float, bytes]] = []
        self.jobs = 0
        self.sent_at = 5.0
        kernel.every(0.01, self.pump)
        kernel.every(0.3, self.poll)
        kernel.at(0.6, lambda: self.framer.push(0, self.board.packet(Apid.ALERT, b"water")))
        kernel.every(0.5, lambda: self.uplink(Apid.JOB, bytes(3000)))

    def pump(self) -> None:
        if self.framer.pending(2) < 2 * FRAME_BYTES:
            unit = self.sender.next_pdu(self.kernel.now_s, 1000)
            if unit is not None:
                self.framer.push(2, self.board.packet(Apid.CFDP, unit))
        while self.down.ready and (frame := self.framer.next_frame(flush=True)) is not None:
            self.down.send(frame)

    def poll(self) -> None:
        for unit in self.receiver.poll(self.kernel.now_s):
            self.uplink(Apid.CFDP_UP, unit)

    def uplink(self, apid: Apid, payload: bytes) -> None:
        for frame in self.tc_framer.frames(self.ground.packet(apid, payload, telecommand=True)):
            self.kernel.after(0.0, lambda frame=frame: self.up.send(frame))  # type: ignore[misc]

    def on_ground(self, frame: bytes) -> None:
        for octets in self.deframer.push(frame):
            packet = SpacePacket.unpack(octets)
            if packet.apid == Apid.ALERT:
                self.alerts.append((self.kernel.now_s, packet.payload))
            else:
                for unit in self.receiver.receive(packet.payload, self.kernel.now_s):
                    self.uplink(Apid.CFDP_UP, unit)

    def on_board(self, frame: bytes) -> None:
        with contextlib.suppress(LinkError):
            for octets in self.tc_deframer.push(frame):
                packet = SpacePacket.unpack(octets)
                if packet.apid == Apid.JOB:
                    assert packet.payload == bytes(3000)
                    self.jobs += 1
                else:
                    self.sender.receive(packet.payload, self.kernel.now_s)


def test_a_file_comes_whole_through_packets_and_frames_that_are_lost() -> None:
    flown = Pass(loss=0.05)
    flown.kernel.run(60.0, stop=lambda: flown.sender.finished and flown.receiver.open_transactions == 0)
    assert flown.store.published == {"p.swp": CONTENT}
    assert flown.sender.delivered
    assert flown.deframer.lost > 0, "the link lost nothing: the test shows nothing"
    assert flown.jobs > 0


def test_an_alert_passes_a_file_that_is_on_its_way() -> None:
    flown = Pass(loss=0.0)
    flown.kernel.run(60.0, stop=lambda: flown.sender.finished)
    ((at, payload),) = flown.alerts
    assert payload == b"water"
    assert at < 0.7 < flown.kernel.now_s

"""The ground's end of one satellite in virtual time: the gateway's own desk and store over frames, without sockets.

A product is taken as the gateway takes it: decrypted, its seal verified, its content checked, then receipted. No file
is exported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bindings.errors import SwathError
from flight.agent import cose
from flight.agent.job import Job
from flight.agent.keys import KeyStore, SigningKey
from flight.agent.receipt import PRODUCT_ID_BYTES, Receipt
from flight.agent.release import MAX_PRODUCT_BYTES
from flight.flight_process import GROUND_ENTITY, entity_of
from flight.link.apids import Apid
from flight.link.cfdp.receiver import CompletedFile, Receiver
from flight.link.cfdp.reception import ReceiverConfig
from flight.link.errors import LinkError
from flight.link.packet import SequenceCounters, SpacePacket
from flight.link.tc_frame import TcFramer
from flight.link.tm_frame import TmDeframer
from flight.product.container import open_container
from flight.product.envelope import decrypt
from ground_test.gateway.board import Board
from ground_test.gateway.desk import Desk
from ground_test.gateway.errors import ReceptionFailed
from ground_test.gateway.store import GatewayStore, OrderRow
from ground_test.sim.kernel import EventKernel
from ground_test.sim.memory_store import MemoryReceiverStore
from ground_test.sim.models import FRAME_BYTES

REPEAT_S = 5.0
NAK_S = 4.0


class GroundEnd:
    """Frames in by receive(), frames out by step()."""

    def __init__(
        self,
        kernel: EventKernel,
        keys: KeyStore,
        spacecraft: int,
        ground: SigningKey,
        reading: X25519PrivateKey,
        transmit: Callable[[bytes], bool],
    ) -> None:
        """reading: what products are encrypted to; transmit: the uplink, False when it takes no more."""
        now_s = kernel.now_s
        self._kernel, self._keys, self._ground, self._reading, self._transmit = kernel, keys, ground, reading, transmit
        self.store, self.board = GatewayStore(Path(":memory:")), Board()
        self.received_s: dict[bytes, float] = {}  # by job: when its product was on the ground, verified
        self.refused = 0  # products that were not taken
        self._files = MemoryReceiverStore()
        self._deframer = TmDeframer(spacecraft, FRAME_BYTES)
        self._framer, self._counters = TcFramer(spacecraft), SequenceCounters()
        config = ReceiverConfig(max_file_bytes=MAX_PRODUCT_BYTES, nak_timer_s=NAK_S, finish_timer_s=NAK_S)
        receiver = Receiver(config, GROUND_ENTITY, self._files, now_s, sources=[entity_of(spacecraft)])
        receiver.freeze(now_s)
        self._desk = Desk(self.store, self.board, receiver, keys.alert_key, self._take, repeat_s=REPEAT_S)

    def order(self, job: Job, signed_job: bytes, grant_id: bytes, signed_grant: bytes) -> None:
        """An order for this satellite: it goes up in the next contact."""
        row = OrderRow(job.id, job.application, self._kernel.now_s, job.tenant, grant_id, {}, signed_job)
        self.store.add_order(
            row,
            [(grant_id, int(Apid.GRANT), signed_grant, None), (job.id, int(Apid.JOB), signed_job, grant_id)],
        )

    def receive(self, frame: bytes) -> None:
        """One frame from the satellite."""
        now_s, host_s = self._kernel.now_s, self._kernel.clock.host_s()
        try:
            packets = [SpacePacket.unpack(octets) for octets in self._deframer.push(frame)]
        except LinkError as error:
            self.board.refuse("frame", error)
            return
        for packet in packets:
            self._desk.take(packet, now_s, host_s)

    def step(self, in_contact: bool) -> None:
        """Send what is due."""
        now_s = self._kernel.now_s
        self._desk.contact(in_contact, now_s)
        for apid, payload in self._desk.due(now_s, self._kernel.clock.host_s()):
            for frame in self._framer.frames(self._counters.packet(apid, payload, telecommand=True)):
                self._transmit(frame)  # what the link does not take is repeated, as what it loses is

    def _take(self, file: CompletedFile, now_s: float, host_s: float) -> None:
        """A whole file: a product that is verified gets its receipt; nothing else does."""
        octets = self._files.published[file.path]
        try:
            container = decrypt(octets, self._reading)
            product_id = hashlib.sha256(container).digest()[:PRODUCT_ID_BYTES]
            product = open_container(container, self._keys.satellite.verifier)
            product.check_content()
            order = self.store.order(product.header.job_id)
            if order is None or order.application != product.header.application:
                raise ReceptionFailed(file.name, "nobody here ordered it")
        except SwathError as error:
            self.refused += 1
            self.board.refuse("product", error)
            return
        receipt = Receipt(product_id, hashlib.sha256(octets).digest()).encode()
        ground = self._ground
        signed = cose.sign1(receipt, ground.private, ground.key_id, cose.aad(cose.Purpose.RECEIPT))
        if self.store.take_product(product_id, order.id, now_s, host_s, {"sent_bytes": len(octets)}, signed):
            self.received_s[order.id] = now_s

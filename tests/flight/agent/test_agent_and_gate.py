"""From a signed job to a verified receipt: the agent, a real product, the gate, file delivery and the ground's side."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import pytest

from flight.agent.audit import AuditLog
from flight.agent.effects import (
    CaptureEnded,
    InferenceEnded,
    InferenceSummary,
    OrderCapture,
    ProductReady,
    SealProduct,
    SendAlert,
    StartTransfer,
    Tick,
    TransferFinished,
)
from flight.agent.egress import EgressGate
from flight.agent.errors import EgressRefused
from flight.agent.keys import generate_recipient_key
from flight.agent.reasons import EgressReason, Reason
from flight.agent.release import read_release
from flight.agent.states import JobState
from flight.link.apids import Apid
from flight.link.cfdp.checksum import file_checksum
from flight.link.cfdp.codes import ChecksumKind, Condition, FileStatus
from flight.link.cfdp.pdu import Eof, FileData, Finished, Metadata, Transaction, decode, encode
from flight.link.cfdp.sender import Sender, SenderConfig
from flight.link.packet import SpacePacket
from flight.link.tm_frame import TmDeframer, TmFramer
from flight.product.alert import verify_alert
from flight.product.container import open_container
from flight.product.envelope import decrypt
from flight.services.records import RecordKind
from hal.clock import SimulatedClock
from tests.faults.egress_bench import ENTITY, FRAME_BYTES, GROUND_ENTITY, SPACECRAFT, RecordingRadio, sealed
from tests.flight.agent.world import KEYS, SATELLITE, T0, World, grant, job, signed_grant, signed_job, signed_receipt

PRIVATE = generate_recipient_key(lambda count: bytes([9]) * count)
RECIPIENT = PRIVATE.public_key().public_bytes_raw()
SUMMARY = InferenceSummary(1, 0, 1, 0.75, 2.0)
ORDER = job()


def only(effects: list[Any], kind: type[Any]) -> Any:
    (found,) = [effect for effect in effects if type(effect) is kind]
    return found


class Satellite:
    """The agent of a world and the gate that asks it for terms."""

    def __init__(self) -> None:
        self.world, self.clock, self.radio = World(), SimulatedClock(T0), RecordingRadio()
        self.world.uplink(Apid.GRANT, signed_grant(grant(recipient=RECIPIENT)))
        self.audited: list[bytes] = []
        self.gate = EgressGate(
            self.radio,
            TmFramer(SPACECRAFT, FRAME_BYTES),
            KEYS,
            self.world.core.terms,
            AuditLog(lambda kind, payload: self.audited.append(payload)),
            self.clock,
            lambda count: hashlib.sha256(b"random").digest()[:count],
            entity=ENTITY,
            ground_entity=GROUND_ENTITY,
        )

    def to_sealing(self) -> SealProduct:
        world = self.world
        world.uplink(Apid.JOB, signed_job(ORDER))
        capture = only(world.tell(Tick()), OrderCapture)
        world.now_s = capture.start_s + capture.duration_s
        self.clock.advance_to(world.now_s)
        world.tell(CaptureEnded(capture.capture_id, 64, 0, True))
        sealing: SealProduct = only(world.tell(InferenceEnded(ORDER.id, True, SUMMARY)), SealProduct)
        return sealing

    def product(self, sealing: SealProduct, **changes: Any) -> bytes:
        return sealed(job_id=sealing.job_id, capture_id=sealing.capture_id, **changes)

    def downlinked(self) -> list[SpacePacket]:
        while self.gate.pump(0.0):
            pass
        deframer = TmDeframer(SPACECRAFT, FRAME_BYTES)
        return [SpacePacket.unpack(octets) for frame in self.radio.frames for octets in deframer.push(frame)]


def test_from_a_signed_job_to_a_verified_receipt() -> None:
    flown = Satellite()
    world, sealing = flown.world, flown.to_sealing()
    container = flown.product(sealing)
    record = flown.gate.admit_product(container)
    effects = world.tell(ProductReady(record))
    assert world.records(RecordKind.PRODUCT) == [record]
    assert flown.gate.send_alert(only(effects, SendAlert).product_id) is None
    start = only(world.tell(Tick(in_contact=True)), StartTransfer)
    reader = flown.gate.product_reader(start.product_id)
    sender = Sender(
        SenderConfig(segment_bytes=300),
        Transaction(ENTITY, 1, GROUND_ENTITY),
        reader.name,
        reader.size,
        reader.read,
        file_checksum(ChecksumKind.CRC_32C, reader.size, reader.read),
        0.0,
    )
    while (unit := sender.next_pdu(0.0, flown.gate.max_unit_bytes)) is not None:
        assert flown.gate.send_link_unit(unit) is None
        flown.gate.pump(0.0)
    received, name = bytearray(reader.size), ""
    for packet in flown.downlinked():
        if packet.apid == Apid.ALERT:
            assert verify_alert(packet.payload, KEYS.alert_key).job == ORDER.id[:8]
            continue
        assert packet.apid == Apid.CFDP
        match decode(packet.payload)[1]:
            case Metadata(name=name):
                pass
            case FileData(offset, data):
                received[offset : offset + len(data)] = data
            case other:
                assert isinstance(other, Eof)
    opened = decrypt(bytes(received), PRIVATE)
    assert opened == container
    product = open_container(opened, SATELLITE.verifier)
    assert product.verified and product.header.job_id == ORDER.id and int(product.mask().sum()) == 100
    sender.receive(
        encode(Transaction(ENTITY, 1, GROUND_ENTITY), Finished(Condition.NO_ERROR, True, FileStatus.RETAINED)), 0.0
    )
    closing = sender.next_pdu(0.0, 1000)
    assert closing is not None and flown.gate.send_link_unit(closing) is None
    world.tell(TransferFinished(start.product_id, sender.delivered))
    release = read_release(record)
    assert hashlib.sha256(received).digest() == release.sha256 and name == release.name
    world.uplink(Apid.RECEIPT, signed_receipt(release))
    entry = world.core.jobs.get(ORDER.id)
    assert entry is not None and (entry.state, entry.reason) == (JobState.DELIVERED, Reason.NONE)


def test_a_product_before_its_time_or_after_its_jobs_end_is_refused() -> None:
    flown = Satellite()
    world = flown.world
    sealing = flown.to_sealing()
    container = flown.product(sealing)
    world.now_s = ORDER.deadline_s + 1.0
    world.tell(Tick())
    with pytest.raises(EgressRefused) as caught:
        flown.gate.admit_product(container)
    assert caught.value.reason is EgressReason.WRONG_STATE


def test_a_product_over_the_budget_of_its_job_does_not_leave() -> None:
    flown = Satellite()
    sealing = flown.to_sealing()
    noise = np.random.default_rng(1).integers(0, 2, (16_384, 64), np.uint8)
    with pytest.raises(EgressRefused) as caught:
        flown.gate.admit_product(flown.product(sealing, height=16_384, pixels=noise))
    assert caught.value.reason is EgressReason.OVER_BYTE_BUDGET
    assert not flown.downlinked()


def test_the_restarted_pair_sends_the_very_same_octets() -> None:
    flown = Satellite()
    record = flown.gate.admit_product(flown.product(flown.to_sealing()))
    flown.world.tell(ProductReady(record))
    flown.world.crash()
    again = Satellite()
    again.world = flown.world
    release = again.gate.restore_product(flown.world.records(RecordKind.PRODUCT)[0])
    before, after = (each.gate.product_reader(release.product_id) for each in (flown, again))
    assert dataclasses.replace(before, read=after.read) == after
    assert before.read(0, before.size) == after.read(0, after.size)

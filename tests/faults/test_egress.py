"""Only answers leave: an attacker inside the flight software tries everything that the gate's doors take.

Python cannot hide the radio from code in the same interpreter (`gate._EgressGate__radio` is there for who wants it);
the process boundary keeps pixels away from it, and tests/flight/test_payload_process.py holds that one. What is tested
here is that no call of the gate passes anything on but what is declared, checked and budgeted.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.agent.audit import FIRST, What, follow
from flight.agent.component import AGENT, GATE, JOB_STATE
from flight.agent.effects import ReportStatus
from flight.agent.errors import EgressRefused
from flight.agent.job import ProductKind
from flight.agent.reasons import EgressReason, Reason
from flight.agent.release import product_name, read_release
from flight.agent.states import JobState
from flight.agent.status import StatusReport
from flight.link.apids import Apid
from flight.link.cfdp.checksum import file_checksum
from flight.link.cfdp.codes import ChecksumKind, Condition, Directive, FileStatus, TransactionStatus
from flight.link.cfdp.pdu import Ack, Eof, FileData, Finished, Metadata, Nak, Pdu, Transaction, encode
from flight.product.alert import verify_alert
from flight.services.declare import Component, Event, Field, NumberType, Severity
from flight.services.events import EventRecord
from flight.services.telemetry import TelemetryPacket
from tests.faults.egress_bench import ENTITY, GROUND_ENTITY, JOB_ID, TERMS, Bench, sealed
from tests.flight.agent.world import KEYS, OTHER

PIXELS = np.random.default_rng(1).integers(0, 255, (64, 64), dtype=np.uint8)
RAW: list[Any] = [
    PIXELS,
    PIXELS.tobytes(),
    bytearray(PIXELS.tobytes()),
    memoryview(PIXELS.tobytes()),
    PIXELS.tolist(),
    Path("/etc/hostname"),
    "/etc/hostname",
    "text",
    None,
    3,
    object(),
]
DOORS = (
    "admit_product",
    "restore_product",
    "send_alert",
    "send_telemetry",
    "send_event",
    "send_status",
    "send_link_unit",
    "product_reader",
)


def values(component: Component) -> dict[str, int]:
    return {entry.name: 1 for entry in component.telemetry}


def event(**changes: Any) -> EventRecord:
    types = tuple(argument.type for argument in JOB_STATE.arguments)
    honest = EventRecord(AGENT.number, JOB_STATE.number, JOB_STATE.severity, 1, 2, 0, types, (1, 2, 3))
    return dataclasses.replace(honest, **changes)


def refused(call: Any, *arguments: Any) -> EgressReason:
    with pytest.raises(EgressRefused) as caught:
        call(*arguments)
    return caught.value.reason


def with_product(bench: Bench) -> tuple[bytes, bytes]:
    """(id, octets that may leave) of an honest product that the gate released."""
    release = read_release(bench.gate.admit_product(sealed()))
    return release.product_id, bench.gate.product_reader(release.product_id).read(0, release.size)


def unit(pdu: Pdu, sequence: int = 1, source: int = ENTITY, destination: int = GROUND_ENTITY) -> bytes:
    return encode(Transaction(source, sequence, destination), pdu)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("thing", RAW, ids=lambda thing: type(thing).__name__)
def test_no_door_takes_anything_raw(door: str, thing: Any) -> None:
    bench = Bench()
    with pytest.raises(EgressRefused):
        getattr(bench.gate, door)(thing)
    assert bench.packets() == []
    assert len(bench.log()) == 1 and bench.log()[0].reason


def test_an_honest_product_leaves_only_encrypted_and_only_as_released() -> None:
    bench = Bench()
    container = sealed()
    product_id, octets = with_product(bench)
    assert container not in octets and len(octets) == len(container) + 68
    assert (
        bench.gate.send_link_unit(unit(Metadata(product_name(product_id), len(octets), ChecksumKind.CRC_32C))) is None
    )
    assert bench.gate.send_link_unit(unit(FileData(0, octets[:400]))) is None
    assert [packet.apid for packet in bench.packets()] == [Apid.CFDP, Apid.CFDP]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: sealed(OTHER), EgressReason.SEAL_INVALID),
        (lambda: sealed()[:-1], EgressReason.SEAL_INVALID),
        (lambda: sealed() + b"pixels", EgressReason.SEAL_INVALID),
        (PIXELS.tobytes, EgressReason.SEAL_INVALID),
        (lambda: sealed(job_id=bytes(32)), EgressReason.UNKNOWN_JOB),
        (lambda: sealed(application="ships"), EgressReason.CONTENT_INVALID),
        (lambda: sealed(capture_id=bytes(16)), EgressReason.CONTENT_INVALID),
        (lambda: sealed(parameters=(("threshold", 0.1),)), EgressReason.CONTENT_INVALID),
        (lambda: bytearray(sealed()), EgressReason.NOT_A_DECLARED_TYPE),
        (lambda: type("Octets", (bytes,), {})(sealed()), EgressReason.NOT_A_DECLARED_TYPE),
        (lambda: sealed(pixels=PIXELS & 1, width=64), None),
        (lambda: sealed(height=6400, pixels=np.tile(PIXELS & 1, (100, 1))), EgressReason.OVER_BYTE_BUDGET),
    ],
    ids=range(12),
)
def test_a_product_is_refused_for_its_reason(make: Any, reason: EgressReason | None) -> None:
    bench = Bench()
    if reason is None:
        bench.gate.admit_product(make())
        return
    assert refused(bench.gate.admit_product, make()) is reason
    assert bench.log()[-1].reason == reason and bench.gate.counters.products == 0


@pytest.mark.parametrize("at", range(0, 900, 37))
def test_a_product_altered_anywhere_is_refused(at: int) -> None:
    container = bytearray(sealed())
    container[at % len(container)] ^= 0x10
    assert refused(Bench().gate.admit_product, bytes(container)) is EgressReason.SEAL_INVALID


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"awaits_product": False}, EgressReason.WRONG_STATE),
        ({"declared": frozenset((ProductKind.COUNTS,))}, EgressReason.PRODUCT_NOT_DECLARED),
        ({"products": frozenset((ProductKind.COUNTS,))}, EgressReason.PRODUCT_NOT_GRANTED),
        ({"byte_budget": 300}, EgressReason.OVER_BYTE_BUDGET),
        ({"day_bytes_left": 300}, EgressReason.OVER_DAILY_BYTES),
        ({"recipient": bytes(32)}, EgressReason.NO_RECIPIENT),
    ],
    ids=lambda value: value.name if isinstance(value, EgressReason) else "",
)
def test_a_product_outside_the_terms_of_its_job_is_refused(changes: dict[str, Any], reason: EgressReason) -> None:
    bench = Bench(terms={JOB_ID: dataclasses.replace(TERMS, **changes)})
    assert refused(bench.gate.admit_product, sealed()) is reason


def test_a_job_gets_one_product_and_no_second_one() -> None:
    bench = Bench()
    with_product(bench)
    assert refused(bench.gate.admit_product, sealed(software="swath 0.1.1")) is EgressReason.ALREADY_RELEASED


def test_nothing_is_released_when_the_audit_log_cannot_be_written() -> None:
    bench = Bench(journal_full=True)
    assert refused(bench.gate.admit_product, sealed()) is EgressReason.AUDIT_UNAVAILABLE
    assert bench.gate.counters.products == 0


def test_a_restarted_gate_believes_only_what_it_signed() -> None:
    bench = Bench()
    record = bench.gate.admit_product(sealed())
    release = read_release(record)
    restarted = bench.new_gate()
    assert restarted.restore_product(record) == release
    assert restarted.product_reader(release.product_id).sha256 == release.sha256
    for at in range(0, len(record), 41):
        forged = bytearray(record)
        forged[at] ^= 1
        assert refused(bench.new_gate().restore_product, bytes(forged)) is EgressReason.RELEASE_INVALID


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a file by its path", lambda name, octets: [Metadata("/etc/shadow", 100, ChecksumKind.NULL)]),
        ("a file above", lambda name, octets: [Metadata("../strip/lines.bin", 100, ChecksumKind.NULL)]),
        ("another size", lambda name, octets: [Metadata(name, len(octets) + 9, ChecksumKind.CRC_32C)]),
        ("data without metadata", lambda name, octets: [FileData(0, octets[:50])]),
        ("other data", lambda name, octets: [_metadata(name, octets), FileData(0, PIXELS.tobytes()[:400])]),
        ("data at another place", lambda name, octets: [_metadata(name, octets), FileData(1, octets[:50])]),
        ("data behind the end", lambda name, octets: [_metadata(name, octets), FileData(len(octets), b"pixels")]),
        (
            "data over the end",
            lambda name, octets: [_metadata(name, octets), FileData(len(octets) - 4, octets[-4:] + b"x")],
        ),
        ("no data", lambda name, octets: [_metadata(name, octets), FileData(7, b"")]),
        ("a checksum that says something", lambda name, octets: [_metadata(name, octets), Eof(0xC0FFEE, len(octets))]),
        ("an end without a beginning", lambda name, octets: [Eof(0, 0)]),
        ("an odd condition", lambda name, octets: [Eof(7, 7, Condition.SUSPENDED)]),
        ("a receiver's request", lambda name, octets: [Nak((0, 1 << 30), ((5, 77), (99, 12345)))]),
        ("a receiver's end", lambda name, octets: [Finished(Condition.NO_ERROR, True, FileStatus.RETAINED)]),
        ("a receiver's word", lambda name, octets: [Ack(Directive.EOF, Condition.NO_ERROR, TransactionStatus.ACTIVE)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_file_delivery_carries_nothing_but_released_octets(name: str, make: Any) -> None:
    bench = Bench()
    product_id, octets = with_product(bench)
    *honest, last = make(product_name(product_id), octets)
    for pdu in honest:
        assert bench.gate.send_link_unit(unit(pdu)) is None
    assert refused(bench.gate.send_link_unit, unit(last)) in (
        EgressReason.UNKNOWN_PRODUCT,
        EgressReason.NOT_THE_CHECKED_OCTETS,
        EgressReason.NOT_A_LINK_UNIT,
    )
    assert len(bench.packets()) == len(honest)


def _metadata(name: str, octets: bytes) -> Metadata:
    return Metadata(name, len(octets), ChecksumKind.CRC_32C)


def test_a_unit_of_another_entity_or_with_more_than_its_fields_is_refused() -> None:
    bench = Bench()
    product_id, octets = with_product(bench)
    honest = _metadata(product_name(product_id), octets)
    assert refused(bench.gate.send_link_unit, unit(honest, source=9)) is EgressReason.NOT_A_LINK_UNIT
    assert refused(bench.gate.send_link_unit, unit(honest, destination=9)) is EgressReason.NOT_A_LINK_UNIT
    wide = encode(Transaction(ENTITY, 1, GROUND_ENTITY, entity_bytes=8), honest)
    assert refused(bench.gate.send_link_unit, wide) is EgressReason.NOT_A_LINK_UNIT
    plain = encode(Transaction(ENTITY, 1, GROUND_ENTITY, crc=False), honest)
    with_option = plain + b"\x02\x04spam"
    with_option = plain[:1] + (len(with_option) - 12).to_bytes(2, "big") + with_option[3:]
    assert refused(bench.gate.send_link_unit, with_option) is EgressReason.NOT_A_LINK_UNIT


def test_a_transaction_is_not_bound_to_a_second_product() -> None:
    other_id = bytes(reversed(range(32)))
    bench = Bench(terms={JOB_ID: TERMS, other_id: dataclasses.replace(TERMS, job_id=other_id)})
    first_id, first = with_product(bench)
    second = read_release(bench.gate.admit_product(sealed(job_id=other_id)))
    assert bench.gate.send_link_unit(unit(_metadata(product_name(first_id), first))) is None
    octets = bench.gate.product_reader(second.product_id).read(0, second.size)
    answer = refused(bench.gate.send_link_unit, unit(_metadata(second.name, octets)))
    assert answer is EgressReason.NOT_THE_CHECKED_OCTETS


def test_a_forgotten_product_does_not_leave() -> None:
    bench = Bench()
    product_id, octets = with_product(bench)
    bench.gate.send_link_unit(unit(_metadata(product_name(product_id), octets)))
    bench.gate.forget_product(product_id)
    assert refused(bench.gate.send_link_unit, unit(FileData(0, octets[:9]))) is EgressReason.UNKNOWN_PRODUCT
    assert refused(bench.gate.send_alert, product_id) is EgressReason.UNKNOWN_PRODUCT
    assert refused(bench.gate.product_reader, product_id) is EgressReason.UNKNOWN_PRODUCT


def test_an_honest_transfer_passes_whole_and_its_end_is_checked() -> None:
    bench = Bench()
    product_id, octets = with_product(bench)
    checksum = file_checksum(ChecksumKind.CRC_32C, len(octets), lambda at, count: octets[at : at + count]).value
    pdus: list[Pdu] = [_metadata(product_name(product_id), octets)]
    pdus += [FileData(at, octets[at : at + 300]) for at in range(0, len(octets), 300)]
    pdus += [Eof(checksum, len(octets)), Ack(Directive.FINISHED, Condition.NO_ERROR, TransactionStatus.TERMINATED)]
    for pdu in pdus:
        assert bench.gate.send_link_unit(unit(pdu)) is None
        bench.gate.pump(0.0)
    assert [packet.payload for packet in bench.packets()] == [unit(pdu) for pdu in pdus]


@given(octets=st.binary(max_size=400))
def test_no_random_octets_are_a_link_unit(octets: bytes) -> None:
    with pytest.raises(EgressRefused):
        Bench().gate.send_link_unit(octets)


def test_an_alert_is_made_by_the_gate_and_says_what_the_product_says() -> None:
    bench = Bench()
    product_id, _ = with_product(bench)
    assert bench.gate.send_alert(product_id) is None
    (packet,) = bench.packets()
    assert packet.apid == Apid.ALERT and len(packet.payload) <= 64
    alert = verify_alert(packet.payload, KEYS.alert_key)
    assert (alert.job, alert.count) == (JOB_ID[:8], 1)
    assert refused(bench.gate.send_alert, b"pixels as an id!") is EgressReason.UNKNOWN_PRODUCT


class LoudPacket(TelemetryPacket):
    def pack(self) -> bytes:
        return PIXELS.tobytes()


class LoudEvent(EventRecord):
    def pack(self) -> bytes:
        return PIXELS.tobytes()


class LoudNumber(int):
    def __index__(self) -> int:
        return 7


class LookAlike:
    """Has all that a packet has, and more."""

    component, time_us, values = GATE, 0, tuple(values(GATE).values())

    def pack(self) -> bytes:
        return PIXELS.tobytes()


UNDECLARED = Component("spy", 200, telemetry=tuple(Field(f"p{i}", "u64") for i in range(60)))
DRESSED = Component("gate", GATE.number, telemetry=UNDECLARED.telemetry)
HONEST = tuple(values(GATE).values())


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (LookAlike(), EgressReason.NOT_A_DECLARED_TYPE),
        (LoudPacket(GATE, 0, HONEST), EgressReason.NOT_A_DECLARED_TYPE),
        (TelemetryPacket(UNDECLARED, 0, (1,) * 60), EgressReason.NOT_A_DECLARED_TYPE),
        (TelemetryPacket(DRESSED, 0, (1,) * 60), EgressReason.NOT_A_DECLARED_TYPE),
        (TelemetryPacket(GATE, 0, (*HONEST, 1)), EgressReason.CONTENT_INVALID),
        (TelemetryPacket(GATE, 0, (PIXELS, *HONEST[1:])), EgressReason.CONTENT_INVALID),  # type: ignore[arg-type]
        (TelemetryPacket(GATE, 0, ((1, 2, 3), *HONEST[1:])), EgressReason.CONTENT_INVALID),  # type: ignore[arg-type]
        (TelemetryPacket(GATE, 0, (b"pixels", *HONEST[1:])), EgressReason.CONTENT_INVALID),  # type: ignore[arg-type]
        (TelemetryPacket(GATE, 0, (LoudNumber(1), *HONEST[1:])), EgressReason.CONTENT_INVALID),
        (TelemetryPacket(GATE, 0, (1 << 70, *HONEST[1:])), EgressReason.CONTENT_INVALID),
        (TelemetryPacket(GATE, 0, list(HONEST)), EgressReason.CONTENT_INVALID),  # type: ignore[arg-type]
        (TelemetryPacket(GATE, LoudNumber(1), HONEST), EgressReason.CONTENT_INVALID),
    ],
    ids=range(12),
)
def test_telemetry_carries_declared_numbers_only(packet: Any, reason: EgressReason) -> None:
    bench = Bench()
    assert refused(bench.gate.send_telemetry, packet) is reason
    assert bench.packets() == []


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (LoudEvent(*dataclasses.astuple(event())), EgressReason.NOT_A_DECLARED_TYPE),
        (event(component=200), EgressReason.NOT_A_DECLARED_TYPE),
        (event(number=999), EgressReason.NOT_A_DECLARED_TYPE),
        (event(severity=Severity.CRITICAL), EgressReason.CONTENT_INVALID),
        (event(types=(NumberType.F64,) * 200, values=(0.5,) * 200), EgressReason.CONTENT_INVALID),
        (event(values=(1, 2, b"pixels")), EgressReason.CONTENT_INVALID),
        (event(values=(1, 2, LoudNumber(3))), EgressReason.CONTENT_INVALID),
        (event(values=(1, 2, 1 << 64)), EgressReason.CONTENT_INVALID),
        (event(values=(1, 2, 3, 4)), EgressReason.CONTENT_INVALID),
        (event(types=("u8", "u8", "u8")), EgressReason.CONTENT_INVALID),
        (event(time_us=-1), EgressReason.CONTENT_INVALID),
        (event(sequence=PIXELS), EgressReason.CONTENT_INVALID),
        (Event(77, Severity.INFO, "say {words:u8}"), EgressReason.NOT_A_DECLARED_TYPE),
    ],
    ids=range(13),
)
def test_events_carry_declared_numbers_only(record: Any, reason: EgressReason) -> None:
    bench = Bench()
    assert refused(bench.gate.send_event, record) is reason
    assert bench.packets() == []


@pytest.mark.parametrize(
    "report",
    [
        ReportStatus("text that is just long enough...", JobState.FAILED, Reason.NO_PASS),  # type: ignore[arg-type]
        ReportStatus(PIXELS.tobytes(), JobState.FAILED, Reason.NO_PASS),
        ReportStatus(bytes(32), "FAILED because of pixels", Reason.NO_PASS),  # type: ignore[arg-type]
        ReportStatus(bytes(32), JobState.FAILED, 255),  # type: ignore[arg-type]
        type("Loud", (ReportStatus,), {})(bytes(32), JobState.FAILED, Reason.NONE),
    ],
    ids=range(5),
)
def test_a_status_report_has_no_room_for_text(report: Any) -> None:
    bench = Bench()
    assert refused(bench.gate.send_status, report) in (EgressReason.CONTENT_INVALID, EgressReason.NOT_A_DECLARED_TYPE)
    assert bench.packets() == []


def test_a_status_report_says_state_reason_and_the_start_of_an_id() -> None:
    bench = Bench()
    assert bench.gate.send_status(ReportStatus(JOB_ID, JobState.REFUSED, Reason.NO_PASS)) is None
    (packet,) = bench.packets()
    assert packet.apid == Apid.STATUS
    report = StatusReport.unpack(packet.payload)
    assert (report.subject, report.state, report.reason) == (JOB_ID[:8], JobState.REFUSED, Reason.NO_PASS)


def test_a_telemetry_flood_leaves_no_more_than_the_declared_rate() -> None:
    bench = Bench()
    passed = 0
    for _ in range(1000):  # ten seconds at a hundred a second
        passed += bench.gate.send_telemetry(TelemetryPacket(GATE, 0, HONEST)) is None
        bench.clock.advance(0.01)
    assert passed <= 10 / GATE.min_period_s + 2
    assert bench.gate.counters.rate_held == 1000 - passed
    assert EgressReason.RATE_EXCEEDED in {record.reason for record in bench.log()}


@pytest.mark.parametrize("door", ["event", "status", "alert"])
def test_every_flood_is_held_back_with_its_reason(door: str) -> None:
    bench = Bench()
    product_id, _ = with_product(bench)
    send = {
        "event": lambda: bench.gate.send_event(event()),
        "status": lambda: bench.gate.send_status(ReportStatus(JOB_ID, JobState.FAILED, Reason.NO_PASS)),
        "alert": lambda: bench.gate.send_alert(product_id),
    }[door]
    answers = [send() for _ in range(500)]  # type: ignore[no-untyped-call]
    assert answers[0] is None and answers[-1] is EgressReason.RATE_EXCEEDED
    assert answers.count(None) <= 201


def test_a_flood_of_refusals_does_not_fill_the_journal_but_is_counted() -> None:
    bench = Bench()
    for _ in range(500):
        refused(bench.gate.send_event, PIXELS)
    assert len(bench.records) <= 17
    bench.clock.advance(5.0)
    refused(bench.gate.send_event, PIXELS)
    assert bench.log()[-1].held == 501 - len(bench.records)


def test_the_audit_log_is_a_chain_that_shows_every_change() -> None:
    bench = Bench()
    product_id, _ = with_product(bench)
    bench.gate.send_alert(product_id)
    refused(bench.gate.send_event, PIXELS)
    records = list(bench.records)
    assert [record.what for record in bench.log()] == [What.PRODUCT, What.ALERT, What.EVENT]

    def whole(octets: list[bytes]) -> bool:
        head = FIRST
        for number, payload in enumerate(octets):
            try:
                head = follow(head, number, payload).digest
            except Exception:
                return False
        return head == bench.audit.head

    assert whole(records)
    assert not whole(records[:1] + records[2:]) and not whole(records[::-1]) and not whole(records[:-1])
    for index in range(3):
        changed = bytearray(records[index])
        changed[-1] ^= 1
        assert not whole([*records[:index], bytes(changed), *records[index + 1 :]])


def test_what_is_urgent_passes_products_that_wait_and_a_busy_radio_loses_nothing() -> None:
    bench = Bench()
    product_id, octets = with_product(bench)
    bench.radio.room = 0
    bench.gate.send_link_unit(unit(_metadata(product_name(product_id), octets)))
    bench.gate.send_link_unit(unit(FileData(0, octets[:400])))
    assert bench.gate.pump(0.0) == 0
    bench.gate.send_alert(product_id)
    bench.radio.room = 100
    apids = [packet.apid for packet in bench.packets()]
    assert sorted(apids) == [Apid.ALERT, Apid.CFDP, Apid.CFDP]
    assert apids.index(Apid.ALERT) < 2  # behind the one frame that was made before, at most

"""A hostile ground station against the real flight process: whatever comes up, nothing leaves that should not.

There is no link security yet: who can reach the radio with the right frequency can send any frame. So everything here
has valid frames where it helps the attacker. After each attack nothing left but status reports, events and telemetry,
the refusals are counted, no activity raised or is disabled, and the next valid job is answered.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bindings.crc import crc16_ccitt
from flight.agent import cose
from flight.agent.area import Box
from flight.agent.command import CommandKind
from flight.agent.effects import Tick
from flight.agent.job import Job
from flight.agent.reasons import Reason
from flight.agent.release import verify_release
from flight.agent.states import JobState
from flight.flight_process import GROUND_ENTITY, entity_of
from flight.link.apids import Apid
from flight.link.cfdp.codes import ChecksumKind, Condition, Directive, FileStatus, TransactionStatus
from flight.link.cfdp.pdu import Ack, Eof, FileData, Finished, Metadata, Nak, Pdu, Transaction, encode
from flight.link.packet import SequenceFlags, SpacePacket
from flight.services.records import RecordKind
from tests.faults.hostile_bench import HostileBench
from tests.faults.hostile_ground import T0, Ground
from tests.faults.hostile_peers import class_rows, honest, raw_strip
from tests.faults.hostile_tap import SPACECRAFT, Heard, explain

ENTITY = entity_of(SPACECRAFT)
RAW = raw_strip()
UPLINK = (Apid.GRANT, Apid.JOB, Apid.RECEIPT, Apid.COMMAND, Apid.CFDP_UP)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HostileBench]:
    with HostileBench(tmp_path, honest(class_rows())) as made:
        made.run(80)  # until it knows that it is in contact
        yield made


def only_words(bench: HostileBench) -> Heard:
    """Status reports, events and telemetry left, and nothing else."""
    heard = bench.check(RAW)
    assert heard.units == 0 and heard.alerts == 0 and heard.files == {}
    return heard


def refused(bench: HostileBench) -> int:
    """All that is counted of what came up and was not taken."""
    satellite = bench.satellite
    return (
        satellite.uplink_refused
        + satellite.inbox_dropped
        + satellite._downlink.refused
        + int(bench.process.agent.telemetry()["uplinks_refused"])
    )


def push(bench: HostileBench, datagrams: list[bytes]) -> None:
    bench.radio.up.extend(datagrams)
    for _ in range(10_000):
        bench.step()
        if not bench.radio.up and not bench.satellite._inbox:
            break
    bench.run(60)


# --- below the packets -----------------------------------------------------------------------------------------------


def test_random_datagrams(bench: HostileBench) -> None:
    draw = random.Random(1)
    push(bench, [draw.randbytes(draw.randrange(1, 2048)) for _ in range(2000)])
    assert refused(bench) == 2000
    only_words(bench)
    bench.serves()


def test_datagrams_of_no_frame_s_size_are_dropped_by_the_radio(bench: HostileBench) -> None:
    push(bench, [b"", bytes(2049), bytes(65_000)] * 20)
    assert refused(bench) == 0
    only_words(bench)
    bench.serves()


def test_mutated_frames(bench: HostileBench) -> None:
    """Bits of honest frames are turned, with the frame check as it was and with a new one that fits."""
    draw = random.Random(2)
    ground = bench.ground
    honest_ones = ground.frames(Apid.GRANT, ground.signed_grant()) + ground.frames(
        Apid.JOB, ground.signed_job(ground.job(77), ground.stranger)
    )
    mutated = []
    for _ in range(1500):
        frame = bytearray(draw.choice(honest_ones))
        for _ in range(draw.randrange(1, 4)):
            frame[draw.randrange(len(frame))] ^= 1 << draw.randrange(8)
        if draw.random() < 0.7:
            frame[-2:] = crc16_ccitt(bytes(frame[:-2])).to_bytes(2, "big")
        if draw.random() < 0.2:
            frame = frame[: draw.randrange(len(frame))]
        mutated.append(bytes(frame))
    push(bench, mutated)
    assert refused(bench) > 1000
    assert not any(entry.live for entry in bench.process.agent.jobs)
    only_words(bench)
    bench.serves()


def test_packets_larger_than_any_order_do_not_fill_memory(bench: HostileBench) -> None:
    """Segments that begin a packet of 64 KiB, or never end, or carry more than its header says."""
    head = SpacePacket(Apid.JOB, 0, bytes(65_000), telecommand=True).pack()
    begin = bytearray(bench.ground.frames(Apid.JOB, bytes(3000))[0])
    datagrams: list[bytes] = []
    for number in range(200):
        pieces = bench.ground.frames(Apid.JOB, bytes(7000))
        datagrams += [pieces[0]] + pieces[1:2] * 3 if number % 2 else pieces[:-1]
    datagrams += [_frame(number % 256, 1, head[:1000]) for number in range(100)]
    datagrams += [bytes(begin)] * 3
    push(bench, datagrams)
    assert refused(bench) > 100
    assert all(partial is None or len(partial) <= 8192 for partial in bench.satellite._deframer._partial.values())
    only_words(bench)
    bench.serves()


def _frame(sequence: int, flags: int, data: bytes) -> bytes:
    """One telecommand frame with any segment flags."""
    size = 8 + len(data)
    body = SPACECRAFT.to_bytes(2, "big") + (size - 1).to_bytes(2, "big") + bytes([sequence, flags << 6]) + data
    return body + crc16_ccitt(body).to_bytes(2, "big")


# --- packets with anything in them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("apid", [*UPLINK, *(Apid.TELEMETRY, Apid.EVENT, Apid.ALERT, Apid.STATUS, Apid.CFDP), 0, 100])
def test_garbage_on_every_apid(bench: HostileBench, apid: int) -> None:
    draw = random.Random(apid)
    before = refused(bench)
    datagrams: list[bytes] = []
    for _ in range(150):
        datagrams += bench.ground.frames(apid, draw.randbytes(draw.choice((1, 2, 7, 60, 900, 5000))))
    push(bench, datagrams)
    assert refused(bench) - before >= 150
    only_words(bench)
    bench.serves()


def test_many_small_packets_in_one_frame(bench: HostileBench) -> None:
    """A frame of 1024 octets holds 126 packets of 8: the slot takes no more than one such frame beyond its bound."""
    packets = b"".join(SpacePacket(Apid.CFDP_UP, number, b"xy", telecommand=True).pack() for number in range(126))
    taken: list[int] = []
    satellite = bench.satellite
    plain = satellite._take_packet

    def counted(packet: SpacePacket) -> None:
        taken[-1] += 1
        plain(packet)

    satellite._take_packet = counted  # type: ignore[method-assign]
    bench.radio.up.extend(_frame(number % 256, 3, packets) for number in range(60))
    while bench.radio.up:
        taken.append(0)
        bench.step()
    assert sum(taken) == 60 * 126 and max(taken) <= 126 + 16
    only_words(bench)
    bench.serves()


def test_a_flood_of_orders_does_not_stop_the_agent_s_time(bench: HostileBench) -> None:
    ticks: list[float] = []
    agent = bench.process.agent
    handle = agent.handle

    def counted(happened, now_s):  # type: ignore[no-untyped-def]
        if isinstance(happened, Tick):
            ticks.append(now_s)
        return handle(happened, now_s)

    agent.handle = counted  # type: ignore[method-assign]
    begun = bench.clock.host_s()
    for number in range(300):
        for _ in range(8):
            bench.send(Apid.JOB, number.to_bytes(4, "big"))
        bench.step()
    assert len(ticks) > 10 * (bench.clock.host_s() - begun)
    assert bench.satellite.inbox_dropped > 100 and len(bench.satellite._inbox) <= 256 + 8
    bench.run(1200)
    only_words(bench)
    bench.serves()


# --- file delivery ---------------------------------------------------------------------------------------------------


def unit(pdu: Pdu, sequence: int = 1, source: int = ENTITY, destination: int = GROUND_ENTITY, **how: Any) -> bytes:
    return encode(Transaction(source, sequence, destination, **how), pdu)


FINISHED = Finished(Condition.NO_ERROR, True, FileStatus.RETAINED)
UNITS: dict[str, list[bytes]] = {
    "files asked for by name": [
        unit(Metadata(name, 100, ChecksumKind.NULL), number)
        for number, name in enumerate(
            ("keys/satellite.key", "../strips/lines.bin", "/etc/passwd", "journal.swj", "/proc/self/mem", "a" * 255)
        )
    ],
    "files asked for in transactions of the ground": [
        unit(Metadata("keys/satellite.key", 64, ChecksumKind.CRC_32C), number, GROUND_ENTITY, ENTITY)
        for number in range(8)
    ],
    "NAKs of unknown transactions": [unit(Nak((0, 1 << 30), ((0, 1 << 30),), True), number) for number in range(40)],
    "NAKs of everything at once": [
        unit(Nak((0, 1 << 31), tuple((at, at + 1) for at in range(0, 160, 2))), number) for number in range(8)
    ],
    "Finished of others": [unit(FINISHED, number, source=9) for number in range(20)],
    "Finished for others": [unit(FINISHED, number, destination=77) for number in range(20)],
    "Finished in other widths": [unit(FINISHED, number, entity_bytes=8, sequence_bytes=8) for number in range(20)],
    "Finished without a check": [unit(FINISHED, number, crc=False) for number in range(20)],
    "data for the satellite": [unit(FileData(0, RAW[0].tobytes()[:800]), number) for number in range(20)],
    "ends and acknowledgements": [
        unit(Eof(1, 2), 1),
        unit(Ack(Directive.EOF, Condition.NO_ERROR, TransactionStatus.ACTIVE), 2),
        unit(Ack(Directive.FINISHED, Condition.NO_ERROR, TransactionStatus.ACTIVE), 3),
    ],
}


@pytest.mark.parametrize("name", UNITS)
def test_units_that_ask_for_what_is_not_theirs(bench: HostileBench, name: str) -> None:
    for octets in UNITS[name]:
        bench.send(Apid.CFDP_UP, octets)
    bench.run(200)
    assert bench.satellite._downlink.refused == len(UNITS[name])
    only_words(bench)
    bench.serves()


def test_a_finished_of_an_ended_transfer_is_acknowledged_and_says_no_more(bench: HostileBench) -> None:
    """All that a stranger can make the satellite say in file delivery: 17 octets, with a number of his."""
    for number in range(100):
        bench.send(Apid.CFDP_UP, unit(FINISHED, 1000 + number))
    bench.run(400)
    heard = bench.check(RAW)
    assert heard.files == {} and 0 < heard.units <= 100
    assert bench.satellite._downlink.refused == 0
    bench.serves()


def test_a_transfer_under_attack_sends_nothing_but_its_product(tmp_path: Path) -> None:
    """NAKs of a stranger for everything, and for what lies behind the end, while a product comes down.

    Without link security they can keep the product from arriving, as jamming can; the job then ends at its expiry.
    """
    draw = random.Random(3)
    with HostileBench(tmp_path, honest(class_rows())) as bench:
        job_id = bench.order(bench.ground.job(latest_s=T0 + 300, deadline_s=T0 + 400, expires_s=T0 + 4000))
        bench.run_until(lambda: bench.state(job_id) is JobState.SEALED)
        for _ in range(600):
            start = draw.randrange(0, 1500)
            gaps = tuple((at, at + draw.randrange(1, 9)) for at in range(start, start + 300, 10))
            bench.send(Apid.CFDP_UP, unit(Nak((start, start + 400), gaps, metadata=draw.random() < 0.5)))
            bench.send(Apid.CFDP_UP, unit(Nak((0, (1 << 32) - 1), ((5, 1 << 31),))))
            bench.step()
        # The gate has forgotten it if the job has ended by now: delivered, when it was down before the first NAK.
        (record,) = (payload for kind, payload in bench.journal.records if kind is RecordKind.PRODUCT)
        release, _ = verify_release(record, bench.ground.keys.satellite)
        assert release.job_id == job_id
        assert list(explain(bench.radio.frames, bench.ground.keys).files) == [release.name]
        bench.clock.advance_to(T0 + 4001)
        bench.run_until(lambda: bench.ended(job_id))
        assert bench.answer(job_id)[0] in (JobState.EXPIRED, JobState.DELIVERED)
        bench.check(RAW, whole=False)
        bench.serves()


# --- orders ----------------------------------------------------------------------------------------------------------


def _mutated(octets: bytes, seed: int) -> bytes:
    draw = random.Random(seed)
    changed = bytearray(octets)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _as(purpose: cose.Purpose, payload: bytes, ground: Ground, satellites: str = "") -> bytes:
    """A payload signed by the tenant for some purpose and some set of satellites."""
    return cose.sign1(payload, ground.tenant.private, ground.tenant.key_id, cose.aad(purpose, satellites))


ORDERS: dict[str, tuple[int, Callable[[Ground, Job], bytes], Reason | None]] = {
    "a job signed by a stranger": (Apid.JOB, lambda g, job: g.signed_job(job, g.stranger), Reason.UNKNOWN_KEY),
    "a job signed by the mission": (Apid.JOB, lambda g, job: g.signed_job(job, g.mission), Reason.UNKNOWN_KEY),
    "a job under the tenant's key id, signed by a stranger": (
        Apid.JOB,
        lambda g, job: cose.sign1(job.encode(), g.stranger.private, g.tenant.key_id, cose.aad(cose.Purpose.JOB)),
        Reason.BAD_SIGNATURE,
    ),
    "a job signed for another purpose": (
        Apid.JOB,
        lambda g, job: _as(cose.Purpose.RECEIPT, job.encode(), g),
        Reason.BAD_SIGNATURE,
    ),
    "a job for another set of satellites": (
        Apid.JOB,
        lambda g, job: cose.sign1(
            job.encode(), g.tenant.private, g.tenant.key_id, cose.aad(cose.Purpose.JOB, "others")
        ),
        Reason.BAD_SIGNATURE,
    ),
    "an expired job": (
        Apid.JOB,
        lambda g, job: g.signed_job(
            replace(job, earliest_s=T0 - 900, latest_s=T0 - 800, deadline_s=T0 - 700, expires_s=T0 - 600)
        ),
        Reason.EXPIRED,
    ),
    "a job elsewhere": (
        Apid.JOB,
        lambda g, job: g.signed_job(replace(job, area=tuple((x + 30 * 10**7, y) for x, y in job.area))),
        Reason.AREA_NOT_GRANTED,
    ),
    "a job with another application": (
        Apid.JOB,
        lambda g, job: g.signed_job(replace(job, application="cloud")),
        Reason.APPLICATION_NOT_GRANTED,
    ),
    "a job with more bytes than granted": (
        Apid.JOB,
        lambda g, job: g.signed_job(replace(job, byte_budget=200_001)),
        Reason.OVER_JOB_BYTES,
    ),
    "a job in another tenant's name": (Apid.JOB, lambda g, job: g.signed_job(replace(job, tenant="rivers")), None),
    "a grant signed by the tenant": (
        Apid.GRANT,
        lambda g, job: g.signed_grant(
            replace(g.grant, boxes=(Box(-180 * 10**7, -90 * 10**7, 180 * 10**7, 90 * 10**7),), serial=2), g.tenant
        ),
        Reason.UNKNOWN_KEY,
    ),
    "a grant signed by a stranger": (
        Apid.GRANT,
        lambda g, job: g.signed_grant(replace(g.grant, public_key=g.stranger.public, serial=2), g.stranger),
        Reason.UNKNOWN_KEY,
    ),
    "a grant signed by the ground's key for receipts": (
        Apid.GRANT,
        lambda g, job: g.signed_grant(replace(g.grant, serial=3), g.key),
        Reason.UNKNOWN_KEY,
    ),
    "a receipt by the tenant": (Apid.RECEIPT, lambda g, job: g.signed_receipt(bytes(16), b"x", g.tenant), None),
    "a receipt for nothing": (Apid.RECEIPT, lambda g, job: g.signed_receipt(bytes(16), b"x"), None),
    "the tenant revokes its grant": (
        Apid.COMMAND,
        lambda g, job: g.signed_command(CommandKind.REVOKE_GRANT, g.grant.id, g.tenant),
        Reason.UNKNOWN_KEY,
    ),
    "a stranger revokes the grant": (
        Apid.COMMAND,
        lambda g, job: g.signed_command(CommandKind.REVOKE_GRANT, g.grant.id, g.stranger),
        None,
    ),
    "the tenant calls off a job that is not there": (
        Apid.COMMAND,
        lambda g, job: g.signed_command(CommandKind.CANCEL_JOB, bytes(32), g.tenant),
        Reason.UNKNOWN_JOB,
    ),
    "a command of the mission that has expired": (
        Apid.COMMAND,
        lambda g, job: g.signed_command(CommandKind.REVOKE_GRANT, g.grant.id, g.mission, T0 - 1000),
        Reason.EXPIRED,
    ),
    "a job as a command": (Apid.COMMAND, lambda g, job: g.signed_job(job), None),
    "a grant as a job": (Apid.JOB, lambda g, job: g.signed_grant(), Reason.UNKNOWN_KEY),
}


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_that_may_not_be_is_refused_with_its_reason(bench: HostileBench, name: str) -> None:
    apid, make, reason = ORDERS[name]
    bench.run_until(lambda: bool(bench.reports(bench.ground.grant.id)))
    before = refused(bench)
    octets = make(bench.ground, bench.ground.job(5))
    for _ in range(5):
        bench.send(apid, octets)
    bench.run(100)
    assert refused(bench) > before
    if reason is not None:
        assert (JobState.REFUSED, reason) in {(report.state, report.reason) for report in bench.statuses}
    assert not any(entry.live for entry in bench.process.agent.jobs)
    only_words(bench)
    bench.serves()


@pytest.mark.parametrize("apid", [Apid.GRANT, Apid.JOB, Apid.RECEIPT, Apid.COMMAND])
def test_no_mutation_of_a_signed_order_is_taken(bench: HostileBench, apid: int) -> None:
    bench.run_until(lambda: bool(bench.reports(bench.ground.grant.id)))
    ground = bench.ground
    whole = {
        Apid.GRANT: ground.signed_grant(replace(ground.grant, serial=9)),
        Apid.JOB: ground.signed_job(ground.job(9)),
        Apid.RECEIPT: ground.signed_receipt(bytes(16), b"x"),
        Apid.COMMAND: ground.signed_command(CommandKind.REVOKE_GRANT, ground.grant.id, ground.mission),
    }[Apid(apid)]
    before = refused(bench)
    for seed in range(200):
        bench.send(apid, _mutated(whole, seed))
        bench.run(2)
    bench.run(200)
    assert refused(bench) - before == 200
    assert len(bench.process.agent.grants) == 1
    assert not list(bench.process.agent.jobs)
    only_words(bench)
    bench.serves()


# --- anything at all -------------------------------------------------------------------------------------------------

octets = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.sampled_from([one for units in UNITS.values() for one in units]),
    st.sampled_from([one for units in UNITS.values() for one in units]).flatmap(
        lambda one: st.integers(0, 8 * len(one) - 1).map(
            lambda bit: bytes(octet ^ ((1 << bit % 8) if at == bit // 8 else 0) for at, octet in enumerate(one))
        )
    ),
)
packets = st.builds(
    lambda apid, payload, telecommand, secondary, flags: SpacePacket(
        apid, 0, payload, telecommand, secondary, flags
    ).pack(),
    st.sampled_from([*UPLINK, *UPLINK, 0, 1, 5, 2046]),
    octets,
    st.booleans(),
    st.booleans(),
    st.sampled_from(list(SequenceFlags)),
)
frames = st.builds(
    _frame,
    st.integers(0, 255),
    st.integers(0, 3),
    st.one_of(packets, st.lists(packets, max_size=4).map(b"".join).filter(lambda joined: 0 < len(joined) < 1000)),
)


@pytest.fixture(scope="module")
def long_lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileBench]:
    with HostileBench(tmp_path_factory.mktemp("any"), honest(class_rows())) as made:
        made.run(80)
        yield made


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(st.lists(st.one_of(frames, st.binary(min_size=1, max_size=40)), min_size=1, max_size=12))
def test_no_sequence_of_frames_makes_an_activity_raise(long_lived: HostileBench, datagrams: list[bytes]) -> None:
    sent = len(long_lived.radio.frames)
    long_lived.failures.clear()
    long_lived.radio.up.extend(datagrams)
    long_lived.run(24)
    assert not long_lived.failures
    assert long_lived.loop.disabled() == ()
    heard = explain(long_lived.radio.frames[sent:], long_lived.ground.keys)
    assert heard.files == {} and heard.alerts == 0


def test_after_all_of_that_it_serves(long_lived: HostileBench) -> None:
    long_lived.run(200)
    long_lived.serves()
    long_lived.check(RAW)

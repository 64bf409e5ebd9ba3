"""Extents against a set of numbers, checksums against other implementations, records against hostile octets."""

from __future__ import annotations

import contextlib
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.link.cfdp.active_time import ActiveTime
from flight.link.cfdp.checksum import FileChecksum, RunningChecksum, file_checksum
from flight.link.cfdp.codes import ChecksumKind, Condition
from flight.link.cfdp.errors import NameRefused, RecordInvalid
from flight.link.cfdp.extents import Extents
from flight.link.cfdp.pdu import Eof, Metadata, Transaction
from flight.link.cfdp.records import ReceiverRecord, ReceptionState, SenderRecord
from flight.link.cfdp.store import confined

spans = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))


def numbers(ranges: object) -> set[int]:
    return {number for start, end in ranges for number in range(start, end)}  # type: ignore[attr-defined]


@settings(max_examples=400)
@given(st.lists(st.tuples(st.booleans(), spans), max_size=25), spans)
def test_extents_are_what_a_set_of_octets_would_be(
    steps: list[tuple[bool, tuple[int, int]]], asked: tuple[int, int]
) -> None:
    extents, model = Extents(), set[int]()
    for adding, (start, end) in steps:
        span = set(range(start, end))
        if adding:
            assert numbers(extents.add(start, end)) == span - model
            model |= span
        else:
            extents.remove(start, end)
            model -= span
        held = list(extents)
        assert numbers(held) == model
        assert all(a < b for a, b in held)
        assert all(held[i][1] < held[i + 1][0] for i in range(len(held) - 1)), "touching ranges are one range"
        assert extents.total == len(model)
        assert extents.end == max(model, default=-1) + 1
    assert numbers(extents.missing(*asked)) == set(range(*asked)) - model
    assert extents.covers(*asked) == (set(range(*asked)) <= model)


def modular_by_the_book(octets: bytes) -> int:
    """727.0-B-5, 4.2.2: 32-bit words of the file aligned from its start, added modulo 2**32."""
    padded = octets + bytes(-len(octets) % 4)
    return sum(int.from_bytes(padded[at : at + 4], "big") for at in range(0, len(padded), 4)) % 2**32


def crc32c_bit_by_bit(octets: bytes) -> int:
    value = 0xFFFFFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_checksums_agree_with_their_definitions_however_the_file_is_cut(octets: bytes, cuts: list[int]) -> None:
    expected = {
        ChecksumKind.MODULAR: modular_by_the_book(octets),
        ChecksumKind.CRC_32: zlib.crc32(octets),
        ChecksumKind.CRC_32C: crc32c_bit_by_bit(octets),
        ChecksumKind.NULL: 0,
    }
    for kind, value in expected.items():
        running, at = RunningChecksum(kind), 0
        while at < len(octets):
            step = cuts[at % len(cuts)]
            running.update(octets[at : at + step])
            at += step
        assert running.value == value, kind
        assert file_checksum(kind, len(octets), lambda at, n: octets[at : at + n]) == FileChecksum(kind, value)


def test_the_modular_checksum_of_a_known_file() -> None:
    # 0xffffffff + 0x00000002 + 0x80000000: the sum wraps, and the last word is filled up with zeros
    octets = bytes([0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x02, 0x80])
    assert file_checksum(ChecksumKind.MODULAR, 9, lambda at, n: octets[at : at + n]).value == 0x80000001


TRANSACTION = Transaction(3, 4, 5, 1, 2, crc=False)
SENDER_RECORD = SenderRecord(
    TRANSACTION, "a.swp", 99, FileChecksum(ChecksumKind.CRC_32C, 7), ((0, 3), (8, 9)), Condition.NO_ERROR, True
)
RECEIVER_RECORD = ReceiverRecord(
    TRANSACTION,
    ReceptionState.FINISHED,
    Metadata("a.swp", 9, ChecksumKind.CRC_32),
    Eof(1, 9),
    ((0, 9),),
    Condition.NO_ERROR,
    "a.swp",
)


def test_records_come_back_as_they_were() -> None:
    assert SenderRecord.decode(SENDER_RECORD.encode()) == SENDER_RECORD
    assert ReceiverRecord.decode(RECEIVER_RECORD.encode()) == RECEIVER_RECORD
    bare = ReceiverRecord(TRANSACTION, ReceptionState.RECEIVING)
    assert ReceiverRecord.decode(bare.encode()) == bare


@settings(max_examples=400)
@given(st.integers(0, 2**32))
def test_a_damaged_record_is_refused_and_nothing_else_happens(seed: int) -> None:
    rng = random.Random(seed)
    for record in (SENDER_RECORD, RECEIVER_RECORD):
        octets = bytearray(record.encode())
        for _ in range(rng.randrange(1, 4)):
            octets[rng.randrange(len(octets))] = rng.randrange(256)
        octets = octets[: rng.randrange(len(octets) + 1)] if rng.random() < 0.3 else octets
        with contextlib.suppress(RecordInvalid):
            type(record).decode(bytes(octets))


@pytest.mark.parametrize("octets", [b"", b"\x80", b"\x81\x00", SENDER_RECORD.encode()])
def test_what_is_no_receivers_record_is_refused(octets: bytes) -> None:
    with pytest.raises(RecordInvalid):
        ReceiverRecord.decode(octets)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", ".hidden", "a\0b", "x" * 65, "naïve", "a b", "-\n"]
)
def test_a_name_that_could_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(NameRefused):
        confined(name)


def test_a_plain_name_is_taken() -> None:
    assert confined("job_0a1b.strip-3.swp") == "job_0a1b.strip-3.swp"


def test_active_time_stands_still_between_contacts() -> None:
    time = ActiveTime()
    assert time.at(100.0) == 100.0
    time.freeze(110.0)
    time.freeze(120.0)
    assert time.at(500.0) == 110.0
    time.resume(500.0)
    time.resume(600.0)
    assert time.at(503.0) == 113.0

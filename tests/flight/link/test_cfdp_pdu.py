"""File delivery units: golden octets written by hand from 727.0-B-5, round trips, hostile octets."""

from __future__ import annotations

import binascii
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.link.cfdp.codes import ChecksumKind, Condition, Directive, FileStatus, TransactionStatus
from flight.link.cfdp.errors import PduCheckFailed, PduLengthMismatch, PduTooShort, PduUnsupported
from flight.link.cfdp.pdu import Ack, Eof, FileData, Finished, Metadata, Nak, Pdu, Transaction, decode, encode
from flight.link.errors import FieldOutOfRange, LinkError

PLAIN = Transaction(0x0102, 0x0A0B0C0D, 0x0304, crc=False)
HEADER = "13 0102 0a0b0c0d 0304"  # widths: entity 2, sequence 4

conditions = st.sampled_from(Condition)
offsets = st.integers(0, 2**32 - 1)
ranges = st.tuples(offsets, offsets).map(lambda pair: (min(pair), max(pair)))
units = st.one_of(
    st.builds(
        Metadata,
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=64),
        offsets,
        st.sampled_from(ChecksumKind),
        st.booleans(),
    ),
    st.builds(FileData, offsets, st.binary(min_size=1, max_size=200)),
    st.builds(Eof, offsets, offsets, conditions),
    st.builds(
        Ack, st.sampled_from([Directive.EOF, Directive.FINISHED]), conditions, st.sampled_from(TransactionStatus)
    ),
    st.builds(
        Nak,
        ranges,
        st.lists(ranges.filter(lambda one: one[0] < one[1]), max_size=20).map(tuple),
        st.booleans(),
    ),
    st.builds(Finished, conditions, st.booleans(), st.sampled_from(FileStatus)),
)
transactions = st.builds(
    Transaction,
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(1, 8),
    st.integers(1, 8),
    st.booleans(),
)


@pytest.mark.parametrize(
    ("pdu", "first", "content"),
    [
        (Metadata("ab", 5, ChecksumKind.CRC_32C, True), "20", "07 42 00000005 026162 026162"),
        (FileData(0x01020304, b"xyz"), "30", "01020304 78797a"),
        (Eof(0xDEADBEEF, 0x10), "20", "04 00 deadbeef 00000010"),
        (Eof(0, 0, Condition.CANCELLED), "20", "04 f0 00000000 00000000"),
        (Ack(Directive.EOF, Condition.NO_ERROR, TransactionStatus.ACTIVE), "28", "06 40 01"),
        (Ack(Directive.FINISHED, Condition.CHECKSUM_FAILURE, TransactionStatus.TERMINATED), "20", "06 51 52"),
        (
            Nak((0, 9), ((1, 2), (4, 9)), True),
            "28",
            "08 00000000 00000009" + "0" * 16 + "00000001000000020000000400000009",
        ),
        (Finished(Condition.NO_ERROR, True, FileStatus.RETAINED), "28", "05 02"),
        (Finished(Condition.INACTIVITY, False, FileStatus.DISCARDED), "28", "05 84"),
    ],
)
def test_units_have_the_octets_of_the_standard(pdu: Pdu, first: str, content: str) -> None:
    body = bytes.fromhex(content)
    expected = bytes.fromhex(first) + len(body).to_bytes(2, "big") + bytes.fromhex(HEADER) + body
    assert encode(PLAIN, pdu).hex() == expected.hex()
    assert decode(expected) == (PLAIN, pdu)


def test_the_check_covers_the_whole_unit_and_is_counted_in_its_length() -> None:
    octets = encode(Transaction(1, 2, 3), Eof(7, 8))
    assert octets[0] == 0x22
    assert int.from_bytes(octets[1:3], "big") == 10 + 2
    assert int.from_bytes(octets[-2:], "big") == binascii.crc_hqx(octets[:-2], 0xFFFF)
    for index in range(len(octets)):
        broken = bytearray(octets)
        broken[index] ^= 0x10
        with pytest.raises(LinkError):
            decode(bytes(broken))


@settings(max_examples=300)
@given(transactions, units)
def test_a_unit_comes_back_as_it_was(transaction: Transaction, pdu: Pdu) -> None:
    assert decode(encode(transaction, pdu)) == (transaction, pdu)


@settings(max_examples=300)
@given(transactions, units, st.data())
def test_a_cut_or_changed_unit_raises_only_link_errors(transaction: Transaction, pdu: Pdu, data: st.DataObject) -> None:
    octets = bytearray(encode(transaction, pdu))
    end = data.draw(st.integers(0, len(octets)))
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(LinkError):
        decode(bytes(octets))
    with contextlib.suppress(LinkError):
        decode(bytes(octets[:end]))


@settings(max_examples=500)
@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=60))
def test_any_content_behind_a_true_length_raises_only_link_errors(first: int, widths: int, rest: bytes) -> None:
    start = 2 * ((widths >> 4 & 7) + 1) + (widths & 7) + 1
    body = rest[start:]
    octets = bytes([0x20 | first & 0x1F, 0, len(body), widths]) + rest[:start] + body
    if octets[0] & 2 and len(body) > 2:
        octets = octets[:-2] + binascii.crc_hqx(octets[:-2], 0xFFFF).to_bytes(2, "big")
    try:
        transaction, pdu = decode(octets)
    except LinkError:
        return
    if not isinstance(pdu, Metadata):  # a peer's name may be none that this end would write
        assert decode(encode(transaction, pdu)) == (transaction, pdu)


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        ("", PduTooShort),
        ("200001", PduTooShort),
        ("00000a 00 010203 0400000000000000000000", PduUnsupported),  # version 0
        ("21000a 00 010203 0400000000000000000000", PduUnsupported),  # large file
        ("24000a 00 010203 0400000000000000000000", PduUnsupported),  # unacknowledged
        ("20000b 00 010203 040000000000000000 00", PduLengthMismatch),
        ("200000 00 010203", PduTooShort),
        ("28000a 00 010203 04 00 00000000 00000000", PduUnsupported),  # EOF towards the sender
        ("20000a 00 010203 04 d0 00000000 00000000", PduUnsupported),  # condition 13
        ("200003 00 010203 06 70 00", PduUnsupported),  # acknowledges metadata
        ("200001 00 010203 0c", PduUnsupported),  # keep alive
        ("200008 00 010203 07 01 00000000 00 00", PduUnsupported),  # checksum type 1
        ("20000c 00 010203 07 00 00000000 00 00 00 02 0161", PduUnsupported),  # filestore request
        ("20000a 00 010203 07 00 00000000 00 00 02 05", PduLengthMismatch),  # option cut
        ("280009 00 010203 08 00000005 00000001", FieldOutOfRange),  # scope ends before it starts
        ("28000d 00 010203 08 00000000 00000001 00000000", PduLengthMismatch),
        ("300004 00 010203 00000000", PduTooShort),  # file data without data
        ("220003 00 010203 0400", PduLengthMismatch),
        ("220004 00 010203 05020000", PduCheckFailed),
    ],
)
def test_a_unit_that_is_not_offered_or_not_true_is_refused_by_name(octets: str, error: type[LinkError]) -> None:
    with pytest.raises(error):
        decode(bytes.fromhex(octets))


def test_segment_metadata_of_a_peer_is_skipped() -> None:
    octets = bytes.fromhex("30000a 08 010203 42 aabb 00000007 646566")
    assert decode(octets)[1] == FileData(7, b"def")


def test_options_of_a_peer_are_skipped_when_they_are_whole() -> None:
    octets = bytes.fromhex("20000e 00 010203 07 00 00000001 0161 0162 02 02 6869".replace(" ", ""))
    assert decode(octets)[1] == Metadata("b", 1, ChecksumKind.MODULAR)

"""Space packets: golden octets, round trips, and what a hostile ground may send."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.link.apids import Apid
from flight.link.errors import FieldOutOfRange, LinkError, PacketTooLong, PacketTooShort, PacketVersionUnsupported
from flight.link.packet import (
    SEQUENCE_MODULO,
    SequenceCounters,
    SequenceFlags,
    SpacePacket,
    idle_packet,
    packet_bytes,
    split_packets,
)

packets = st.builds(
    SpacePacket,
    apid=st.integers(0, 0x7FF),
    sequence=st.integers(0, SEQUENCE_MODULO - 1),
    payload=st.binary(min_size=1, max_size=300),
    telecommand=st.booleans(),
    secondary_header=st.booleans(),
    flags=st.sampled_from(SequenceFlags),
)


def test_a_packet_has_the_octets_of_the_standard() -> None:
    # by hand from 133.0-B-2 figure 4-1: version 0, TC, secondary header, APID 0x123, last segment, count 0x2abc
    packet = SpacePacket(0x123, 0x2ABC, b"\x01\x02\x03", True, True, SequenceFlags.LAST)
    assert packet.pack().hex() == "1923" + "aabc" + "0002" + "010203"


@given(packets)
def test_a_packet_comes_back_as_it_was(packet: SpacePacket) -> None:
    assert SpacePacket.unpack(packet.pack()) == packet
    assert packet_bytes(packet.pack()) == len(packet.pack())


@given(st.lists(packets.filter(lambda packet: packet.apid != Apid.IDLE), max_size=6), st.integers(7, 40))
def test_a_run_of_packets_is_cut_at_its_packets_and_loses_only_fill(run: list[SpacePacket], fill: int) -> None:
    octets = b"".join(packet.pack() + idle_packet(fill) for packet in run)
    assert split_packets(octets) == [packet.pack() for packet in run]


def test_the_longest_packet_is_65542_octets_and_no_longer() -> None:
    assert len(SpacePacket(1, 0, bytes(65536)).pack()) == 65542
    with pytest.raises(FieldOutOfRange):
        SpacePacket(1, 0, bytes(65537))
    with pytest.raises(FieldOutOfRange):
        SpacePacket(1, 0, b"")


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        (b"", PacketTooShort),
        (bytes(5), PacketTooShort),
        (bytes.fromhex("0002c000000168"), PacketTooShort),
        (bytes.fromhex("0002c0000000ff00"), PacketTooLong),
        (bytes.fromhex("2002c0000000ff"), PacketVersionUnsupported),
    ],
)
def test_a_packet_that_lies_about_itself_is_refused(octets: bytes, error: type[LinkError]) -> None:
    with pytest.raises(error):
        SpacePacket.unpack(octets)


@given(st.binary(max_size=80))
def test_no_octets_raise_anything_but_a_link_error(octets: bytes) -> None:
    for parse in (SpacePacket.unpack, split_packets, packet_bytes):
        with contextlib.suppress(LinkError):
            parse(octets)


def test_sequence_counts_are_per_apid_and_roll_over_at_16384() -> None:
    counters = SequenceCounters()
    assert [counters.take(Apid.ALERT) for _ in range(SEQUENCE_MODULO + 1)][-3:] == [16382, 16383, 0]
    assert counters.take(Apid.EVENT) == 0
    assert SpacePacket.unpack(counters.packet(Apid.ALERT, b"x")).sequence == 1


def test_a_refused_payload_uses_up_no_sequence_count() -> None:
    counters = SequenceCounters()
    with pytest.raises(FieldOutOfRange):
        counters.packet(Apid.EVENT, b"")
    assert counters.take(Apid.EVENT) == 0

"""Telecommand frames: golden octets, segmentation, duplicates, losses, and hostile frames."""

from __future__ import annotations

import binascii
import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.link.errors import (
    FrameCheckFailed,
    FrameDuplicate,
    FrameForeign,
    FrameLengthMismatch,
    FrameTooShort,
    FrameUnsupported,
    LinkError,
    PacketTooLong,
    SegmentRefused,
)
from flight.link.packet import SpacePacket
from flight.link.tc_frame import TcDeframer, TcFramer


def packet(size: int, number: int = 0) -> bytes:
    return SpacePacket(17, number % 16384, random.Random(number).randbytes(size), telecommand=True).pack()


def sealed(body: bytes) -> bytes:
    return body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")


def test_a_frame_has_the_octets_of_the_standard() -> None:
    (frame,) = TcFramer(0x2AB, 9, sequence=200).frames(bytes.fromhex("1011c00000") + b"\0!", map_id=3)
    # 00 0 0 00 1010101011 | 001001 0000001110 (15 octets - 1) | 200 | 11 000011 | packet
    assert frame == sealed(bytes.fromhex("02ab" + "240e" + "c8" + "c3" + "1011c0000000") + b"!")


@settings(max_examples=150)
@given(sizes=st.lists(st.integers(1, 900), min_size=1, max_size=12), frame_bytes=st.integers(14, 300))
def test_packets_of_any_size_cross_frames_of_any_size(sizes: list[int], frame_bytes: int) -> None:
    framer, deframer = TcFramer(7, max_frame_bytes=frame_bytes), TcDeframer(7)
    for number, size in enumerate(sizes):
        frames = framer.frames(packet(size, number))
        assert all(len(frame) <= frame_bytes for frame in frames)
        assert [one for frame in frames for one in deframer.push(frame)] == [packet(size, number)]
    assert deframer.counters.lost == 0


def test_every_frame_is_accepted_once() -> None:
    framer, deframer = TcFramer(7, max_frame_bytes=50), TcDeframer(7)
    got = []
    for number in range(100):
        for frame in framer.frames(packet(100, number)):
            got.extend(deframer.push(frame))
            with pytest.raises(FrameDuplicate):
                deframer.push(frame)
    assert got == [packet(100, number) for number in range(100)]


def test_an_old_frame_is_refused_as_long_as_its_number_can_be_told_from_a_new_one() -> None:
    framer, deframer = TcFramer(7), TcDeframer(7)
    (old,) = framer.frames(packet(10))
    deframer.push(old)
    for number in range(1, 128):
        deframer.push(framer.frames(packet(10, number))[0])
        with pytest.raises(FrameDuplicate):
            deframer.push(old)


def test_a_ground_that_starts_anew_is_not_locked_out() -> None:
    deframer = TcDeframer(7)
    for number in range(57):
        first_run = TcFramer(7, sequence=number)
        deframer.push(first_run.frames(packet(10, number))[0])
    second_run = TcFramer(7)
    got = [one for number in range(1000, 1060) for one in deframer.push(second_run.frames(packet(10, number))[0])]
    assert got == [packet(10, number) for number in range(1000, 1060)]
    assert deframer.counters.restarts == 1


@settings(max_examples=100)
@given(loss=st.floats(0, 0.5), seed=st.integers(0, 1000), copies=st.integers(1, 3))
def test_lost_and_repeated_frames_never_make_a_packet_that_was_not_sent(loss: float, seed: int, copies: int) -> None:
    rng = random.Random(seed)
    framer, deframer = TcFramer(7, max_frame_bytes=40), TcDeframer(7)
    sent, whole, got = [], [], []
    for number in range(30):
        one = packet(rng.randrange(1, 150), number)
        frames = framer.frames(one)
        kept = [frame for frame in frames if rng.random() >= loss]
        sent.append(one)
        if len(kept) == len(frames):
            whole.append(one)
        for frame in kept:
            for _ in range(copies):
                with contextlib.suppress(LinkError):
                    got.extend(deframer.push(frame))
    assert got == whole


def test_halves_of_two_packets_are_not_joined_into_one() -> None:
    framer, deframer = TcFramer(7, max_frame_bytes=60), TcDeframer(7)
    first, _ = framer.frames(packet(80, 1))
    _, last = framer.frames(packet(80, 2))  # what was lost lies between: the lengths alone would fit
    assert deframer.push(first) == []
    with pytest.raises(SegmentRefused):
        deframer.push(last)


def test_a_packet_longer_than_the_bound_is_refused_on_both_sides() -> None:
    with pytest.raises(PacketTooLong):
        TcFramer(7).frames(packet(8192))
    deframer = TcDeframer(7, max_packet_bytes=100)
    frames = TcFramer(7, max_frame_bytes=60).frames(packet(200))
    for frame in frames:
        with pytest.raises(SegmentRefused):
            deframer.push(frame)


def test_segments_that_go_on_past_the_packets_end_are_dropped() -> None:
    deframer = TcDeframer(7)
    first, *_ = TcFramer(7, max_frame_bytes=40).frames(packet(50))
    deframer.push(first)
    for sequence in range(1, 40):
        body = bytes([0, 7, 0, 39, sequence, 0x00]) + bytes(32)
        try:
            assert deframer.push(sealed(body)) == []
        except SegmentRefused:
            break
    else:
        pytest.fail("segments were taken without end")


good = TcFramer(7).frames(packet(10))[0]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b"", FrameTooShort),
        (good[:8], FrameTooShort),
        (good + b"\0", FrameLengthMismatch),
        (good[:-1] + bytes([good[-1] ^ 1]), FrameCheckFailed),
        (sealed(bytes([0x40]) + good[1:-2]), FrameUnsupported),
        (sealed(bytes([0x20]) + good[1:-2]), FrameUnsupported),
        (sealed(bytes([0x30]) + good[1:-2]), FrameUnsupported),
        (sealed(bytes([0x01]) + good[1:-2]), FrameForeign),
        (sealed(good[:2] + bytes([0x04]) + good[3:-2]), FrameForeign),
        (sealed(good[:5] + bytes([good[5] | 1]) + good[6:-2]), FrameForeign),
    ],
)
def test_a_frame_that_is_not_ours_is_refused_and_costs_nothing(frame: bytes, error: type[LinkError]) -> None:
    framer, deframer = TcFramer(7, max_frame_bytes=40, sequence=3), TcDeframer(7)
    got = []
    for own in framer.frames(packet(200)):
        got.extend(deframer.push(own))
        with pytest.raises(error):
            deframer.push(frame)
    assert got == [packet(200)]


@settings(max_examples=300)
@given(
    bodies=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 3), st.binary(min_size=1, max_size=30)), max_size=8)
)
def test_frames_with_a_good_check_and_any_content_raise_only_link_errors(
    bodies: list[tuple[int, int, bytes]],
) -> None:
    deframer = TcDeframer(7)
    for sequence, flags, data in bodies:
        frame = sealed(bytes([0, 7, 0, len(data) + 7, sequence, flags << 6]) + data)
        try:
            packets = deframer.push(frame)
        except LinkError:
            continue
        for one in packets:
            SpacePacket.unpack(one)


@given(st.binary(max_size=60))
def test_any_octets_raise_only_link_errors(octets: bytes) -> None:
    with contextlib.suppress(LinkError):
        TcDeframer(7).push(octets)

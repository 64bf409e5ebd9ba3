"""Telemetry frames: golden octets, packets across frames and losses, and hostile frames."""

from __future__ import annotations

import binascii
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.link.errors import (
    ChannelFull,
    FieldOutOfRange,
    FrameCheckFailed,
    FrameForeign,
    FrameLengthMismatch,
    FrameUnsupported,
    LinkError,
    PacketTooLong,
)
from flight.link.packet import SequenceCounters, SpacePacket, idle_packet
from flight.link.tm_frame import MIN_FRAME_BYTES, TmDeframer, TmFramer


def packet(size: int, number: int = 0, apid: int = 5) -> bytes:
    return SpacePacket(apid, number % 16384, random.Random(number).randbytes(size)).pack()


def sealed(body: bytes) -> bytes:
    return body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")


def drain(framer: TmFramer) -> list[bytes]:
    frames = []
    while (frame := framer.next_frame(flush=True)) is not None:
        frames.append(frame)
    return frames


def test_a_frame_has_the_octets_of_the_standard() -> None:
    framer = TmFramer(0x2AB, 20, counts={2: 0x11}, master_count=0x22)
    framer.push(2, bytes.fromhex("0005c0000004") + b"Swath")
    frame = framer.next_frame(flush=True)
    # 00 1010101011 010 0 | 22 | 11 | 0 0 0 11 00000000000 | packet of 11, then 1 + 6 octets of an idle packet
    body = bytes.fromhex("2ab4" + "2211" + "1800" + "0005c0000004") + b"Swath" + bytes.fromhex("07")
    assert frame == sealed(body)
    assert framer.pending(2) == 0


@settings(max_examples=150)
@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=25),
    frame_bytes=st.integers(MIN_FRAME_BYTES, 120),
    seed=st.integers(0, 1000),
)
def test_packets_of_any_size_cross_frames_of_any_size(sizes: list[int], frame_bytes: int, seed: int) -> None:
    rng = random.Random(seed)
    framer, deframer = TmFramer(7, frame_bytes), TmDeframer(7, frame_bytes)
    sent: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    got: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    frames = []
    for number, size in enumerate(sizes):
        channel = rng.choice((0, 1, 2))
        sent[channel].append(packet(size, number))
        framer.push(channel, sent[channel][-1])
        if rng.random() < 0.5 and (frame := framer.next_frame(flush=rng.random() < 0.5)):
            frames.append(frame)
    for frame in frames + drain(framer):
        assert len(frame) == frame_bytes
        got[frame[1] >> 1 & 7].extend(deframer.push(frame))
    assert got == sent
    assert deframer.lost == 0
    assert framer.next_frame(flush=True) is None


@settings(max_examples=150)
@given(
    sizes=st.lists(st.integers(1, 150), min_size=5, max_size=40),
    frame_bytes=st.integers(20, 100),
    loss=st.floats(0, 0.6),
    seed=st.integers(0, 1000),
)
def test_lost_frames_cost_only_the_packets_that_touched_them(
    sizes: list[int], frame_bytes: int, loss: float, seed: int
) -> None:
    rng = random.Random(seed)
    framer, deframer = TmFramer(1, frame_bytes), TmDeframer(1, frame_bytes)
    sent = [packet(size, number) for number, size in enumerate(sizes)]
    for one in sent:
        framer.push(2, one)
    frames = drain(framer)
    kept = [rng.random() >= loss for _ in frames]
    got = [one for frame, here in zip(frames, kept, strict=True) if here for one in deframer.push(frame)]
    room = frame_bytes - 8
    start, whole = 0, []
    for one in sent:
        if all(kept[start // room : (start + len(one) - 1) // room + 1]):
            whole.append(one)
        start += len(one)
    # a header cut by a lost frame's edge cannot be told from fill, so the receiver may only lose, never invent
    assert got == whole


def test_frames_lost_between_two_received_ones_are_counted() -> None:
    framer, deframer = TmFramer(1, 40), TmDeframer(1, 40)
    for number in range(300):
        framer.push(1, packet(60, number))
    frames = drain(framer)
    for index, frame in enumerate(frames):
        if index % 10 not in (3, 4):
            deframer.push(frame)
    missing = sum(index % 10 in (3, 4) for index in range(len(frames)))
    assert deframer.lost == missing == deframer.counters(1).lost
    assert len(frames) > 512, "the count must roll over in this test"


def test_a_frame_that_comes_twice_gives_its_packets_once() -> None:
    framer, deframer = TmFramer(1, 40), TmDeframer(1, 40)
    framer.push(0, packet(20))
    frame = framer.next_frame(flush=True)
    assert frame is not None
    assert len(deframer.push(frame)) == 1
    assert deframer.push(frame) == []
    assert deframer.counters(0).duplicates == 1


def test_a_frame_out_of_order_is_read_and_not_counted_as_lost() -> None:
    framer, deframer = TmFramer(1, 40), TmDeframer(1, 40)
    for number in range(5):
        framer.push(0, packet(26, number))
    frames = drain(framer)
    assert len(frames) == 5
    got = [one for index in (0, 2, 1, 3, 4) for one in deframer.push(frames[index])]
    assert sorted(got) == sorted(packet(26, number) for number in range(5))
    assert deframer.counters(0).late == 1
    assert deframer.lost == 0


def test_a_sender_that_starts_anew_is_followed_within_two_frames() -> None:
    deframer = TmDeframer(1, 40)
    for _ in range(2):
        framer = TmFramer(1, 40)
        sent = [packet(50, number) for number in range(20)]
        for one in sent:
            framer.push(2, one)
        got = [one for frame in drain(framer) for one in deframer.push(frame)]
    assert got[-18:] == sent[-18:]


def test_an_alert_goes_before_a_product_that_was_there_first() -> None:
    framer = TmFramer(1, 40)
    framer.push(2, packet(300))
    first = framer.next_frame()
    framer.push(0, packet(20))
    second, third = framer.next_frame(flush=True), framer.next_frame(flush=True)
    assert [frame[1] >> 1 & 7 for frame in (first, second, third) if frame] == [2, 0, 2]


def test_without_flush_a_frame_waits_until_it_is_full() -> None:
    framer = TmFramer(1, 40)
    framer.push(1, packet(20))
    assert framer.next_frame() is None
    framer.push(1, packet(20))
    assert framer.next_frame() is not None
    assert framer.next_frame() is None


def test_idle_frames_keep_the_link_alive_and_carry_nothing() -> None:
    framer, deframer = TmFramer(1, 40), TmDeframer(1, 40)
    frames = [framer.next_frame(idle=True) for _ in range(3)]
    assert all(frame is not None and deframer.push(frame) == [] for frame in frames)
    assert deframer.lost == 0


def test_the_queue_of_a_channel_is_bounded() -> None:
    framer = TmFramer(1, 40, max_pending_bytes=100)
    framer.push(2, packet(80))
    with pytest.raises(ChannelFull):
        framer.push(2, packet(80))
    framer.push(0, packet(80))


def test_only_whole_packets_are_queued() -> None:
    framer = TmFramer(1, 40)
    with pytest.raises(PacketTooLong):
        framer.push(0, packet(10) + b"x")
    assert framer.pending(0) == 0
    with pytest.raises(FieldOutOfRange):
        framer.push(7, packet(10))


def good_frame() -> bytes:
    framer = TmFramer(1, 40)
    framer.push(0, packet(20))
    frame = framer.next_frame(flush=True)
    assert frame is not None
    return frame


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b"", FrameLengthMismatch),
        (good_frame() + b"\0", FrameLengthMismatch),
        (good_frame()[:-1] + bytes([good_frame()[-1] ^ 1]), FrameCheckFailed),
        (sealed(b"\x40" + good_frame()[1:-2]), FrameUnsupported),
        (sealed(b"\x10" + good_frame()[1:-2]), FrameForeign),
        (sealed(good_frame()[:1] + bytes([good_frame()[1] | 1]) + good_frame()[2:-2]), FrameUnsupported),
        (sealed(good_frame()[:4] + b"\x98" + good_frame()[5:-2]), FrameUnsupported),
    ],
)
def test_a_frame_that_is_not_ours_is_refused_and_costs_nothing(frame: bytes, error: type[LinkError]) -> None:
    framer, deframer = TmFramer(1, 40), TmDeframer(1, 40)
    sent = [packet(50, number) for number in range(4)]
    for one in sent:
        framer.push(0, one)
    got = []
    for good in drain(framer):
        got.extend(deframer.push(good))
        with pytest.raises(error):
            deframer.push(frame)
    assert got == sent


@settings(max_examples=300)
@given(bodies=st.lists(st.binary(min_size=34, max_size=34), min_size=1, max_size=6))
def test_frames_with_a_good_check_and_any_content_raise_only_link_errors(bodies: list[bytes]) -> None:
    deframer = TmDeframer(1, 40)
    for body in bodies:
        count, status = body[0], 0x1800 | (body[1] << 8 | body[2]) & 0x7FF
        frame = sealed(bytes([0x00, 0x10, 0, count]) + status.to_bytes(2, "big") + body[:32])
        try:
            packets = deframer.push(frame)
        except LinkError:
            continue
        for one in packets:
            SpacePacket.unpack(one)


def test_the_idle_packet_that_fills_a_frame_may_end_in_the_next_one() -> None:
    for spare in range(1, 7):  # fewer octets left than the shortest packet has
        framer, deframer = TmFramer(1, 40), TmDeframer(1, 40)
        counters = SequenceCounters()
        first, second = counters.packet(1, bytes(32 - 6 - spare)), counters.packet(1, bytes(9))
        framer.push(0, first)
        frames = drain(framer)
        assert framer.pending(0) == 0
        framer.push(0, second)
        frames += drain(framer)
        assert [one for frame in frames for one in deframer.push(frame)] == [first, second], spare
    assert len(idle_packet(7)) == 7


@pytest.mark.parametrize("pointer", [5, 20, 32, 0x7FE, 0x7FF])
def test_a_pointer_against_the_packet_before_it_drops_that_packet(pointer: int) -> None:
    """A sender that began anew may come with just the count that is expected."""
    framer, deframer = TmFramer(1, 40), TmDeframer(1, 40)
    framer.push(0, packet(44))  # 32 octets here, 18 left for the next frame
    first = framer.next_frame()
    assert first is not None
    assert deframer.push(first) == []
    status = (0x1800 | pointer).to_bytes(2, "big")
    assert deframer.push(sealed(b"\x00\x10\x01\x01" + status + b"\xff" * 32)) == []
    assert deframer.counters(0).resyncs >= 1
    rest = sealed(b"\x00\x10\x02\x02" + (0x1800 | 18).to_bytes(2, "big") + b"\xff" * 32)
    assert deframer.push(rest) == []
    assert deframer.lost == 0

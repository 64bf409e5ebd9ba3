"""A bus on sockets: frames that are none first, then both ways, bounds and endpoints."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from bindings.bus import Bus, Message, PipeDeclaration, Route
from flight.pipeline.process_errors import EndpointRefused
from ground_test.bench.bus_socket import (
    FRAME_MAX,
    OCTETS_MAX,
    PER_STEP,
    BusFrame,
    BusSocket,
    FrameRefused,
    decode,
    encode,
    prefix,
)

OUT, IN = 10, 20
MALFORMED = [
    b"", b"\xc1", b"\x91" * 5000, bytes(FRAME_MAX + 1),
    b"\x94\x01\x02\x03\xc6\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff",
    *map(msgspec.msgpack.encode, (
        [1, 2, 3], [1, 2, 3, b"", 4], [-1, 2, 3, b""], [65536, 2, 3, b""], [1, 65536, 3, b""], [1, 2, -3, b""],
        [1, 2, 1 << 63, b""], [True, 2, 3, b""], [1.5, 2, 3, b""], [1, 2, 3, None], [1, 2, 3, bytes(OCTETS_MAX + 1)],
        {"topic": 1, "source": 2, "sequence": 3, "octets": b""},
    )),
]  # fmt: skip


@pytest.mark.parametrize("octets", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_frame_is_refused(octets: bytes) -> None:
    with pytest.raises(FrameRefused):
        decode(octets)


u16 = st.integers(0, 65535)


@given(
    frame=st.builds(BusFrame, u16, u16, st.integers(0, (1 << 63) - 1), st.binary(max_size=300)),
    at=st.integers(0, 400),
    to=st.integers(0, 255),
)
def test_a_frame_comes_back_and_a_changed_one_is_a_frame_or_refused(frame: BusFrame, at: int, to: int) -> None:
    octets = bytearray(encode(frame))
    assert decode(bytes(octets)) == frame
    octets[at % len(octets)] = to
    try:
        changed = decode(bytes(octets))
    except FrameRefused:
        return
    assert 0 <= changed.topic <= 65535 and len(changed.octets) <= OCTETS_MAX


def test_the_longest_message_fits_into_a_frame() -> None:
    longest = BusFrame(65535, 65535, (1 << 63) - 1, bytes(OCTETS_MAX))
    assert len(encode(longest)) <= FRAME_MAX and decode(encode(longest)) == longest


def a_bus() -> Bus:
    messages = [Message(OUT, "out", 300), Message(IN, "in", 8), Message(30, "own", 8)]
    pipes = [PipeDeclaration("told", 256), PipeDeclaration("taken", 256)]
    return Bus(messages, pipes, [Route(OUT, "told"), Route(IN, "taken"), Route(30, "taken")])


def test_messages_go_out_to_a_listener_and_declared_ones_come_in(tmp_path: Path) -> None:
    bus, out, into = a_bus(), f"ipc://{tmp_path}/out", f"ipc://{tmp_path}/in"
    socket = BusSocket(bus, source=3, tells=(bus.pipe("told"), out), takes=({IN, 99}, into))
    context = zmq.Context(1)
    listener, speaker = context.socket(zmq.SUB), context.socket(zmq.PUSH)
    try:
        assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
        listener.connect(out)
        listener.subscribe(prefix(OUT))
        speaker.connect(into)
        for parts in (
            [b"\xc1"],
            [encode(BusFrame(30, 9, 0, b"own"))],  # declared, and not for this way
            [encode(BusFrame(99, 9, 0, b"none"))],
            [encode(BusFrame(IN, 9, 0, b"too long for it"))],
            [encode(BusFrame(IN, 9, 0, b"two")), b"parts"],
            [encode(BusFrame(IN, 9, 0, b"good"))],
        ):
            speaker.send_multipart(parts)
        heard, taken = None, None
        for _ in range(1000):  # each turn waits for the sockets' threads by a poll
            bus.publish(OUT, b"told")
            socket.step()
            if listener.poll(20):
                heard = listener.recv_multipart()
            taken = taken or bus.pipe("taken").receive()
            if heard and taken:
                break
        assert heard is not None and taken is not None and taken.octets == b"good"
        frame = decode(heard[1])
        assert (heard[0], frame.topic, frame.source, frame.octets) == (prefix(OUT), OUT, 3, b"told")
        assert (socket.counters().received, socket.counters().refused) == (1, 5)
    finally:
        socket.close()
        context.destroy(linger=0)
    assert list(tmp_path.iterdir()) == []


def test_a_step_is_bounded_and_a_bus_without_a_listener_is_never_held_up(tmp_path: Path) -> None:
    bus = a_bus()
    socket = BusSocket(
        bus, source=1, tells=(bus.pipe("told"), f"ipc://{tmp_path}/out"), takes=((), f"ipc://{tmp_path}/in")
    )
    for _ in range(200):
        bus.publish(OUT, bytes(300))
    assert [socket.step() for _ in range(5)] == [PER_STEP, PER_STEP, PER_STEP, 200 - 3 * PER_STEP, 0]
    socket.close()


@pytest.mark.parametrize(
    "where",
    [
        "tcp://0.0.0.0:5555",
        "tcp://*:5555",
        "tcp://192.168.0.1:5555",
        "tcp://127.0.0.1:0",
        "ipc://relative",
        "inproc://x",
    ],
)
def test_an_endpoint_beyond_this_machine_is_refused(where: str, tmp_path: Path) -> None:
    bus = a_bus()
    with pytest.raises(EndpointRefused):
        BusSocket(bus, source=1, tells=(bus.pipe("told"), f"ipc://{tmp_path}/out"), takes=((), where))
    assert list(tmp_path.iterdir()) == []

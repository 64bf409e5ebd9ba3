"""The UDP radio and the socket under it: paced as a modem, deaf to strangers, never past a deadline."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.clock import Clock, SimulatedClock, SystemClock
from hal.datagram import MAX_DISCARDED, DatagramSocket, numeric, parse_address
from hal.errors import DeadlineExceeded, DeviceClosed, DeviceUnavailable
from hal.options import DriverOptions
from hal.radio.udp import UdpRadio, driver, selftest_options
from hal.testing_radio import RadioConformance

LOCAL = "127.0.0.1"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOCAL, 0))
        return probe.getsockname()[1]


def radio_to(peer_port: int, clock: Clock, **options) -> UdpRadio:
    return driver({"peer": f"{LOCAL}:{peer_port}", **options}, clock)


def pair(clock: Clock, **options) -> tuple[UdpRadio, UdpRadio]:
    port = free_port()
    first = radio_to(port, clock, **options)
    second = driver({"bind": f"{LOCAL}:{port}", "peer": f"{LOCAL}:{first.address[1]}", **options}, clock)
    return first, second


class TestUdpRadio(RadioConformance):
    def open_pair(self, clock: Clock) -> tuple[UdpRadio, UdpRadio]:
        return pair(clock)


class TestUdpRadioOnASimulatedClock(RadioConformance):
    def open_pair(self, clock: Clock) -> tuple[UdpRadio, UdpRadio]:
        return pair(clock, max_frame_bytes=1115)

    def make_clock(self) -> Clock:
        return SimulatedClock(1e9)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 0.5)), min_size=1, max_size=60),
    rate_bps=st.sampled_from([1200.0, 9600.0, 1e6]),
)
def test_a_frame_is_taken_just_when_a_leaking_bucket_has_room_for_it(sizes, rate_bps) -> None:
    clock = SimulatedClock(1e9)
    radio = radio_to(9, clock, rate_bps=rate_bps, queue_bytes=2000, max_frame_bytes=1000)
    waiting = taken = 0.0
    for size, pause_s in sizes:
        clock.advance(pause_s)
        waiting = max(0.0, waiting - pause_s * rate_bps / 8)
        accepted = radio.send(bytes(size))
        room = 2000 - waiting - size
        assert accepted == (room >= 0) or abs(room) < 0.01
        if accepted:
            waiting, taken = waiting + size, taken + size
    assert radio.status().bytes_sent == taken
    radio.close()


def test_a_full_queue_empties_at_the_rate_of_mission_time() -> None:
    clock = SimulatedClock(1e9)
    radio = radio_to(9, clock, rate_bps=8000.0, queue_bytes=1000, max_frame_bytes=1000)
    assert radio.send(bytes(1000))
    assert not radio.send(bytes(1))
    clock.advance(0.5)
    assert not radio.send(bytes(501))
    assert radio.send(bytes(500))
    radio.close()


def test_frames_from_strangers_are_dropped_and_counted() -> None:
    clock = SystemClock()
    first, second = pair(clock)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(5):
            stranger.sendto(b"forged", second.address)
        assert first.send(b"real")
        buffer = bytearray(2048)
        assert bytes(buffer[: second.receive_into(buffer, clock.host_s() + 2)]) == b"real"
    assert second.status().frames_refused == 5
    assert second.status().frames_received == 1
    first.close()
    second.close()


def test_a_flood_of_strangers_holds_nobody_past_the_deadline() -> None:
    clock = SystemClock()
    first, second = pair(clock)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(MAX_DISCARDED * 3):
            stranger.sendto(b"noise", second.address)
        with pytest.raises(DeadlineExceeded):
            second.receive_into(bytearray(2048), clock.host_s() - 1.0)
    assert second.status().frames_refused == MAX_DISCARDED  # the rest of the flood is for the next call
    first.close()
    second.close()


def test_a_datagram_longer_than_a_frame_is_never_given_cut() -> None:
    clock = SystemClock()
    receiver = DatagramSocket("test", (LOCAL, 0), clock, 100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(bytes(101), receiver.address)
        sender.sendto(b"", receiver.address)
        sender.sendto(bytes(100), receiver.address)
        count, _ = receiver.receive_into(bytearray(100), clock.host_s() + 2)  # a buffer that would hide the cut
    assert count == 100
    assert receiver.discarded == 2
    receiver.close()


def test_a_peer_may_be_given_by_name() -> None:
    try:
        socket.gethostbyname("localhost")
    except OSError:
        pytest.skip("this machine knows no address of localhost")
    clock = SystemClock()
    port = free_port()
    first = driver({"peer": f"localhost:{port}"}, clock)
    second = driver({"bind": f"{LOCAL}:{port}", "peer": f"localhost:{first.address[1]}"}, clock)
    assert first.send(b"named")
    buffer = bytearray(2048)
    assert second.receive_into(buffer, clock.host_s() + 2) == 5
    first.close()
    second.close()


def test_an_address_that_is_taken_or_unknown_is_an_unavailable_device() -> None:
    clock = SystemClock()
    first = radio_to(9, clock)
    with pytest.raises(DeviceUnavailable, match="cannot bind"):
        driver({"bind": f"{LOCAL}:{first.address[1]}", "peer": f"{LOCAL}:9"}, clock)
    with pytest.raises(DeviceUnavailable, match="no address"):
        numeric("test", ("no-such-host.invalid", 1))
    first.close()
    with pytest.raises(DeviceClosed):
        assert first.address


@pytest.mark.parametrize("text", ["", "9000", ":9000", "host:", "host:-1", "host:65536", "host:٣", "host:1.5"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        parse_address(text)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({}, "peer"),
        ({"peer": "nowhere"}, "peer"),
        ({"peer": f"{LOCAL}:9", "rate_bps": 0}, "rate_bps"),
        ({"peer": f"{LOCAL}:9", "rate_bps": float("nan")}, "rate_bps"),
        ({"peer": f"{LOCAL}:9", "max_frame_bytes": 8}, "max_frame_bytes"),
        ({"peer": f"{LOCAL}:9", "queue_bytes": 1000, "max_frame_bytes": 1115}, "queue_bytes"),
        ({"peer": f"{LOCAL}:9", "rate": 1}, "rate"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(options, option: str) -> None:
    with pytest.raises(DriverOptions) as refused:
        driver(options, SystemClock())
    assert refused.value.option == option


def test_the_self_test_opens_it_anywhere(tmp_path) -> None:
    radio = driver(selftest_options(tmp_path), SystemClock())
    assert radio.send(b"nobody hears this")
    radio.close()

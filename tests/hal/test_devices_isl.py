"""The UDP inter-satellite terminal and the channel model under it: rate, delay, loss, windows, all in mission time."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.clock import Clock, SimulatedClock, SystemClock
from hal.datagram import MAX_DISCARDED
from hal.errors import DeadlineExceeded
from hal.isl.udp import HEADER, MAX_DELAY_S, MAX_HELD, UdpIslTerminal, driver, selftest_options
from hal.link_model import LinkModel, LinkSettings
from hal.options import DriverOptions
from hal.testing_isl import FIRST, NOBODY, SECOND, IslConformance

LOCAL = "127.0.0.1"


def terminals(clock: Clock, **settings) -> tuple[UdpIslTerminal, UdpIslTerminal]:
    first, second = driver({"spacecraft": FIRST}, clock), driver({"spacecraft": SECOND}, clock)
    first.connect(SECOND, second.address, LinkSettings(**settings), seed=1)
    second.connect(FIRST, first.address, LinkSettings(**settings), seed=2)
    return first, second


class TestUdpIslTerminal(IslConformance):
    def open_pair(self, clock: Clock) -> tuple[UdpIslTerminal, UdpIslTerminal]:
        return terminals(clock, rate_bps=1e9)


def test_a_delayed_frame_arrives_when_light_would_whatever_its_sender_does_meanwhile() -> None:
    clock = SimulatedClock(1e9)
    first, second = terminals(clock, rate_bps=8000.0, delay_s=2.0)
    buffer = bytearray(2048)
    assert first.send(SECOND, bytes(1000))  # a second on the air
    first.close()
    clock.advance(2.9)
    with pytest.raises(DeadlineExceeded):
        second.receive_into(buffer, clock.host_s())
    clock.advance(0.2)
    assert second.receive_into(buffer, clock.host_s()) == (FIRST, 1000)
    second.close()


def test_a_closed_window_refuses_and_is_told() -> None:
    clock = SimulatedClock(1e9)
    first, second = terminals(clock, windows=((1e9 + 10, 1e9 + 20),))
    assert first.send(SECOND, b"early") is False
    assert first.status().neighbours_up == ()
    clock.advance(10.0)
    assert first.send(SECOND, b"now") is True
    assert first.status().neighbours_up == (SECOND,)
    first.close()
    second.close()


def test_a_datagram_that_lies_about_its_sender_is_dropped_and_counted() -> None:
    clock = SystemClock()
    first, second = terminals(clock)
    buffer = bytearray(2048)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        now = HEADER.pack(FIRST, clock.mission_s())
        for octets in (now + b"forged", b"\x00", HEADER.pack(NOBODY, 0.0) + b"unknown", now):
            stranger.sendto(octets, second.address)
        with pytest.raises(DeadlineExceeded):
            second.receive_into(buffer, clock.host_s() + 0.05)
    assert second.status().frames_refused == 4
    assert second.status().frames_received == 0
    first.close()
    second.close()


@pytest.mark.parametrize("arrival_s", [float("nan"), float("inf"), 1e9 + MAX_DELAY_S + 1])
def test_a_frame_that_claims_never_to_arrive_is_not_held(arrival_s: float) -> None:
    clock = SimulatedClock(1e9)
    first, second = terminals(clock)
    first._socket.send(HEADER.pack(FIRST, arrival_s) + b"x", second.address)
    with pytest.raises(DeadlineExceeded):
        second.receive_into(bytearray(2048), 0.05)
    assert second.status().frames_refused == 1
    first.close()
    second.close()


def test_what_is_held_is_bounded() -> None:
    clock = SimulatedClock(1e9)
    first, second = terminals(clock)
    for _ in range(MAX_HELD // 32 + 1):
        for _ in range(32):
            first._socket.send(HEADER.pack(FIRST, 1e9 + 60.0) + b"x", second.address)
        with pytest.raises(DeadlineExceeded):
            second.receive_into(bytearray(2048), 0.0)
    assert second.status().frames_refused == 32
    clock.advance(60.0)
    assert second.receive_into(bytearray(2048), 0.0) == (FIRST, 1)
    first.close()
    second.close()


def test_a_flood_of_strangers_holds_nobody_past_the_deadline() -> None:
    clock = SystemClock()
    first, second = terminals(clock)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(MAX_DISCARDED * 3):
            stranger.sendto(HEADER.pack(NOBODY, 0.0) + b"noise", second.address)
        with pytest.raises(DeadlineExceeded):
            second.receive_into(bytearray(2048), clock.host_s() - 1.0)
    assert second.status().frames_refused == MAX_DISCARDED
    first.close()
    second.close()


def test_on_a_simulated_clock_waiting_ends_although_nobody_moves_it() -> None:
    clock = SimulatedClock(1e9)
    first, second = terminals(clock)
    with pytest.raises(DeadlineExceeded):
        first.receive_into(bytearray(2048), clock.host_s() + 0.05)
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({}, "spacecraft"),
        ({"spacecraft": 70_000}, "spacecraft"),
        ({"spacecraft": 1, "neighbours": {"two": {"address": "127.0.0.1:9"}}}, "neighbours"),
        ({"spacecraft": 1, "neighbours": {"²": {"address": "127.0.0.1:9"}}}, "neighbours"),
        ({"spacecraft": 1, "neighbours": {"2": "127.0.0.1:9"}}, "neighbours"),
        ({"spacecraft": 1, "neighbours": {"2": {}}}, "address"),
        ({"spacecraft": 1, "neighbours": {"2": {"address": "127.0.0.1:9", "loss": 1.5}}}, "loss"),
        ({"spacecraft": 1, "neighbours": {"2": {"address": "127.0.0.1:9", "queue_bytes": 64}}}, "queue_bytes"),
        ({"spacecraft": 1, "neighbours": {"2": {"address": "127.0.0.1:9", "windows": [[2, 1]]}}}, "windows"),
        ({"spacecraft": 1, "neighbours": {"2": {"address": "127.0.0.1:9", "windows": 3}}}, "windows"),
        ({"spacecraft": 1, "neighbours": {"2": {"address": "127.0.0.1:9", "delay": 1}}}, "delay"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(options, option: str) -> None:
    with pytest.raises(DriverOptions) as refused:
        driver(options, SystemClock())
    assert refused.value.option == option


def test_the_self_test_opens_it_anywhere(tmp_path) -> None:
    terminal = driver(selftest_options(tmp_path), SystemClock())
    assert terminal.send(2, b"nobody hears this")
    terminal.close()


frames = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 1500)), max_size=60)


@pytest.mark.arm
@settings(max_examples=100, deadline=None)
@given(frames=frames, rate_bps=st.sampled_from([2400.0, 64e3, 1e6]), delay_s=st.sampled_from([0.0, 0.01, 4.0]))
def test_a_lossless_channel_delivers_all_it_took_in_order_at_its_rate(frames, rate_bps, delay_s) -> None:
    link = LinkModel(LinkSettings(rate_bps, delay_s, queue_bytes=4000), seed=3)
    now_s, sent, arrivals = 0.0, [], []
    for number, (pause_s, size) in enumerate(frames):
        until_s = now_s + pause_s
        while (due_s := link.next_due_s()) is not None and due_s <= until_s:
            arrivals += [(due_s, frame) for frame in link.due(due_s)]
        now_s = until_s
        frame = number.to_bytes(2, "big") * size
        if link.offer(frame, now_s):
            sent.append((now_s, frame))
    while (due_s := link.next_due_s()) is not None:
        arrivals += [(due_s, frame) for frame in link.due(due_s)]
    assert [frame for _, frame in arrivals] == [frame for _, frame in sent]
    assert len(sent) + link.refused == len(frames) and link.lost == 0
    free_s = 0.0
    for (offered_s, frame), (arrived_s, _) in zip(sent, arrivals, strict=True):
        free_s = max(free_s, offered_s) + len(frame) * 8 / rate_bps
        assert arrived_s == pytest.approx(free_s + delay_s)


@pytest.mark.arm
def test_losses_have_the_probability_asked_for_and_a_seed_repeats_them() -> None:
    def survivors(seed: int) -> list[bytes]:
        link = LinkModel(LinkSettings(rate_bps=1e9, loss=0.3, queue_bytes=1 << 20), seed)
        for number in range(4000):
            assert link.offer(number.to_bytes(2, "big"), float(number))
        got = link.due(1e9)
        assert len(got) + link.lost == 4000
        return got

    assert survivors(5) == survivors(5) != survivors(6)
    assert 0.67 < len(survivors(5)) / 4000 < 0.73  # four sigma


@pytest.mark.arm
def test_a_frame_still_on_the_air_when_the_window_closes_is_lost() -> None:
    link = LinkModel(LinkSettings(rate_bps=8000.0, windows=((0.0, 10.0),)), seed=1)
    assert link.offer(bytes(1000), 8.0)
    assert link.offer(bytes(1000), 9.5)  # would end at 10.5
    assert link.refused == 0 and link.lost == 1
    assert [len(frame) for frame in link.due(20.0)] == [1000]
    assert link.offer(b"late", 10.0) is False

"""What every radio driver must do, as a class of tests. A vendor's driver passes it by inheriting from it:

class TestMyModem(RadioConformance):
    def open_pair(self, clock): return tuple(driver({"device": f"/dev/ttyUSB{end}"}, clock) for end in (0, 1))
"""

from __future__ import annotations

import pytest

from hal.clock import Clock, SystemClock
from hal.errors import BufferRefused, DeadlineExceeded, DeviceClosed
from hal.radio.protocol import Radio

SENTINEL = 0xA5


class RadioConformance:
    """Inherit, and override open_pair."""

    patience_s = 2.0  # host time that a frame may need from one end to the other

    def open_pair(self, clock: Clock) -> tuple[Radio, Radio]:
        """Two fresh radios, each the other's peer."""
        raise NotImplementedError("a conformance test names its driver by overriding open_pair")

    def make_clock(self) -> Clock:
        return SystemClock()

    def buffer(self, radio: Radio) -> bytearray:
        return bytearray([SENTINEL]) * (radio.max_frame_bytes + 8)

    def receive(self, clock: Clock, radio: Radio) -> bytes:
        buffer = self.buffer(radio)
        return bytes(buffer[: radio.receive_into(buffer, clock.host_s() + self.patience_s)])

    def frame(self, radio: Radio, size: int, number: int) -> bytes:
        return bytes((number + 31 * place) % 256 for place in range(min(size, radio.max_frame_bytes)))

    def test_frames_of_every_length_arrive_whole_in_order_and_unchanged(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        frames = [self.frame(first, size, number) for number, size in enumerate((1, 17, 256, 1115, 1 << 20))]
        for frame in frames:
            assert first.send(frame) is True
            assert self.receive(clock, second) == frame
        first.close()
        second.close()

    def test_the_link_works_both_ways_and_both_ends_count(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        assert first.send(b"question")
        assert self.receive(clock, second) == b"question"
        assert second.send(b"an answer")
        assert self.receive(clock, first) == b"an answer"
        one, two = first.status(), second.status()
        assert (one.frames_sent, one.bytes_sent, one.frames_received, one.bytes_received) == (1, 8, 1, 9)
        assert (two.frames_sent, two.bytes_sent, two.frames_received, two.bytes_received) == (1, 9, 1, 8)
        first.close()
        second.close()

    def test_an_empty_or_too_long_frame_is_refused_and_counted_and_nothing_leaves(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        assert first.send(b"") is False
        assert first.send(bytes(first.max_frame_bytes + 1)) is False
        assert (first.status().frames_sent, first.status().frames_refused) == (0, 2)
        with pytest.raises(DeadlineExceeded):
            second.receive_into(self.buffer(second), clock.host_s() + 0.02)
        first.close()
        second.close()

    def test_a_sender_in_a_hurry_is_refused_not_held(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        frame = self.frame(first, 256, 1)
        began_s = clock.host_s()
        offered = 512
        accepted = sum(first.send(frame) for _ in range(offered))
        assert clock.host_s() - began_s < self.patience_s
        status = first.status()
        assert (status.frames_sent, status.frames_refused) == (accepted, offered - accepted)
        assert status.bytes_sent == accepted * len(frame)
        first.close()
        second.close()

    def test_without_a_frame_the_call_comes_back_by_its_deadline(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        for patience_s in (-1.0, 0.0, 0.05):
            began_s = clock.host_s()
            with pytest.raises(DeadlineExceeded):
                first.receive_into(self.buffer(first), began_s + patience_s)
            assert clock.host_s() < began_s + patience_s + self.patience_s
        first.close()
        second.close()

    def test_nothing_is_written_beyond_the_frame(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        assert first.send(b"abc")
        buffer = self.buffer(second)
        count = second.receive_into(buffer, clock.host_s() + self.patience_s)
        assert (count, bytes(buffer[:3]), set(buffer[3:])) == (3, b"abc", {SENTINEL})
        first.close()
        second.close()

    def test_a_buffer_that_cannot_hold_the_longest_frame_is_refused(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        with pytest.raises(BufferRefused):
            first.receive_into(bytearray(first.max_frame_bytes - 1), clock.host_s())
        first.close()
        second.close()

    def test_closing_twice_is_harmless_and_a_closed_device_says_so(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        buffer = self.buffer(first)
        first.close()
        first.close()
        with pytest.raises(DeviceClosed):
            first.send(b"x")
        with pytest.raises(DeviceClosed):
            first.receive_into(buffer, clock.host_s())
        second.close()

"""What every inter-satellite terminal must do, as a class of tests. A driver passes it by inheriting from it:

class TestMyLaser(IslConformance):
    def open_pair(self, clock): ...
"""

from __future__ import annotations

import pytest

from hal.clock import Clock, SystemClock
from hal.errors import BufferRefused, DeadlineExceeded, DeviceClosed
from hal.isl.protocol import IslTerminal

FIRST, SECOND, NOBODY = 7, 40_001, 9


class IslConformance:
    """Inherit, and override open_pair."""

    patience_s = 2.0  # host time that a frame may need from one end to the other

    def open_pair(self, clock: Clock) -> tuple[IslTerminal, IslTerminal]:
        """The terminals of spacecraft FIRST and SECOND, neighbours of each other with a link that is open."""
        raise NotImplementedError("a conformance test names its driver by overriding open_pair")

    def make_clock(self) -> Clock:
        return SystemClock()

    def receive(self, clock: Clock, terminal: IslTerminal) -> tuple[int, bytes]:
        buffer = bytearray(terminal.max_frame_bytes)
        neighbour, count = terminal.receive_into(buffer, clock.host_s() + self.patience_s)
        return neighbour, bytes(buffer[:count])

    def test_frames_arrive_whole_with_the_number_of_their_sender(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        for size in (1, 100, first.max_frame_bytes):
            frame = bytes(place % 251 for place in range(size))
            assert first.send(SECOND, frame) is True
            assert self.receive(clock, second) == (FIRST, frame)
            assert second.send(FIRST, frame[::-1]) is True
            assert self.receive(clock, first) == (SECOND, frame[::-1])
        assert (first.status().frames_sent, first.status().frames_received) == (3, 3)
        first.close()
        second.close()

    def test_open_links_are_told(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        assert SECOND in first.status().neighbours_up
        assert NOBODY not in first.status().neighbours_up
        first.close()
        second.close()

    def test_an_unknown_neighbour_and_an_impossible_frame_are_refused_and_counted(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        assert first.send(NOBODY, b"hello") is False
        assert first.send(SECOND, b"") is False
        assert first.send(SECOND, bytes(first.max_frame_bytes + 1)) is False
        assert (first.status().frames_sent, first.status().frames_refused) == (0, 3)
        with pytest.raises(DeadlineExceeded):
            second.receive_into(bytearray(second.max_frame_bytes), clock.host_s() + 0.02)
        first.close()
        second.close()

    def test_without_a_frame_the_call_comes_back_by_its_deadline(self) -> None:
        clock = self.make_clock()
        first, second = self.open_pair(clock)
        for patience_s in (-1.0, 0.0, 0.05):
            began_s = clock.host_s()
            with pytest.raises(DeadlineExceeded):
                first.receive_into(bytearray(first.max_frame_bytes), began_s + patience_s)
            assert clock.host_s() < began_s + patience_s + self.patience_s
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
        first.close()
        first.close()
        with pytest.raises(DeviceClosed):
            first.send(SECOND, b"x")
        with pytest.raises(DeviceClosed):
            first.receive_into(bytearray(1 << 16), clock.host_s())
        second.close()

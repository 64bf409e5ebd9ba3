"""What every driver of a spacecraft bus must do, as a class of tests. A driver passes it by inheriting from it:

class TestMyBus(PlatformConformance):
    def open_platform(self, clock): return driver({"device": "can0"}, clock)
"""

from __future__ import annotations

import math

import pytest

from hal.clock import Clock, SimulatedClock
from hal.errors import DeviceClosed
from hal.platform.protocol import Platform, PointingReply

START_MISSION_S = 1_790_000_000.0


class PlatformConformance:
    """Inherit, and override open_platform (and make_clock where the device needs real time)."""

    small_roll_deg = 5.0  # that the bus can surely do
    notice_s = 600.0  # mission time before a look at which the bus surely can still take it

    def open_platform(self, clock: Clock) -> Platform:
        """A fresh device, nothing requested."""
        raise NotImplementedError("a conformance test names its driver by overriding open_platform")

    def make_clock(self) -> Clock:
        return SimulatedClock(START_MISSION_S)

    def test_the_state_is_of_now_and_an_attitude(self) -> None:
        clock = self.make_clock()
        platform = self.open_platform(clock)
        before_s = clock.mission_s()
        state = platform.state()
        assert before_s <= state.time_s <= clock.mission_s()
        assert all(-180 <= angle <= 180 for angle in (state.roll_deg, state.pitch_deg, state.yaw_deg))
        assert state.attitude_sigma_deg >= 0
        platform.close()

    def test_a_granted_look_is_flown_and_asking_again_changes_nothing(self) -> None:
        clock = self.make_clock()
        platform = self.open_platform(clock)
        start_s = clock.mission_s() + self.notice_s
        look = (start_s, start_s + 30.0, self.small_roll_deg)
        assert platform.request_pointing(*look) is PointingReply.ACCEPTED
        assert platform.request_pointing(*look) is PointingReply.ACCEPTED
        clock.sleep_until(start_s + 15.0)
        state = platform.state()
        assert abs(state.roll_deg - self.small_roll_deg) <= 5 * state.attitude_sigma_deg + 0.01
        platform.close()

    def test_two_attitudes_at_one_time_are_not_both_granted(self) -> None:
        clock = self.make_clock()
        platform = self.open_platform(clock)
        start_s = clock.mission_s() + self.notice_s
        assert platform.request_pointing(start_s, start_s + 30.0, self.small_roll_deg) is PointingReply.ACCEPTED
        reply = platform.request_pointing(start_s + 10.0, start_s + 20.0, -self.small_roll_deg)
        assert reply is PointingReply.REFUSED_BUSY
        platform.close()

    @pytest.mark.parametrize("roll_deg", [179.0, -179.0, math.nan, math.inf])
    def test_an_angle_that_no_bus_flies_is_refused(self, roll_deg: float) -> None:
        clock = self.make_clock()
        platform = self.open_platform(clock)
        start_s = clock.mission_s() + self.notice_s
        assert platform.request_pointing(start_s, start_s + 30.0, roll_deg) is not PointingReply.ACCEPTED
        platform.close()

    @pytest.mark.parametrize(("begin_s", "end_s"), [(10.0, 0.0), (5.0, 5.0), (math.nan, 10.0), (0.0, math.inf)])
    def test_a_time_that_is_no_interval_is_refused(self, begin_s: float, end_s: float) -> None:
        clock = self.make_clock()
        platform = self.open_platform(clock)
        now_s = clock.mission_s() + self.notice_s
        assert platform.request_pointing(now_s + begin_s, now_s + end_s, 0.0) is not PointingReply.ACCEPTED
        platform.close()

    def test_closing_twice_is_harmless_and_a_closed_device_says_so(self) -> None:
        clock = self.make_clock()
        platform = self.open_platform(clock)
        platform.close()
        platform.close()
        with pytest.raises(DeviceClosed):
            platform.state()
        with pytest.raises(DeviceClosed):
            platform.request_pointing(clock.mission_s() + 1, clock.mission_s() + 2, 0.0)

"""What every navigation driver must do, as a class of tests. A driver passes it by inheriting from it:

class TestMyGnss(NavigationConformance):
    def open_navigation(self, clock): return driver({"device": "/dev/ttyS1"}, clock)
"""

from __future__ import annotations

import math

import pytest

from hal.clock import Clock, SimulatedClock
from hal.errors import DeviceClosed, HalError
from hal.navigation.frames import geodetic_to_ecef
from hal.navigation.protocol import Navigation, NavigationFix

START_MISSION_S = 1_790_000_000.0


class NavigationConformance:
    """Inherit, and override open_navigation (and make_clock where the device needs real time)."""

    time_slack_s = 0.0  # how old a fix may be

    def open_navigation(self, clock: Clock) -> Navigation:
        """A fresh device with a fix."""
        raise NotImplementedError("a conformance test names its driver by overriding open_navigation")

    def make_clock(self) -> Clock:
        return SimulatedClock(START_MISSION_S)

    def predicted(self, navigation: Navigation, mission_s: float) -> NavigationFix:
        try:
            return navigation.at(mission_s)
        except HalError:
            pytest.skip("the driver does not predict")

    def test_a_fix_is_of_now(self) -> None:
        clock = self.make_clock()
        navigation = self.open_navigation(clock)
        before_s = clock.mission_s()
        assert before_s - self.time_slack_s <= navigation.fix().time_s <= clock.mission_s()
        navigation.close()

    def test_ground_track_and_earth_fixed_position_say_the_same(self) -> None:
        clock = self.make_clock()
        navigation = self.open_navigation(clock)
        fix = navigation.fix()
        assert -90 <= fix.latitude_deg <= 90 and -180 <= fix.longitude_deg <= 180
        assert fix.sigma_m >= 0
        place = geodetic_to_ecef(fix.latitude_deg, fix.longitude_deg, fix.altitude_m)
        assert math.dist(place, fix.position_ecef_m) < max(1.0, fix.sigma_m)
        navigation.close()

    def test_a_prediction_for_now_is_the_fix(self) -> None:
        clock = self.make_clock()
        navigation = self.open_navigation(clock)
        fix = navigation.fix()
        again = self.predicted(navigation, fix.time_s)
        assert math.dist(again.position_ecef_m, fix.position_ecef_m) <= max(1.0, fix.sigma_m)
        navigation.close()

    def test_the_velocity_is_how_the_position_changes(self) -> None:
        clock = self.make_clock()
        navigation = self.open_navigation(clock)
        now_s = clock.mission_s()
        before, middle, after = (self.predicted(navigation, now_s + step_s) for step_s in (-1.0, 0.0, 1.0))
        pairs = zip(before.position_ecef_m, after.position_ecef_m, strict=True)
        moved = tuple((late - early) / 2.0 for early, late in pairs)
        assert math.dist(moved, middle.velocity_ecef_m_s) < 1.0
        navigation.close()

    def test_a_time_that_is_none_is_an_error_of_the_hal(self) -> None:
        navigation = self.open_navigation(self.make_clock())
        for mission_s in (math.nan, math.inf, -math.inf):
            with pytest.raises(HalError):
                navigation.at(mission_s)
        navigation.close()

    def test_closing_twice_is_harmless_and_a_closed_device_says_so(self) -> None:
        navigation = self.open_navigation(self.make_clock())
        navigation.close()
        navigation.close()
        with pytest.raises(DeviceClosed):
            navigation.fix()

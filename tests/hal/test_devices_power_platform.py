"""The modelled battery and the modelled bus: energy adds up, attitude never jumps, requests are answered."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.clock import SimulatedClock
from hal.navigation.frames import is_sunlit
from hal.navigation.orbit import driver as navigation_driver
from hal.navigation.orbit import selftest_options as orbit_options
from hal.options import DriverOptions
from hal.platform.protocol import PointingReply
from hal.platform.simulated import MAX_REQUESTS
from hal.platform.simulated import driver as platform_driver
from hal.power.simulated import driver as power_driver
from hal.testing_platform import PlatformConformance
from hal.testing_power import PowerConformance

START_S = 1_790_000_000.0

pytestmark = pytest.mark.arm


class TestSimulatedPower(PowerConformance):
    def open_power(self, clock):
        return power_driver({}, clock)


class TestSimulatedPowerInOrbit(PowerConformance):
    def open_power(self, clock):
        return power_driver({"orbit": orbit_options(None)}, clock)


class TestSimulatedPlatform(PlatformConformance):
    def open_platform(self, clock):
        return platform_driver({}, clock)


def test_an_hour_at_a_known_load_takes_just_its_energy() -> None:
    clock = SimulatedClock(START_S)
    power = power_driver({"capacity_wh": 100, "battery_wh": 60, "solar_w": 0, "base_load_w": 5}, clock)
    power.set_load_w("payload", 15.0)
    clock.advance(1800.0)
    power.set_load_w("payload", 5.0)
    clock.advance(1800.0)
    assert power.read().battery_wh == pytest.approx(60 - 10 - 5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 20_000), st.floats(0, 200)), max_size=20))
def test_the_battery_never_leaves_its_bounds(steps) -> None:
    clock = SimulatedClock(START_S)
    power = power_driver({"capacity_wh": 80, "battery_wh": 10, "solar_w": 60, "base_load_w": 12}, clock)
    for pause_s, load_w in steps:
        power.set_load_w("payload", load_w)
        clock.advance(pause_s)
        assert 0 <= power.read().battery_wh <= 80


def test_one_orbit_charges_in_the_sun_and_only_there() -> None:
    clock = SimulatedClock(START_S)
    options = {**orbit_options(None), "raan_deg": 120.0}  # a plane that passes through the shadow at this time
    power = power_driver(
        {"capacity_wh": 1000, "battery_wh": 500, "solar_w": 60, "base_load_w": 12, "orbit": options}, clock
    )
    navigation = navigation_driver(options, clock)
    period_s = 86_400 / 15.2
    lit_s = sum(
        5.0
        for step in range(int(period_s / 5))
        if is_sunlit(navigation.at(START_S + 5.0 * step).position_ecef_m, START_S + 5.0 * step)
    )
    assert 0.55 < lit_s / period_s < 0.8  # the shadow of a low orbit
    clock.advance(period_s)
    reading = power.read()
    # the energy integral has steps of ten seconds: two shadow edges
    assert reading.battery_wh == pytest.approx(500 + (60 * lit_s - 12 * period_s) / 3600, abs=2 * 60 * 15 / 3600)
    assert (reading.solar_w > 0) is reading.sunlit


@pytest.mark.parametrize("watts", [-1.0, math.nan, math.inf, 1e7])
def test_a_load_that_is_none_is_refused(watts: float) -> None:
    with pytest.raises(DriverOptions, match="is no load"):
        power_driver({}, SimulatedClock(START_S)).set_load_w("payload", watts)


looks = st.lists(
    st.tuples(st.floats(0, 600), st.floats(1, 120), st.sampled_from([-30.0, -12.5, -1.0, 0.0, 4.0, 20.0, 29.0])),
    min_size=1,
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(looks=looks, slew_deg_s=st.sampled_from([0.2, 1.0, 7.0]))
def test_every_granted_look_is_flown_and_the_attitude_never_moves_faster_than_the_bus_can(looks, slew_deg_s) -> None:
    clock = SimulatedClock(START_S)
    platform = platform_driver({"slew_deg_s": slew_deg_s}, clock)
    granted = []
    for begin_s, length_s, roll_deg in looks:
        look = (START_S + 200.0 + begin_s, START_S + 200.0 + begin_s + length_s, roll_deg)
        if platform.request_pointing(*look) is PointingReply.ACCEPTED:
            granted.append(look)
    assert granted
    before_deg = platform.state().roll_deg
    while clock.mission_s() < START_S + 1100.0:
        clock.advance(1.0)
        state = platform.state()
        assert abs(state.roll_deg - before_deg) <= slew_deg_s * 1.0 + 1e-6
        before_deg = state.roll_deg
        for start_s, end_s, roll_deg in granted:
            if start_s <= state.time_s <= end_s:
                assert state.roll_deg == pytest.approx(roll_deg, abs=1e-6)


def test_a_look_that_cannot_be_reached_in_time_is_refused() -> None:
    clock = SimulatedClock(START_S)
    platform = platform_driver({"slew_deg_s": 1.0, "max_roll_deg": 30}, clock)
    assert platform.request_pointing(START_S + 19.0, START_S + 60.0, 20.0) is PointingReply.REFUSED_BUSY
    assert platform.request_pointing(START_S + 21.0, START_S + 60.0, 20.0) is PointingReply.ACCEPTED
    assert platform.request_pointing(START_S + 60.0, START_S + 70.0, 30.1) is PointingReply.REFUSED_ANGLE
    assert platform.request_pointing(START_S + 99.0, START_S + 120.0, -20.0) is PointingReply.REFUSED_BUSY
    assert platform.request_pointing(START_S + 100.0, START_S + 120.0, -20.0) is PointingReply.ACCEPTED


def test_a_power_off_notice_is_told_and_no_look_is_granted_beyond_it() -> None:
    clock = SimulatedClock(START_S)
    platform = platform_driver({"power_off_at_s": START_S + 500.0}, clock)
    assert platform.state().power_off_at_s == START_S + 500.0
    assert platform.request_pointing(START_S + 450.0, START_S + 501.0, 1.0) is PointingReply.REFUSED_POWER
    platform.announce_power_off(None)
    assert platform.state().power_off_at_s is None
    assert platform.request_pointing(START_S + 450.0, START_S + 501.0, 1.0) is PointingReply.ACCEPTED


def test_requests_are_bounded_and_room_comes_back_when_looks_are_over() -> None:
    clock = SimulatedClock(START_S)
    platform = platform_driver({}, clock)
    for number in range(MAX_REQUESTS):
        begin_s = START_S + 10.0 + 10.0 * number
        assert platform.request_pointing(begin_s, begin_s + 5.0, 0.0) is PointingReply.ACCEPTED
    late_s = START_S + 10_000.0
    assert platform.request_pointing(late_s, late_s + 5.0, 0.0) is PointingReply.REFUSED_BUSY
    clock.advance(5000.0)
    assert platform.request_pointing(late_s, late_s + 5.0, 0.0) is PointingReply.ACCEPTED


@pytest.mark.parametrize(
    ("open_driver", "options", "option"),
    [
        (power_driver, {"capacity_wh": 0}, "capacity_wh"),
        (power_driver, {"solar_w": -1}, "solar_w"),
        (power_driver, {"orbit": 5}, "orbit"),
        (power_driver, {"batery_wh": 5}, "batery_wh"),
        (platform_driver, {"max_roll_deg": 90}, "max_roll_deg"),
        (platform_driver, {"slew_deg_s": 0}, "slew_deg_s"),
        (platform_driver, {"power_off_at_s": "soon"}, "power_off_at_s"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(open_driver, options, option: str) -> None:
    with pytest.raises(DriverOptions) as refused:
        open_driver(options, SimulatedClock(START_S))
    assert refused.value.option == option

"""Orbits and frames against published numbers and PROJ: the SGP4 verification set, Vallado, Meeus, NOAA."""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.clock import SimulatedClock
from hal.navigation.frames import (
    EARTH_RATE_RAD_S,
    ecef_to_geodetic,
    geodetic_to_ecef,
    is_sunlit,
    julian_date,
    sidereal_angle_rad,
    sun_direction,
    teme_to_ecef,
)
from hal.navigation.orbit import OrbitNavigation, PropagationFailed, driver, satellite_from_tle, selftest_options
from hal.options import DriverOptions
from hal.testing_navigation import NavigationConformance
from tests.shared_data import SHARED_DATA, needs_shared_data

SENTINEL_2A = (
    "1 40697U 15028A   26274.29857647 -.00000002  00000+0  15863-4 0  9990",
    "2 40697  98.5653 347.6046 0001070  85.9280 274.2026 14.30818852588907",
)


def utc(*when: int) -> float:
    return float(calendar.timegm((*when, 0, 0, 0, 0, 0)[:9]))


class TestOrbitNavigation(NavigationConformance):
    def open_navigation(self, clock):
        return driver({"tle": list(SENTINEL_2A)}, clock)


class TestOrbitNavigationFromElements(NavigationConformance):
    def open_navigation(self, clock):
        return driver({**selftest_options(None), "sigma_m": 0.0}, clock)


def verification_cases() -> Iterator[tuple[tuple[str, str], list[tuple[float, ...]]]]:
    """(two lines, [(minutes, x, y, z, vx, vy, vz)]) of the set published with AIAA 2006-6753; km and km/s."""
    lines = [
        line for line in (SHARED_DATA / "orbits" / "SGP4-VER.TLE").read_text().splitlines() if line[:2] in ("1 ", "2 ")
    ]
    elements = list(zip(lines[::2], lines[1::2], strict=True))
    states: list[list[tuple[float, ...]]] = []
    numbers: list[int] = []
    for line in (SHARED_DATA / "orbits" / "tcppver.out").read_text().splitlines():
        if line.rstrip().endswith("xx"):
            numbers.append(int(line.split()[0]))
            states.append([])
        elif re.match(r"\s*-?\d", line):
            states[-1].append(tuple(float(word) for word in line.split()[:7]))
    found = list(zip(elements, numbers, states, strict=False))
    assert all(int(pair[0][2:7]) == number for pair, number, _ in found)
    for pair, _, rows in found:
        yield pair, rows


@needs_shared_data
@pytest.mark.arm
def test_the_published_verification_states_come_back_through_the_earth_fixed_frame() -> None:
    compared = satellites = 0
    for (first, second), rows in verification_cases():
        try:
            satellite = satellite_from_tle(first[:69], second[:69])
        except DriverOptions as error:  # some of the set's lines carry no valid checksum, on purpose or not
            assert "checksum" in str(error)
            continue
        satellites += 1
        navigation = OrbitNavigation(satellite, SimulatedClock(), 0.0)
        epoch_s = (satellite.jdsatepoch - 2_440_587.5 + satellite.jdsatepochF) * 86_400.0
        for minutes, *state in rows:
            mission_s = epoch_s + minutes * 60.0
            fix = navigation.at(mission_s)
            # back by numpy: rotate by the sidereal angle, add the Earth's rotation to the velocity
            angle = sidereal_angle_rad(mission_s)
            turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
            position = turn @ np.array(fix.position_ecef_m)
            spin = np.cross((0.0, 0.0, EARTH_RATE_RAD_S), fix.position_ecef_m)
            velocity = turn @ (np.array(fix.velocity_ecef_m_s) + spin)
            # 2e-5 km: mission seconds resolve 2.4e-7 s at 11 km/s, and the file has eight digits
            assert np.abs(position / 1000 - state[:3]).max() < 2e-5, (first, minutes)
            assert np.abs(velocity / 1000 - state[3:]).max() < 2e-8, (first, minutes)
            compared += 1
    assert satellites >= 25 and compared > 500


@pytest.mark.arm
def test_teme_becomes_earth_fixed_as_in_vallado() -> None:
    # Example 3-15 with the TEME vectors of AIAA 2006-6753 appendix C, at UT1 = UTC - 0.4399619 s; PEF: no polar motion
    mission_s = utc(2004, 4, 6, 7, 51, 28) + 0.386009 - 0.4399619
    position, velocity = teme_to_ecef(
        (5094180.16210, 6127644.65950, 6380344.53270), (-4746.131487, 785.818041, 5531.931288), mission_s
    )
    assert position == pytest.approx((-1033475.0313, 7901305.5856, 6380344.5327), abs=0.01)
    assert velocity == pytest.approx((-3225.632747, -2872.442511, 5531.931288), abs=1e-4)


@pytest.mark.arm
def test_the_whole_reduction_stays_within_what_the_frame_leaves_out() -> None:
    # the same example at UTC against ITRF: UT1 - UTC and polar motion are what frames.py names
    position, _ = teme_to_ecef(
        (5094180.16210, 6127644.65950, 6380344.53270), (0, 0, 0), utc(2004, 4, 6, 7, 51, 28) + 0.386009
    )
    assert math.dist(position, (-1033479.3830, 7901295.2754, 6380356.5958)) < 500.0


@pytest.mark.arm
def test_sidereal_time_is_that_of_meeus() -> None:
    # Astronomical Algorithms, examples 12.a and 12.b
    for moment, (hours, minutes, seconds) in (
        (utc(1987, 4, 10, 0, 0, 0), (13, 10, 46.3668)),
        (utc(1987, 4, 10, 19, 21, 0), (8, 34, 57.0896)),
    ):
        expected = math.radians((hours + minutes / 60 + seconds / 3600) * 15)
        assert sidereal_angle_rad(moment) == pytest.approx(expected, abs=1e-8)


@pytest.mark.arm
def test_julian_dates_keep_their_digits() -> None:
    assert sum(julian_date(utc(2000, 1, 1, 12, 0, 0))) == 2_451_545.0
    assert sum(julian_date(utc(1987, 1, 27, 0, 0, 0))) == 2_446_822.5  # Meeus, chapter 7
    assert sum(julian_date(utc(1957, 10, 4, 19, 26, 24))) == pytest.approx(2_436_116.31, abs=1e-9)
    whole, fraction = julian_date(1_790_000_000.25)
    assert (whole - 2_440_587.5) * 86_400 + fraction * 86_400 == pytest.approx(1_790_000_000.25, abs=1e-6)


@pytest.mark.arm
def test_the_sun_stands_where_meeus_has_it() -> None:
    # Example 25.b, 1992 October 13.0 TD (59 s after UTC): apparent 13h 13m 30.749s, -7d 47' 01.74"
    moment = utc(1992, 10, 13, 0, 0, 0) - 59
    x, y, z = sun_direction(moment)
    declination = math.degrees(math.asin(z))
    right_ascension = math.degrees(math.atan2(y, x) + sidereal_angle_rad(moment)) % 360
    assert math.hypot(x, y, z) == pytest.approx(1.0)
    assert declination == pytest.approx(-(7 + 47 / 60 + 1.74 / 3600), abs=0.01)
    assert right_ascension == pytest.approx((13 + 13 / 60 + 30.749 / 3600) * 15, abs=0.012)


@pytest.mark.arm
def test_the_sun_is_overhead_where_the_almanac_says_at_a_solstice_noon() -> None:
    # 2026-06-21 08:24 UTC: June solstice, declination +23.44; equation of time -1 min 52 s
    latitude, longitude, _ = ecef_to_geodetic(tuple(7e9 * part for part in sun_direction(utc(2026, 6, 21, 8, 24, 0))))
    assert latitude == pytest.approx(23.44, abs=0.15)  # geodetic of a far point, so that the ellipsoid hardly matters
    assert longitude == pytest.approx((12 - 8.4) * 15 + 0.47, abs=0.1)


@pytest.mark.arm
def test_a_satellite_is_dark_only_behind_the_earth() -> None:
    moment = utc(2026, 3, 20, 12, 0, 0)
    sun = np.array(sun_direction(moment))
    aside = np.cross(sun, (0, 0, 1.0))
    aside /= np.linalg.norm(aside)
    height = 7_000_000.0
    for position, lit in (
        (sun * height, True),
        (-sun * height, False),
        (aside * height, True),
        (-sun * height + aside * 6_300_000, False),
        (-sun * height + aside * 6_400_000, True),
    ):
        assert is_sunlit(tuple(position), moment) is lit


coordinates = st.tuples(st.floats(-90, 90), st.floats(-179.999, 180), st.floats(-10_000, 36_000_000))


@given(coordinates)
def test_geodetic_coordinates_are_those_of_proj_and_lead_back(place: tuple[float, float, float]) -> None:
    from pyproj import Transformer

    latitude, longitude, altitude = place
    expected = Transformer.from_crs(4979, 4978, always_xy=True).transform(longitude, latitude, altitude)
    assert geodetic_to_ecef(latitude, longitude, altitude) == pytest.approx(expected, abs=1e-6)
    back = ecef_to_geodetic(expected)
    assert back[0] == pytest.approx(latitude, abs=1e-9)  # a tenth of a millimetre
    assert back[2] == pytest.approx(altitude, abs=1e-4)
    aside = math.radians(back[1] - longitude) * math.cos(math.radians(latitude))
    assert math.hypot(math.sin(aside), math.cos(aside) - 1) < 1e-9


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("1 40697U", SENTINEL_2A[1]), "not line 1"),
        ((SENTINEL_2A[1], SENTINEL_2A[0]), "not line 1"),
        ((SENTINEL_2A[0].replace("26274", "26275"), SENTINEL_2A[1]), "line 1 fails its checksum"),
        ((SENTINEL_2A[0], SENTINEL_2A[1].replace("98.5653", "98.5654")), "line 2 fails its checksum"),
        ((SENTINEL_2A[0].replace("40697U", "40679U"), SENTINEL_2A[1]), "two satellites"),
        ((SENTINEL_2A[0], SENTINEL_2A[1].replace("98.5653", "98.56x3")[:-1] + "2"), "something else than numbers"),
        ((SENTINEL_2A[0][:20] + "²" + SENTINEL_2A[0][21:], SENTINEL_2A[1]), "checksum"),
        ((SENTINEL_2A[0],), "two lines are needed"),
    ],
)
def test_elements_that_are_damaged_are_refused_with_a_reason(lines, reason: str) -> None:
    with pytest.raises(DriverOptions, match=reason) as refused:
        driver({"tle": list(lines)}, SimulatedClock())
    assert refused.value.option == "tle"


@pytest.mark.parametrize(
    "missing", ["epoch_s", "inclination_deg", "raan_deg", "mean_anomaly_deg", "revolutions_per_day"]
)
def test_elements_that_are_incomplete_are_refused_by_name(missing: str) -> None:
    options = selftest_options(None)
    del options[missing]
    with pytest.raises(DriverOptions, match=missing):
        driver(options, SimulatedClock())


def test_a_decayed_orbit_has_no_state_and_says_so() -> None:
    navigation = driver({**selftest_options(None), "revolutions_per_day": 16.4, "bstar": 0.5}, SimulatedClock())
    with pytest.raises(PropagationFailed) as failed:
        navigation.at(1_790_000_000.0 + 400 * 86_400)
    assert isinstance(failed.value, ArithmeticError) and failed.value.reason

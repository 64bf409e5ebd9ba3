"""The Earth's orientation, the sun and lines of sight against Skyfield, ERFA and pymap3d (tests/hal/vectors)."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.clock import SimulatedClock
from hal.navigation.earth_orientation import (
    EarthOrientation,
    LeapSeconds,
    Orientation,
    OrientationInvalid,
    OrientationUnknown,
    orientation_of_table,
    read_finals2000a,
    read_leap_seconds,
)
from hal.navigation.ellipsoid import normals, range_to_height, to_ecef, to_geodetic
from hal.navigation.frames import sun_direction, teme_to_ecef
from hal.navigation.orbit import driver
from hal.navigation.sun import sun_distance_au, sun_elevation_deg
from hal.options import DriverOptions
from tests.hal.vectors import earth
from tests.shared_data import SHARED_DATA, needs_shared_data

EARTH = earth()
ARCSECOND = math.pi / 648_000
FINALS = SHARED_DATA / "orbits" / "finals2000A_2024on.all"
MIDNIGHT_S = (61_300.0 - 40_587.0) * 86_400.0


def test_teme_becomes_itrf_as_in_vallado() -> None:
    # AIAA 2006-6753, appendix C: UT1 - UTC -0.4399619 s, pole -0.140682, 0.333309 arcseconds
    from tests.hal.test_devices_navigation import utc

    position, velocity = teme_to_ecef(
        (5094180.16210, 6127644.65950, 6380344.53270),
        (-4746.131487, 785.818041, 5531.931288),
        utc(2004, 4, 6, 7, 51, 28) + 0.386009,
        Orientation(-0.4399619, -0.140682 * ARCSECOND, 0.333309 * ARCSECOND),
    )
    assert position == pytest.approx((-1033479.3830, 7901295.2754, 6380356.5958), abs=0.02)
    assert velocity == pytest.approx((-3225.636520, -2872.451450, 5531.924446), abs=1e-4)


@pytest.mark.parametrize("case", EARTH["orbit"], ids=lambda case: f"{case['mission_s']:.0f}")
def test_an_orbit_becomes_earth_fixed_as_in_skyfield(case: dict[str, Any]) -> None:
    x, y = (value * ARCSECOND for value in case["pole_arcsec"])
    found = teme_to_ecef(
        case["teme_m"], case["teme_m_s"], case["mission_s"], Orientation(case["ut1_minus_utc_s"], x, y)
    )
    assert math.dist(found[0], case["itrs_m"]) < 0.01
    assert math.dist(found[1], case["itrs_m_s"]) < 2e-3


@pytest.mark.parametrize("case", EARTH["orbit"][:4], ids=lambda case: f"{case['mission_s']:.0f}")
def test_the_navigation_driver_takes_a_table_of_the_earths_orientation(case: dict[str, Any]) -> None:
    navigation = driver({"tle": EARTH["sentinel_2a"], "orientation": EARTH["orientation"]}, SimulatedClock())
    assert math.dist(navigation.at(case["mission_s"]).position_ecef_m, case["itrs_m"]) < 0.01
    with pytest.raises(OrientationUnknown):
        navigation.at(case["mission_s"] + 40 * 86_400.0)


def test_without_a_table_the_place_is_off_by_what_the_frame_leaves_out() -> None:
    plain = driver({"tle": EARTH["sentinel_2a"]}, SimulatedClock())
    off_m = [math.dist(plain.at(case["mission_s"]).position_ecef_m, case["itrs_m"]) for case in EARTH["orbit"]]
    assert 5.0 < max(off_m) < 500.0


@needs_shared_data
def test_the_iers_file_gives_what_the_table_says() -> None:
    whole, part = read_finals2000a(FINALS), orientation_of_table(EARTH["orientation"])
    assert len(whole.days) == 1398 and whole.days[0][:2] == (60310.0, 0.0087837)
    for step in range(40):
        moment = MIDNIGHT_S + step * 43_210.9
        assert whole.at(moment) == part.at(moment)
    case = EARTH["orbit"][0]
    navigation = driver({"tle": EARTH["sentinel_2a"], "earth_orientation": str(FINALS)}, SimulatedClock())
    assert math.dist(navigation.at(case["mission_s"]).position_ecef_m, case["itrs_m"]) < 0.01


@needs_shared_data
def test_leap_seconds_come_from_the_iers_file() -> None:
    leaps = read_leap_seconds(SHARED_DATA / "orbits" / "Leap_Second.dat")
    assert [leaps.tai_minus_utc_s(s) for s in (1483228799.0, 1483228800.0, 1790000000.0)] == [36, 37, 37]
    assert LeapSeconds().tai_minus_utc_s(1790000000.0) == 37


def test_ut1_goes_on_through_a_leap_second() -> None:
    table = EarthOrientation(((57_753.0, -0.4, 0.0, 0.0), (57_754.0, 0.598, 0.1, 0.0), (57_755.0, 0.597, 0.2, 0.0)))
    leap_s = (57_754.0 - 40_587.0) * 86_400.0
    assert table.at(leap_s - 43_200.0).ut1_minus_utc_s == pytest.approx(-0.401)
    assert table.at(leap_s).ut1_minus_utc_s == pytest.approx(0.598)
    assert table.at(leap_s + 86_400.0).ut1_minus_utc_s == pytest.approx(0.597)
    assert table.at(leap_s + 43_200.0).pole_x_rad == pytest.approx(0.15 * ARCSECOND)


def test_outside_the_table_nothing_is_known() -> None:
    table = orientation_of_table([[61_300, -0.01, 0.1, 0.3]])
    assert table.at(MIDNIGHT_S).ut1_minus_utc_s == -0.01
    for moment in (MIDNIGHT_S - 1.0, MIDNIGHT_S + 1.0, math.inf):
        with pytest.raises(OrientationUnknown):
            table.at(moment)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        "61300",
        [[61_300, 0.0, 0.0]],
        [[61_300, 0.0, 0.0, "0"]],
        [[61_300, True, 0.0, 0.0]],
        [[61_300, 1.5, 0.0, 0.0]],
        [[61_300, 0.0, 9.0, 0.0]],
        [[61_300, math.nan, 0.0, 0.0]],
        [[61_300, 0.0, math.nan, 0.0]],
        [[61_300, 0.0, 0.0, 0.0], [61_302, 0.0, 0.0, 0.0]],
        [[61_300, 0.0, 0.0, 0.0], [61_300, 0.0, 0.0, 0.0]],
        [[1, 0.0, 0.0, 0.0]],
    ],
)
def test_a_table_that_cannot_be_is_refused(rows: Any) -> None:
    with pytest.raises(OrientationInvalid):
        driver({"tle": EARTH["sentinel_2a"], "orientation": rows}, SimulatedClock())


def test_a_file_and_a_table_at_once_are_refused(tmp_path: Path) -> None:
    options = {"tle": EARTH["sentinel_2a"], "orientation": EARTH["orientation"], "earth_orientation": str(tmp_path)}
    with pytest.raises(DriverOptions, match="not both"):
        driver(options, SimulatedClock())


LINE = "26 9 1 61284.00 I  0.201502 0.000026  0.334530 0.000026  I-0.0054217 0.0000068  0.8340 0.0068  I"


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "0 days"),
        (b"\xff\xfe", "not an ASCII file"),
        (LINE.replace("61284", "6x284").encode(), ":1: `6x284.00` is no number"),
        (LINE.replace("-0.0054217", "       nan").encode(), "is no number"),
        (LINE.replace("-0.0054217", "-7.0054217").encode(), "cannot be"),
        ((LINE + "\n" + LINE).encode(), ":2: day 61284.0 does not follow"),
        (b" " * ((16 << 20) + 1), "larger than"),
    ],
)
def test_a_file_that_cannot_be_believed_is_refused_with_its_line(tmp_path: Path, octets: bytes, reason: str) -> None:
    (tmp_path / "finals").write_bytes(octets)
    with pytest.raises(OrientationInvalid, match=re.escape(reason)):
        read_finals2000a(tmp_path / "finals")


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_file_is_a_table_or_is_refused(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(octets)
    for read in (read_finals2000a, read_leap_seconds):
        with pytest.raises(OrientationInvalid):
            read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for read in (read_finals2000a, read_leap_seconds):
        with pytest.raises(OrientationInvalid, match="No such file"):
            read(tmp_path / "none")


# --- the sun


@pytest.mark.parametrize("case", EARTH["sun"], ids=lambda case: f"{case['mission_s']:.0f}")
def test_the_sun_stands_where_erfa_has_it(case: dict[str, Any]) -> None:
    found, expected = np.array(sun_direction(case["mission_s"])), np.array(case["direction"])
    assert math.degrees(float(np.linalg.norm(found - expected))) < 0.012
    assert sun_distance_au(case["mission_s"]) == pytest.approx(case["distance_au"], abs=2e-4)
    lon, lat = 24.0, -31.0
    elevation = math.degrees(math.asin(float(normals(np.array(lat), np.array(lon)) @ expected)))
    assert float(sun_elevation_deg(lon, lat, case["mission_s"])) == pytest.approx(elevation, abs=0.012)


# --- lines of sight


@pytest.mark.parametrize("case", EARTH["looks"], ids=lambda case: f"{case[0]:.0f},{case[1]:.0f}")
def test_a_line_of_sight_meets_the_ground_where_pymap3d_has_it(case: list[float]) -> None:
    lat, lon, height, azimuth, tilt, lat_on, lon_on, slant_m = case
    up = normals(np.array(lat), np.array(lon))
    east = np.array([-math.sin(math.radians(lon)), math.cos(math.radians(lon)), 0.0])
    level = math.sin(math.radians(azimuth)) * east + math.cos(math.radians(azimuth)) * np.cross(up, east)
    sight = math.sin(math.radians(tilt)) * level - math.cos(math.radians(tilt)) * up
    origin = to_ecef(lat, lon, height)
    distance = range_to_height(origin[None], sight[None], np.zeros(1))[0]
    assert distance == pytest.approx(slant_m, abs=1e-3)
    found = to_geodetic(origin + distance * sight)
    assert np.linalg.norm(to_ecef(found[0], found[1], 0.0) - to_ecef(lat_on, lon_on, 0.0)) < 1e-3

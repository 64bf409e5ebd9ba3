"""Passes and contacts: against dense sampling and other libraries, the same from wherever the search begins."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from flight.agent.errors import GeometryInvalid
from flight.agent.orbit import At, PassSearch, Station, contacts, ecef, elevation_deg, passes
from hal.clock import SimulatedClock
from hal.navigation.orbit import driver
from hal.navigation.protocol import NavigationFix

T0 = 1_800_000_000.0
LAKE = [(-113.0, 40.5), (-112.0, 40.5), (-112.0, 41.7), (-113.0, 41.7)]
TO_ECEF = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)


def orbit(inclination_deg: float = 97.8, phase_deg: float = 10.0, eccentricity: float = 0.001) -> At:
    elements = {
        "epoch_s": T0,
        "inclination_deg": inclination_deg,
        "raan_deg": 20.0,
        "mean_anomaly_deg": phase_deg,
        "revolutions_per_day": 14.9,
        "eccentricity": eccentricity,
    }
    return driver(elements, SimulatedClock(T0)).at


def straight_down_deg(fix: NavigationFix, longitude: float, latitude: float) -> float:
    """Off-nadir angle to one point, the long way round: pyproj for positions, numpy for angles."""
    here = np.array(fix.position_ecef_m)
    below = np.array(TO_ECEF.transform(fix.longitude_deg, fix.latitude_deg, 0.0))
    there = np.array(TO_ECEF.transform(longitude, latitude, 0.0))
    a, b = below - here, there - here
    return math.degrees(math.acos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))


def test_positions_agree_with_pyproj() -> None:
    for lat, lon, alt in ((0, 0, 0), (41, -112, 1300), (-89.9, 179, 0), (52, 13, 8848)):
        assert ecef(lat, lon, alt) == pytest.approx(TO_ECEF.transform(lon, lat, alt), abs=1e-3)


@settings(max_examples=8, deadline=None)
@given(inclination=st.floats(45.0, 135.0), phase=st.floats(0.0, 360.0), longitude=st.floats(-170.0, 170.0))
def test_passes_are_those_that_dense_sampling_finds(inclination: float, phase: float, longitude: float) -> None:
    at = orbit(inclination, phase)
    middle = (longitude, 40.0)
    area = [(longitude + dx, 40.0 + dy) for dx, dy in ((-0.02, -0.02), (0.02, -0.02), (0.02, 0.02), (-0.02, 0.02))]
    found = passes(area, at, T0, T0 + 2 * 86_400, 35.0)
    geod = Geod(ellps="WGS84")
    times = T0 + np.arange(0, 2 * 86_400, 20.0)
    near = np.zeros(len(times), bool)
    for index, time_s in enumerate(times):
        fix = at(float(time_s))
        if geod.inv(fix.longitude_deg, fix.latitude_deg, *middle)[2] < 900_000:
            near[index] = straight_down_deg(fix, *middle) <= 35.0
    begun = times[1:][near[1:] & ~near[:-1]]
    inside = [each for each in found if each.end_s - each.start_s > 45.0 and each.start_s > T0 + 25]
    assert len(inside) == len([t for t in begun if any(abs(t - each.start_s) < 25 for each in inside)])
    for time_s in begun:
        assert any(each.start_s - 1 <= time_s <= each.start_s + 21 for each in found), time_s
    for each in found:
        best = straight_down_deg(at(each.closest_s), *middle)
        for step in (-1.0, 1.0):
            assert straight_down_deg(at(each.closest_s + step), *middle) >= best - 1e-4
        assert each.off_nadir_deg == pytest.approx(best, abs=0.6)  # to the nearest corner, not the middle
        for edge in (each.start_s, each.end_s):
            assert straight_down_deg(at(edge), *middle) == pytest.approx(35.0, abs=0.6)


@settings(max_examples=25, deadline=None)
@given(start=st.floats(0.0, 60_000.0), length=st.floats(10_000.0, 200_000.0))
def test_the_answer_does_not_depend_on_when_the_search_began(start: float, length: float) -> None:
    at = orbit()
    whole = passes(LAKE, at, T0, T0 + 300_000, 35.0)
    part = passes(LAKE, at, T0 + start, T0 + start + length, 35.0)
    assert part == [each for each in whole if T0 + start <= each.closest_s <= T0 + start + length]
    station = Station(52.0, 13.0, 40.0, 5.0)
    every = contacts(station, at, T0, T0 + 300_000)
    assert set(contacts(station, at, T0 + start, T0 + start + length)) <= set(every)


def test_a_search_in_steps_finds_the_same_with_bounded_work_in_each() -> None:
    at, calls = orbit(), 0

    def counted(time_s: float) -> NavigationFix:
        nonlocal calls
        calls += 1
        return at(time_s)

    search = PassSearch(LAKE, counted, T0, T0 + 2 * 86_400, 35.0)
    finished = False
    while not finished:
        before, finished = calls, search.step(7)
        assert calls - before <= 10, "a bracket's first two positions, and a pass's own, come on top"
    assert search.passes == passes(LAKE, at, T0, T0 + 2 * 86_400, 35.0)
    assert search.evaluations < 2_000, "a day costs some hundreds of positions"


def test_a_search_for_the_first_pass_stops_there() -> None:
    search = PassSearch(LAKE, orbit(), T0, T0 + 5 * 86_400, 35.0)
    assert search.step(10_000, first_only=True)
    assert len(search.passes) == 1 and not search.finished


def test_contacts_are_those_that_dense_sampling_finds() -> None:
    for eccentricity in (0.0, 0.02):
        at, station = orbit(eccentricity=eccentricity), Station(52.0, 13.0, 40.0, 5.0)
        found = contacts(station, at, T0, T0 + 86_400)
        seen = [elevation_deg(station, at(T0 + second)) >= 5.0 for second in range(0, 86_400, 10)]
        assert len(found) == sum(now and not before for before, now in itertools.pairwise(seen))
        for each in found:
            assert elevation_deg(station, at(each.start_s)) == pytest.approx(5.0, abs=0.02)
            assert elevation_deg(station, at(each.end_s)) == pytest.approx(5.0, abs=0.02)
            top = max(elevation_deg(station, at(each.start_s + n)) for n in range(int(each.end_s - each.start_s)))
            assert each.max_elevation_deg == pytest.approx(top, abs=0.2)


def test_elevation_is_that_of_a_level_at_the_station() -> None:
    station = Station(10.0, 20.0, 0.0, 5.0)
    above = NavigationFix(T0, ecef(10.0, 20.0, 5e5), (0, 0, 0), 10, 20, 5e5, 1)
    assert elevation_deg(station, above) == pytest.approx(90.0, abs=1e-5)
    aside = NavigationFix(T0, ecef(10.0, 40.0, 5e5), (0, 0, 0), 10, 40, 5e5, 1)
    level = Transformer.from_pipeline(
        "+proj=pipeline +step +proj=cart +ellps=WGS84 +step +proj=topocentric +ellps=WGS84 +lon_0=20 +lat_0=10 +h_0=0"
    )
    east, north, up = level.transform(40.0, 10.0, 5e5)
    assert elevation_deg(station, aside) == pytest.approx(
        math.degrees(math.atan2(up, math.hypot(east, north))), abs=1e-6
    )


def test_an_area_below_the_satellite_is_looked_at_straight_down() -> None:
    at = orbit()
    fix = at(T0 + 500)
    lon, lat = fix.longitude_deg, fix.latitude_deg
    area = [(lon - 2, lat - 2), (lon + 2, lat - 2), (lon + 2, lat + 2), (lon - 2, lat + 2)]
    (found,) = passes(area, at, T0 + 400, T0 + 600, 10.0)
    assert found.off_nadir_deg == 0.0 and found.closest_s == pytest.approx(T0 + 500, abs=15)


@pytest.mark.parametrize(
    ("area", "end_s", "angle"),
    [(LAKE, T0 + 100, 0.0), (LAKE, T0 + 100, 61.0), (LAKE[:2], T0 + 100, 30.0), (LAKE, math.inf, 30.0)],
    ids=range(4),
)
def test_a_search_that_makes_no_sense_is_refused(area: list[tuple[float, float]], end_s: float, angle: float) -> None:
    with pytest.raises(GeometryInvalid):
        passes(area, orbit(), T0, end_s, angle)
    with pytest.raises(GeometryInvalid):
        contacts(Station(95.0, 0.0), orbit(), T0, T0 + 10)

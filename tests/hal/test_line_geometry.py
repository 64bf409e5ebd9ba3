"""A strip's geometry: pixels to places and back, uncertainty, and what is refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.navigation.ellipsoid import normals, range_to_height, to_ecef, to_geodetic
from hal.navigation.frames import ecef_to_geodetic, geodetic_to_ecef
from hal.navigation.rotation import from_matrix, from_roll_pitch_yaw, in_orbital_frame, multiply, orbital_axes, slerp
from hal.navigation.rotation import to_matrix as rotation_matrix
from hal.sensor.camera_model import CameraInvalid
from hal.sensor.line_geometry import (
    AttitudeKnot,
    GeometrySigma,
    HeightUnusable,
    KnotsDoNotCover,
    KnotsRefused,
    NotFinite,
    OrbitKnot,
    PlaceOutOfReach,
    RayMissesEarth,
)
from tests.hal.strips import camera, circle, strip


def metres_between(lon_a: Any, lat_a: Any, lon_b: Any, lat_b: Any) -> Any:
    return np.linalg.norm(to_ecef(lat_a, lon_a, 0.0) - to_ecef(lat_b, lon_b, 0.0), axis=-1)


# --- the Earth


@settings(deadline=None)
@given(
    st.floats(-89.9, 89.9),
    st.floats(-180, 180),
    st.floats(-400, 9000),
    st.floats(0, 60),
    st.floats(0, 360),
    st.floats(3e5, 2e6),
)
def test_a_ray_ends_on_its_height(
    latitude: Any, longitude: Any, height: Any, off_nadir: Any, azimuth: Any, altitude: Any
) -> None:
    origin = np.array(geodetic_to_ecef(latitude, longitude, altitude))
    up = normals(np.array(latitude), np.array(longitude))
    east = np.cross([0.0, 0.0, 1.0], up)
    east /= np.linalg.norm(east)
    aside = math.cos(math.radians(azimuth)) * east + math.sin(math.radians(azimuth)) * np.cross(up, east)
    sight = -math.cos(math.radians(off_nadir)) * up + math.sin(math.radians(off_nadir)) * aside
    distance = range_to_height(origin[None], sight[None], np.array([height]))[0]
    if np.isnan(distance):  # past the horizon, as seen from above 1000 km at 60 degrees
        assert math.sin(math.radians(off_nadir)) * np.linalg.norm(origin) > 6.35e6
        return
    *_, found = to_geodetic(origin + distance * sight)
    assert found == pytest.approx(height, abs=2e-5)


def test_rays_that_look_away_or_past_the_earth_have_no_end() -> None:
    origin = np.array([[7e6, 0.0, 0.0]] * 3)
    sight = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    assert np.isnan(range_to_height(origin, sight, np.zeros(3))).tolist() == [True, True, False]


@settings(deadline=None)
@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-1e4, 3e7))
def test_many_places_at_once_are_those_of_one_at_a_time(latitude: Any, longitude: Any, height: Any) -> None:
    place = geodetic_to_ecef(latitude, longitude, height)
    assert to_ecef(latitude, longitude, height) == pytest.approx(place, abs=1e-6)
    found = [float(part) for part in to_geodetic(place)]
    expected = ecef_to_geodetic(place)
    assert found[0] == pytest.approx(expected[0], abs=1e-12) and found[2] == pytest.approx(expected[2], abs=1e-8)
    if abs(latitude) < 89.999:
        assert (found[1] - expected[1] + 180) % 360 - 180 == pytest.approx(0, abs=1e-12)


# --- attitude

QUATERNIONS = (
    st.tuples(*[st.floats(-1, 1)] * 4)
    .filter(lambda q: math.hypot(*q) > 0.1)
    .map(lambda q: tuple(part / math.hypot(*q) for part in q))
)


@settings(deadline=None)
@given(QUATERNIONS, QUATERNIONS)
def test_quaternions_follow_their_matrices(a: Any, b: Any) -> None:
    assert rotation_matrix(multiply(a, b)) == pytest.approx(rotation_matrix(a) @ rotation_matrix(b), abs=1e-12)
    back = np.array(from_matrix(rotation_matrix(a)))
    assert min(np.abs(back - a).max(), np.abs(back + a).max()) < 1e-9


@settings(deadline=None)
@given(QUATERNIONS, st.floats(-3.0, 3.0), st.floats(0, 1))
def test_a_slerp_turns_at_a_steady_rate_by_the_shorter_arc(first: Any, angle: Any, share: Any) -> Any:
    def turned(by: Any) -> Any:
        return multiply((math.cos(by / 2), 0.0, math.sin(by / 2), 0.0), first)

    found = slerp(np.array([10.0, 14.0]), np.stack([np.array(first), -turned(angle)]), np.array([10.0 + 4.0 * share]))[
        0
    ]
    assert abs(np.dot(found, turned(angle * share))) == pytest.approx(1.0, abs=1e-12)


def test_roll_looks_right_pitch_ahead_and_yaw_turns_the_nose_to_the_right() -> None:
    sight, nose = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])  # x forward, y right, z down
    assert (rotation_matrix(from_roll_pitch_yaw(10, 0, 0)) @ sight)[1] == pytest.approx(math.sin(math.radians(10)))
    assert (rotation_matrix(from_roll_pitch_yaw(0, 10, 0)) @ sight)[0] == pytest.approx(math.sin(math.radians(10)))
    assert (rotation_matrix(from_roll_pitch_yaw(0, 0, 10)) @ nose)[1] == pytest.approx(math.sin(math.radians(10)))


def test_the_right_of_a_northbound_track_is_east() -> None:
    geometry = strip(roll_deg=20.0, orbit={"inclination_deg": 90.0, "node_deg": 10.0, "latitude_deg": 0.0})
    below, seen = strip(orbit={"inclination_deg": 90.0, "node_deg": 10.0, "latitude_deg": 0.0}), geometry
    assert seen.ground(100.0, 1000.0).lon_deg > below.ground(100.0, 1000.0).lon_deg + 1.0


def test_an_attitude_of_the_fixed_frame_is_said_in_the_orbital_one() -> None:
    position, velocity = circle(3.0)
    body = from_roll_pitch_yaw(5.0, -2.0, 30.0)
    in_ecef = from_matrix(orbital_axes(position, velocity) @ rotation_matrix(body))
    assert in_orbital_frame(in_ecef, position, velocity) == pytest.approx(body, abs=1e-12)


# --- pixels and places


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-35, 35),
    st.floats(-15, 15),
    st.floats(-180, 180),
    st.floats(-85, 265),
    st.floats(-400, 8000),
    st.booleans(),
    st.sampled_from([(), (0.3,), (-0.2, 5.0)]),
    st.floats(-0.02, 0.02),
)
def test_a_pixel_comes_back_from_its_place(
    roll: Any, pitch: Any, yaw: Any, latitude: Any, height: Any, left: Any, distortion: Any, along: Any
) -> None:
    geometry = strip(
        roll_deg=roll,
        pitch_deg=pitch,
        yaw_deg=max(-60.0, min(60.0, yaw)),  # a line along the track sees nothing but itself
        orbit={"latitude_deg": latitude},
        height_m=height,
        camera=camera(columns_left=left, distortion=distortion, along_m=along),
        attitude=tuple(
            AttitudeKnot(time_s, from_roll_pitch_yaw(roll + slow, pitch, max(-60.0, min(60.0, yaw)) + slow))
            for time_s, slow in ((-1.0, 0.0), (3.0, 0.02), (7.0, -0.01))
        ),
    )
    rows, columns = np.meshgrid([0.0, 0.5, 1234.56, 4000.0], [0.0, 17.3, 1999.5, 2000.0], indexing="ij")
    place = geometry.ground(rows, columns)
    found = geometry.pixel(place.lon_deg, place.lat_deg)
    assert np.abs(found[0] - rows).max() < 1e-4 and np.abs(found[1] - columns).max() < 1e-4


def test_places_beside_and_beyond_the_strip_have_pixels_too() -> None:
    geometry = strip(lines=2000)
    whole = strip(lines=20_000)
    for row, column in ((15_000.0, 300.0), (3000.0, -4000.0), (9000.0, 9000.0)):
        place = whole.ground(row, column)
        found = geometry.pixel(place.lon_deg, place.lat_deg)
        assert found[0] == pytest.approx(row, abs=0.2) and found[1] == pytest.approx(column, abs=0.2)


def test_knots_ten_seconds_apart_give_the_orbit_to_a_millimetre() -> None:
    geometry = strip(lines=27_600)  # 40 s
    rows = np.linspace(0.0, 27_600.0, 101)
    position, velocity, _ = geometry.state(rows)
    truth = [circle(float((row - 0.5) * geometry.line_period_s)) for row in rows]
    assert np.linalg.norm(position - [state[0] for state in truth], axis=1).max() < 1e-3
    assert np.linalg.norm(velocity - [state[1] for state in truth], axis=1).max() < 1e-3


def test_the_axis_of_a_nadir_camera_meets_the_ground_towards_the_earths_centre() -> None:
    geometry = strip(orbit={"latitude_deg": 45.0})
    place = geometry.ground(0.5, 1000.0)
    below = to_ecef(place.lat_deg, place.lon_deg, 0.0)
    position, _ = circle(0.0, latitude_deg=45.0)
    assert np.cross(below / np.linalg.norm(below), position / np.linalg.norm(position)) == pytest.approx(0, abs=1e-9)


def test_a_height_model_is_met_where_the_line_of_sight_meets_it() -> Any:
    geometry = strip(roll_deg=25.0, orbit={"latitude_deg": 45.0})

    def hills(lon: Any, lat: Any) -> Any:
        return 900.0 + 700.0 * np.sin(40.0 * lon) * np.cos(35.0 * lat)

    rows, columns = np.meshgrid(np.linspace(0, 4000, 9), np.linspace(0, 2000, 9))
    place = geometry.ground(rows, columns, hills)
    for index in np.ndindex(rows.shape):
        height = float(hills(place.lon_deg[index], place.lat_deg[index]))
        row, column = geometry.pixel(place.lon_deg[index], place.lat_deg[index], height)
        assert row == pytest.approx(rows[index], abs=1e-3) and column == pytest.approx(columns[index], abs=1e-3)
    flat = geometry.ground(rows, columns)
    assert metres_between(place.lon_deg, place.lat_deg, flat.lon_deg, flat.lat_deg).max() > 300.0


@pytest.mark.parametrize(
    ("latitude", "roll", "yaw", "sigma"),
    [
        (10.0, 0.0, 0.0, GeometrySigma(orbit_m=100.0)),
        (10.0, 30.0, 10.0, GeometrySigma(attitude_rad=2e-4)),
        (60.0, -25.0, 0.0, GeometrySigma(height_m=80.0)),
        (60.0, 10.0, 0.0, GeometrySigma(time_s=0.02)),
        (-40.0, 20.0, 0.0, GeometrySigma(camera_px=3.0)),
        (-40.0, -30.0, 5.0, GeometrySigma(100.0, 3e-4, 0.01, 60.0, 2.0)),
    ],
)
def test_the_sigma_is_that_of_many_strips_drawn_at_random(latitude: Any, roll: Any, yaw: Any, sigma: Any) -> None:
    geometry = strip(roll_deg=roll, yaw_deg=yaw, orbit={"latitude_deg": latitude}, sigma=sigma)
    row, column = 1500.0, 200.0
    stated = geometry.ground(row, column)
    east, north = [], []
    rng = np.random.default_rng(7)
    for _ in range(300):
        shift, tilt = rng.normal(0, sigma.orbit_m, 3), rng.normal(0, sigma.attitude_rad, 3) / 2
        seen_as = rng.normal(0, sigma.camera_px, 2) * geometry.camera.pixel_rad / 2
        late_s = rng.normal(0, sigma.time_s)
        other = dataclasses.replace(
            geometry,
            orbit=tuple(
                OrbitKnot(knot.offset_s - late_s, tuple(np.array(knot.position_ecef_m) + shift), knot.velocity_ecef_m_s)
                for knot in geometry.orbit
            ),
            attitude=tuple(
                AttitudeKnot(knot.offset_s, tuple(multiply(knot.quaternion, _unit((1.0, *tilt)))))
                for knot in geometry.attitude
            ),
            camera=camera(boresight=tuple(_unit((1.0, seen_as[0], seen_as[1], 0.0)))),
            lines=3000,
            height_m=rng.normal(0, sigma.height_m),
        )
        place = other.ground(row, column)
        north.append((place.lat_deg - stated.lat_deg) * 111_200.0)
        east.append((place.lon_deg - stated.lon_deg) * 111_300.0 * math.cos(math.radians(stated.lat_deg)))
    drawn = math.sqrt(np.linalg.eigvalsh(np.cov(np.array([east, north], dtype=float)))[-1])
    assert float(stated.sigma_m) == pytest.approx(drawn, rel=0.15)


def _unit(q: Any) -> Any:
    return [float(part) / math.hypot(*q) for part in q]


# --- what is refused


def test_a_camera_that_looks_past_the_earth_says_at_which_pixels() -> None:
    with pytest.raises(RayMissesEarth) as caught:
        strip(roll_deg=70.0).ground([0.0, 5.0], [3.0, 4.0])
    assert (caught.value.rays, caught.value.row, caught.value.column) == (2, 0.0, 3.0)
    assert isinstance(caught.value, ArithmeticError)


def test_knots_that_end_before_the_strip_are_refused() -> None:
    geometry = strip()
    for field in ("orbit", "attitude"):
        late = dataclasses.replace(getattr(geometry, field)[0], offset_s=0.001)
        with pytest.raises(KnotsDoNotCover) as caught:
            dataclasses.replace(geometry, **{field: (late, *getattr(geometry, field)[1:])})
        assert caught.value.what == field and caught.value.first_s == 0.001
    with pytest.raises(KnotsDoNotCover):
        dataclasses.replace(geometry, lines=8000)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(bad: Any) -> None:
    geometry = strip()
    for row, column in ((bad, 0.0), ([0.0, 1.0], [0.0, bad])):
        with pytest.raises(NotFinite):
            geometry.ground(row, column)
    for place in ((bad, 0.0), (0.0, 0.0, bad)):
        with pytest.raises(NotFinite):
            geometry.pixel(*place)
    with pytest.raises(CameraInvalid):
        dataclasses.replace(geometry, height_m=bad)
    with pytest.raises(CameraInvalid):
        OrbitKnot(0.0, (bad, 0.0, 0.0), (0.0, 0.0, 0.0))
    with pytest.raises(HeightUnusable):
        geometry.ground(0.0, 0.0, lambda lon, lat: np.full(lon.shape, bad))


def test_a_place_on_the_other_side_of_the_earth_has_no_pixel() -> None:
    geometry = strip()
    here = geometry.ground(100.0, 100.0)
    with pytest.raises(PlaceOutOfReach) as caught:
        geometry.pixel([here.lon_deg, here.lon_deg - 180.0], [here.lat_deg, -here.lat_deg])
    assert caught.value.places == 1 and caught.value.lat_deg == pytest.approx(-float(here.lat_deg))


def test_knots_that_are_no_path_are_refused() -> None:
    geometry = strip()
    first, second = geometry.orbit[:2]
    for orbit in (
        (first,),
        (second, first),
        (first, first),
        (dataclasses.replace(first, position_ecef_m=(0.0, 0.0, 0.0)), second),
        (dataclasses.replace(first, velocity_ecef_m_s=(0.0, 0.0, 0.0)), second),
        (dataclasses.replace(first, velocity_ecef_m_s=tuple(p * 1e-3 for p in first.position_ecef_m)), second),
        tuple(dataclasses.replace(first, offset_s=float(number)) for number in range(-1, 40)),
    ):
        with pytest.raises(KnotsRefused):
            dataclasses.replace(geometry, orbit=orbit)


@pytest.mark.parametrize(
    "fields",
    [
        {"columns": 0},
        {"columns": True},
        {"focal_m": 0.0},
        {"pixel_pitch_m": -1e-5},
        {"pixel_pitch_m": 1.0},
        {"boresight": (1.0, 1.0, 0.0, 0.0)},
        {"boresight": (1.0, 0.0, 0.0)},
        {"distortion": (-1e5,)},
        {"distortion": (0.0,) * 9},
        {"columns_left": 1},
        {"principal_column": math.nan},
    ],
)
def test_a_camera_that_cannot_be_is_refused(fields: Any) -> None:
    with pytest.raises(CameraInvalid):
        camera(**fields)

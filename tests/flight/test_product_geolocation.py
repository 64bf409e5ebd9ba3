"""The camera geometry in a product: its octets, what is taken and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.product.geolocation import MAX_GEOMETRY_BYTES, CameraGeometry, GeometryInvalid, GeometrySigma
from flight.services import cbor
from tests.hal.strips import camera, strip

GEOMETRY = strip(
    CameraGeometry,
    lines=27_600,
    roll_deg=12.0,
    height_m=140.0,
    camera=camera(distortion=(0.02, -0.1), columns_left=False, along_m=0.001),
)


def test_a_geometry_comes_back_from_its_octets() -> None:
    octets = GEOMETRY.to_cbor()
    back = CameraGeometry.from_cbor(octets)
    assert back == GEOMETRY and back.to_cbor() == octets
    assert back.ground(100.0, 3.0) == GEOMETRY.ground(100.0, 3.0)


def test_a_strip_of_forty_seconds_takes_less_than_a_kilobyte() -> None:
    assert len(GEOMETRY.orbit) == 5 and len(GEOMETRY.to_cbor()) < 900


def test_the_largest_geometry_that_may_be_fits_its_limit() -> None:
    knots = strip(CameraGeometry, lines=400_000, step_s=19.0)
    attitude = tuple(dataclasses.replace(knots.attitude[0], offset_s=-0.5 + 9.5 * number) for number in range(64))
    whole = dataclasses.replace(knots, attitude=attitude, camera=camera(distortion=(0.01,) * 4))
    assert len(whole.orbit) == 32 and len(whole.to_cbor()) <= MAX_GEOMETRY_BYTES
    assert CameraGeometry.from_cbor(whole.to_cbor()) == whole


def test_golden_octets() -> None:
    """A product of today is read by the ground of tomorrow."""
    small = strip(
        CameraGeometry, lines=2, line_period_s=0.5, orbit={"inclination_deg": 0.0, "node_deg": 0.0, "latitude_deg": 0.0}
    )
    exact = dataclasses.replace(
        small,
        start_s=1.0,
        camera=camera(columns=4, focal_m=0.5, pixel_pitch_m=0.25, boresight=(0.0, 1.0, 0.0, 0.0)),
        orbit=tuple(
            dataclasses.replace(
                knot,
                offset_s=float(number),
                position_ecef_m=(7e6, 0.0, float(number)),
                velocity_ecef_m_s=(0.0, 7e3, 1.0),
            )
            for number, knot in enumerate(small.orbit)
        ),
        attitude=(dataclasses.replace(small.attitude[0], offset_s=0.0, quaternion=(1.0, 0.0, 0.0, 0.0)),),
        sigma=GeometrySigma(1.0, 0.5, 0.25, 2.0, 4.0),
    )
    assert exact.to_cbor().hex() == (
        "a90001" "01fb3ff0000000000000" "02fb3fe0000000000000" "0302"
        "048804fb3fe0000000000000fb3fd0000000000000fb4000000000000000fb0000000000000000f5"
        "84fb0000000000000000fb3ff0000000000000fb0000000000000000fb000000000000000080"
        "058287fb0000000000000000fb415ab3f000000000fb0000000000000000fb0000000000000000"
        "fb0000000000000000fb40bb580000000000fb3ff0000000000000"
        "87fb3ff0000000000000fb415ab3f000000000fb0000000000000000fb3ff0000000000000"
        "fb0000000000000000fb40bb580000000000fb3ff0000000000000"
        "068185fb0000000000000000fb3ff0000000000000fb0000000000000000fb0000000000000000fb0000000000000000"
        "07fb0000000000000000"
        "0885fb3ff0000000000000fb3fe0000000000000fb3fd0000000000000fb4000000000000000fb4010000000000000"
    )  # fmt: skip


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_are_refused_or_are_a_geometry(octets: Any) -> None:
    with pytest.raises(GeometryInvalid):
        CameraGeometry.from_cbor(octets)


@settings(deadline=None)
@given(st.data())
def test_damaged_octets_are_refused_or_are_another_geometry(data: Any) -> None:
    octets = bytearray(GEOMETRY.to_cbor())
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = CameraGeometry.from_cbor(bytes(octets))
    except GeometryInvalid:
        return
    assert found.to_cbor() == bytes(octets)


WRONG = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 64), (1 << 64) - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.binary(max_size=4),
    st.text(max_size=4), st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8),
)  # fmt: skip


@settings(deadline=None)
@given(st.integers(0, 9), WRONG, st.integers(0, 7))
def test_a_field_of_another_kind_or_size_is_refused_or_is_another_geometry(key: Any, value: Any, item: Any) -> None:
    fields = cbor.decode(GEOMETRY.to_cbor())
    if key in (4, 5, 6, 8) and item < len(fields[key]):
        fields[key][item] = value
    else:
        fields[key] = value
    octets = cbor.encode(fields)
    try:
        found = CameraGeometry.from_cbor(octets)
    except GeometryInvalid as refused:
        assert refused.code == "geometry_invalid" and refused.reason
        return
    assert found.to_cbor() == octets


def test_octets_beyond_the_limit_are_not_even_read() -> None:
    with pytest.raises(GeometryInvalid):
        CameraGeometry.from_cbor(bytes(MAX_GEOMETRY_BYTES + 1))

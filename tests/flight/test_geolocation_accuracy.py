"""The whole chain, TLE to ground, against Skyfield and pymap3d: strips over real scenes (tests/hal/vectors)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flight.product.geolocation import CameraGeometry
from hal.clock import SimulatedClock
from hal.navigation.ellipsoid import to_ecef
from hal.navigation.orbit import driver
from hal.platform.protocol import PlatformState
from hal.sensor.camera_file import CameraFile
from hal.sensor.strip_geometry import strip_geometry
from tests.hal.vectors import earth

EARTH = earth()


def geometry_of(strip: dict[str, Any], *, orientation: bool = True) -> CameraGeometry:
    """Our geometry of a strip of the vectors, from its two-line elements on."""
    options = {"tle": strip["tle"], "sigma_m": 0.0}
    if orientation:
        options["orientation"] = EARTH["orientation"]
    camera = CameraFile(
        name="vectors",
        columns=strip["columns"],
        focal_mm=strip["focal_mm"],
        pixel_pitch_um=strip["pixel_pitch_um"],
    )
    roll, pitch, yaw = strip["roll_pitch_yaw_deg"]
    steady = [PlatformState(strip["start_s"] + after_s, roll, pitch, yaw, 0.0, None) for after_s in (-5.0, 20.0, 45.0)]
    return strip_geometry(
        CameraGeometry,
        camera,
        start_s=strip["start_s"],
        line_rate_hz=strip["line_rate_hz"],
        lines=strip["lines"],
        at=driver(options, SimulatedClock(strip["start_s"])).at,
        attitude=steady,
    )


def grid_of(strip: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    """Rows, columns, longitudes and latitudes of the independent library, each (rows, columns)."""
    rows = np.arange(0, strip["lines"] + 1, strip["grid_px"], dtype=np.float64)
    columns = np.arange(0, strip["columns"] + 1, strip["grid_px"], dtype=np.float64)
    shape = (len(rows), len(columns))
    mesh = np.meshgrid(rows, columns, indexing="ij")
    return *mesh, np.reshape(strip["lon_deg"], shape), np.reshape(strip["lat_deg"], shape)


def off_m(lon: Any, lat: Any, other_lon: Any, other_lat: Any) -> float:
    """The largest distance on the ground, metres."""
    return float(np.linalg.norm(to_ecef(lat, lon, 0.0) - to_ecef(other_lat, other_lon, 0.0), axis=-1).max())


@pytest.mark.parametrize("scene", EARTH["strips"])
def test_pixels_lie_where_skyfield_and_pymap3d_have_them(scene: str) -> None:
    strip = EARTH["strips"][scene]
    geometry = geometry_of(strip)
    rows, columns, lon, lat = grid_of(strip)
    found = geometry.ground(rows, columns)
    distance_m = off_m(found.lon_deg, found.lat_deg, lon, lat)
    print(f"{scene}: at most {distance_m * 1000:.2f} mm from Skyfield + pymap3d at {rows.size} pixels")
    # the orbital frame takes the Earth to turn about the ITRF's axis, not its momentary pole: 1e-7 rad
    assert distance_m < 0.2
    row, column = geometry.pixel(lon, lat)
    assert max(np.abs(row - rows).max(), np.abs(column - columns).max()) < 0.002
    plain = geometry_of(strip, orientation=False).ground(rows, columns)
    assert 1.0 < off_m(plain.lon_deg, plain.lat_deg, lon, lat) < 100.0  # what UT1 and the pole are worth today

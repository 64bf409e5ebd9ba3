"""Rays and the WGS 84 ellipsoid, many at once: where a line of sight meets the surface at a height.

The ellipsoid itself is met in closed form; a height above it by Newton's method along the ray on the geodetic height,
because surfaces of constant geodetic height are not ellipsoids.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.navigation.frames import WGS84_A_M, WGS84_B_M, WGS84_E2

Floats: TypeAlias = "NDArray[np.float64]"

_HEIGHT_STEPS = 3  # after the ellipsoid; the second step leaves micrometres at 9 km and 60 degrees off nadir
_SECOND_E2 = WGS84_E2 / (1 - WGS84_E2)


def to_geodetic(position_m: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """(latitude_deg, longitude_deg, height_m), each (...), of (..., 3) Earth-fixed positions (Bowring 1985, twice)."""
    x, y, z = np.moveaxis(np.asarray(position_m, np.float64), -1, 0)
    across = np.hypot(x, y)
    reduced = np.arctan2(z * WGS84_A_M, across * WGS84_B_M)
    latitude = reduced
    for _ in range(2):
        latitude = np.arctan2(
            z + _SECOND_E2 * WGS84_B_M * np.sin(reduced) ** 3, across - WGS84_E2 * WGS84_A_M * np.cos(reduced) ** 3
        )
        reduced = np.arctan2(WGS84_B_M * np.sin(latitude), WGS84_A_M * np.cos(latitude))
    sine = np.sin(latitude)
    height = across * np.cos(latitude) + z * sine - WGS84_A_M * np.sqrt(1 - WGS84_E2 * sine**2)
    return np.degrees(latitude), np.degrees(np.arctan2(y, x)), height


def to_ecef(latitude_deg: ArrayLike, longitude_deg: ArrayLike, height_m: ArrayLike) -> Floats:
    """(..., 3) Earth-fixed positions in metres of geodetic ones."""
    latitude, longitude = np.radians(np.asarray(latitude_deg)), np.radians(np.asarray(longitude_deg))
    height = np.asarray(height_m, np.float64)
    normal = WGS84_A_M / np.sqrt(1 - WGS84_E2 * np.sin(latitude) ** 2)
    across = (normal + height) * np.cos(latitude)
    parts = (across * np.cos(longitude), across * np.sin(longitude))
    up = (normal * (1 - WGS84_E2) + height) * np.sin(latitude)
    return np.stack(np.broadcast_arrays(*parts, up), axis=-1)


def normals(latitude_deg: Floats, longitude_deg: Floats) -> Floats:
    """(..., 3) outward unit normals of the ellipsoid."""
    latitude, longitude = np.radians(latitude_deg), np.radians(longitude_deg)
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1
    )


def range_to_height(origin_m: Floats, direction: Floats, height_m: Floats) -> Floats:
    """Distances (...) along unit `direction` (..., 3) from `origin_m` (..., 3) to the first point at `height_m` (...).

    NaN where the ray passes the Earth by, or the origin lies below the height.
    """
    # in units of the axes the ellipsoid (a + h, b + h) is a sphere of radius one; it is off by centimetres at most
    axes = np.stack([WGS84_A_M + height_m, WGS84_A_M + height_m, WGS84_B_M + height_m], axis=-1)
    start, along = origin_m / axes, direction / axes
    squared = np.einsum("...i,...i->...", along, along)
    towards = -np.einsum("...i,...i->...", start, along)
    outside = np.einsum("...i,...i->...", start, start) - 1.0
    left = towards**2 - squared * outside
    with np.errstate(invalid="ignore"):
        distance = (towards - np.sqrt(left)) / squared
        distance = np.where((outside > 0) & (towards > 0), distance, np.nan)
        for _ in range(_HEIGHT_STEPS):
            latitude, longitude, height = to_geodetic(origin_m + distance[..., None] * direction)
            sinking = -np.einsum("...i,...i->...", normals(latitude, longitude), direction)
            distance = distance + (height - height_m) / sinking
    found: Floats = distance
    return found

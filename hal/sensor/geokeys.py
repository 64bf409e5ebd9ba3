"""Where a GeoTIFF lies on Earth: transform, EPSG code and pixel size (OGC GeoTIFF 1.1, 19-008r4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hal.sensor.errors import SceneUnreadable
from hal.sensor.raw import Transform, checked_transform

MODEL_TYPE, RASTER_TYPE, GEODETIC_CRS, PROJECTED_CRS, LINEAR_UNITS = 1024, 1025, 2048, 3072, 3076
PROJECTED, GEOGRAPHIC = 1, 2
PIXEL_IS_POINT = 2
USER_DEFINED = 32767
EARTH_RADIUS_M = 6378137.0  # WGS 84 equatorial, the sphere of EPSG:3857
_FLATTENING = 1 / 298.257223563
_LINEAR_UNITS_M = {9001: 1.0, 9002: 0.3048, 9003: 1200 / 3937}  # metre, international foot, US survey foot


def short_keys(path: str, directory: Sequence[int]) -> dict[int, int]:
    """The keys whose value stands in the directory itself. Raises SceneUnreadable on a directory that is cut."""
    if len(directory) < 4 or len(directory) < 4 + 4 * directory[3]:
        raise SceneUnreadable(path, "the GeoKey directory is cut")
    entries = (directory[index : index + 4] for index in range(4, 4 + 4 * directory[3], 4))
    return {int(key): int(value) for key, location, _, value in entries if location == 0}


def epsg_of(keys: dict[int, int]) -> int | None:
    """The coordinate system's EPSG code, None where the file defines its own."""
    code = keys.get(GEODETIC_CRS if keys.get(MODEL_TYPE) == GEOGRAPHIC else PROJECTED_CRS)
    return code if code is not None and 1024 <= code < USER_DEFINED else None


def transform_of(
    path: str,
    keys: dict[int, int],
    scale: Sequence[float] | None,
    tiepoints: Sequence[float] | None,
    matrix: Sequence[float] | None,
) -> Transform | None:
    """Pixel corners to coordinates, from ModelPixelScale and ModelTiepoint or from ModelTransformation.

    Several tie points without a scale are ground control points, not a transform: None.
    """
    if matrix is not None and len(matrix) >= 8:
        transform: tuple[float, ...] = (matrix[0], matrix[1], matrix[3], matrix[4], matrix[5], matrix[7])
    elif scale is not None and tiepoints is not None and len(scale) >= 2 and len(tiepoints) >= 6:
        column, row, _, x, y, _ = tiepoints[:6]
        transform = (scale[0], 0.0, x - column * scale[0], 0.0, -scale[1], y + row * scale[1])
    else:
        return None
    a, b, c, d, e, f = checked_transform(path, transform)
    if keys.get(RASTER_TYPE) == PIXEL_IS_POINT:  # the tie point is the pixel's centre
        c, f = c - (a + b) / 2, f - (d + e) / 2
    return a, b, c, d, e, f


def is_geographic(keys: dict[int, int]) -> bool:
    """Whether the coordinates are degrees."""
    return keys.get(MODEL_TYPE) == GEOGRAPHIC


def metres_per_unit(keys: dict[int, int]) -> float | None:
    """Of a projected system; None where there is none or it uses a unit of its own."""
    return _LINEAR_UNITS_M.get(keys.get(LINEAR_UNITS, 9001)) if keys.get(MODEL_TYPE) == PROJECTED else None


def ground_sampling_m(
    transform: Transform, epsg: int | None, geographic: bool, metres: float | None, width: int, height: int
) -> float | None:
    """Side in metres of a square as large as the pixel in the scene's middle; None where the units are unknown."""
    a, b, _, d, e, f = transform
    side = math.sqrt(abs(a * e - b * d))
    middle_y = d * width / 2 + e * height / 2 + f
    if geographic:
        latitude = math.radians(middle_y)
        if abs(middle_y) >= 90:
            return None
        squash = _FLATTENING * (2 - _FLATTENING)
        curvature = 1 - squash * math.sin(latitude) ** 2
        meridian = EARTH_RADIUS_M * (1 - squash) / curvature**1.5
        parallel = EARTH_RADIUS_M / math.sqrt(curvature) * math.cos(latitude)
        return math.radians(side) * math.sqrt(meridian * parallel)
    if epsg in (3857, 3785, 900913):
        if abs(middle_y) > 2.1e7:
            return None
        return side / math.cosh(middle_y / EARTH_RADIUS_M)
    return None if metres is None else side * metres

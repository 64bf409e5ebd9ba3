"""The sun as a surface sees it: elevation, and the distance that its light comes from.

Low precision of the Astronomical Almanac (section C, 1950-2050): 0.01 degree in place, 0.0002 au in distance; in
reflectance that is 0.03 % at 60 degrees from the zenith.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.navigation.ellipsoid import normals
from hal.navigation.frames import julian_date, sun_direction


def sun_distance_au(mission_s: float) -> float:
    """From the Earth's centre, astronomical units."""
    whole, fraction = julian_date(mission_s)
    anomaly = math.radians((357.528 + 0.9856003 * ((whole - 2_451_545.0) + fraction)) % 360)
    return 1.00014 - 0.01671 * math.cos(anomaly) - 0.00014 * math.cos(2 * anomaly)


def sun_elevation_deg(lon_deg: ArrayLike, lat_deg: ArrayLike, mission_s: float) -> NDArray[np.float64]:
    """Above the horizon of the ellipsoid, at places (...); refraction and parallax (0.002 degree) left out."""
    up = normals(np.asarray(lat_deg, np.float64), np.asarray(lon_deg, np.float64))
    sine = np.clip(up @ np.array(sun_direction(mission_s)), -1.0, 1.0)
    elevation: NDArray[np.float64] = np.degrees(np.arcsin(sine))
    return elevation

"""From a detector's numbers to top-of-atmosphere reflectance: gains of the camera file, and the sun over the strip.

    radiance:     rho = pi * (DN * gain + offset) * d^2 / (E_sun * sin(elevation))
    reflectance:  rho = (DN * gain + offset) / sin(elevation)

(Chander, Markham and Helder 2009, eq. 2; Landsat 8 data users handbook, 5.2.) Both are DN * scale + offset per band,
which is what the tile kernel takes. One sun stands for a strip: the mean of the extremes of 1 / sin(elevation) on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hal.errors import HalError
from hal.navigation.sun import sun_distance_au, sun_elevation_deg
from hal.sensor.camera_file import BandGain, RadiometryTable
from hal.sensor.line_geometry import LineGeometry

LOWEST_SUN_DEG = 2.0  # below it the air's own light is what is seen
_POINTS = 3  # a side, of the grid that the sun is looked at on
_DIGITS = 12  # significant ones kept: last bits differ between machines


class CalibrationError(HalError):
    """Base of every error about calibrating numbers."""

    code = "calibration_error"


class SunTooLow(CalibrationError, ArithmeticError):
    """Night, or so nearly that reflectance means nothing."""

    code = "sun_too_low"

    def __init__(self, elevation_deg: float, limit_deg: float) -> None:
        super().__init__(f"the sun stands at {elevation_deg:.2f} degrees, reflectance needs {limit_deg:g} or more")
        self.elevation_deg, self.limit_deg = elevation_deg, limit_deg


class GainsMissing(CalibrationError, LookupError):
    """Bands that the camera file has no gains for."""

    code = "gains_missing"

    def __init__(self, bands: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(f"no gain for band {', '.join(bands)}; the camera file has {', '.join(known)}")
        self.bands, self.known = tuple(bands), tuple(known)


@dataclass(frozen=True, slots=True)
class Sun:
    """The sun over a strip. Raises SunTooLow."""

    lowest_deg: float  # elevation above the ellipsoid's horizon, over the strip
    highest_deg: float
    distance_au: float

    def __post_init__(self) -> None:
        if not self.lowest_deg >= LOWEST_SUN_DEG:
            raise SunTooLow(self.lowest_deg, LOWEST_SUN_DEG)

    @property
    def slant(self) -> float:
        """1 / sin(elevation): the mean of its extremes."""
        return (1 / math.sin(math.radians(self.lowest_deg)) + 1 / math.sin(math.radians(self.highest_deg))) / 2

    @property
    def uncertainty(self) -> float:
        """By which share reflectance is wrong at most where the sun stands at an extreme."""
        return 1.0 - self.slant * math.sin(math.radians(self.lowest_deg)) if self.slant else 0.0


def sun_over(geometry: LineGeometry) -> Sun:
    """The sun while and where a strip was taken. Raises SunTooLow, RayMissesEarth."""
    elevations = []
    for row in np.linspace(0.0, geometry.lines, _POINTS):
        lon, lat = geometry.place(row, np.linspace(0.0, geometry.camera.columns, _POINTS))
        time_s = geometry.start_s + (float(row) - 0.5) * geometry.line_period_s
        elevations.append(sun_elevation_deg(lon, lat, time_s))
    middle_s = geometry.start_s + geometry.lines * geometry.line_period_s / 2
    return Sun(float(np.min(elevations)), float(np.max(elevations)), sun_distance_au(middle_s))


def reflectance_scales(
    table: RadiometryTable, bands: Sequence[str], sun: Sun
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(scale, offset) per band of `bands`: reflectance = DN * scale + offset. Raises GainsMissing."""
    known = {band.name: band for band in table.band}
    missing = [name for name in bands if name not in known]
    if missing:
        raise GainsMissing(missing, tuple(known))
    factors = [_factor(known[name], table.kind, sun) for name in bands]
    return (
        tuple(_kept(known[name].gain * factor) for name, factor in zip(bands, factors, strict=True)),
        tuple(_kept(known[name].offset * factor) for name, factor in zip(bands, factors, strict=True)),
    )


def _factor(band: BandGain, kind: str, sun: Sun) -> float:
    if kind == "reflectance" or band.sun_irradiance is None:
        return sun.slant
    return math.pi * sun.distance_au**2 * sun.slant / band.sun_irradiance


def _kept(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")

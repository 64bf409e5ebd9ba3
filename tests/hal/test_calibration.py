"""Numbers to reflectance against worked values, and the sun over a strip."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hal.navigation.sun import sun_elevation_deg
from hal.sensor.calibration import GainsMissing, Sun, SunTooLow, reflectance_scales, sun_over
from hal.sensor.camera_file import BandGain, RadiometryTable
from tests.hal.strips import START_S, strip

# Chander, Markham and Helder 2009, tables 3 to 5: Landsat-7 ETM+ high gain (1 <= DN <= 255) and solar irradiances
ETM = {
    "B1": (0.778740, -6.98, 1997.0, (-6.2, 191.6)),
    "B2": (0.798819, -7.20, 1812.0, (-6.4, 196.5)),
    "B3": (0.621654, -5.62, 1533.0, (-5.0, 152.9)),
    "B4": (0.639764, -5.74, 1039.0, (-5.1, 157.4)),
    "B5": (0.126220, -1.13, 230.8, (-1.0, 31.06)),
    "B7": (0.043898, -0.39, 84.90, (-0.35, 10.80)),
}
TABLE = RadiometryTable(
    kind="radiance",
    band=tuple(
        BandGain(name=name, gain=gain, offset=bias, sun_irradiance=esun) for name, (gain, bias, esun, _) in ETM.items()
    ),
)


@pytest.mark.parametrize("band", ETM)
def test_landsat_7_reflectance_is_that_of_the_published_radiances(band: str) -> None:
    """LMIN and LMAX are the radiances of DN 1 and 255; the distance is that of day 185 in the paper's table 6."""
    _, _, esun, (lmin, lmax) = ETM[band]
    sun = Sun(40.0, 40.0, 1.01670)
    scale, offset = reflectance_scales(TABLE, [band], sun)
    for number, radiance in ((1, lmin), (255, lmax)):
        expected = math.pi * radiance * 1.01670**2 / (esun * math.cos(math.radians(90.0 - 40.0)))
        assert number * scale[0] + offset[0] == pytest.approx(expected, abs=3e-4)


def test_landsat_8_numbers_are_rescaled_and_the_sun_applied() -> None:
    # REFLECTANCE_MULT_BAND_x = 2.0000E-05, REFLECTANCE_ADD_BAND_x = -0.100000; handbook 5.2.2: rho' / sin(elevation)
    table = RadiometryTable(kind="reflectance", band=(BandGain(name="B4", gain=2e-5, offset=-0.1),))
    scale, offset = reflectance_scales(table, ["B4"], Sun(30.0, 30.0, 1.0))
    assert 7500 * scale[0] + offset[0] == pytest.approx(0.05 / 0.5)
    assert 5000 * scale[0] + offset[0] == pytest.approx(0.0, abs=1e-12)


def test_bands_are_taken_by_name_in_the_order_asked_for() -> None:
    scale, offset = reflectance_scales(TABLE, ["B4", "B1"], Sun(50.0, 50.0, 1.0))
    again, _ = reflectance_scales(TABLE, ["B1", "B4"], Sun(50.0, 50.0, 1.0))
    assert scale == again[::-1] and len(offset) == 2
    with pytest.raises(GainsMissing) as caught:
        reflectance_scales(TABLE, ["B4", "B9"], Sun(50.0, 50.0, 1.0))
    assert caught.value.bands == ("B9",) and caught.value.known == tuple(ETM)


@pytest.mark.parametrize("elevation", [-30.0, 0.0, 1.99, math.nan])
def test_night_is_refused(elevation: float) -> None:
    with pytest.raises(SunTooLow):
        Sun(elevation, 20.0, 1.0)


def lit(hour: float, **fields: Any) -> Any:
    """A strip at 20 degrees north that is taken `hour` hours after the sun's culmination there, more or less."""
    geometry = strip(**fields)
    place = geometry.ground(geometry.lines / 2, 1000.0)
    noon_s = START_S - START_S % 86_400 + (12.0 - float(place.lon_deg) / 15.0) * 3600.0
    return strip(start_s=noon_s + hour * 3600.0, **fields)


def test_the_sun_over_a_strip_has_its_extremes_at_its_corners() -> None:
    geometry = lit(3.0, lines=20_000)
    sun = sun_over(geometry)
    lon, lat = geometry.place(np.linspace(0, 20_000, 21)[:, None], np.linspace(0, 2000, 5)[None, :])
    all_of_it = sun_elevation_deg(lon, lat, geometry.start_s + geometry.lines * geometry.line_period_s / 2)
    assert sun.lowest_deg == pytest.approx(all_of_it.min(), abs=0.1)
    assert sun.highest_deg == pytest.approx(all_of_it.max(), abs=0.1)
    assert 0.0 < sun.uncertainty < 0.02
    assert 0.98 < sun.distance_au < 1.02
    with pytest.raises(SunTooLow):
        sun_over(lit(9.0))


def test_a_low_sun_over_a_long_strip_is_stated_as_uncertain() -> None:
    assert Sun(10.0, 12.0, 1.0).uncertainty == pytest.approx(0.0825, abs=1e-3)
    assert Sun(45.0, 45.0, 1.0).uncertainty == pytest.approx(0.0, abs=1e-12)

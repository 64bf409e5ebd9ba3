"""UTM zones of the datums beside WGS 84, against PROJ."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import CRS, Transformer

from flight.product.projection import from_lonlat, is_supported, to_lonlat, utm_zone

SERIES = {
    "NAD83": range(26901, 26924),
    "ETRS89": range(25828, 25839),
    "GDA94": range(28348, 28359),
    "GDA2020": range(7846, 7860),
    "SIRGAS 2000 north": range(31965, 31977),
    "SIRGAS 2000 south": range(31977, 31986),
}
DATUM_SHIFT_M = 2.0


@pytest.mark.parametrize("name", SERIES)
def test_every_code_of_a_series_is_the_zone_that_proj_says(name: str) -> None:
    for epsg in SERIES[name]:
        zone = utm_zone(epsg)
        assert zone is not None and is_supported(epsg), epsg
        assert CRS.from_epsg(epsg).utm_zone in (None, f"{zone.number}{'S' if zone.south else 'N'}"), epsg
        operation = CRS.from_epsg(epsg).coordinate_operation
        assert operation is not None
        values = {item.name: item.value for item in operation.params}
        assert values["Longitude of natural origin"] == zone.meridian_deg, epsg
        assert values["False northing"] == (10_000_000 if zone.south else 0), epsg
        assert (values["False easting"], values["Scale factor at natural origin"]) == (500_000, 0.9996), epsg
    assert utm_zone(SERIES[name][0] - 1) is None or name == "SIRGAS 2000 south"
    assert utm_zone(SERIES[name][-1] + 1) is None or name == "SIRGAS 2000 north"


@pytest.mark.parametrize("epsg", [26901, 26914, 26923, 25832, 28355, 28348, 7856, 31965, 31976, 31977, 31985])
def test_coordinates_are_those_of_wgs_84_to_the_millimetre_and_of_the_datum_to_two_metres(epsg: int) -> None:
    zone = utm_zone(epsg)
    assert zone is not None
    rng = np.random.default_rng(epsg)
    lon = (zone.meridian_deg + rng.uniform(-4, 4, 500) + 180) % 360 - 180
    lat = rng.uniform(-60, -10, 500) if zone.south else rng.uniform(10, 70, 500)
    x, y = from_lonlat(epsg, lon, lat)
    same = Transformer.from_crs(4326, (32700 if zone.south else 32600) + zone.number, always_xy=True)
    for ours, peers in zip((x, y), same.transform(lon, lat), strict=True):
        assert np.abs(ours - peers).max() < 1e-3
    datum = CRS.from_epsg(epsg).geodetic_crs
    assert datum is not None
    of_datum = Transformer.from_crs(datum, epsg, always_xy=True).transform(lon, lat)
    shifted = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    for ours, peers, moved in zip((x, y), of_datum, shifted, strict=True):
        assert np.abs(ours - peers).max() < 1e-3  # GRS 80 for WGS 84
        assert np.abs(ours - moved).max() < DATUM_SHIFT_M
    back_lon, back_lat = to_lonlat(epsg, x, y)
    assert np.abs((back_lon - lon + 180) % 360 - 180).max() < 1e-8
    assert np.abs(back_lat - lat).max() < 1e-8


@pytest.mark.parametrize("epsg", [26900, 26924, 25827, 25839, 28347, 28359, 7845, 7860, 31964, 31986, 32661, 27700])
def test_neighbouring_codes_are_not_taken_for_zones(epsg: int) -> None:
    assert not is_supported(epsg)

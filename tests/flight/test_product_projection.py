"""Places of pixels, against PROJ and its geodesics."""

from __future__ import annotations

import numpy as np
import pytest

from flight.product.errors import NotGeoreferenced, OutsideProjection, UnsupportedProjection
from flight.product.header import GeoModel
from flight.product.projection import from_lonlat, is_supported, pixel_area_m2, pixel_to_lonlat, to_lonlat, utm_zone
from tests.flight.product.cases import DEGREES, MERCATOR, PIXELS_ONLY, UTM, UTM_SOUTH_ROTATED

MILLIMETRE = 1e-3
DEGREES_OF_A_MILLIMETRE = 1e-8


def places(epsg: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(epsg)
    zone = utm_zone(epsg)
    if zone is None:
        return rng.uniform(-180, 180, 2000), rng.uniform(-85, 85, 2000)
    lon = zone.meridian_deg + rng.uniform(-9, 9, 2000)
    return (lon + 180) % 360 - 180, rng.uniform(-84, 84, 2000)


@pytest.mark.parametrize("epsg", [4326, 3857, 32601, 32612, 32631, 32660, 32701, 32733, 32760])
def test_both_ways_agree_with_proj_within_a_millimetre(epsg: int) -> None:
    from pyproj import Transformer

    lon, lat = places(epsg)
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    unit = DEGREES_OF_A_MILLIMETRE if epsg == 4326 else MILLIMETRE
    ours_x, ours_y = from_lonlat(epsg, lon, lat)
    assert np.abs(ours_x - x).max() < unit
    assert np.abs(ours_y - y).max() < unit
    back_lon, back_lat = to_lonlat(epsg, x, y)
    assert np.abs((back_lon - lon + 180) % 360 - 180).max() < DEGREES_OF_A_MILLIMETRE
    assert np.abs(back_lat - lat).max() < DEGREES_OF_A_MILLIMETRE


@pytest.mark.parametrize("geo", [DEGREES, UTM, UTM_SOUTH_ROTATED, MERCATOR])
def test_the_area_of_a_pixel_is_what_geodesics_say(geo: GeoModel) -> None:
    from pyproj import Geod

    for col, row in ((0, 0), (500, 20), (3, 900)):
        corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float) + np.array((col, row))
        lon, lat = pixel_to_lonlat(geo, corners[:, 0], corners[:, 1])
        expected = abs(Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)[0])
        assert float(pixel_area_m2(geo, np.array(col + 0.5), np.array(row + 0.5))) == pytest.approx(expected, rel=2e-5)


def test_what_is_not_computed_is_refused_by_name() -> None:
    here = np.zeros(1)
    for epsg in (2154, 32600, 32661, 32761, 27700):
        assert not is_supported(epsg)
        with pytest.raises(UnsupportedProjection):
            to_lonlat(epsg, here, here)
        with pytest.raises(UnsupportedProjection):
            from_lonlat(epsg, here, here)
    assert not is_supported(None)
    with pytest.raises(NotGeoreferenced):
        pixel_to_lonlat(PIXELS_ONLY, here, here)


def test_coordinates_without_meaning_are_refused() -> None:
    with pytest.raises(OutsideProjection):
        to_lonlat(4326, np.array([0.0]), np.array([91.0]))
    with pytest.raises(OutsideProjection):
        to_lonlat(32631, np.array([9e6]), np.array([0.0]))
    with pytest.raises(OutsideProjection):
        from_lonlat(32631, np.array([100.0]), np.array([0.0]))
    with pytest.raises(OutsideProjection):
        from_lonlat(3857, np.array([0.0]), np.array([90.0]))
    with pytest.raises(OutsideProjection):
        to_lonlat(4326, np.array([np.nan]), np.array([0.0]))
    for odd in (np.nan, np.inf):
        with pytest.raises(OutsideProjection):
            from_lonlat(32631, np.array([odd]), np.array([0.0]))
    with pytest.raises(OutsideProjection):
        to_lonlat(3857, np.array([0.0]), np.array([-1e9]))  # the pole itself, in double precision


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("epsg", [4326, 3857, 32631])
def test_a_transform_with_any_finite_numbers_is_refused_by_name_and_warns_of_nothing(epsg: int) -> None:
    here = np.array([0.5, 1000.0])
    for transform in (
        (1e308, 0.0, 0.0, 0.0, 1e308, 0.0),
        (1e308, -1e308, 0.0, 1e308, 1e308, 0.0),
        (1e304, 0.0, 0.0, 0.0, 1e5, 0.0),
        (1.0, 0.0, 0.0, 0.0, 1e300, 0.0),
    ):
        with pytest.raises(OutsideProjection):
            pixel_area_m2(GeoModel(transform, epsg, 0.0), here, here)
    with pytest.raises(OutsideProjection, match="an area past every number"):
        pixel_area_m2(GeoModel((1e307, 0.0, 0.0, 0.0, 80.0, 0.0), 4326, 0.0), here[:1], here[:1])

"""Pixels to places: EPSG 4326, 3857 and UTM zones, forward and back, without a library; or a camera's geometry.

UTM of WGS 84 (326xx, 327xx), and of the datums that agree with it within 2 m: NAD83, ETRS89, GDA94, GDA2020 and SIRGAS
2000. Their coordinates are taken for those of WGS 84, as PROJ does without a grid file; their ellipsoid, GRS 80, is
that of WGS 84 to 0.1 mm.

Transverse Mercator is the Krueger series to the sixth order in the third flattening (Karney 2011, "Transverse Mercator
with an accuracy of a few nanometers", eqs. 7-10, 35, 36): exact to nanometres within a zone's neighbourhood. EPSG:4326
is taken as x = longitude, y = latitude, as in GeoTIFF and GeoJSON.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from flight.product.errors import NotGeoreferenced, OutsideProjection, UnsupportedProjection
from flight.product.geolocation import CameraGeometry
from flight.product.header import GeoModel
from hal.navigation.ellipsoid import to_ecef

Floats: TypeAlias = "NDArray[np.float64]"

EQUATOR_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
_ECCENTRICITY_2 = FLATTENING * (2 - FLATTENING)
_ECCENTRICITY = math.sqrt(_ECCENTRICITY_2)
_N = FLATTENING / (2 - FLATTENING)
_RECTIFYING_M = EQUATOR_M / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64 + _N**6 / 256)
_UTM_SCALE = 0.9996
_FALSE_EASTING_M = 500_000.0
_FALSE_NORTHING_SOUTH_M = 10_000_000.0
_MAX_OFF_MERIDIAN_DEG = 40.0  # beyond it the series loses the millimetre

_ALPHA = (
    _N * (1 / 2 + _N * (-2 / 3 + _N * (5 / 16 + _N * (41 / 180 + _N * (-127 / 288 + _N * 7891 / 37800))))),
    _N**2 * (13 / 48 + _N * (-3 / 5 + _N * (557 / 1440 + _N * (281 / 630 + _N * -1983433 / 1935360)))),
    _N**3 * (61 / 240 + _N * (-103 / 140 + _N * (15061 / 26880 + _N * 167603 / 181440))),
    _N**4 * (49561 / 161280 + _N * (-179 / 168 + _N * 6601661 / 7257600)),
    _N**5 * (34729 / 80640 + _N * -3418889 / 1995840),
    _N**6 * 212378941 / 319334400,
)
_BETA = (
    _N * (1 / 2 + _N * (-2 / 3 + _N * (37 / 96 + _N * (-1 / 360 + _N * (-81 / 512 + _N * 96199 / 604800))))),
    _N**2 * (1 / 48 + _N * (1 / 15 + _N * (-437 / 1440 + _N * (46 / 105 + _N * -1118711 / 3870720)))),
    _N**3 * (17 / 480 + _N * (-37 / 840 + _N * (-209 / 4480 + _N * 5569 / 90720))),
    _N**4 * (4397 / 161280 + _N * (-11 / 504 + _N * -830251 / 7257600)),
    _N**5 * (4583 / 161280 + _N * -108847 / 3991680),
    _N**6 * 20648693 / 638668800,
)


@dataclass(frozen=True, slots=True)
class UtmZone:
    """A UTM zone."""

    number: int  # 1..60
    south: bool

    @property
    def meridian_deg(self) -> float:
        return 6.0 * self.number - 183.0


@dataclass(frozen=True, slots=True)
class _Series:
    """EPSG codes of neighbouring zones: zone number = code - base."""

    base: int
    first: int  # zone numbers that exist
    last: int
    south: bool


_SERIES = (
    _Series(32600, 1, 60, south=False),  # WGS 84
    _Series(32700, 1, 60, south=True),
    _Series(26900, 1, 23, south=False),  # NAD83
    _Series(25800, 28, 38, south=False),  # ETRS89
    _Series(28300, 48, 58, south=True),  # GDA94, Map Grid of Australia
    _Series(7800, 46, 59, south=True),  # GDA2020, Map Grid of Australia
    _Series(31954, 11, 22, south=False),  # SIRGAS 2000
    _Series(31960, 17, 25, south=True),
)


def utm_zone(epsg: int) -> UtmZone | None:
    """The zone that an EPSG code names, if it names one."""
    for series in _SERIES:
        if series.first <= epsg - series.base <= series.last:
            return UtmZone(epsg - series.base, series.south)
    return None


def is_supported(epsg: int | None) -> bool:
    """Whether to_lonlat() and from_lonlat() know this code."""
    return epsg is not None and (epsg in (4326, 3857) or utm_zone(epsg) is not None)


def to_lonlat(epsg: int, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Longitude and latitude in degrees of coordinates in a reference system.

    Raises UnsupportedProjection, OutsideProjection (past the poles, far outside a zone, not finite).
    """
    if epsg == 4326:
        lon, lat = np.asarray(x, np.float64), np.asarray(y, np.float64)
    elif epsg == 3857:
        lon = np.degrees(np.asarray(x) / EQUATOR_M)
        with np.errstate(over="ignore"):  # so far north that it is the pole itself: no coordinate of this projection
            lat = np.degrees(np.arctan(np.sinh(np.asarray(y) / EQUATOR_M)))
        if lat.size and np.abs(lat).max() >= 90.0:
            raise OutsideProjection(epsg, "a pole has no place in Mercator's projection")
    elif (zone := utm_zone(epsg)) is not None:
        lon, lat = _utm_to_lonlat(zone, epsg, np.asarray(x, np.float64), np.asarray(y, np.float64))
    else:
        raise UnsupportedProjection(epsg)
    if lat.size and not (np.isfinite(lon).all() and np.abs(lat).max() <= 90.0):
        raise OutsideProjection(epsg, "coordinates past a pole")
    return lon, lat


def from_lonlat(epsg: int, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Coordinates in a reference system of longitude and latitude in degrees. Raises as to_lonlat()."""
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    if lat.size and not (np.isfinite(lon).all() and np.abs(lat).max() <= 90.0):
        raise OutsideProjection(epsg, "coordinates past a pole")
    if epsg == 4326:
        return lon, lat
    if epsg == 3857:
        if lat.size and np.abs(lat).max() >= 90.0:
            raise OutsideProjection(epsg, "a pole has no place in Mercator's projection")
        return np.radians(lon) * EQUATOR_M, np.arcsinh(np.tan(np.radians(lat))) * EQUATOR_M
    if (zone := utm_zone(epsg)) is not None:
        return _lonlat_to_utm(zone, epsg, lon, lat)
    raise UnsupportedProjection(epsg)


def pixel_to_xy(geo: GeoModel, col: Floats, row: Floats) -> tuple[Floats, Floats]:
    """Coordinates in the product's own reference system. (0, 0) is the outer corner of the first pixel.

    Raises NotGeoreferenced, OutsideProjection (coordinates that are no finite number).
    """
    if geo.transform is None or geo.epsg is None:
        raise NotGeoreferenced("a place on Earth")
    a, b, c, d, e, f = geo.transform
    with np.errstate(over="ignore", invalid="ignore"):  # a transform from outside may hold any numbers
        x, y = a * col + b * row + c, d * col + e * row + f
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise OutsideProjection(geo.epsg, "coordinates past every number")
    return x, y


def pixel_to_lonlat(geo: GeoModel, col: Floats, row: Floats) -> tuple[Floats, Floats]:
    """Longitude and latitude in degrees of pixel coordinates.

    Raises NotGeoreferenced, and as to_lonlat(), or for a camera's lines as CameraGeometry.place().
    """
    if geo.camera is not None:
        return geo.camera.place(row, col)
    if geo.transform is None or geo.epsg is None:
        raise NotGeoreferenced("a place on Earth")
    x, y = pixel_to_xy(geo, np.asarray(col, np.float64), np.asarray(row, np.float64))
    return to_lonlat(geo.epsg, x, y)


def lonlat_to_pixel(geo: GeoModel, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """(column, row) of longitudes and latitudes in degrees, (n,), also outside the product.

    Raises NotGeoreferenced, and as from_lonlat(), or for a camera's lines as CameraGeometry.pixel().
    """
    if geo.camera is not None:
        row, col = geo.camera.pixel(lon, lat)
        return col, row
    if geo.transform is None or geo.epsg is None:
        raise NotGeoreferenced("a place on Earth")
    a, b, c, d, e, f = geo.transform
    x, y = from_lonlat(geo.epsg, lon, lat)
    col, row = np.linalg.inv(np.array([[a, b], [d, e]], dtype=np.float64)) @ np.stack([x - c, y - f])
    return col, row


def is_placed(geo: GeoModel) -> bool:
    """Whether pixels have a place that can be computed here."""
    return geo.camera is not None or (geo.transform is not None and is_supported(geo.epsg))


def turns_clockwise(geo: GeoModel, width: int, height: int) -> bool:
    """Whether what runs clockwise on screen runs counter-clockwise on the map: north up, or turned, not mirrored."""
    if geo.camera is None:
        if geo.transform is None:
            raise NotGeoreferenced("a place on Earth")
        a, b, _, d, e, _ = geo.transform
        return a * e - b * d < 0
    col, row = width / 2.0, height / 2.0
    lon, lat = pixel_to_lonlat(geo, np.array([col, col + 1.0, col]), np.array([row, row, row + 1.0]))
    east = (lon[1:] - lon[0] + 180.0) % 360.0 - 180.0
    return bool(east[0] * (lat[2] - lat[0]) - east[1] * (lat[1] - lat[0]) < 0)


def pixel_area_m2(geo: GeoModel, col: Floats, row: Floats) -> Floats:
    """Area on the ellipsoid, square metres, of the pixel whose middle is at (col, row). Raises as pixel_to_lonlat().

    From the scale at the middle: good to about 1e-6 for pixels small beside the Earth.
    """
    if geo.camera is not None:
        return _camera_area_m2(geo.camera, np.asarray(col, np.float64), np.asarray(row, np.float64))
    _, lat = pixel_to_lonlat(geo, col, row)
    if geo.transform is None or geo.epsg is None:  # pixel_to_lonlat() has refused it
        raise NotGeoreferenced("an area")
    a, b, _, d, e, _ = geo.transform
    grid = abs(a * e - b * d)
    if not math.isfinite(grid):
        raise OutsideProjection(geo.epsg, "an area past every number")
    if geo.epsg == 4326:
        return grid * math.radians(1.0) ** 2 * _metres_2_per_radian_2(lat)
    if geo.epsg == 3857:
        return grid * _metres_2_per_radian_2(lat) * np.cos(np.radians(lat)) / EQUATOR_M**2
    easting, _ = pixel_to_xy(geo, np.asarray(col, np.float64), np.asarray(row, np.float64))
    off_m = (easting - _FALSE_EASTING_M) / _UTM_SCALE
    sine_2 = np.sin(np.radians(lat)) ** 2
    radius_2 = EQUATOR_M**2 * (1 - _ECCENTRICITY_2) / (1 - _ECCENTRICITY_2 * sine_2) ** 2
    scale = _UTM_SCALE * (1 + off_m**2 / (2 * radius_2) + off_m**4 / (24 * radius_2**2))
    area: Floats = grid / scale**2
    return area


def _camera_area_m2(camera: CameraGeometry, col: Floats, row: Floats) -> Floats:
    def side(back: tuple[Floats, Floats], ahead: tuple[Floats, Floats]) -> Floats:
        (lon, lat), (other_lon, other_lat) = camera.place(*back), camera.place(*ahead)
        return to_ecef(other_lat, other_lon, camera.height_m) - to_ecef(lat, lon, camera.height_m)

    across, along = side((row, col - 0.5), (row, col + 0.5)), side((row - 0.5, col), (row + 0.5, col))
    area: Floats = np.linalg.norm(np.cross(across, along), axis=-1)
    return area


def _metres_2_per_radian_2(lat: Floats) -> Floats:
    """Ellipsoid area of one radian of longitude by one of latitude: M * N * cos(lat)."""
    radians = np.radians(lat)
    curved = 1 - _ECCENTRICITY_2 * np.sin(radians) ** 2
    area: Floats = EQUATOR_M**2 * (1 - _ECCENTRICITY_2) * np.cos(radians) / curved**2
    return area


def _lonlat_to_utm(zone: UtmZone, epsg: int, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    off_deg = (lon - zone.meridian_deg + 180.0) % 360.0 - 180.0
    if off_deg.size and np.abs(off_deg).max() > _MAX_OFF_MERIDIAN_DEG:
        raise OutsideProjection(epsg, f"more than {_MAX_OFF_MERIDIAN_DEG:.0f} degrees from the zone's meridian")
    off = np.radians(off_deg)
    tau = _conformal(np.tan(np.radians(lat)))
    xi = np.arctan2(tau, np.cos(off))
    eta = np.arcsinh(np.sin(off) / np.hypot(tau, np.cos(off)))
    north, east = xi.copy(), eta.copy()
    for order, alpha in enumerate(_ALPHA, 1):
        north += alpha * np.sin(2 * order * xi) * np.cosh(2 * order * eta)
        east += alpha * np.cos(2 * order * xi) * np.sinh(2 * order * eta)
    metres = _UTM_SCALE * _RECTIFYING_M
    return _FALSE_EASTING_M + metres * east, (_FALSE_NORTHING_SOUTH_M if zone.south else 0.0) + metres * north


def _utm_to_lonlat(zone: UtmZone, epsg: int, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    metres = _UTM_SCALE * _RECTIFYING_M
    eta = (x - _FALSE_EASTING_M) / metres
    xi = (y - (_FALSE_NORTHING_SOUTH_M if zone.south else 0.0)) / metres
    if eta.size and not (np.abs(eta).max() <= 0.75 and np.abs(xi).max() <= math.pi / 2):
        raise OutsideProjection(epsg, "coordinates far outside the zone")
    north, east = xi.copy(), eta.copy()
    for order, beta in enumerate(_BETA, 1):
        north -= beta * np.sin(2 * order * xi) * np.cosh(2 * order * eta)
        east -= beta * np.cos(2 * order * xi) * np.sinh(2 * order * eta)
    tau = _from_conformal(np.sin(north) / np.hypot(np.sinh(east), np.cos(north)))
    lon = zone.meridian_deg + np.degrees(np.arctan2(np.sinh(east), np.cos(north)))
    return (lon + 180.0) % 360.0 - 180.0, np.degrees(np.arctan(tau))


def _conformal(tau: Floats) -> Floats:
    """Tangent of the conformal latitude from the tangent of the geographic one (Karney eq. 7)."""
    sigma = np.sinh(_ECCENTRICITY * np.arctanh(_ECCENTRICITY * tau / np.hypot(1.0, tau)))
    conformal: Floats = tau * np.hypot(1.0, sigma) - sigma * np.hypot(1.0, tau)
    return conformal


def _from_conformal(wanted: Floats) -> Floats:
    """The inverse, by Newton's method (Karney eqs. 19-21): three steps reach the last digit, five are taken."""
    tau = wanted / (1 - _ECCENTRICITY_2)
    for _ in range(5):
        reached = _conformal(tau)
        slope = (1 - _ECCENTRICITY_2) * np.hypot(1.0, tau) / (1 + (1 - _ECCENTRICITY_2) * tau**2)
        tau = tau + (wanted - reached) / (np.hypot(1.0, reached) * slope)
    return tau

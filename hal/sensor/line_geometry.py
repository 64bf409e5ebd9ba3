"""A strip's place on Earth from line times, orbit, attitude and camera, and a place's line and column in the strip.

Pixel coordinates are (row, column) with the first pixel's outer corner at (0, 0): the middle of line n is row n + 0.5
and is exposed at start_s + n * line_period_s. The orbit is a cubic Hermite curve through knots of position and velocity
(at knots 10 s apart in a low orbit good to a millimetre), the attitude a slerp between knots in the orbital frame.

The inverse finds the line whose plane of sight holds the place (Newton's method on the row), then reads the column off.
Outside the knots the orbit goes on as a circle, so that places beside and beyond the strip have pixels, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.errors import HalError
from hal.navigation.ellipsoid import normals, range_to_height, to_ecef, to_geodetic
from hal.navigation.frames import EARTH_RATE_RAD_S
from hal.navigation.rotation import Floats, Quaternion, orbital_axes, slerp, to_matrix
from hal.sensor.camera_model import CameraModel, bounded, unit_quaternion

MAX_ORBIT_KNOTS = 32
MAX_ATTITUDE_KNOTS = 64
MAX_LINES = 1 << 24
MAX_HEIGHT_M = 20_000.0

Vector: TypeAlias = "tuple[float, float, float]"
# (lon_deg, lat_deg), each (n,) -> heights above the ellipsoid in metres, (n,)
HeightModel: TypeAlias = "Callable[[Floats, Floats], NDArray[np.float64]]"

_HEIGHT_ROUNDS, _HEIGHT_ENOUGH_M = 40, 1e-3
_ROW_ROUNDS, _ROW_ENOUGH = 30, 1e-7
_REACH_M = 4_000_000.0  # how far from the strip's middle a place may be that a pixel is asked for


class GeometryError(HalError):
    """Base of every error about a strip's geometry."""

    code = "geometry_error"


class KnotsRefused(GeometryError, ValueError):
    """Knots of orbit or attitude that are no path: out of order, too many, or not those of a satellite."""

    code = "knots_refused"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what} knots: {reason}")
        self.what, self.reason = what, reason


class KnotsDoNotCover(GeometryError, ValueError):
    """Knots that begin after the first line or end before the last."""

    code = "knots_do_not_cover"

    def __init__(self, what: str, first_s: float, last_s: float, strip_s: float) -> None:
        super().__init__(f"{what} knots from {first_s:.3f} to {last_s:.3f} s, the strip takes 0 to {strip_s:.3f} s")
        self.what, self.first_s, self.last_s, self.strip_s = what, first_s, last_s, strip_s


class RayMissesEarth(GeometryError, ArithmeticError):
    """Pixels that look past the Earth."""

    code = "ray_misses_earth"

    def __init__(self, rays: int, row: float, column: float) -> None:
        super().__init__(f"{rays} pixels look past the Earth, the first at row {row:.1f}, column {column:.1f}")
        self.rays, self.row, self.column = rays, row, column


class HeightUnusable(GeometryError, ArithmeticError):
    """A height model that gave no finite heights, or under which a ray found no ground."""

    code = "height_unusable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"height model: {reason}")
        self.reason = reason


class PlaceOutOfReach(GeometryError, ValueError):
    """A place that has no pixel: too far from the strip, or beyond the horizon."""

    code = "place_out_of_reach"

    def __init__(self, places: int, lon_deg: float, lat_deg: float) -> None:
        super().__init__(f"{places} places are out of the strip's reach, the first at {lon_deg:.4f}, {lat_deg:.4f}")
        self.places, self.lon_deg, self.lat_deg = places, lon_deg, lat_deg


class NotFinite(GeometryError, ValueError):
    """Coordinates that are not numbers."""

    code = "not_finite"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} must be finite numbers")
        self.what = what


@dataclass(frozen=True, slots=True)
class OrbitKnot:
    """State at one time. Earth-centred Earth-fixed; the velocity is relative to the rotating Earth."""

    offset_s: float  # after start_s
    position_ecef_m: Vector
    velocity_ecef_m_s: Vector

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "offset_s", bounded("orbit time", self.offset_s, -1e6, 1e6))
        put(self, "position_ecef_m", _vector("orbit position", self.position_ecef_m, 1e8))
        put(self, "velocity_ecef_m_s", _vector("orbit velocity", self.velocity_ecef_m_s, 2e4))


@dataclass(frozen=True, slots=True)
class AttitudeKnot:
    """Body to orbital frame (hal/navigation/rotation.py) at one time."""

    offset_s: float  # after start_s
    quaternion: Quaternion

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset_s", bounded("attitude time", self.offset_s, -1e6, 1e6))
        object.__setattr__(self, "quaternion", unit_quaternion("attitude", self.quaternion))


@dataclass(frozen=True, slots=True)
class GeometrySigma:
    """One standard deviation of each thing that a place depends on; independent of each other."""

    orbit_m: float = 0.0  # per axis
    attitude_rad: float = 0.0  # about each axis, mounting of the camera included
    time_s: float = 0.0
    height_m: float = 0.0
    camera_px: float = 0.0  # of a column's direction, either way

    def __post_init__(self) -> None:
        for name, high in (("orbit_m", 1e6), ("attitude_rad", 1.0), ("time_s", 1e3), ("height_m", 1e4)):
            object.__setattr__(self, name, bounded(f"sigma {name}", getattr(self, name), 0.0, high))
        object.__setattr__(self, "camera_px", bounded("sigma camera_px", self.camera_px, 0.0, 1e4))


class Ground(NamedTuple):
    """Places of pixels; arrays of the shape that rows and columns broadcast to."""

    lon_deg: Floats  # -180 ... 180
    lat_deg: Floats  # geodetic, WGS 84
    sigma_m: Floats  # longer half axis of the one-sigma ellipse on the ground


@dataclass(frozen=True, slots=True)
class LineGeometry:
    """The geometry of one strip. Checked when it is made: raises CameraInvalid, KnotsRefused, KnotsDoNotCover."""

    start_s: float  # mission time of line 0
    line_period_s: float
    lines: int
    camera: CameraModel
    orbit: tuple[OrbitKnot, ...]
    attitude: tuple[AttitudeKnot, ...]
    height_m: float = 0.0  # of the ground above the ellipsoid
    sigma: GeometrySigma = GeometrySigma()
    _orbit: Floats = field(init=False, repr=False, compare=False)  # (n, 7)
    _attitude: Floats = field(init=False, repr=False, compare=False)  # (n, 5)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "start_s", bounded("start_s", self.start_s, -6e10, 2.5e11))
        put(self, "line_period_s", bounded("line_period_s", self.line_period_s, 1e-9, 100.0))
        if isinstance(self.lines, bool) or not isinstance(self.lines, int) or not 1 <= self.lines <= MAX_LINES:
            raise KnotsRefused("orbit", f"{self.lines!r} lines, 1 to {MAX_LINES} are taken")
        put(self, "height_m", bounded("height_m", self.height_m, -MAX_HEIGHT_M, MAX_HEIGHT_M))
        put(self, "orbit", tuple(self.orbit))
        put(self, "attitude", tuple(self.attitude))
        orbit = [(knot.offset_s, *knot.position_ecef_m, *knot.velocity_ecef_m_s) for knot in self.orbit]
        attitude = [(knot.offset_s, *knot.quaternion) for knot in self.attitude]
        put(self, "_orbit", self._path("orbit", orbit, 2, MAX_ORBIT_KNOTS))
        put(self, "_attitude", self._path("attitude", attitude, 1, MAX_ATTITUDE_KNOTS))
        radius, speed = np.linalg.norm(self._orbit[:, 1:4], axis=1), np.linalg.norm(self._orbit[:, 4:], axis=1)
        if radius.min() < 6.3e6 or speed.min() < 1.0:
            raise KnotsRefused("orbit", "not the path of a satellite")
        upright = np.cross(self._orbit[:, 1:4], self._orbit[:, 4:])
        if (np.linalg.norm(upright, axis=1) < 1e-6 * radius * speed).any():
            raise KnotsRefused("orbit", "motion straight up or down has no orbital frame")

    def _path(self, what: str, knots: Sequence[tuple[float, ...]], least: int, most: int) -> Floats:
        if not least <= len(knots) <= most:
            raise KnotsRefused(what, f"{len(knots)}, {least} to {most} are taken")
        path = np.array(knots, dtype=np.float64)
        if (np.diff(path[:, 0]) < 1e-3).any():
            raise KnotsRefused(what, "times must rise")
        first_s, last_s, strip_s = float(path[0, 0]), float(path[-1, 0]), (self.lines - 1) * self.line_period_s
        if len(knots) > 1 and (first_s > 0.0 or last_s < strip_s):
            raise KnotsDoNotCover(what, first_s, last_s, strip_s)
        return path

    def ground(self, rows: ArrayLike, columns: ArrayLike, height: HeightModel | None = None) -> Ground:
        """Where pixel coordinates lie, with their uncertainty.

        height: a model of the ground to be used instead of the constant height_m. Raises NotFinite, RayMissesEarth,
        HeightUnusable.
        """
        shape, row, column = _flat(rows, columns)
        position, velocity, sight = self._look(row, column)
        distance = self._distance(position, sight, row, column, height)
        latitude, longitude, _ = to_geodetic(position + distance[:, None] * sight)
        sigma = self._sigma_m(row, column, velocity, sight, distance, normals(latitude, longitude))
        return Ground(longitude.reshape(shape), latitude.reshape(shape), sigma.reshape(shape))

    def place(self, rows: ArrayLike, columns: ArrayLike) -> tuple[Floats, Floats]:
        """(lon_deg, lat_deg) alone, at the constant height: half the work of ground(). Raises as that."""
        shape, row, column = _flat(rows, columns)
        position, _, sight = self._look(row, column)
        distance = self._distance(position, sight, row, column, None)
        latitude, longitude, _ = to_geodetic(position + distance[:, None] * sight)
        return longitude.reshape(shape), latitude.reshape(shape)

    def pixel(self, lon_deg: ArrayLike, lat_deg: ArrayLike, height_m: ArrayLike | None = None) -> tuple[Floats, Floats]:
        """(row, column) of places, also of such beside the strip. Raises NotFinite, PlaceOutOfReach."""
        lon, lat = np.broadcast_arrays(np.asarray(lon_deg, np.float64), np.asarray(lat_deg, np.float64))
        height = np.broadcast_to(np.asarray(self.height_m if height_m is None else height_m, np.float64), lon.shape)
        shape, lon, lat = lon.shape, lon.ravel(), lat.ravel()
        if not (np.isfinite(lon).all() and np.isfinite(lat).all() and np.isfinite(height).all()):
            raise NotFinite("longitudes, latitudes and heights")
        place = to_ecef(lat, lon, height.ravel())
        row = self._first_guess(place)
        reached = np.zeros(row.shape, dtype=np.bool_)
        for _ in range(_ROW_ROUNDS):
            here, there = self._ahead(row, place), self._ahead(row + 1.0, place)
            with np.errstate(invalid="ignore", divide="ignore"):
                step = here / (here - there)
            row = row + np.clip(step, -1e5, 1e5)
            reached = np.abs(step) < _ROW_ENOUGH * np.maximum(1.0, np.abs(row) * 1e-3)
            if reached.all():
                break
        _, column = self._seen(row, place)
        lost = ~(reached & np.isfinite(column) & (np.abs(column) < 1e9))
        if lost.any():
            first = int(np.argmax(lost))
            raise PlaceOutOfReach(int(lost.sum()), float(lon[first]), float(lat[first]))
        return row.reshape(shape), column.reshape(shape)

    def state(self, rows: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Position (n, 3), velocity (n, 3) and body-to-Earth-fixed matrices (n, 3, 3) at row coordinates (n,)."""
        after_s = (np.asarray(rows, np.float64) - 0.5) * self.line_period_s
        position, velocity = _along(self._orbit, after_s)
        body = to_matrix(slerp(self._attitude[:, 0], self._attitude[:, 1:], after_s))
        return position, velocity, orbital_axes(position, velocity) @ body

    def _look(self, row: Floats, column: Floats) -> tuple[Floats, Floats, Floats]:
        position, velocity, turned = self.state(row)
        sight = np.einsum("nij,nj->ni", turned, self.camera.directions(column))
        return position, velocity, sight

    def _distance(
        self, position: Floats, sight: Floats, row: Floats, column: Floats, model: HeightModel | None
    ) -> Floats:
        height = np.full(row.shape, self.height_m)
        for _ in range(_HEIGHT_ROUNDS):
            distance = range_to_height(position, sight, height)
            missed = np.isnan(distance)
            if missed.any():
                first = int(np.argmax(missed))
                raise RayMissesEarth(int(missed.sum()), float(row[first]), float(column[first]))
            if model is None:
                return distance
            latitude, longitude, _ = to_geodetic(position + distance[:, None] * sight)
            found = np.broadcast_to(np.asarray(model(longitude, latitude), np.float64), height.shape)
            if not (np.isfinite(found).all() and np.abs(found).max(initial=0.0) <= MAX_HEIGHT_M):
                raise HeightUnusable(f"heights must be finite and within {MAX_HEIGHT_M:.0f} m")
            moved, height = np.abs(found - height).max(initial=0.0), found
            if moved <= _HEIGHT_ENOUGH_M:
                return range_to_height(position, sight, height)
        raise HeightUnusable("no ground found along a line of sight: slopes steeper than the look")

    def _sigma_m(
        self, row: Floats, column: Floats, velocity: Floats, sight: Floats, distance: Floats, normal: Floats
    ) -> Floats:
        """Longer half axis of the horizontal error ellipse, propagated to first order.

        A shift dS of the satellite moves the place by M dS, M = I - sight normal^T / (normal . sight); a turn by the
        isotropic angle s moves it by M times a vector of variance (distance s)^2 across the sight, and M sight = 0.
        """
        sinking = np.einsum("ni,ni->n", normal, sight)
        onto = np.eye(3) - sight[:, :, None] * normal[:, None, :] / sinking[:, None, None]
        sigma, pixel_rad = self.sigma, self.camera.pixel_rad
        angle_2 = sigma.attitude_rad**2 + (sigma.camera_px * pixel_rad) ** 2
        spread = (sigma.orbit_m**2 + distance**2 * angle_2)[:, None, None] * (onto @ np.swapaxes(onto, 1, 2))
        if sigma.time_s:
            later = self._look(row + 1.0, column)[2]
            moved = velocity + distance[:, None] * (later - sight) / self.line_period_s
            drift = sigma.time_s * np.einsum("nij,nj->ni", onto, moved)
            spread += drift[:, :, None] * drift[:, None, :]
        lift = sigma.height_m * (sight / sinking[:, None] - normal)
        spread += lift[:, :, None] * lift[:, None, :]
        # two non-zero eigenvalues, for everything lies in the plane of the ground
        trace, square = np.einsum("nii->n", spread), np.einsum("nij,nji->n", spread, spread)
        half_axis: Floats = np.sqrt(trace / 2 + np.sqrt(np.maximum(2 * square - trace**2, 0.0)) / 2)
        return half_axis

    def _seen(self, row: Floats, place: Floats) -> tuple[Floats, Floats]:
        position, _, turned = self.state(row)
        return self.camera.seen_at(np.einsum("nji,nj->ni", turned, place - position))

    def _ahead(self, row: Floats, place: Floats) -> Floats:
        return self._seen(row, place)[0]

    def _first_guess(self, place: Floats) -> Floats:
        """The row at which the satellite passes beside the place, on a circle about the Earth's centre."""
        middle = np.array([self.lines / 2])
        position, velocity, _ = self.state(middle)
        up = position[0] / np.linalg.norm(position[0])
        forward = velocity[0] - up * np.dot(up, velocity[0])
        rate = np.linalg.norm(forward) / np.linalg.norm(position[0])
        forward = forward / np.linalg.norm(forward)
        far = np.linalg.norm(place / np.linalg.norm(place, axis=1, keepdims=True) - up, axis=1) * 6_371_000.0 > _REACH_M
        angle = np.arctan2(place @ forward, place @ up)
        guess: Floats = middle + np.where(far, np.nan, angle) / rate / self.line_period_s
        return guess


def _along(knots: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Position and velocity (n, 3) on the Hermite curve through knots (k, 7) at times (n,); circles beyond its ends."""
    times, position, velocity = knots[:, 0], knots[:, 1:4], knots[:, 4:]
    inside = np.clip(at, times[0], times[-1])
    segment = np.clip(np.searchsorted(times, inside, side="right") - 1, 0, len(times) - 2)
    width = (times[segment + 1] - times[segment])[:, None]
    s = (inside - times[segment])[:, None] / width
    p0, p1 = position[segment], position[segment + 1]
    m0, m1 = velocity[segment] * width, velocity[segment + 1] * width
    place = (1 + 2 * s) * (1 - s) ** 2 * p0 + s * (1 - s) ** 2 * m0 + s**2 * (3 - 2 * s) * p1 + s**2 * (s - 1) * m1
    slope = 6 * s * (s - 1) * (p0 - p1) + (1 - s) * (1 - 3 * s) * m0 + s * (3 * s - 2) * m1
    motion = slope / width
    beyond = at - inside
    if beyond.any():
        place, motion = _circled(place, motion, beyond)
    return place, motion


def _circled(position: Floats, velocity: Floats, seconds: Floats) -> tuple[Floats, Floats]:
    """States some seconds later on a circle in inertial space, the Earth turning below."""
    inertial = velocity + EARTH_RATE_RAD_S * np.stack([-position[:, 1], position[:, 0], 0 * position[:, 2]], axis=1)
    axis = np.cross(position, inertial)
    rate = np.linalg.norm(axis, axis=1) / np.einsum("ni,ni->n", position, position)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    polar = np.broadcast_to([0.0, 0.0, 1.0], axis.shape)
    turn = -EARTH_RATE_RAD_S * seconds
    place = _turned(_turned(position, axis, rate * seconds), polar, turn)
    motion = _turned(_turned(inertial, axis, rate * seconds), polar, turn)
    motion -= EARTH_RATE_RAD_S * np.stack([-place[:, 1], place[:, 0], 0 * place[:, 2]], axis=1)
    return place, motion


def _turned(vector: Floats, axis: Floats, angle: Floats) -> Floats:
    """Vectors (n, 3) turned about unit axes (n, 3) by angles (n,) (Rodrigues)."""
    along = axis * np.einsum("ni,ni->n", axis, vector)[:, None]
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    turned: Floats = along + cosine * (vector - along) + sine * np.cross(axis, vector)
    return turned


def _flat(rows: ArrayLike, columns: ArrayLike) -> tuple[tuple[int, ...], Floats, Floats]:
    row, column = np.broadcast_arrays(np.asarray(rows, np.float64), np.asarray(columns, np.float64))
    shape, row, column = row.shape, row.ravel(), column.ravel()
    if not (np.isfinite(row).all() and np.isfinite(column).all()):
        raise NotFinite("rows and columns")
    return shape, row, column


def _vector(what: str, parts: object, limit: float) -> Vector:
    if not isinstance(parts, (tuple, list)) or len(parts) != 3:
        raise KnotsRefused(what.split()[0], f"{what} needs three numbers")
    x, y, z = (bounded(what, part, -limit, limit) for part in parts)
    if not math.isfinite(x + y + z):
        raise KnotsRefused(what.split()[0], f"{what} must be finite")
    return x, y, z

"""Passes over an area and contacts with a station, from predicted positions. Pure geometry on the WGS-84 ellipsoid.

Every answer is independent of when and from where it was searched: positions are sampled on a grid of absolute time,
a closest approach is bracketed by whole seconds before it is refined, and what is given out is rounded to 0.1 s. Far
from the target the search jumps ahead by a time in which the satellite cannot possibly come into view, so that a day
costs some hundreds of evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from flight.agent.errors import GeometryInvalid
from hal.navigation.protocol import NavigationFix

Vector = tuple[float, float, float]
At = Callable[[float], NavigationFix]

SEMI_MAJOR_M = 6_378_137.0
ECCENTRICITY_2 = 6.694_379_990_141_317e-3
GRID_S = 10.0
LONGEST_SEARCH_S = 14 * 86_400.0
_LONGEST_JUMP_S = 300.0
_LONGEST_EDGE_S = 7200.0
_BELOW_HORIZON = 360.0  # added to an angle, so that nothing under the horizon ever looks close
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, slots=True)
class Station:
    """A place on the ground with a view of the sky above `min_elevation_deg`."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float = 0.0
    min_elevation_deg: float = 5.0


@dataclass(frozen=True, slots=True)
class Pass:
    """A time in which an area can be looked at. Seconds of mission time, rounded to 0.1 s."""

    start_s: float
    closest_s: float  # least off-nadir angle to the middle of the area
    end_s: float
    off_nadir_deg: float  # to the nearest point of the area, at closest_s; 0: the area is below


@dataclass(frozen=True, slots=True)
class Contact:
    """A time in which a station is above its least elevation. Seconds of mission time, rounded to 0.1 s."""

    start_s: float
    end_s: float
    max_elevation_deg: float


class _Target(Protocol):
    def closeness(self, fix: NavigationFix) -> float:
        """Least at the closest approach; falls and rises once in every pass, in and out of view."""
        ...

    def visible(self, fix: NavigationFix) -> bool: ...

    def least_wait_s(self, fix: NavigationFix) -> float:
        """A time before which the target cannot be in view."""
        ...


class PassSearch:
    """Passes over an area, found in steps of bounded work.

    area_degrees: (longitude, latitude) of the polygon's vertices; at: predicted fixes; only passes whose closest_s is
    within start_s..end_s are found. Raises GeometryInvalid.
    """

    def __init__(
        self,
        area_degrees: Sequence[tuple[float, float]],
        at: At,
        start_s: float,
        end_s: float,
        max_off_nadir_deg: float,
    ) -> None:
        if not 0 < max_off_nadir_deg < 60:
            raise GeometryInvalid("max_off_nadir_deg", f"{max_off_nadir_deg} is not between 0 and 60")
        if len(area_degrees) < 3:
            raise GeometryInvalid("area", "fewer than three vertices")
        self._target = _Area(area_degrees, max_off_nadir_deg)
        self._at = at
        self._work = _approaches(self._target, at, *_checked_window(start_s, end_s))
        self.evaluations = 0
        self.finished = False
        self.passes: list[Pass] = []

    def step(self, budget_evaluations: int, *, first_only: bool = False) -> bool:
        """Evaluate at most that many positions (each some 30 us). True when finished, or a first pass is found."""
        for _ in range(budget_evaluations):
            if self.finished or (first_only and self.passes):
                return True
            self.evaluations += 1
            try:
                found = next(self._work)
            except StopIteration:
                self.finished = True
                return True
            if found is not None:
                start_s, closest_s, end_s = found
                off_nadir_deg = self._target.nearest_deg(self._at(closest_s))
                self.passes.append(Pass(start_s, closest_s, end_s, round(off_nadir_deg, 3)))
        return self.finished or (first_only and bool(self.passes))


def passes(
    area_degrees: Sequence[tuple[float, float]], at: At, start_s: float, end_s: float, max_off_nadir_deg: float
) -> list[Pass]:
    """All passes over an area whose closest_s is within start_s..end_s. Raises GeometryInvalid."""
    search = PassSearch(area_degrees, at, start_s, end_s, max_off_nadir_deg)
    while not search.step(10_000):
        pass
    return search.passes


def contacts(station: Station, at: At, start_s: float, end_s: float) -> list[Contact]:
    """All contacts whose highest point is within start_s..end_s. Raises GeometryInvalid."""
    if not 0 <= station.min_elevation_deg < 90 or abs(station.latitude_deg) > 90:
        raise GeometryInvalid("station", f"{station} is not on the ground with a view of the sky")
    target = _Sky(station)
    found = [each for each in _approaches(target, at, *_checked_window(start_s, end_s)) if each is not None]
    return [Contact(start, end, round(target.elevation_deg(at(top)), 3)) for start, top, end in found]


def ecef(latitude_deg: float, longitude_deg: float, altitude_m: float = 0.0) -> Vector:
    """Earth-centred Earth-fixed metres of a geodetic position (WGS 84)."""
    lat, lon = math.radians(latitude_deg), math.radians(longitude_deg)
    normal_m = SEMI_MAJOR_M / math.sqrt(1.0 - ECCENTRICITY_2 * math.sin(lat) ** 2)
    return (
        (normal_m + altitude_m) * math.cos(lat) * math.cos(lon),
        (normal_m + altitude_m) * math.cos(lat) * math.sin(lon),
        (normal_m * (1.0 - ECCENTRICITY_2) + altitude_m) * math.sin(lat),
    )


def _up(latitude_deg: float, longitude_deg: float) -> Vector:
    lat, lon = math.radians(latitude_deg), math.radians(longitude_deg)
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _minus(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _angle_deg(a: Vector, b: Vector) -> float:
    c = _cross(a, b)
    return math.degrees(math.atan2(math.sqrt(_dot(c, c)), _dot(a, b)))


class _Area:
    """A polygon, seen from above."""

    def __init__(self, area_degrees: Sequence[tuple[float, float]], max_off_nadir_deg: float) -> None:
        self._max_deg = max_off_nadir_deg
        self._vertices = [ecef(lat, lon) for lon, lat in area_degrees]
        middle = [sum(axis) / len(self._vertices) for axis in zip(*self._vertices, strict=True)]
        lon = math.degrees(math.atan2(middle[1], middle[0]))
        flat = math.hypot(middle[0], middle[1]) * (1.0 - ECCENTRICITY_2)
        lat = math.degrees(math.atan2(middle[2], flat))
        self._middle, self._middle_up = ecef(lat, lon), _up(lat, lon)
        self._radius_deg = max(_angle_deg(self._middle, vertex) for vertex in self._vertices)

    def closeness(self, fix: NavigationFix) -> float:
        view = _minus(self._middle, fix.position_ecef_m)
        if _dot(view, self._middle_up) >= 0:  # the satellite is below the middle's horizon
            return _BELOW_HORIZON + _angle_deg(self._middle, fix.position_ecef_m)
        up = _up(fix.latitude_deg, fix.longitude_deg)
        return _angle_deg(view, (-up[0], -up[1], -up[2]))

    def visible(self, fix: NavigationFix) -> bool:
        if _dot(_minus(self._middle, fix.position_ecef_m), self._middle_up) >= 0:
            return False
        return self.nearest_deg(fix) <= self._max_deg

    def nearest_deg(self, fix: NavigationFix) -> float:
        """Off-nadir angle to the nearest point of the polygon; 0 when it is below the satellite."""
        up = _up(fix.latitude_deg, fix.longitude_deg)
        east = (-math.sin(math.radians(fix.longitude_deg)), math.cos(math.radians(fix.longitude_deg)), 0.0)
        north = _cross(up, east)
        plane: list[tuple[float, float]] = []  # where the lines of sight cut a plane at distance 1 below
        for vertex in self._vertices:
            view = _minus(vertex, fix.position_ecef_m)
            down = -_dot(view, up)
            if down <= 0:
                return 90.0
            plane.append((_dot(view, east) / down, _dot(view, north) / down))
        inside = False
        nearest = math.inf
        for (x0, y0), (x1, y1) in zip(plane, plane[1:] + plane[:1], strict=True):
            if (y0 > 0) != (y1 > 0) and x0 + (x1 - x0) * -y0 / (y1 - y0) > 0:
                inside = not inside
            length_2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
            along = min(max(-(x0 * (x1 - x0) + y0 * (y1 - y0)) / length_2, 0.0), 1.0) if length_2 else 0.0
            nearest = min(nearest, math.hypot(x0 + along * (x1 - x0), y0 + along * (y1 - y0)))
        return 0.0 if inside else math.degrees(math.atan(nearest))

    def least_wait_s(self, fix: NavigationFix) -> float:
        radius_m = math.sqrt(_dot(fix.position_ecef_m, fix.position_ecef_m)) * 1.02
        sine = min(radius_m / (SEMI_MAJOR_M - 22_000.0) * math.sin(math.radians(self._max_deg + 0.2)), 1.0)
        reach_deg = math.degrees(math.asin(sine)) - self._max_deg if sine < 1.0 else 90.0 - self._max_deg
        return _wait_s(fix, _angle_deg(self._middle, fix.position_ecef_m) - self._radius_deg - reach_deg - 1.0)


class _Sky:
    """The sky over a station."""

    def __init__(self, station: Station) -> None:
        self._min_deg = station.min_elevation_deg
        self._place = ecef(station.latitude_deg, station.longitude_deg, station.altitude_m)
        self._up = _up(station.latitude_deg, station.longitude_deg)

    def elevation_deg(self, fix: NavigationFix) -> float:
        return 90.0 - _angle_deg(_minus(fix.position_ecef_m, self._place), self._up)

    def closeness(self, fix: NavigationFix) -> float:
        return -self.elevation_deg(fix)

    def visible(self, fix: NavigationFix) -> bool:
        return self.elevation_deg(fix) >= self._min_deg

    def least_wait_s(self, fix: NavigationFix) -> float:
        radius_m = math.sqrt(_dot(fix.position_ecef_m, fix.position_ecef_m)) * 1.02
        elevation = math.radians(self._min_deg)
        reach_deg = math.degrees(math.acos((SEMI_MAJOR_M - 22_000.0) * math.cos(elevation) / radius_m) - elevation)
        return _wait_s(fix, _angle_deg(self._place, fix.position_ecef_m) - reach_deg - 1.0)


def _wait_s(fix: NavigationFix, left_deg: float) -> float:
    """Time in which the point below the satellite moves by `left_deg` at most."""
    speed = math.sqrt(_dot(fix.velocity_ecef_m_s, fix.velocity_ecef_m_s))
    radius = math.sqrt(_dot(fix.position_ecef_m, fix.position_ecef_m))
    rate_deg_s = math.degrees(speed / radius) * 1.1
    return left_deg / rate_deg_s if left_deg > 0 else 0.0


def _checked_window(start_s: float, end_s: float) -> tuple[float, float]:
    if not (math.isfinite(start_s) and math.isfinite(end_s) and end_s - start_s <= LONGEST_SEARCH_S):
        raise GeometryInvalid("window", f"{start_s} .. {end_s} is not finite or longer than {LONGEST_SEARCH_S:.0f} s")
    return start_s, end_s


_Work = Generator["tuple[float, float, float] | None", None, None]


def _approaches(target: _Target, at: At, start_s: float, end_s: float) -> _Work:
    """(start, closest, end) of every time in view, None after each evaluation in between."""
    time_s = math.floor(start_s / GRID_S) * GRID_S - 2 * GRID_S
    last_s = math.ceil(end_s / GRID_S) * GRID_S + 2 * GRID_S
    before: list[tuple[float, float]] = []  # the two samples just before, when no gap parts them
    while time_s <= last_s:
        fix = at(time_s)
        yield None
        before.append((time_s, target.closeness(fix)))
        if len(before) == 3:
            (_, a), (middle_s, b), (_, c) = before
            before.pop(0)
            if b < a and b <= c:
                found = yield from _refined(target, at, middle_s)
                if found is not None and start_s <= found[1] <= end_s:
                    yield found
        jump_s = min(target.least_wait_s(fix), _LONGEST_JUMP_S) // GRID_S * GRID_S - 2 * GRID_S
        if jump_s >= GRID_S:
            before.clear()
        time_s += max(jump_s, GRID_S)


def _refined(target: _Target, at: At, middle_s: float) -> Generator[None, None, tuple[float, float, float] | None]:
    """The time in view round a closest approach that lies within a grid step of `middle_s`; None when out of view."""
    second = middle_s
    values = {second: target.closeness(at(second))}
    yield None
    for step in (1.0, -1.0):  # down to the whole second that is closest
        while True:
            if second + step not in values:
                values[second + step] = target.closeness(at(second + step))
                yield None
            if not values[second + step] < values[second]:
                break
            second += step
    low, high = second - 1.0, second + 1.0
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = target.closeness(at(left)), target.closeness(at(right))
    yield None
    while high - low > 0.002:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = target.closeness(at(left))
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = target.closeness(at(right))
        yield None
    closest_s = round((low + high) / 2, 1)
    if not target.visible(at(closest_s)):
        return None
    start_s = yield from _edge(target, at, second, -1.0)
    end_s = yield from _edge(target, at, second, 1.0)
    return min(start_s, closest_s), closest_s, max(end_s, closest_s)


def _edge(target: _Target, at: At, second: float, direction: float) -> Generator[None, None, float]:
    """Where the view ends, seen from a whole second next to the closest approach."""
    inside = second
    outside = math.floor(second / GRID_S) * GRID_S + (GRID_S if direction > 0 else 0.0)
    while target.visible(at(outside)):
        yield None
        inside, outside = outside, outside + direction * GRID_S
        if abs(outside - second) > _LONGEST_EDGE_S:
            return outside
    while abs(outside - inside) > 0.01:
        middle = (inside + outside) / 2 if abs(outside - inside) <= 1.0 else math.floor((inside + outside) / 2)
        if target.visible(at(middle)):
            inside = middle
        else:
            outside = middle
        yield None
    return round((inside + outside) / 2, 1)


def elevation_deg(station: Station, fix: NavigationFix) -> float:
    """How high the satellite stands over the station's horizon at a fix; negative below it."""
    return _Sky(station).elevation_deg(fix)

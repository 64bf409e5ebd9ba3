"""A job's area: one simple polygon in 1e-7 degrees, and the few questions that admission asks of it.

A ring is an unclosed tuple of (longitude, latitude); edges are straight in longitude and latitude, as in RFC 7946, and
do not cross the antimeridian. All arithmetic on vertices is in integers, so that every machine gives the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flight.agent.claims import DEGREE_E7
from flight.agent.errors import ClaimsInvalid
from flight.agent.reasons import Reason

Point = tuple[int, int]
Ring = tuple[Point, ...]

MAX_VERTICES = 64
_KM_PER_DEGREE = 111.32


@dataclass(frozen=True, slots=True)
class Box:
    """West, south, east, north in 1e-7 degrees, edges included."""

    west: int
    south: int
    east: int
    north: int

    def covers(self, ring: Ring) -> bool:
        return all(self.west <= x <= self.east and self.south <= y <= self.north for x, y in ring)


def ring_of(degrees: Iterable[Sequence[float]]) -> Ring:
    """Vertices in degrees (longitude, latitude), as a ring; a closing vertex is dropped.

    >>> ring_of([(0.0, 0.0), (1.0, 0.0), (0.0, 0.5), (0.0, 0.0)])
    ((0, 0), (10000000, 0), (0, 5000000))
    """
    ring = [(round(point[0] * DEGREE_E7), round(point[1] * DEGREE_E7)) for point in degrees]
    if len(ring) > 1 and ring[0] == ring[-1]:
        ring.pop()
    return tuple(ring)


def degrees_of(ring: Ring) -> tuple[tuple[float, float], ...]:
    """The ring in degrees (longitude, latitude), unclosed."""
    return tuple((x / DEGREE_E7, y / DEGREE_E7) for x, y in ring)


def checked_ring(ring: Ring) -> Ring:
    """`ring` if it is one simple polygon with an area. Raises ClaimsInvalid (AREA_INVALID)."""
    count = len(ring)
    if not 3 <= count <= MAX_VERTICES:
        raise _invalid(f"{count} vertices where 3 to {MAX_VERTICES} are taken")
    edges = [(ring[i], ring[(i + 1) % count]) for i in range(count)]
    for (x0, y0), (x1, y1) in edges:
        if (x0, y0) == (x1, y1):
            raise _invalid("a vertex twice in a row")
        if abs(x1 - x0) > 180 * DEGREE_E7:
            raise _invalid("an edge across the antimeridian")
    for i in range(count):
        for j in range(i + 1, count):
            if _touch(edges[i], edges[j], adjacent=j == i + 1 or (i == 0 and j == count - 1)):
                raise _invalid("edges cross or touch")
    if twice_area(ring) == 0:
        raise _invalid("no area")
    return ring


def twice_area(ring: Ring) -> int:
    """Twice the signed area in (1e-7 degrees) squared; positive when counter-clockwise."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True))


def area_km2(ring: Ring) -> float:
    """Area on a sphere, good to a percent: for bounds, not for products."""
    middle_deg = sum(y for _, y in ring) / len(ring) / DEGREE_E7
    square_degrees = abs(twice_area(ring)) / 2 / DEGREE_E7**2
    return square_degrees * _KM_PER_DEGREE**2 * math.cos(math.radians(middle_deg))


def _invalid(detail: str) -> ClaimsInvalid:
    return ClaimsInvalid("job", "area", detail, Reason.AREA_INVALID)


def _touch(first: tuple[Point, Point], second: tuple[Point, Point], *, adjacent: bool) -> bool:
    """Whether two edges share a point that they should not share."""
    (a, b), (c, d) = first, second
    if max(a[0], b[0]) < min(c[0], d[0]) or max(c[0], d[0]) < min(a[0], b[0]):
        return False
    if max(a[1], b[1]) < min(c[1], d[1]) or max(c[1], d[1]) < min(a[1], b[1]):
        return False
    if adjacent:  # they share one vertex; anything more is a spike that runs back over itself
        shared, before, after = (b, a, d) if b == c else (a, b, c)
        folded = (before[0] - shared[0]) * (after[0] - shared[0]) + (before[1] - shared[1]) * (after[1] - shared[1])
        return _side(before, shared, after) == 0 and folded > 0
    sides = _sign(_side(a, b, c)), _sign(_side(a, b, d)), _sign(_side(c, d, a)), _sign(_side(c, d, b))
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    ends = ((a, b, c, sides[0]), (a, b, d, sides[1]), (c, d, a, sides[2]), (c, d, b, sides[3]))
    return any(side == 0 and _within(p, q, r) for p, q, r, side in ends)


def _side(a: Point, b: Point, c: Point) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _within(a: Point, b: Point, c: Point) -> bool:
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])

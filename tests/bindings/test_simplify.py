"""Simplified rings against the definition in plain Python, with exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindings.faults import BufferMismatch, GeometryRefused
from bindings.simplify import PIECE, PLACE_MAX, TOLERANCE_MAX, simplify_ring, simplify_rings

pytestmark = pytest.mark.arm
Place = tuple[int, int]
Ring = list[Place]


def squared_to_segment(p: Place, a: Place, b: Place) -> Fraction:
    (px, py), (ex, ey) = (p[0] - a[0], p[1] - a[1]), (b[0] - a[0], b[1] - a[1])
    length = ex * ex + ey * ey
    along = px * ex + py * ey
    if along <= 0:
        return Fraction(px * px + py * py)
    if along >= length:
        return Fraction((p[0] - b[0]) ** 2 + (p[1] - b[1]) ** 2)
    return Fraction((px * ey - py * ex) ** 2, length)


def by_row(p: Place) -> Place:
    return p[1], p[0]


def doubled_area(ring: Ring) -> int:
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(ring, ring[1:] + ring[:1], strict=True))


def without_repeats(ring: Ring) -> Ring:
    kept = [p for i, p in enumerate(ring) if i == 0 or p != ring[i - 1]]
    while len(kept) > 1 and kept[0] == kept[-1]:
        kept.pop()
    return kept


def least(ring: Ring) -> Ring:
    return min((ring[i:] + ring[:i] for i in range(len(ring))), key=lambda r: list(map(by_row, r)))


def farthest(places: list[tuple[Fraction, Place, int]]) -> tuple[Fraction, Place, int]:
    return max(places, key=lambda item: (item[0], -item[1][1], -item[1][0], -item[2]))


def between(ring: Ring, start: int, end: int, tolerance: int) -> set[int]:
    """Indices that stay between two that do; index len(ring) is 0 again."""
    a, b = ring[start], ring[end % len(ring)]
    inner = [(squared_to_segment(ring[i], a, b), ring[i], i) for i in range(start + 1, end)]
    if not inner:
        return set()
    far, _, split = farthest(inner)
    if far <= tolerance**2:
        return set()
    return {split} | between(ring, start, split, tolerance) | between(ring, split, end, tolerance)


def reference(given: Ring, tolerance: int, keep_collapsed: bool) -> Ring:
    ring = without_repeats(given)
    if len(ring) < 3 or doubled_area(ring) == 0:
        return []
    ring = least(ring)
    origin = ring[0]
    _, _, other = farthest([(squared_to_segment(p, origin, origin), p, i) for i, p in enumerate(ring)][1:])
    stays = {0, other} | between(ring, 0, other, tolerance) | between(ring, other, len(ring), tolerance)
    kept = without_repeats([ring[i] for i in sorted(stays)])
    if len(kept) >= 3 and doubled_area(kept) != 0:
        return least(kept)
    if not keep_collapsed:
        return []
    areas = [(Fraction(abs(doubled_area([origin, ring[other], p]))), p, i) for i, p in enumerate(ring)][1:]
    return [ring[i] for i in sorted({0, other, farthest(areas)[2]})]


def simplified(ring: Ring, tolerance: int, keep_collapsed: bool = True) -> Ring:
    array = np.array(ring, np.int32).reshape(-1, 2)
    return [(x, y) for x, y in simplify_ring(array, tolerance, keep_collapsed=keep_collapsed).tolist()]


near = st.tuples(st.integers(-12, 12), st.integers(-12, 12))
grid = st.tuples(st.integers(0, 3), st.integers(0, 3))  # many equal, collinear, spikes
far = st.tuples(*[st.integers(-PLACE_MAX, PLACE_MAX) | st.sampled_from([-PLACE_MAX, PLACE_MAX])] * 2)


@settings(max_examples=500, deadline=None)
@given(
    ring=st.lists(near, max_size=20) | st.lists(grid, max_size=12) | st.lists(far, max_size=8),
    tolerance=st.integers(0, 8) | st.sampled_from([1000, TOLERANCE_MAX]),
    keep_collapsed=st.booleans(),
)
def test_the_vertices_that_stay_are_those_of_the_definition(ring: Ring, tolerance: int, keep_collapsed: bool) -> None:
    assert simplified(ring, tolerance, keep_collapsed) == reference(ring, tolerance, keep_collapsed)


def simple_ring(steps: list[tuple[int, int]]) -> Ring:
    """Star-shaped about (0, 0), so no place is passed twice: radius and angle step by step, in whole numbers."""
    return [(round(r * np.cos(i * 0.3)), round(r * np.sin(i * 0.3))) for i, (r, _) in enumerate(steps)]


@settings(max_examples=150, deadline=None)
@given(
    radii=st.lists(st.tuples(st.integers(40, 400), st.just(0)), min_size=3, max_size=20),
    tolerance=st.integers(0, 60),
    start=st.integers(0, 19),
)
def test_neither_start_nor_direction_changes_what_stays(
    radii: list[tuple[int, int]], tolerance: int, start: int
) -> None:
    ring = simple_ring(radii)
    made = simplified(ring, tolerance)
    start %= len(ring)
    assert simplified(ring[start:] + ring[:start], tolerance) == made
    assert sorted(simplified(ring[::-1], tolerance)) == sorted(made)
    if made:
        assert len(set(made)) >= 3 and set(made) <= set(ring)
        assert made[0] == min(made, key=by_row)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(near, max_size=9), max_size=6), st.integers(0, 5), st.integers(0, 63))
def test_many_rings_are_simplified_as_each_of_them(rings: list[Ring], tolerance: int, keep: int) -> None:
    counts = np.array([len(ring) for ring in rings], np.int32)
    flat = np.array([p for ring in rings for p in ring], np.int32).reshape(-1, 2)
    kept = np.array([bool(keep >> i & 1) for i in range(len(rings))], bool)
    vertices, left = simplify_rings(flat, counts, tolerance, kept)
    each = [simplified(ring, tolerance, bool(k)) for ring, k in zip(rings, kept, strict=True)]
    assert [(x, y) for x, y in vertices.tolist()] == [p for ring in each for p in ring]
    assert left.tolist() == [len(ring) for ring in each]


def test_stairs_become_the_slope_they_follow() -> None:
    stairs = [(4 * ((i + 1) // 2), 4 * (i // 2)) for i in range(81)]
    ring = [*stairs, (0, 160)]
    assert simplified(ring, 0) == ring
    assert len(simplified(ring, 4)) == 3


def test_a_ring_smaller_than_the_tolerance_is_a_triangle_or_nothing() -> None:
    pixel = [(8, 8), (12, 8), (12, 12), (8, 12)]
    assert simplified(pixel, 100) == [(8, 8), (12, 8), (12, 12)]
    assert simplified(pixel, 100, keep_collapsed=False) == []
    assert simplified([(0, 0), (9, 0), (4, 0)], 0) == []


def test_long_rings_are_cut_in_pieces_so_that_time_stays_linear() -> None:
    count = 3 * PIECE
    comb = [(i, 0 if i % 2 else 1000) for i in range(count)] + [(count, -5000), (-1, -5000)]
    made = simplified(comb, 0)
    assert len(made) == len(comb)
    line = [(i, 0) for i in range(count)] + [(count // 2, 9)]
    assert set(simplified(line, 2)) >= {(0, 0), (count - 1, 0), (count // 2, 9)}
    assert len(simplified(line, 2)) <= 3 + count // PIECE


def test_what_does_not_fit_is_refused() -> None:
    ring, one, yes = np.zeros((4, 2), np.int32), np.array([4], np.int32), np.array([True])
    for tolerance in (-1, TOLERANCE_MAX + 1):
        with pytest.raises(GeometryRefused):
            simplify_rings(ring, one, tolerance, yes)
    for place in (PLACE_MAX + 1, -PLACE_MAX - 1):
        with pytest.raises(GeometryRefused):
            simplify_ring(np.array([[0, 0], [place, 0], [0, 1]], np.int32), 1)
    for wrong in (
        (ring.astype(np.int64), one, 1, yes),
        (np.zeros((4, 3), np.int32), one, 1, yes),
        (ring, np.array([3], np.int32), 1, yes),
        (ring, np.array([5, -1], np.int32), 1, np.array([True, True])),
        (ring, one, 1, np.array([True, True])),
        (ring, one, 1, np.array([1], np.uint8)),
        (ring[::2], np.array([2], np.int32), 1, yes),
    ):
        with pytest.raises(BufferMismatch):
            simplify_rings(*wrong)

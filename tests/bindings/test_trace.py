"""Outlines against a plain walk along pixel edges: the same loops, each simple, each hole with its part."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.faults import BufferMismatch
from bindings.trace import label_runs, trace_outlines, trace_polygons

pytestmark = pytest.mark.arm
Place = tuple[int, int]


def edges(bits: NDArray[np.bool_]) -> dict[Place, list[Place]]:
    """From each corner the next ones, the class at the right hand."""
    padded = np.pad(bits, 1)
    following: dict[Place, list[Place]] = {}
    for row, col in zip(*np.nonzero(bits), strict=True):
        y, x = int(row), int(col)
        for dy, dx, a, b in ((-1, 0, (x, y), (x + 1, y)), (0, 1, (x + 1, y), (x + 1, y + 1)),
                             (1, 0, (x + 1, y + 1), (x, y + 1)), (0, -1, (x, y + 1), (x, y))):  # fmt: skip
            if not padded[y + 1 + dy, x + 1 + dx]:
                following.setdefault(a, []).append(b)
    return following


def without_straight(ring: list[Place]) -> list[Place]:
    ends = zip(ring[-1:] + ring[:-1], ring, ring[1:] + ring[:1], strict=True)
    return [p for a, p, b in ends if (p[0] - a[0]) * (b[1] - p[1]) != (p[1] - a[1]) * (b[0] - p[0])]


def reference(bits: NDArray[np.bool_]) -> list[list[Place]]:
    """All loops: at a corner that is met twice the walk turns right, and what it has gone round since is a loop."""
    following, loops = edges(bits), []
    while following:
        start = min(following, key=lambda p: (p[1], p[0]))
        walk, at, came = [start], start, (0, 0)
        while True:
            choices = following[at]
            right = (-came[1], came[0])  # y runs down
            step = next((b for b in choices if (b[0] - at[0], b[1] - at[1]) == right), choices[0])
            choices.remove(step)
            if not choices:
                del following[at]
            came, at = (step[0] - at[0], step[1] - at[1]), step
            if at in walk:
                loop = walk[walk.index(at) :]
                loops.append(without_straight(loop))
                del walk[walk.index(at) + 1 :]
                if len(walk) == 1:
                    break
            else:
                walk.append(at)
    return loops


def turned(ring: list[Place]) -> tuple[Place, ...]:
    first = ring.index(min(ring))
    return tuple(ring[first:] + ring[:first])


def doubled_area(ring: list[Place]) -> int:
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(ring, ring[1:] + ring[:1], strict=True))


maps = st.tuples(
    st.integers(1, 12), st.integers(1, 12), st.sampled_from([0.1, 0.4, 0.5, 0.6, 0.9]), st.integers(0, 10**6)
)


@settings(max_examples=200, deadline=None)
@given(maps)
def test_loops_are_those_of_a_plain_walk(made: tuple[int, int, float, int]) -> None:
    rows, cols, filled, seed = made
    class_map = (np.random.default_rng(seed).random((rows, cols)) < filled).astype(np.uint8)
    runs = label_runs(class_map, 1)
    outlines = trace_outlines(class_map, 1, runs)
    pieces = np.split(outlines.vertices, np.cumsum(outlines.vertex_counts)[:-1]) if len(outlines.vertex_counts) else []
    rings = [[(x, y) for x, y in piece.tolist()] for piece in pieces]
    assert sorted(map(turned, rings)) == sorted(map(turned, reference(class_map == 1)))
    assert all(len(set(ring)) == len(ring) for ring in rings)
    pixels, ring = runs.pixels(), 0
    assert len(outlines.ring_counts) == runs.parts
    for part, count in enumerate(outlines.ring_counts.tolist()):
        areas = [doubled_area(each) for each in rings[ring : ring + count]]
        assert areas[0] > 0 and all(area < 0 for area in areas[1:])
        assert sum(areas) == 2 * pixels[part]
        ring += count
    polygons = list(trace_polygons(class_map, 1, runs))
    assert [ring.tolist() for p in polygons for ring in (p.exterior, *p.holes)] == [piece.tolist() for piece in pieces]


def test_runs_of_another_map_are_refused() -> None:
    one, two = np.eye(3, dtype=np.uint8), np.ones((3, 3), np.uint8)
    for wrong, runs in ((one, label_runs(two, 1)), (two, label_runs(one, 1)), (two, label_runs(two, 7))):
        with pytest.raises(BufferMismatch):
            trace_outlines(wrong, 1, runs)


def test_a_map_without_the_class_has_no_outline() -> None:
    nothing = np.zeros((3, 4), np.uint8)
    outlines = trace_outlines(nothing, 1, label_runs(nothing, 1))
    assert len(outlines.ring_counts) == len(outlines.vertex_counts) == len(outlines.vertices) == 0

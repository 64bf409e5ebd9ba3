"""Douglas-Peucker on closed rings in whole numbers: the same result for equal rings on every machine."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bindings.faults import BufferMismatch, GeometryRefused
from bindings.ffi import check, ffi, lib, view

PLACE_MAX: Final = int(lib.SW_SIMPLIFY_PLACE_MAX)
TOLERANCE_MAX: Final = int(lib.SW_SIMPLIFY_TOLERANCE_MAX)
PIECE: Final = int(lib.SW_SIMPLIFY_PIECE)


def simplify_ring(ring: NDArray[np.int32], tolerance: int, *, keep_collapsed: bool = True) -> NDArray[np.int32]:
    """One ring, (n, 2) int32 x, y, not closed; the result is (m, 2). See simplify_rings()."""
    vertices, _ = simplify_rings(ring, np.array([len(ring)], np.int32), tolerance, np.array([keep_collapsed]))
    return vertices


def simplify_rings(
    vertices: NDArray[np.int32],
    ring_vertices: NDArray[np.int32],
    tolerance: int,
    keep_collapsed: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Rings with fewer vertices, and how many each has left (0: dropped).

    vertices: (v, 2) int32 x, y within PLACE_MAX, the rings one after another, not closed; ring_vertices: (r,) int32,
    which add up to v; tolerance: 0 to TOLERANCE_MAX in the unit of the vertices (quarters of a pixel in products):
    every vertex left out lies at most so far from the edge (as a segment) that stands for it. keep_collapsed: (r,)
    bool: where less than a triangle with area is left, keep a triangle of vertices far apart, or drop the ring.

    Vertices that stay are never moved. A ring begins at its least rotation by (y, x); neither its start nor (up to
    PIECE vertices, and where it passes no place twice) its direction changes which vertices stay. Rings without area
    are dropped. Each ring is simplified for itself: with a tolerance of 1 or more a ring may cross itself or another
    one. Time: linear, at most about 2 * PIECE steps a vertex. Raises BufferMismatch, GeometryRefused. Releases the GIL.
    """
    source = ffi.cast("int32_t *", view("vertices", vertices, np.int32, 2))
    counts = ffi.cast("int32_t *", view("ring_vertices", ring_vertices, np.int32, 1))
    if vertices.shape[1] != 2:
        raise BufferMismatch("vertices", f"(v, 2) is needed, got {vertices.shape}")
    rings = len(ring_vertices)
    longest = int(ring_vertices.max(initial=0))
    if int(ring_vertices.min(initial=0)) < 0 or int(ring_vertices.sum(dtype=np.int64)) != len(vertices):
        raise BufferMismatch("ring_vertices", f"do not add up to {len(vertices)}")
    if not 0 <= tolerance <= TOLERANCE_MAX:
        raise GeometryRefused(f"a tolerance from 0 to {TOLERANCE_MAX} is needed, got {tolerance}")
    if vertices.size and (int(vertices.min()) < -PLACE_MAX or int(vertices.max()) > PLACE_MAX):
        raise GeometryRefused(f"a vertex is not within {PLACE_MAX} of zero")
    keep = ffi.cast("uint8_t *", view("keep_collapsed", keep_collapsed, np.bool_, 1, shape=(rings,)))
    out, left = np.empty_like(vertices, order="C"), np.empty(rings, np.int32)
    scratch = np.empty(max(longest, 1), np.uint8)
    made = check(
        lib.sw_simplify_rings(
            source,
            counts,
            rings,
            tolerance,
            keep,
            _int32(out, 2),
            _int32(left, 1),
            ffi.cast("uint8_t *", view("scratch", scratch, np.uint8, 1, writable=True)),
        )
    )
    return out[:made].copy(), left


def _int32(array: NDArray[np.int32], ndim: int) -> Any:
    return ffi.cast("int32_t *", view("out", array, np.int32, ndim, writable=True))

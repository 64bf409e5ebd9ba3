"""Outlines of one class of a map, exactly along pixel edges: polygons with holes, in a fixed order.

Pixels hang together where they share an edge (4-connected). A polygon's rings never cross or touch themselves: where an
outline would pass a corner twice it is cut in two rings there, so every polygon is a valid simple feature.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bindings.faults import BufferMismatch
from bindings.ffi import check, ffi, lib, view

_FIRST_POINTS = 1 << 16
_RINGS_A_CALL = 1 << 12


@dataclass(frozen=True, slots=True)
class Runs:
    """The class as horizontal runs in raster order: row, first column, column after the last, number of its part."""

    row: NDArray[np.int32]
    first: NDArray[np.int32]
    end: NDArray[np.int32]
    part: NDArray[np.int32]
    parts: int

    def pixels(self) -> NDArray[np.int64]:
        """Pixels of each part."""
        return np.bincount(self.part, weights=self.end - self.first, minlength=self.parts).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Polygon:
    """One part. Rings are (n, 2) int32 corners x, y in pixels (x right, y down), not closed.

    Seen on screen the exterior runs clockwise and the holes the other way.
    """

    exterior: NDArray[np.int32]
    holes: tuple[NDArray[np.int32], ...]


def label_runs(class_map: NDArray[np.uint8], value: int) -> Runs:
    """The runs and parts of the pixels equal to `value`. Parts are numbered by their first pixel in raster order.

    class_map: (rows, cols) uint8, rows contiguous. Raises BufferMismatch. Memory: 20 bytes a run.
    """
    address, rows, cols, stride = _map(class_map)
    count = int(lib.sw_runs_count(address, rows, cols, stride, value))
    if count >= 1 << 31:
        raise BufferMismatch("class_map", f"{count} runs, fewer than {1 << 31} are taken")
    row, first, end, part, parent = (np.empty(count, np.int32) for _ in range(5))
    pointers = [
        ffi.cast("int32_t *", view("runs", array, np.int32, 1, writable=True))
        for array in (row, first, end, part, parent)
    ]
    parts = check(lib.sw_runs_label(address, rows, cols, stride, value, count, *pointers))
    return Runs(row, first, end, part, parts)


@dataclass(frozen=True, slots=True)
class Outlines:
    """All parts as columns: rings one after another, the exterior of each part before its holes."""

    ring_counts: NDArray[np.int32]  # (parts,) rings of each part
    vertex_counts: NDArray[np.int32]  # (rings,) corners of each ring, not closed
    vertices: NDArray[np.int32]  # (corners, 2) x, y in pixels


def trace_outlines(class_map: NDArray[np.uint8], value: int, runs: Runs) -> Outlines:
    """The rings of each part of `runs`, in their order; directions as in Polygon.

    runs: label_runs() of the same map and value. Memory: some 60 octets a corner, one bit a pixel. Raises
    BufferMismatch.
    """
    points, ends, starts, pinched = _rings(class_map, value)
    vertices, counts, rings, outer = _cut_at_pinches(points, ends, pinched)
    keys = runs.row.astype(np.int64) * class_map.shape[1] + runs.first
    parts = runs.part[np.maximum(np.searchsorted(keys, starts, side="right") - 1, 0)][rings] if runs.parts else rings
    ring_counts = np.bincount(parts, minlength=runs.parts)
    exteriors = np.bincount(parts, weights=outer, minlength=runs.parts)
    if len(ring_counts) != runs.parts or (exteriors != 1).any():
        raise BufferMismatch("runs", "are not those of this map: a part has not one outline")
    order = np.lexsort((np.arange(len(parts)), 1 - outer, parts))
    begins = (np.cumsum(counts) - counts)[order]
    counts = counts[order]
    within = np.cumsum(counts) - counts
    places = np.arange(len(vertices)) + np.repeat(begins - within, counts)
    return Outlines(ring_counts.astype(np.int32), counts.astype(np.int32), vertices[places])


def trace_polygons(class_map: NDArray[np.uint8], value: int, runs: Runs) -> Iterator[Polygon]:
    """One polygon for each part of `runs`, in their order: trace_outlines(), part by part.

    runs: label_runs() of the same map and value. Raises BufferMismatch.
    """
    outlines = trace_outlines(class_map, value, runs)
    ends = np.cumsum(outlines.vertex_counts, dtype=np.int64).tolist()
    start = ring = 0
    for count in outlines.ring_counts.tolist():
        rings = []
        for end in ends[ring : ring + count]:
            rings.append(outlines.vertices[start:end])
            start = end
        ring += count
        yield Polygon(rings[0], tuple(rings[1:]))


def _map(class_map: NDArray[np.uint8]) -> tuple[object, int, int, int]:
    address = ffi.cast("uint8_t *", view("class_map", class_map, np.uint8, 2, contiguous=False))
    rows, cols = class_map.shape
    if not (0 < rows < 1 << 31 and 0 < cols < 1 << 31):
        raise BufferMismatch("class_map", f"{rows} x {cols} pixels")
    return address, rows, cols, class_map.strides[0] if rows > 1 else cols


def _rings(
    class_map: NDArray[np.uint8], value: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """All rings: corners (n, 2), and per ring the corner after its last, a pixel of its part, whether it is pinched."""
    address, rows, cols, stride = _map(class_map)
    visited = np.zeros((rows * cols + 7) // 8, np.uint8)
    bits = ffi.cast("uint8_t *", view("visited", visited, np.uint8, 1, writable=True))
    capacity = _FIRST_POINTS
    found: list[tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]] = []
    corners = 0
    state = ffi.new("sw_rings *")
    while state.cursor < rows * cols:
        points = np.empty((capacity, 2), np.int32)
        ends, starts = np.empty(_RINGS_A_CALL, np.int64), np.empty(_RINGS_A_CALL, np.int64)
        pinched = np.empty(_RINGS_A_CALL, np.uint8)
        state.points = ffi.cast("int32_t *", view("points", points, np.int32, 2, writable=True))
        state.ring_end = ffi.cast("int64_t *", view("ends", ends, np.int64, 1, writable=True))
        state.ring_start = ffi.cast("int64_t *", view("starts", starts, np.int64, 1, writable=True))
        state.ring_pinched = ffi.cast("uint8_t *", view("pinched", pinched, np.uint8, 1, writable=True))
        state.point_capacity, state.ring_capacity = capacity, _RINGS_A_CALL
        check(lib.sw_trace_rings(address, rows, cols, stride, value, bits, state))
        count, used = int(state.ring_count), int(state.point_count)
        if count == 0 and used > capacity:
            capacity = used
            continue
        found.append((points[:used].copy(), ends[:count] + corners, starts[:count], pinched[:count]))
        corners += used
    points, ends, starts, pinched = (np.concatenate(column) for column in zip(*found, strict=True))
    return points, ends, starts, pinched


def _cut_at_pinches(
    points: NDArray[np.int32], ends: NDArray[np.int64], pinched: NDArray[np.uint8]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Loops that pass no corner twice: their corners, and per loop its corners, its ring, whether it is an exterior."""
    lengths = np.diff(ends, prepend=0)
    longest = int(lengths.max(initial=1))
    if longest >= 1 << 30:
        raise BufferMismatch("class_map", f"an outline of {longest} corners, fewer than {1 << 30} are taken")
    table_bits = max(1, (2 * longest - 1).bit_length())
    capacity = len(points) // 4
    out = np.empty_like(points)
    loop_end, loop_ring = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    outer = np.empty(capacity, np.uint8)
    path, place, table = (np.empty(size, np.int32) for size in (longest, longest, 1 << table_bits))
    count = check(
        lib.sw_rings_cut(
            _address("int32_t *", points, np.int32, 2),
            _address("int64_t *", ends, np.int64),
            _address("uint8_t *", pinched, np.uint8),
            len(ends),
            _address("int32_t *", out, np.int32, 2),
            _address("int64_t *", loop_end, np.int64),
            _address("int64_t *", loop_ring, np.int64),
            _address("uint8_t *", outer, np.uint8),
            capacity,
            *(_address("int32_t *", scratch, np.int32) for scratch in (path, place, table)),
            table_bits,
        )
    )
    return out, np.diff(loop_end[:count], prepend=0), loop_ring[:count], outer[:count]


def _address(pointer: str, array: NDArray[Any], dtype: DTypeLike, ndim: int = 1) -> Any:
    return ffi.cast(pointer, view("scratch", array, dtype, ndim, writable=True))

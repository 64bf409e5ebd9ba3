"""Outlines of one class of a map, exactly along pixel edges: polygons with holes, in a fixed order.

Pixels hang together where they share an edge (4-connected). A polygon's rings never cross or touch themselves: where an
outline would pass a corner twice it is cut in two rings there, so every polygon is a valid simple feature.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


def trace_polygons(class_map: NDArray[np.uint8], value: int, runs: Runs) -> Iterator[Polygon]:
    """One polygon for each part of `runs`, in their order.

    runs: label_runs() of the same map and value. Raises BufferMismatch.
    """
    points, ends, starts, pinched = _rings(class_map, value)
    keys = runs.row.astype(np.int64) * class_map.shape[1] + runs.first
    parts = runs.part[np.searchsorted(keys, starts, side="right") - 1]
    order = np.argsort(parts, kind="stable")
    bounds = np.searchsorted(parts[order], np.arange(runs.parts + 1))
    begins = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    for part in range(runs.parts):
        exterior: NDArray[np.int32] | None = None
        holes: list[NDArray[np.int32]] = []
        for ring in order[bounds[part] : bounds[part + 1]]:
            corners = points[begins[ring] : ends[ring]]
            for loop in _cut_at_pinches(corners) if pinched[ring] else [corners]:
                if _area(loop) > 0:
                    exterior = loop
                else:
                    holes.append(loop)
        if exterior is None:
            raise BufferMismatch("runs", f"part {part} has no outline in this map")
        yield Polygon(exterior, tuple(holes))


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


def _cut_at_pinches(corners: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """The ring as loops that pass no corner twice, in the order in which they close."""
    loops: list[NDArray[np.int32]] = []
    path: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for x, y in corners.tolist():
        corner = (x, y)
        if corner in place:
            start = place[corner]
            loop = path[start:]
            loops.append(np.array(loop, np.int32))
            for passed in loop[1:]:
                del place[passed]
            del path[start + 1 :]
        else:
            place[corner] = len(path)
            path.append(corner)
    loops.append(np.array(path, np.int32))
    return loops


def _area(corners: NDArray[np.int32]) -> int:
    """Twice the signed area; positive for a ring that runs clockwise on screen."""
    x, y = corners[:, 0].astype(np.int64), corners[:, 1].astype(np.int64)
    return int(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))

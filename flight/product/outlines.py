"""Regions of a class map as polygons of the vector section: exact outlines, or simplified ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bindings.faults import GeometryRefused
from bindings.simplify import simplify_rings
from bindings.trace import label_runs, trace_outlines
from bindings.vectors import PLACE_MAX
from flight.product.vectors import QUARTERS, Polygons


def outline_polygons(
    class_map: NDArray[np.uint8], classes: Sequence[int], *, tolerance: int = 0, min_pixels: int = 1
) -> tuple[Polygons, NDArray[np.int64]]:
    """One polygon for each part of each of `classes` with at least `min_pixels` pixels, and the pixels of each.

    class_map: (rows, cols) uint8, rows contiguous. Parts are 4-connected, by class in the order given and then by first
    pixel. tolerance, in quarters of a pixel: 0 gives the outlines exactly along pixel edges, always valid polygons;
    above it each ring is simplified for itself (bindings/simplify.py): an exterior that collapses is kept as a
    triangle, a hole that does is left out; rings may then cross themselves or each other, which nothing
    here checks: of 3,197 outlines of water on real scenes none did at up to 4, five at 6, eight at 8.
    Raises BufferMismatch, GeometryRefused.
    """
    if max(class_map.shape) > PLACE_MAX // QUARTERS:
        raise GeometryRefused(
            f"a map of {class_map.shape} pixels, at most {PLACE_MAX // QUARTERS} either way are taken"
        )
    columns: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]] = []
    areas: list[NDArray[np.int64]] = []
    for value in classes:
        runs = label_runs(class_map, value)
        traced = trace_outlines(class_map, value, runs)
        pixels = runs.pixels()
        of_ring = np.repeat(np.arange(runs.parts), traced.ring_counts)
        taken = pixels[of_ring] >= min_pixels
        counts = traced.vertex_counts[taken]
        vertices = traced.vertices[np.repeat(taken, traced.vertex_counts)] * np.int32(QUARTERS)
        owners = of_ring[taken]
        is_exterior = np.diff(owners, prepend=-1) != 0
        vertices, counts = simplify_rings(vertices, counts, tolerance, is_exterior) if tolerance else (vertices, counts)
        left = counts > 0
        part_pixels = pixels[pixels >= min_pixels]
        ring_counts = np.bincount(owners[left], minlength=runs.parts)[pixels >= min_pixels].astype(np.int32)
        columns.append((np.full(len(part_pixels), value, np.int32), ring_counts, counts[left], vertices))
        areas.append(part_pixels)
    if not columns:
        return Polygons.of(()), np.empty(0, np.int64)
    return Polygons(*(np.concatenate(column) for column in zip(*columns, strict=True))), np.concatenate(areas)

"""Boxes found in overlapping tiles as boxes of the scene, each object once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindings.faults import BufferMismatch, GeometryRefused
from bindings.nms import keep_boxes


@dataclass(frozen=True, slots=True)
class FoundBoxes:
    """boxes: (n, 4) float32 x0, y0, x1, y1 in pixels; scores: (n,) float32; classes: (n,) int32."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Square tiles of `side` pixels; neighbours share at least `overlap` of them. Scenes in pixels."""

    side: int
    overlap: int
    scene_rows: int
    scene_cols: int

    def __post_init__(self) -> None:
        if not (0 <= self.overlap < self.side and self.scene_rows > 0 and self.scene_cols > 0):
            raise GeometryRefused(
                f"tiles of {self.side} that share {self.overlap} over {self.scene_rows} x {self.scene_cols} pixels"
            )


def merge_tiles(
    tiles: Sequence[tuple[int, int, FoundBoxes]], grid: TileGrid, *, iou_threshold: float, border: float = 1.0
) -> FoundBoxes:
    """The boxes of all tiles in pixels of the scene, score falling, duplicates along the seams suppressed (keep_boxes).

    tiles: first row and first column of each tile in the scene, and what was found in it, in pixels of the tile. A box
    that comes within `border` pixels of a side of its tile where the scene goes on is cut there: it is left out if it
    begins within the overlap, for the neighbour sees more of that object; longer ones stay. Corners are added in
    double precision and rounded once. Of equal scores the earlier tile's box comes first. Raises BufferMismatch,
    BoxRefused, GeometryRefused.
    """
    kept: list[FoundBoxes] = []
    for row, col, found in tiles:
        count = len(found.boxes)
        if found.boxes.shape != (count, 4) or found.scores.shape != (count,) or found.classes.shape != (count,):
            raise BufferMismatch("tiles", f"boxes {found.boxes.shape}, scores {found.scores.shape}")
        corners = found.boxes.astype(np.float64)
        whole = np.ones(count, bool)
        for axis, first, length in ((0, col, grid.scene_cols), (1, row, grid.scene_rows)):
            start, end = corners[:, axis], corners[:, axis + 2]
            if first > 0:
                whole &= (start > border) | (end > grid.overlap)
            if first + grid.side < length:
                whole &= (end < grid.side - border) | (start < grid.side - grid.overlap)
        placed = (corners[whole] + np.array([col, row, col, row], np.float64)).astype(np.float32)
        kept.append(FoundBoxes(placed, found.scores[whole], found.classes[whole]))
    if not kept:
        return FoundBoxes(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))
    boxes, scores, classes = (
        np.concatenate([getattr(each, name) for each in kept]) for name in ("boxes", "scores", "classes")
    )
    order = keep_boxes(boxes, scores, classes, iou_threshold=iou_threshold)
    return FoundBoxes(boxes[order], scores[order], classes[order])

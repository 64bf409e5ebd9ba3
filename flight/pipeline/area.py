"""Which pixels of a strip lie in the area that a job asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 64  # bounds the memory of one call to so many rows of counters


@dataclass(frozen=True, slots=True)
class PixelArea:
    """Rings in pixel coordinates (column, row), corner convention; non-zero winding rule.

    Holes are rings that run the other way than what they are cut from; where two polygons overlap is inside.
    """

    rings: tuple[tuple[tuple[float, float], ...], ...]
    _edges: NDArray[np.float64] = field(init=False, repr=False, compare=False)  # (5, edges): x0, y0, x1, y1, direction

    def __post_init__(self) -> None:
        starts = [np.array(ring, dtype=np.float64).reshape(-1, 2) for ring in self.rings]
        ends = [np.roll(start, -1, axis=0) for start in starts]
        start, end = (np.concatenate(points) if points else np.zeros((0, 2)) for points in (starts, ends))
        down = end[:, 1] > start[:, 1]
        upper, lower = np.where(down[:, None], start, end), np.where(down[:, None], end, start)
        sloped = start[:, 1] != end[:, 1]
        edges = np.stack([upper[:, 0], upper[:, 1], lower[:, 0], lower[:, 1], np.where(down, 1.0, -1.0)])
        object.__setattr__(self, "_edges", edges[:, sloped])

    def mask(self, first_row: int, rows: int, columns: int) -> NDArray[np.bool_]:
        """(rows, columns): True where a pixel's centre lies inside."""
        inside = np.zeros((rows, columns), dtype=np.bool_)
        for start in range(0, rows, ROWS_AT_ONCE):
            count = min(ROWS_AT_ONCE, rows - start)
            self._fill(inside[start : start + count], first_row + start)
        return inside

    def _fill(self, inside: NDArray[np.bool_], first_row: int) -> None:
        count, columns = inside.shape
        x0, y0, x1, y1, direction = self._edges
        # an edge crosses the centre lines y0 <= row + 0.5 < y1
        begin = np.clip(np.ceil(y0 - 0.5) - first_row, 0, count).astype(np.int64)
        end = np.clip(np.ceil(y1 - 0.5) - first_row, 0, count).astype(np.int64)
        crossing = np.repeat(np.arange(len(x0)), np.maximum(end - begin, 0))
        if not crossing.size:
            return
        # rows of the crossings: begin, begin + 1, ... of each edge
        lengths = (end - begin)[end > begin]
        row = np.arange(crossing.size) - np.repeat(np.cumsum(lengths) - lengths, lengths) + begin[crossing]
        share = (first_row + row + 0.5 - y0[crossing]) / (y1 - y0)[crossing]
        x = x0[crossing] + share * (x1 - x0)[crossing]
        column = np.clip(np.ceil(x - 0.5), 0, columns).astype(np.int64)
        turns = np.zeros((count, columns + 1), dtype=np.int32)
        np.add.at(turns, (row, column), direction[crossing].astype(np.int32))
        inside[...] = np.cumsum(turns[:, :columns], axis=1, dtype=np.int32) != 0

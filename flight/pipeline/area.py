"""Which pixels of a strip lie in the area that a job asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PixelArea:
    """Rings in pixel coordinates (column, row), corner convention; even-odd rule, so holes are rings too."""

    rings: tuple[tuple[tuple[float, float], ...], ...]

    def mask(self, first_row: int, rows: int, columns: int) -> NDArray[np.bool_]:
        """(rows, columns): True where a pixel's centre lies inside."""
        inside = np.zeros((rows, columns), dtype=np.bool_)
        for index in range(rows):
            centre = first_row + index + 0.5
            for start, end in self._spans(centre):
                low, high = np.clip(np.ceil(np.array((start, end)) - 0.5), 0, columns).astype(np.int64)
                inside[index, low:high] ^= True
        return inside

    def _spans(self, centre: float) -> list[tuple[float, float]]:
        """Where the row's centre line is inside, as (from, to) columns in ascending order."""
        crossings: list[float] = []
        for ring in self.rings:
            for (x0, y0), (x1, y1) in zip(ring, (*ring[1:], ring[0]), strict=True):
                if (y0 <= centre) != (y1 <= centre):
                    crossings.append(x0 + (centre - y0) * (x1 - x0) / (y1 - y0))
        crossings.sort()
        return list(zip(crossings[::2], crossings[1::2], strict=True))

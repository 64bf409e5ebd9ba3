"""The preview: the class map in at most 512 pixels a side, first among the pixels of a product.

Squares of ceil(width / 512) pixels become the class that most of their pixels have; if that leaves more than 512 rows,
squares of ceil(rows / 512) of these become theirs (docs/product-format.md, "Preview"). Made while the rows go by.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bindings.preview import MajorityReducer

PREVIEW_SIDE = 512


def has_preview(width: int, height: int) -> bool:
    """Whether a map of this size has a preview: a smaller one is its own."""
    return max(width, height) > PREVIEW_SIDE


def preview_shape(width: int, height: int) -> tuple[int, int]:
    """(rows, columns) of the preview of a map."""
    across = -(-width // PREVIEW_SIDE)
    rows, columns = -(-height // across), -(-width // across)
    further = -(-rows // PREVIEW_SIDE)
    return -(-rows // further), -(-columns // further)


class PreviewMaker:
    """Takes the rows of a class map in order. Memory: a pixel for each square, and one row of counts."""

    def __init__(self, width: int, classes: int) -> None:
        self._classes = classes
        self._reducer = MajorityReducer(width, -(-width // PREVIEW_SIDE), classes)
        self._rows: list[NDArray[np.uint8]] = []

    def feed(self, rows: NDArray[np.uint8]) -> None:
        """The next rows, (n, width) in C order."""
        made = self._reducer.feed(rows)
        if len(made):
            self._rows.append(made)

    def finish(self) -> NDArray[np.uint8]:
        """The preview. Called once."""
        first = np.concatenate((*self._rows, self._reducer.finish()))
        further = -(-len(first) // PREVIEW_SIDE)
        if further == 1:
            return first
        reducer = MajorityReducer(first.shape[1], further, self._classes)
        return np.concatenate((reducer.feed(first), reducer.finish()))

"""The lines under one row of tiles, and what the row's pixels have come to so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindings.answer import AnswerRows
from flight.pipeline.lines import LineSource
from flight.pipeline.ring import pages_for


class LineWindow:
    """A buffer of lines that rolls down the strip. Lines that two rows of tiles share are moved, not read again."""

    def __init__(self, source: LineSource, lines: int) -> None:
        """lines: the most that is shown at once. Raises RingUnavailable."""
        shape = (lines, source.columns, source.bands)
        self._source = source
        self._pages = pages_for((shape, source.dtype))
        self._lines = self._pages.take(shape, source.dtype)
        self._first = self._count = 0

    def show(self, first: int, count: int) -> NDArray[Any]:
        """Lines first ... first + count - 1 as (count, columns, bands), valid until the next call."""
        shift, kept = first - self._first, self._first + self._count - first
        if not 0 <= shift < self._count:
            shift = kept = 0
        kept = min(kept, count)
        if shift:
            for start in range(0, kept, shift):  # pieces that do not overlap themselves
                end = min(start + shift, kept)
                self._lines[start:end] = self._lines[start + shift : end + shift]
        self._first, self._count = first, kept  # what is there, should reading fail
        if count > kept:
            self._source.read_into(first + kept, self._lines[kept:count])
        self._count = max(count, kept)
        return self._lines[:count]

    def close(self) -> None:
        """Give the buffer back."""
        del self._lines
        self._pages.close()


@dataclass(slots=True, eq=False)
class TileRow:
    """One row of tiles. Rows of pixels are numbers of the strip's lines."""

    number: int
    origin: int  # the tiles' first row; negative, or above `first`, where they begin outside the strip
    scene_rows: int  # lines of the strip, or a number beyond all lines while it has not ended
    last: bool
    start: int  # rows [start, stop) are final once this row of tiles is
    stop: int
    window: NDArray[Any]  # lines [window_first, ...)
    window_first: int
    lost: tuple[tuple[int, int], ...]  # rows of the tiles whose lines are lost: (first, end)
    asked: NDArray[np.bool_] | None  # columns that hold a pixel of the area under the tiles, None: all
    answers: AnswerRows  # rows [start, stop)
    kept: dict[int, NDArray[np.float32]]  # scores by column that a process before this one found

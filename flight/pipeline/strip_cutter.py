"""Class rows as the engine finishes them, cut into a product's strips of fixed height."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


class StripCutter:
    """Takes rows in order and hands on whole strips; the last one, which may be short, on end().

    take(index, rows): called with (n, width) uint8.
    """

    def __init__(self, width: int, strip_rows: int, take: Callable[[int, NDArray[np.uint8]], object]) -> None:
        self._strip_rows, self._take = strip_rows, take
        self._kept = np.zeros((strip_rows, width), dtype=np.uint8)
        self._filled = self._index = 0

    def add(self, first_row: int, rows: NDArray[np.uint8]) -> None:
        """The next rows of the class map; first_row is their place, which must follow on."""
        expected = self._index * self._strip_rows + self._filled
        if first_row != expected:
            raise ValueError(f"row {expected} is the next, got {first_row}")
        while rows.shape[0]:
            count = min(self._strip_rows - self._filled, rows.shape[0])
            self._kept[self._filled : self._filled + count] = rows[:count]
            self._filled += count
            rows = rows[count:]
            if self._filled == self._strip_rows:
                self._hand_on()

    def end(self) -> None:
        """No row follows."""
        if self._filled:
            self._hand_on()

    def _hand_on(self) -> None:
        self._take(self._index, self._kept[: self._filled].copy())
        self._index, self._filled = self._index + 1, 0

"""A class map made smaller as its rows come: squares of pixels, each the class that most of its pixels have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bindings.faults import GeometryRefused
from bindings.ffi import check, ffi, lib, view


class MajorityReducer:
    """Takes rows of a class map in order and gives the rows of the smaller one as they are complete."""

    def __init__(self, width: int, factor: int, classes: int) -> None:
        """width, factor: from 1, in pixels; classes: values 0 .. classes-1, any other counts as 255 (1 .. 255).

        Raises GeometryRefused.
        """
        if not 1 <= width < 1 << 31 or not 1 <= factor <= 1 << 16 or not 1 <= classes < lib.SW_PREVIEW_SLOTS_MAX:
            raise GeometryRefused(f"squares of {factor} pixels in rows of {width}, {classes} classes")
        self.width, self.factor, self.columns = width, factor, -(-width // factor)
        self._votes = np.zeros((self.columns, classes + 1), np.uint32)
        self._rows = 0  # voted since the last election

    def feed(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The next rows, (n, width) in C order; gives the smaller map's rows they complete, (m, columns)."""
        view("rows", rows, np.uint8, 2, shape=(rows.shape[0], self.width))
        given, at = [], 0
        while at < rows.shape[0]:
            count = min(self.factor - self._rows, rows.shape[0] - at)
            check(
                lib.sw_preview_vote(
                    ffi.cast("uint8_t *", view("rows", rows[at : at + count], np.uint8, 2)),
                    count,
                    self.width,
                    self.factor,
                    self._votes.shape[1],
                    ffi.cast("uint32_t *", self._votes.ctypes.data),
                )
            )
            at += count
            self._rows += count
            if self._rows == self.factor:
                given.append(self._elect())
        return np.array(given, np.uint8).reshape(len(given), self.columns)

    def finish(self) -> NDArray[np.uint8]:
        """The last row, of the rows that are left: (1 or 0, columns)."""
        given = [self._elect()] if self._rows else []
        return np.array(given, np.uint8).reshape(len(given), self.columns)

    def _elect(self) -> NDArray[np.uint8]:
        out = np.empty(self.columns, np.uint8)
        check(
            lib.sw_preview_elect(
                ffi.cast("uint32_t *", self._votes.ctypes.data),
                self.columns,
                self._votes.shape[1],
                ffi.cast("uint8_t *", out.ctypes.data),
            )
        )
        self._rows = 0
        return out

"""Connected regions of one class of a class map, found row by row with memory bounded by the width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bindings.faults import GeometryRefused, OrderMismatch
from bindings.ffi import check, ffi, lib, view

WIDTH_MAX: Final = 1 << 24
FIELDS: Final = ("area", "first_row", "first_col", "last_row", "last_col", "sum_row", "sum_col")
REGION: Final = np.dtype([(name, np.int64) for name in FIELDS])  # as sw_region in csrc/decl/regions.h


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """Pixels of one class that touch along sides or corners. All numbers in pixels of the scene."""

    area: int
    first_row: int  # the bounding box, both ends included
    first_col: int
    last_row: int
    last_col: int
    sum_row: int  # over the pixels: the centroid is (sum_row / area, sum_col / area)
    sum_col: int


class RegionScanner:
    """Takes a class map in blocks of rows and gives each region once it can grow no more."""

    def __init__(self, width: int, value: int) -> None:
        """width: columns of the map; value: the class that is looked for, 0..255."""
        if not 1 <= width <= WIDTH_MAX or not 0 <= value <= 255:
            raise GeometryRefused(f"width 1 to {WIDTH_MAX} and class 0 to 255, got {width} and {value}")
        self.width, self.value = width, value
        runs = (width + 1) // 2
        self._above, self._here = ffi.new("sw_run[]", runs), ffi.new("sw_run[]", runs)
        self._table = ffi.new("sw_region[]", width + 1)
        self._parent, self._renamed = ffi.new("int32_t[]", width + 1), ffi.new("int32_t[]", width + 1)
        self._scan = ffi.new("sw_scan *", (0, width, value, 0, 0, self._above, self._here))
        self._scan.table, self._scan.parent, self._scan.renamed = self._table, self._parent, self._renamed
        self._closed = np.empty(max(width + 1, 2048), REGION)
        self._finished = False

    @property
    def rows(self) -> int:
        """Rows taken so far."""
        return int(self._scan.row) - self._finished

    def feed(self, rows: NDArray[np.uint8]) -> list[Region]:
        """Take the next rows, (n, width) uint8; give the regions that ended, by (first_row, first_col)."""
        return _listed(self.feed_table(rows))

    def finish(self) -> list[Region]:
        """The map has ended: give the regions that still touch its last row."""
        return _listed(self.finish_table())

    def feed_table(self, rows: NDArray[np.uint8]) -> NDArray[Any]:
        """As feed(), as an array of type REGION: for maps with very many regions. Releases the GIL."""
        self._must_be_open()
        address = ffi.cast("uint8_t *", view("rows", rows, np.uint8, 2, contiguous=False))
        if rows.shape[1] != self.width:
            raise GeometryRefused(f"rows of {rows.shape[1]} columns, the map has {self.width}")
        closed, done, taken = [self._closed[:0]], 0, ffi.new("int64_t *")
        stride = max(rows.strides[0], 0)
        while done < rows.shape[0]:
            count = check(
                lib.sw_regions_feed(
                    self._scan,
                    address + done * stride,
                    rows.shape[0] - done,
                    stride,
                    self._closed_pointer(),
                    len(self._closed),
                    taken,
                )
            )
            closed.append(self._closed[:count].copy())
            done += taken[0]
        return _sorted(np.concatenate(closed))

    def finish_table(self) -> NDArray[Any]:
        """As finish(), as an array of type REGION."""
        self._must_be_open()
        self._finished = True
        count = check(lib.sw_regions_finish(self._scan, self._closed_pointer(), len(self._closed)))
        return _sorted(self._closed[:count].copy())

    def _closed_pointer(self) -> Any:
        return ffi.cast("sw_region *", self._closed.__array_interface__["data"][0])

    def _must_be_open(self) -> None:
        if self._finished:
            raise OrderMismatch("the scan was finished")


def _sorted(table: NDArray[Any]) -> NDArray[Any]:
    """By (first_row, first_col), then by everything else: equal maps give equal lists."""
    return np.sort(table, order=["first_row", "first_col", "last_row", "last_col", "area", "sum_row", "sum_col"])


def _listed(table: NDArray[Any]) -> list[Region]:
    return [Region(*row) for row in table.tolist()]

"""The gate: a look at few of a tile's pixels, and what to make of it, before the tile is read whole.

`Gate` looks at every `step`-th pixel both ways; `GateRule` decides. Both are cheap against cutting the tile: a
512-pixel tile is judged by 1024 of its 262144 pixels, which tell a fraction to 0.016. A pixel that was not looked at
can differ from all that were: a rule trades a part of the answer for time, and is therefore set per job, never assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from operator import index
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bindings.faults import GeometryRefused, WindowMismatch
from bindings.ffi import check, ffi, lib, view
from bindings.tiles import Layout

_SAMPLES: Final[dict[np.dtype[Any], int]] = {
    np.dtype(np.uint8): lib.SW_GATE_U8,
    np.dtype(np.uint16): lib.SW_GATE_U16,
    np.dtype(np.int16): lib.SW_GATE_I16,
    np.dtype(np.float32): lib.SW_GATE_F32,
}
BANDS_MAX: Final = int(lib.SW_GATE_BANDS_MAX)


class Verdict(IntEnum):
    """What a rule says of a tile: to look at it, or why not."""

    LOOK = 0
    NODATA = 1
    BRIGHT = 2
    DARK = 3


@dataclass(frozen=True, slots=True)
class GateStats:
    """What the looked-at pixels of a tile hold, in units of the samples."""

    looked: int  # pixels that were looked at
    nodata: int  # of those, nodata
    bright: int  # of the valid ones, bright; 0 if no brightness was set
    octets: bytes  # per selected band: minimum, then maximum, then total, float64 in native order

    @property
    def valid(self) -> int:
        """Looked-at pixels that are not nodata."""
        return self.looked - self.nodata

    @property
    def nodata_fraction(self) -> float:
        """Of all that were looked at."""
        return self.nodata / self.looked

    @property
    def bright_fraction(self) -> float:
        """Of the valid ones; 0 if there is none."""
        return self.bright / self.valid if self.valid else 0.0

    @property
    def minimum(self) -> tuple[float, ...]:
        """Per selected band, over the valid ones; NaN if there is none."""
        return self._part(0, 1)

    @property
    def maximum(self) -> tuple[float, ...]:
        """As minimum."""
        return self._part(1, 1)

    @property
    def mean(self) -> tuple[float, ...]:
        """As minimum."""
        return self._part(2, self.valid)

    def _part(self, which: int, divisor: int) -> tuple[float, ...]:
        numbers = np.frombuffer(self.octets).reshape(3, -1)[which].tolist()
        return tuple(number / divisor if self.valid else math.nan for number in numbers)


@dataclass(frozen=True, slots=True)
class GateRule:
    """When a tile is not worth reading. None: that reason is never given.

    nodata_from: at least this fraction of the looked-at pixels is nodata (1.0: all of them);
    bright_from: at least this fraction of the valid ones is bright (clouds); dark_below: no looked-at sample
    reaches this value (night, a closed shutter).
    """

    nodata_from: float | None = 1.0
    bright_from: float | None = None
    dark_below: float | None = None

    def __post_init__(self) -> None:
        for name in ("nodata_from", "bright_from"):
            fraction = getattr(self, name)
            if fraction is not None and not 0.0 < fraction <= 1.0:
                raise GeometryRefused(f"{name} is a fraction above 0 and at most 1, got {fraction}")
        if self.dark_below is not None and math.isnan(self.dark_below):
            raise GeometryRefused("dark_below is not a number")

    def verdict(self, stats: GateStats) -> Verdict:
        """The first reason that holds, in the order of the fields, or LOOK."""
        if self.nodata_from is not None and stats.nodata_fraction >= self.nodata_from:
            return Verdict.NODATA
        if self.bright_from is not None and stats.bright_fraction >= self.bright_from:
            return Verdict.BRIGHT
        if self.dark_below is not None and stats.valid and max(stats.maximum) < self.dark_below:
            return Verdict.DARK
        return Verdict.LOOK


class Gate:
    """Looks at every `step`-th pixel, both ways, of the part of a tile that lies in the scene.

    layout, columns, planes, dtype: of the windows it will see, their rows aside: u8, u16, i16 or f32.
    bands: the planes to look at, in this order. nodata: a pixel is nodata where all of them have this
    value, or one is NaN. brightness: a pixel is bright whose mean over them is at least this. side: of
    the square tile. Raises GeometryRefused. Not to be shared by threads.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        columns: int,
        planes: int,
        dtype: DTypeLike,
        bands: Sequence[int],
        nodata: float | None,
        side: int,
        step: int = 16,
        brightness: float | None = None,
    ) -> None:
        self._axes, self._dtype = Layout(layout).axes, np.dtype(dtype)
        self._columns, self._planes, self._side, self._step = map(index, (columns, planes, side, step))
        chosen = tuple(index(band) for band in bands)
        if self._dtype not in _SAMPLES:
            raise GeometryRefused(f"{self._dtype} is not {' or '.join(map(str, _SAMPLES))}")
        if min(self._columns, self._planes, self._side, self._step) < 1:
            raise GeometryRefused(f"columns {columns}, planes {planes}, side {side}, step {step}: all at least 1")
        if not 1 <= len(chosen) <= BANDS_MAX or min(chosen) < 0 or max(chosen) >= planes:
            raise GeometryRefused(f"bands {chosen} of a window with {planes}")
        if brightness is not None and not math.isfinite(brightness):
            raise GeometryRefused(f"brightness {brightness} is not finite")
        known = nodata is not None and not math.isnan(nodata)
        if known and self._dtype == np.float32:
            with np.errstate(over="ignore"):  # beyond float32 it becomes infinite there, and so must it here
                known = math.isinf(nodata or 0) or bool(np.isfinite(np.float32(nodata or 0)))
        count = len(chosen)
        self._band = ffi.new("int32_t[]", chosen)
        self._gate = ffi.new(
            "sw_gate *",
            {
                "sample": _SAMPLES[self._dtype], "bands": count, "band": self._band,
                "has_nodata": known, "nodata": nodata if known else 0.0,
                "has_bright": brightness is not None, "bright": brightness or 0.0,
            },
        )  # fmt: skip
        self._counts = ffi.new("sw_gate_counts *")
        self._seen = ffi.new("double[]", 3 * count)
        self._parts = self._seen, self._seen + count, self._seen + 2 * count
        self._octets = ffi.buffer(self._seen)
        self._item = self._dtype.itemsize
        self._window: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        self._row_stride = self._column_stride = self._rows = 0

    def look(self, window: NDArray[Any], *, first_row: int, scene_rows: int, row: int, col: int) -> GateStats:
        """Look at the tile whose first pixel is scene pixel (row, col).

        window: scene rows [first_row, first_row + rows), all columns; last axis contiguous, other strides free.
        The tile may reach beyond the scene; what lies in it must not be empty. The first pixel looked at is half a
        step inside. Raises BufferMismatch, GeometryRefused, or WindowMismatch (a row to look at is not in the
        window). Releases the GIL.
        """
        if window.shape != self._window[0] or window.strides != self._window[1] or window.dtype != self._dtype:
            self._look_at(window)
        source = window.__array_interface__["data"][0]
        if source % self._item or type(window) is not np.ndarray:
            view("window", window, self._dtype, 3, contiguous=False)
        side, step = self._side, self._step
        top, bottom, left = max(row, 0), min(row + side, scene_rows), max(col, 0)
        height, width = bottom - top, min(col + side, self._columns) - left
        if height < 1 or width < 1 or first_row < 0 or first_row + self._rows > scene_rows:
            raise GeometryRefused(
                f"a tile of {side} at row {row}, col {col} of a scene of {scene_rows} x {self._columns} "
                f"whose rows {first_row} to {first_row + self._rows - 1} are here"
            )
        top += (min(step, height) - 1) // 2
        left += (min(step, width) - 1) // 2
        rows, cols = (bottom - 1 - top) // step + 1, (min(col + side, self._columns) - 1 - left) // step + 1
        last = top + (rows - 1) * step
        if top < first_row or last >= first_row + self._rows:
            raise WindowMismatch(top if top < first_row else last, first_row, self._rows)
        gate, counts = self._gate, self._counts
        gate.rows, gate.cols = rows, cols
        at = source + ((top - first_row) * self._row_stride + left * self._column_stride) * self._item
        check(lib.sw_gate_look(ffi.cast("void *", at), gate, *self._parts, counts))
        return GateStats(rows * cols, counts.nodata, counts.bright, self._octets[:])

    def _look_at(self, window: NDArray[Any]) -> None:
        """What shape and strides imply, once they are found good."""
        view("window", window, self._dtype, 3, contiguous=False)
        rows, columns, planes = (window.shape[axis] for axis in self._axes)
        if not rows or (columns, planes) != (self._columns, self._planes):
            raise GeometryRefused(
                f"a window of {rows} x {columns} x {planes} "
                f"where rows x {self._columns} x {self._planes} were announced"
            )
        item = window.itemsize
        # of an axis of one element NumPy may keep any stride at all
        strides = [window.strides[axis] // item if window.shape[axis] > 1 else 1 for axis in self._axes]
        self._row_stride, self._column_stride, self._rows = strides[0], strides[1], rows
        gate = self._gate
        gate.row_stride, gate.col_stride, gate.band_stride = (
            strides[0] * self._step,
            strides[1] * self._step,
            strides[2],
        )
        self._window = window.shape, window.strides

"""One tile out of a block of scene rows: cut, normalised, judged valid and measured in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bindings.faults import GeometryRefused, WindowMismatch
from bindings.ffi import check, ffi, lib, view

_KERNELS: Final[dict[np.dtype[Any], tuple[Any, str]]] = {
    np.dtype(np.uint8): (lib.sw_tile_u8, "uint8_t *"),
    np.dtype(np.uint16): (lib.sw_tile_u16, "uint16_t *"),
    np.dtype(np.int16): (lib.sw_tile_i16, "int16_t *"),
    np.dtype(np.float32): (lib.sw_tile_f32, "float *"),
}
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)

SIDE_MAX: Final = int(lib.SW_TILE_SIDE_MAX)
_FAR: Final = int(lib.SW_SCENE_SIDE_MAX)


class Layout(IntEnum):
    """The order of a window's axes."""

    HWC = 0  # (rows, cols, bands), interleaved
    BSQ = 1  # (bands, rows, cols), band sequential


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Samples to model input: clip(sample * scale + offset, low, high), one scale and offset per selected band.

    Computed in float32, rounded after the product and after the sum on every machine.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BandStats:
    """One band over the valid pixels inside the scene, in units of the input; all zero if there is none."""

    minimum: float
    maximum: float
    total: float
    valid: int
    saturated: int  # at the largest number of an integer type


@dataclass(frozen=True, slots=True)
class TileStats:
    """What a tile holds. Pixels reflected at the scene's edge are not counted."""

    bands: tuple[BandStats, ...]
    nodata: int  # pixels inside the scene that are not valid
    pixels: int  # pixels inside the scene


@lru_cache(maxsize=8)
def _factors(norm: Normalisation) -> tuple[Any, Any]:
    """Scales and offsets as C sees them, checked: every tile of a scene asks for the same."""
    if not all(abs(number) <= _FLOAT32_MAX for number in (*norm.scale, *norm.offset, norm.low, norm.high)):
        raise GeometryRefused("scale, offset, low and high must be finite in float32")
    return ffi.new("float[]", norm.scale), ffi.new("float[]", norm.offset)


def tile_f32(
    window: NDArray[Any],
    layout: Layout,
    *,
    first_row: int,
    scene_rows: int,
    row: int,
    col: int,
    bands: Sequence[int],
    norm: Normalisation,
    nodata: float | None,
    out: NDArray[np.float32],
    valid: NDArray[np.uint8],
) -> TileStats:
    """Cut the tile whose first pixel is scene pixel (row, col), normalise it, and measure it.

    window: scene rows [first_row, first_row + rows), all columns; u8, u16, i16 or f32; last axis
    contiguous, other strides free; row and col may lie outside the scene, which is reflected there
    as by numpy.pad(mode="reflect"). out: (len(bands), side, side) float32, overwritten, 0 where not
    valid; valid: (side, side) uint8, 0 where a selected band is NaN or all of them are nodata.
    Raises BufferMismatch, GeometryRefused, or WindowMismatch (a row needed is not in the window),
    before anything is written. Releases the GIL.
    """
    source = view("window", window, tuple(_KERNELS), 3, contiguous=False)
    rows, cols, planes = window.shape if layout == Layout.HWC else (*window.shape[1:], window.shape[0])
    side = out.shape[-1] if isinstance(out, np.ndarray) and out.ndim else 0
    bands = tuple(bands)
    count = len(bands)
    target = view("out", out, np.float32, 3, shape=(count, side, side), writable=True)
    mask = view("valid", valid, np.uint8, 2, shape=(side, side), writable=True)
    if not 1 <= side <= SIDE_MAX:
        raise GeometryRefused(f"a tile's side is 1 to {SIDE_MAX} pixels, got {side}")
    if not count or min(bands) < 0 or max(bands) >= planes:
        raise GeometryRefused(f"bands {bands} of a window with {planes}")
    if not rows or not cols or first_row < 0 or first_row + rows > scene_rows:
        raise GeometryRefused(f"a window of {rows} x {cols} at row {first_row} of a scene of {scene_rows} rows")
    if max(abs(row), abs(col), scene_rows) > _FAR:
        raise GeometryRefused(f"row {row}, col {col}, scene_rows {scene_rows}: beyond {_FAR}")
    if len(norm.scale) != count or len(norm.offset) != count:
        raise GeometryRefused(f"{len(norm.scale)} scales and {len(norm.offset)} offsets for {count} bands")
    factors = _factors(norm)
    if np.may_share_memory(out, valid) or np.may_share_memory(window, out) or np.may_share_memory(window, valid):
        raise GeometryRefused("window, out and valid must not overlap in memory")

    strides = [stride // window.itemsize for stride in window.strides]
    row_stride, col_stride, band_stride = strides if layout == Layout.HWC else (*strides[1:], strides[0])
    block = ffi.new(
        "sw_window *",
        (first_row, rows, scene_rows, cols, max(row_stride, 0), max(col_stride, 1), max(band_stride, 0)),
    )
    known = nodata is not None and (math.isinf(nodata) or abs(nodata) <= _FLOAT32_MAX)
    tile = ffi.new("sw_tile *", (row, col, side, count, known, norm.low, norm.high, nodata if known else 0.0))
    each, stats = ffi.new("sw_band_stats[]", count), ffi.new("sw_tile_stats *")
    kernel, pointer = _KERNELS[window.dtype]
    code = kernel(
        ffi.cast(pointer, source),
        block,
        tile,
        ffi.new("int32_t[]", bands),
        *factors,
        ffi.cast("float *", target),
        ffi.cast("uint8_t *", mask),
        each,
        stats,
    )
    if code == lib.SW_E_WINDOW:
        raise WindowMismatch(stats.missing_row, first_row, rows)
    check(code)
    counted = stats.pixels - stats.nodata
    return TileStats(
        bands=tuple(BandStats(b.minimum, b.maximum, b.total, counted, b.saturated) for b in each),
        nodata=stats.nodata,
        pixels=stats.pixels,
    )

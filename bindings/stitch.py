"""Overlapping tiles of scores become one class map, row by row, with memory for the seams alone."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bindings.crc import crc32c
from bindings.faults import GeometryRefused, OrderMismatch, StateRefused
from bindings.ffi import check, ffi, lib, view

CLASSES_MAX: Final = int(lib.SW_CLASSES_MAX)
TILE_MAX: Final = int(lib.SW_STITCH_TILE_MAX)

# magic, version, width, tile, overlap, margin, classes, threshold, next row, next column, confidence, pixels
_STATE: Final = struct.Struct("<4sIqiiiifqqqq")
_MAGIC: Final = b"SWst"
_FLOAT32, _UINT8 = np.dtype(np.float32), np.dtype(np.uint8)


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Where tiles lie on a scene, and which of their pixels count. All lengths in pixels.

    Tile (r, c) has its origin at (r * stride - margin, c * stride - margin). Its outer `margin`
    pixels never count; the next `overlap - 2 * margin` are blended with the neighbour's by ramps
    whose weights sum to one; at the scene's edge the weight is one.
    """

    width: int  # scene columns
    tile: int
    overlap: int
    margin: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.tile < 1 or self.overlap < 0 or self.margin < 0:
            raise GeometryRefused(f"sizes must be positive: {self}")
        if self.margin > self.overlap // 2:
            raise GeometryRefused(f"margin {self.margin} is more than half of overlap {self.overlap}")
        if self.stride < max(1, self.seam):
            raise GeometryRefused(f"overlap {self.overlap} leaves a stride of {self.stride} of tile {self.tile}")

    @property
    def stride(self) -> int:
        """Distance of neighbouring tiles."""
        return self.tile - self.overlap

    @property
    def seam(self) -> int:
        """Width of the strip in which two neighbours are blended."""
        return self.overlap - 2 * self.margin

    @property
    def core(self) -> int:
        """Side of a tile without its margin."""
        return self.tile - 2 * self.margin

    @property
    def columns(self) -> int:
        """Tiles in a tile row."""
        return self._along(self.width)

    def rows_of(self, scene_rows: int) -> int:
        """Tile rows of a scene of `scene_rows` rows."""
        return self._along(scene_rows)

    def final_rows(self, tile_row: int, scene_rows: int | None) -> tuple[int, int]:
        """Scene rows [first, end) that are final after `tile_row`; None: the scene does not end there."""
        first = tile_row * self.stride
        if scene_rows is not None and tile_row == self.rows_of(scene_rows) - 1:
            return first, scene_rows
        return first, first + self.stride

    def _along(self, length: int) -> int:
        return max(1, -((self.seam - length) // self.stride))


class Stitcher:
    """Blends tiles in reading order. Holds the seams: classes * seam * (width + core) floats.

    classes == 1: the class is `blended >= threshold`; else the largest score wins, the lowest
    index among equals. Where neighbours agree the blend is their number to the bit, so a graph that
    looks at single pixels gives the same map tiled as whole.
    """

    def __init__(self, grid: TileGrid, classes: int, threshold: float) -> None:
        if not 1 <= classes <= CLASSES_MAX:
            raise GeometryRefused(f"classes are 1 to {CLASSES_MAX}, got {classes}")
        if grid.tile > TILE_MAX:
            raise GeometryRefused(f"a tile's side is 1 to {TILE_MAX} pixels, got {grid.tile}")
        if not math.isfinite(threshold):
            raise GeometryRefused(f"threshold {threshold} is not finite")
        self.grid, self.classes = grid, classes
        self.threshold = float(np.float32(threshold))
        self.next_tile = (0, 0)  # (tile row, tile column) that put() takes next
        self.final_pixels = 0
        self._finished = False
        self._right = np.zeros((classes, grid.core, grid.seam), np.float32)
        self._below = np.zeros((classes, grid.seam, grid.width), np.float32)
        self._confidence = ffi.new("int64_t *", 0)
        self._columns, self._stride, self._core = grid.columns, grid.stride, grid.core
        self._shape = (classes, grid.tile, grid.tile)
        # what every tile asks for, as C sees it
        self._c_grid = ffi.new("sw_grid *", (grid.width, grid.tile, grid.overlap, grid.margin, classes, self.threshold))
        self._place = ffi.new("sw_place *", {"tile_cols": self._columns})
        self._ramp = ffi.new("float[]", grid.seam)
        lib.sw_stitch_ramp(self._ramp, grid.seam)
        self._seams = self._ramp, _floats(self._right), _floats(self._below)
        self._put = lib.sw_stitch_put

    @property
    def confidence_total(self) -> float:
        """Sum over the final pixels of |p - 0.5| * 2 (one class) or best minus second best score, to 1/65536 each."""
        return float(self._confidence[0]) / int(lib.SW_CONFIDENCE_ONE)

    def put(
        self,
        probabilities: NDArray[np.float32],
        tile_row: int,
        tile_col: int,
        *,
        last_row: bool,
        scene_rows: int,
        out: NDArray[np.uint8],
        out_first_row: int,
    ) -> None:
        """Take the next tile. Its final pixels are written into `out`.

        probabilities: (classes, tile, tile) float32, C order; last_row: no tile row follows, and
        scene_rows (not looked at otherwise) says where the scene ends; out: (rows, width) uint8, rows
        contiguous, its first row being scene row `out_first_row`. After the last column of a tile
        row every row of grid.final_rows(tile_row) is complete. Raises OrderMismatch for another tile
        than the next, BufferMismatch, GeometryRefused. Releases the GIL.
        """
        grid = self.grid
        if self._finished or (tile_row, tile_col) != self.next_tile:
            expected = "none" if self._finished else str(self.next_tile)
            raise OrderMismatch(f"tile {(tile_row, tile_col)} is out of turn, expected: {expected}")
        if last_row and grid.rows_of(scene_rows) != tile_row + 1:
            raise GeometryRefused(f"tile row {tile_row} is not the last of a scene of {scene_rows} rows")
        first = tile_row * self._stride
        end = scene_rows if last_row else first + self._stride
        scores, labels, stride = self._scores(probabilities), self._labels(out), max(out.strides[0], 0)
        rows, width = out.shape
        if width != grid.width or not out_first_row <= first < end <= out_first_row + rows:
            raise GeometryRefused(
                f"rows {first} to {end - 1} of {grid.width} columns do not fit out: "
                f"{rows} x {width} from row {out_first_row}"
            )
        place = self._place
        place.tile_col, place.rows = tile_col, end - first if last_row else self._core
        place.first_row, place.last_row = tile_row == 0, last_row
        above_first = (first - out_first_row) * stride
        check(self._put(scores, self._c_grid, place, *self._seams, labels + above_first, stride, self._confidence))
        if tile_col + 1 < self._columns:
            self.next_tile = (tile_row, tile_col + 1)
            return
        self.next_tile = (tile_row + 1, 0)
        self.final_pixels += (end - first) * grid.width
        self._finished = last_row

    def _scores(self, array: NDArray[np.float32]) -> Any:
        """What view() would give; the usual array is recognised in a quarter of its time."""
        if type(array) is np.ndarray and array.dtype is _FLOAT32 and array.shape == self._shape:
            flags = array.flags
            if flags.c_contiguous and flags.aligned:
                return ffi.from_buffer("float *", array)
        return ffi.cast("float *", view("probabilities", array, np.float32, 3, shape=self._shape))

    def _labels(self, array: NDArray[np.uint8]) -> Any:
        if type(array) is np.ndarray and array.dtype is _UINT8 and array.ndim == 2:
            flags = array.flags
            if flags.c_contiguous and flags.writeable:
                return ffi.from_buffer("uint8_t *", array)
        return ffi.cast("uint8_t *", view("out", array, np.uint8, 2, writable=True, contiguous=False))

    def state(self) -> bytes:
        """All that restore() needs to go on at the next tile; equal state, equal octets."""
        grid = self.grid
        head = _STATE.pack(
            _MAGIC,
            2 if self._finished else 1,
            grid.width,
            grid.tile,
            grid.overlap,
            grid.margin,
            self.classes,
            self.threshold,
            *self.next_tile,
            self._confidence[0],
            self.final_pixels,
        )
        body = head + self._right.astype("<f4").tobytes() + self._below.astype("<f4").tobytes()
        return body + crc32c(body).to_bytes(4, "little")

    def restore(self, octets: bytes) -> None:
        """Go on where state() was taken. Raises StateRefused for damage or another geometry, unchanged then."""
        size = _STATE.size + self._right.nbytes + self._below.nbytes + 4
        if len(octets) != size:
            raise StateRefused(f"{size} octets are needed, got {len(octets)}")
        if crc32c(octets[:-4]) != int.from_bytes(octets[-4:], "little"):
            raise StateRefused("the check of the saved state fails")
        magic, version, *sizes, threshold, row, col, confidence, pixels = _STATE.unpack_from(octets)
        grid = self.grid
        if magic != _MAGIC or version not in (1, 2):
            raise StateRefused("not the state of a stitcher")
        if (*sizes, threshold) != (grid.width, grid.tile, grid.overlap, grid.margin, self.classes, self.threshold):
            raise StateRefused("the state belongs to another grid, number of classes or threshold")
        if row < 0 or not 0 <= col < self._columns or confidence < 0 or pixels < 0:
            raise StateRefused("the state names a tile that is not on the grid")
        floats = np.frombuffer(octets, "<f4", offset=_STATE.size, count=self._right.size + self._below.size)
        self._right[...] = floats[: self._right.size].reshape(self._right.shape)
        self._below[...] = floats[self._right.size :].reshape(self._below.shape)
        self.next_tile, self._finished = (row, col), version == 2
        self._confidence[0], self.final_pixels = confidence, pixels


def _floats(array: NDArray[np.float32]) -> object:
    return ffi.cast("float *", array.__array_interface__["data"][0])

"""What a tile's scores say beside the class map: whether they are scores, how sure they are, which pixels get none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bindings.faults import BufferMismatch, GeometryRefused
from bindings.ffi import check, ffi, lib, view

MARGIN_ONE: Final = int(lib.SW_MARGIN_ONE)  # units of a margin of 1
_CLASSES_MAX: Final = int(lib.SW_CLASSES_MAX)


@dataclass(frozen=True, slots=True)
class Own:
    """The pixels of a tile that it alone decides: rows [first_row, end_row), columns [first_col, end_col) of it."""

    first_row: int
    end_row: int
    first_col: int
    end_col: int


@dataclass(frozen=True, slots=True)
class Measure:
    """One tile of scores. The margin of a pixel is |2p - 1|, or its best score less the second best, in 0 ... 1."""

    margin_units: int  # sum over the answered own pixels, each rounded to 1 / MARGIN_ONE: equal in any order
    pixels: int  # answered own pixels
    outside: int  # scores of the whole tile that are not finite or outside low ... high


def holds_only(window: NDArray[Any], fill: NDArray[Any]) -> bool:
    """Whether every sample of `window` (rows, columns, bands) has the octets of `fill`, one sample of the same dtype.

    window: rows of contiguous samples, any distance apart. Raises BufferMismatch. Releases the GIL.
    """
    rows, columns, bands = window.shape if window.ndim == 3 else (0, 0, 0)
    source = view("window", window, fill.dtype, 3, contiguous=False)
    if window.size == 0:
        return True
    if columns > 1 and window.strides[1] != bands * window.itemsize:
        raise BufferMismatch("window", "its columns are not contiguous")
    pattern = ffi.from_buffer("uint8_t[]", fill.tobytes())
    count = columns * bands * window.itemsize
    stride = window.strides[0] if rows > 1 else count
    octets = ffi.cast("uint8_t *", source)
    return bool(check(lib.sw_holds_only(octets, rows, count, stride, pattern, fill.dtype.itemsize)))


class Plane:
    """A tile's buffer that C was shown once: `scores` (classes, side, side) float32 or `valid` (side, side) uint8.

    Keeps the array. Raises BufferMismatch, GeometryRefused.
    """

    __slots__ = ("array", "classes", "pointer", "side")

    def __init__(self, array: NDArray[Any]) -> None:
        scores = isinstance(array, np.ndarray) and array.ndim == 3
        sides = array.shape[-1:] * 2 if isinstance(array, np.ndarray) else ()
        if scores:
            self.pointer = ffi.cast("float *", view("scores", array, np.float32, 3, shape=(len(array), *sides)))
        else:
            self.pointer = ffi.cast("uint8_t *", view("valid", array, np.uint8, 2, shape=sides))
        self.array, self.side, self.classes = array, array.shape[-1], len(array) if scores else 0
        if self.side < 1 or (scores and not 1 <= self.classes <= _CLASSES_MAX):
            raise GeometryRefused(f"a tile has pixels and 1 to {_CLASSES_MAX} classes, got {array.shape}")


class AnswerRows:
    """The class rows that a row of tiles makes final, and which pixels get an answer. For one thread at a time.

    labels and open_: (rows, width) uint8 each; open_ holds 1 where a pixel gets an answer, as far as is known, else 0.
    """

    def __init__(self, rows_max: int, width: int) -> None:
        """rows_max: the most that begin() is asked for. Raises GeometryRefused."""
        if rows_max < 1 or width < 1:
            raise GeometryRefused(f"rows of answers: {rows_max} x {width}")
        self._labels, self._open = np.zeros((rows_max, width), np.uint8), np.zeros((rows_max, width), np.uint8)
        self._labels_at = ffi.cast("uint8_t *", view("labels", self._labels, np.uint8, 2, writable=True))
        self._open_at = ffi.cast("uint8_t *", view("open_", self._open, np.uint8, 2, writable=True))
        self._width = width
        self._own, self._found = ffi.new("sw_own *"), ffi.new("sw_answer *")
        self.begin(rows_max)

    def begin(self, rows: int) -> None:
        """Begin anew with so many rows: labels of any content, all pixels open. Raises GeometryRefused."""
        if not 0 <= rows <= len(self._open):
            raise GeometryRefused(f"{rows} rows of {len(self._open)}")
        self.labels, self.open_ = self._labels[:rows], self._open[:rows]
        self.open_.fill(1)

    def close_invalid(self, valid: Plane, own: Own, left: int) -> None:
        """Close the own pixels that are not valid.

        valid: of 0 and 1; left: the column of the first own pixel; its row is the first one. Raises GeometryRefused.
        Releases the GIL.
        """
        if valid.classes:
            raise GeometryRefused("scores are no mask")
        target = self._at(valid.side, own, left)
        check(lib.sw_answer_close(valid.pointer, self._own, target, self._width))

    def measure(self, scores: Plane, own: Own, left: int, low: float, high: float) -> Measure:
        """Check every score of a tile; sum the margins of the own pixels that are open (not of rows with bad scores).

        left: as above; low >= -1, high <= 2. Raises GeometryRefused. Releases the GIL.
        """
        if not (scores.classes and low >= -1 and high <= 2):
            raise GeometryRefused(f"scores in {low} ... {high} are not shares of one")
        asked, found = self._at(scores.side, own, left), self._found
        check(lib.sw_answer_measure(scores.pointer, scores.classes, self._own, low, high, asked, self._width, found))
        return Measure(found.margin, found.pixels, found.bad)

    def blank(self, none: int) -> int:
        """Give the label `none` to the pixels that are not open; how many those are. Raises GeometryRefused."""
        if not 0 <= none <= 255:
            raise GeometryRefused(f"a label is 0 to 255, got {none}")
        return int(lib.sw_answer_blank(self._labels_at, self._open_at, self.labels.size, none))

    def _at(self, side: int, own: Own, left: int) -> Any:
        """Where the own pixels begin in open_, once they lie in the tile and in the rows."""
        c_own = self._own
        first_row, end_row, first_col, end_col = own.first_row, own.end_row, own.first_col, own.end_col
        if not (0 <= first_row <= end_row <= side and 0 <= first_col <= end_col <= side):
            raise GeometryRefused(f"{own} does not lie in a tile of {side}")
        if end_row - first_row > len(self.open_) or not 0 <= left <= left + end_col - first_col <= self._width:
            raise GeometryRefused(f"{own} from column {left} does not lie in {len(self.open_)} x {self._width}")
        c_own.side = side
        c_own.first_row, c_own.end_row, c_own.first_col, c_own.end_col = first_row, end_row, first_col, end_col
        return self._open_at + left

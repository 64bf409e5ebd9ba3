"""What a tile's scores say beside the class map: whether they are scores, how sure they are, which pixels get none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bindings.faults import GeometryRefused
from bindings.ffi import check, ffi, lib, view

MARGIN_ONE: Final = int(lib.SW_MARGIN_ONE)  # units of a margin of 1


@dataclass(frozen=True, slots=True)
class Own:
    """The pixels of a tile that it alone decides: rows [first_row, end_row), columns [first_col, end_col) of it."""

    first_row: int
    end_row: int
    first_col: int
    end_col: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.end_row - self.first_row, self.end_col - self.first_col


@dataclass(frozen=True, slots=True)
class Measure:
    """One tile of scores. The margin of a pixel is |2p - 1|, or its best score less the second best, in 0 ... 1."""

    margin_units: int  # sum over the answered own pixels, each rounded to 1 / MARGIN_ONE: equal in any order
    pixels: int  # answered own pixels
    outside: int  # scores of the whole tile that are not finite or outside low ... high


def close_invalid(valid: NDArray[np.uint8], own: Own, open_: NDArray[np.uint8]) -> bool:
    """Close the own pixels that are not valid: open_ &= valid. True if any pixel of the whole tile is valid.

    valid: (side, side) uint8 of 0 and 1; open_: own.shape uint8 of 0 and 1, rows contiguous, changed in place.
    Raises BufferMismatch, GeometryRefused. Releases the GIL.
    """
    mask = view("valid", valid, np.uint8, 2, shape=(len(valid),) * 2)
    place, stride = _place(len(valid), own, open_)
    target = view("open_", open_, np.uint8, 2, writable=True, contiguous=False)
    return bool(check(lib.sw_answer_close(ffi.cast("uint8_t *", mask), place, ffi.cast("uint8_t *", target), stride)))


def measure(scores: NDArray[np.float32], own: Own, open_: NDArray[np.uint8], low: float, high: float) -> Measure:
    """Check every score of a tile, and sum the margins of the own pixels that are open (not of rows with bad scores).

    scores: (classes, side, side) float32, C order; open_: own.shape uint8 of 0 and 1, rows contiguous;
    low >= -1, high <= 2. Raises BufferMismatch, GeometryRefused. Releases the GIL.
    """
    numbers = view("scores", scores, np.float32, 3, shape=(*scores.shape[:1], *scores.shape[-1:] * 2))
    if not 1 <= scores.shape[0] <= int(lib.SW_CLASSES_MAX):
        raise GeometryRefused(f"classes are 1 to {lib.SW_CLASSES_MAX}, got {scores.shape[0]}")
    if not (low >= -1 and high <= 2):
        raise GeometryRefused(f"scores in {low} ... {high} are not shares of one")
    place, stride = _place(scores.shape[-1], own, open_)
    asked = view("open_", open_, np.uint8, 2, contiguous=False)
    found = ffi.new("sw_answer *")
    check(
        lib.sw_answer_measure(
            ffi.cast("float *", numbers), scores.shape[0], place, low, high, ffi.cast("uint8_t *", asked), stride, found
        )
    )
    return Measure(found.margin, found.pixels, found.bad)


def blank(labels: NDArray[np.uint8], open_: NDArray[np.uint8], none: int) -> int:
    """Give `none` to the labels that are not open; how many those are. Both (rows, width) uint8, C order."""
    target = view("labels", labels, np.uint8, 2, writable=True)
    asked = view("open_", open_, np.uint8, 2, shape=labels.shape)
    if not 0 <= none <= 255:
        raise GeometryRefused(f"a label is 0 to 255, got {none}")
    return int(lib.sw_answer_blank(ffi.cast("uint8_t *", target), ffi.cast("uint8_t *", asked), labels.size, none))


def _place(side: int, own: Own, open_: NDArray[np.uint8]) -> tuple[object, int]:
    """`own` as C sees it, and the stride of `open_`, once they fit each other and the tile."""
    rows, columns = own.shape
    if not (0 <= own.first_row <= own.end_row <= side and 0 <= own.first_col <= own.end_col <= side):
        raise GeometryRefused(f"{own} does not lie in a tile of {side}")
    if open_.shape != (rows, columns):
        raise GeometryRefused(f"open_ is {open_.shape}, the own pixels are {(rows, columns)}")
    stride = open_.strides[0] if rows > 1 else columns
    return ffi.new("sw_own *", (side, own.first_row, own.end_row, own.first_col, own.end_col)), stride

"""Run lengths of a class map: how many equal values follow each other, and which."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bindings.errors import BindingsError
from bindings.faults import GeometryRefused
from bindings.ffi import check, ffi, lib, view

_COUNT_MAX: Final = 2**32 - 1


class RunsOverflow(BindingsError, ValueError):
    """More runs than the arrays hold."""

    code = "runs_overflow"

    def __init__(self, capacity: int) -> None:
        super().__init__(f"there are more than {capacity} runs")
        self.capacity = capacity


def find_runs(
    pixels: NDArray[np.uint8], lengths: NDArray[np.uint32], values: NDArray[np.uint8], *, by_row: bool = False
) -> int:
    """The runs of equal values in raster order; returns how many there are.

    pixels: uint8, any shape, C order, at most 2**32 - 1 of them; by_row: a run ends with every row (the last axis),
    else runs go on from one row to the next. lengths (n,) uint32 and values (n,) uint8 take them from the front;
    the rest is left as it was or overwritten. pixels.size entries are always enough. Raises RunsOverflow when n is
    too small, BufferMismatch, GeometryRefused. Releases the GIL.
    """
    source = view("pixels", pixels, np.uint8, pixels.ndim if isinstance(pixels, np.ndarray) else 1)
    capacity = lengths.shape[0] if isinstance(lengths, np.ndarray) and lengths.ndim == 1 else 0
    first = view("lengths", lengths, np.uint32, 1, writable=True)
    second = view("values", values, np.uint8, 1, shape=(capacity,), writable=True)
    if pixels.size > _COUNT_MAX:
        raise GeometryRefused(f"{pixels.size} pixels are more than {_COUNT_MAX}")
    if np.may_share_memory(pixels, lengths) or np.may_share_memory(pixels, values):
        raise GeometryRefused("pixels, lengths and values must not overlap in memory")
    if np.may_share_memory(lengths, values):
        raise GeometryRefused("pixels, lengths and values must not overlap in memory")
    row = pixels.shape[-1] if by_row and pixels.ndim else 0
    found = lib.sw_runs_find(
        ffi.cast("uint8_t *", source),
        pixels.size,
        row,
        ffi.cast("uint32_t *", first),
        ffi.cast("uint8_t *", second),
        capacity,
    )
    if found == lib.SW_E_SPACE:
        raise RunsOverflow(capacity)
    return int(check(found))

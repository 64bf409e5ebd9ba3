"""The context code of class map strips (docs/context-code.md): rows go in as they come, bounded work for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bindings.errors import BindingsError
from bindings.faults import BufferMismatch, GeometryRefused, OrderMismatch
from bindings.ffi import check, ffi, lib, octets, view

MAX_WIDTH = int(lib.SW_CONTEXT_WIDTH_MAX)

_REASONS = {
    int(lib.SW_CONTEXT_NOT_ONE): "names a class or a place that was excluded",
    int(lib.SW_CONTEXT_ENDING): "does not end as the encoder ends it",
}


class ContextCodeInvalid(BindingsError, ValueError):
    """Octets that are not the context code of so many pixels."""

    code = "context_code_invalid"

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"the context code {reason} (octet {offset})")
        self.reason, self.offset = reason, offset


class ContextEncoder:
    """Encodes one strip after another, each on its own, without allocating between them.

    `counts`, (256,) uint64, has the pixels of each value of the present strip, as long as it `fits`.
    """

    def __init__(self, width: int, capacity: int) -> None:
        """width: 1 .. MAX_WIDTH pixels; capacity: octets that a strip may take at most. Raises GeometryRefused."""
        if not 1 <= width <= MAX_WIDTH or capacity < 0:
            raise GeometryRefused(f"a context encoder of {width} pixels and {capacity} octets")
        self.width = width
        self.counts = np.zeros(256, np.uint64)
        self._state = _state(width)
        self._out = np.empty(max(capacity, 1), np.uint8)
        self._capacity = capacity
        self._size = self._rows = 0
        self._open = True
        self.begin()

    @property
    def fits(self) -> bool:
        """Whether the rows so far fitted into the capacity; if not, the strip has no encoding here."""
        return self._size >= 0

    @property
    def rows(self) -> int:
        """Rows of the present strip so far."""
        return self._rows

    def begin(self) -> None:
        """Begin a strip; what was fed before is forgotten."""
        check(lib.sw_context_begin(ffi.cast("void *", self._state.ctypes.data), self.width))
        self.counts[:] = 0
        self._size = self._rows = 0
        self._open = True

    def feed(self, rows: NDArray[np.uint8]) -> None:
        """Encode the next rows, (count, width) in C order. Releases the GIL.

        The work is bounded by the pixels: about 10 ns each where classes meet, 1 ns where they do not.
        Raises BufferMismatch, OrderMismatch behind end().
        """
        if not self._open:
            raise OrderMismatch("the strip has ended")
        pixels = view("rows", rows, np.uint8, 2, shape=(rows.shape[0], self.width))
        self._rows += rows.shape[0]
        if not self.fits:
            return
        self._size = lib.sw_context_feed(
            ffi.cast("void *", self._state.ctypes.data),
            ffi.cast("uint8_t *", pixels),
            rows.shape[0],
            ffi.cast("uint64_t *", self.counts.ctypes.data),
            ffi.cast("uint8_t *", self._out.ctypes.data),
            self._capacity,
        )

    def end(self) -> bytes | None:
        """End the strip: its one encoding, None when it did not fit."""
        if not self._open:
            raise OrderMismatch("the strip has ended")
        self._open = False
        if self.fits:
            self._size = lib.sw_context_end(
                ffi.cast("void *", self._state.ctypes.data),
                ffi.cast("uint8_t *", self._out.ctypes.data),
                self._capacity,
            )
        return self._out[: self._size].tobytes() if self.fits else None


def decode_context(encoded: bytes, out: NDArray[np.uint8], counts: NDArray[np.uint64]) -> None:
    """Decode into all of `out`, (rows, width) in C order; counts: (256,), the pixels of each value are added to it.

    Raises ContextCodeInvalid on anything but the one encoding of so many pixels; `out` and `counts` are then of no
    meaning. Never reads or writes out of bounds, and ends after so many pixels. Releases the GIL.
    """
    pixels = view("out", out, np.uint8, 2, writable=True)
    if not 1 <= out.shape[1] <= MAX_WIDTH:
        raise BufferMismatch("out", f"{out.shape[1]} columns")
    state, held = _state(out.shape[1]), octets(encoded)
    where = ffi.new("size_t *")
    fault = check(
        lib.sw_context_decode(
            ffi.cast("void *", state.ctypes.data),
            held,
            len(held),
            ffi.cast("uint8_t *", pixels),
            out.shape[1],
            out.shape[0],
            ffi.cast("uint64_t *", view("counts", counts, np.uint64, 1, shape=(256,), writable=True)),
            where,
        )
    )
    if fault:
        raise ContextCodeInvalid(_REASONS[fault], int(where[0]))


def _state(width: int) -> NDArray[np.uint64]:
    return np.empty(-(-int(lib.sw_context_size(width)) // 8), np.uint64)

"""The run-length code of class rows (csrc/decl/mask.h): canonical, quick enough for a frame; journals keep it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bindings.errors import BindingsError
from bindings.faults import BufferMismatch
from bindings.ffi import check, ffi, lib, octets, view

_REASONS = {
    int(lib.SW_MASK_CUT_SHORT): "ends before the pixels do",
    int(lib.SW_MASK_NOT_SHORT): "has a number that is not in its shortest form",
    int(lib.SW_MASK_OVERRUN): "has a run past the last pixel",
    int(lib.SW_MASK_NOT_ONE): "names or implies a class against the one encoding",
    int(lib.SW_MASK_BEHIND): "goes on behind the last run",
}


class RunCodeInvalid(BindingsError, ValueError):
    """Octets that are not the run-length code of so many pixels."""

    code = "run_code_invalid"

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"the run-length code {reason} (octet {offset})")
        self.reason, self.offset = reason, offset


def encode_runs(pixels: NDArray[np.uint8], counts: NDArray[np.uint64]) -> bytes:
    """The one encoding of the class values `pixels` (any shape, C order).

    counts: (256,) uint64, the pixels of each value are added to it. Raises BufferMismatch. Releases the GIL.
    """
    flat = np.ascontiguousarray(pixels).reshape(-1)
    capacity = 2 * flat.size
    out = np.empty(max(capacity, 1), np.uint8)
    written = check(
        lib.sw_mask_encode(
            ffi.cast("uint8_t *", view("pixels", flat, np.uint8, 1)),
            flat.size,
            ffi.cast("uint8_t *", view("out", out, np.uint8, 1, writable=True)),
            capacity,
            ffi.cast("uint64_t *", view("counts", counts, np.uint64, 1, shape=(256,), writable=True)),
        )
    )
    return out[:written].tobytes()


def decode_runs(encoded: bytes, out: NDArray[np.uint8], counts: NDArray[np.uint64]) -> None:
    """Decode into all of `out` (any shape, C order, overwritten); counts as in encode_runs.

    Raises RunCodeInvalid on anything but the one encoding of so many pixels; `out` and `counts` are then of no
    meaning. Never reads or writes out of bounds. Releases the GIL.
    """
    if not out.flags.c_contiguous:
        raise BufferMismatch("out", "is not contiguous in C order")
    flat = out.reshape(-1)
    held = octets(encoded)
    where = ffi.new("size_t *")
    fault = lib.sw_mask_decode(
        held,
        len(held),
        ffi.cast("uint8_t *", view("out", flat, np.uint8, 1, writable=True)),
        flat.size,
        ffi.cast("uint64_t *", view("counts", counts, np.uint64, 1, shape=(256,), writable=True)),
        where,
    )
    if fault:
        raise RunCodeInvalid(_REASONS[fault], int(where[0]))

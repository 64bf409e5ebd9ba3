"""TIFF LZW (TIFF 6.0, section 13) decoded by the C core: bounded, and safe for any octets."""

from __future__ import annotations

import numpy as np

from bindings.errors import BindingsError
from bindings.ffi import Octets, check, ffi, lib, octets, view

LONGEST_STRING = 4096 - 258 + 1  # octets that one code can stand for
_REVERSED, _NO_LITERAL = int(lib.SW_LZW_REVERSED), int(lib.SW_LZW_NO_LITERAL)


class LzwInvalid(BindingsError, ValueError):
    """Octets that are no LZW code of TIFF."""

    code = "lzw_invalid"

    def __init__(self, reason: str, decoded_bytes: int) -> None:
        super().__init__(reason)
        self.reason, self.decoded_bytes = reason, decoded_bytes


def decode_lzw(data: Octets, size: int) -> bytes:
    """The first `size` octets (0 to 2^32 - 1) that `data` decodes to; fewer when it ends before.

    Takes no more memory than `data` can fill. Stops at `size`, whatever follows: LZW carries no check. Raises
    LzwInvalid. Releases the GIL.
    """
    held = octets(data)
    capacity = min(size, len(held) * LONGEST_STRING)  # a code has more than eight bits
    out = np.empty(max(capacity, 1), np.uint8)
    made, fault_code = ffi.new("size_t *"), ffi.new("int32_t *")
    fault = check(
        lib.sw_lzw_decode(
            held,
            len(held),
            ffi.cast("uint8_t *", view("out", out, np.uint8, 1, writable=True)),
            capacity,
            made,
            fault_code,
        )
    )
    if fault == _REVERSED:
        raise LzwInvalid("the bit-reversed form from before TIFF 6.0", 0)
    if fault:
        what = (
            "the first code is not a literal" if fault == _NO_LITERAL else f"code {fault_code[0]} is not in the table"
        )
        raise LzwInvalid(what, int(made[0]))
    return out[: made[0]].tobytes()

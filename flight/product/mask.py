"""Mask strips: `strip_rows` rows of the class map, each strip on its own, so that a damaged one costs only itself.

A strip is index (u32), rows (u16), the run-length code of its pixels, and the CRC-32C of all that, big-endian
(docs/product-format.md, "Strip"). The code has exactly one encoding for every content.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindings.crc import crc32c
from bindings.mask import RunCodeInvalid, decode_runs, encode_runs
from flight.product.errors import StripDamaged
from flight.product.header import NO_ANSWER

_HEAD = struct.Struct(">IH")
_CHECK = struct.Struct(">I")
STRIP_OVERHEAD = _HEAD.size + _CHECK.size


@dataclass(frozen=True, slots=True)
class Strip:
    """A decoded strip. pixels: (rows, width) uint8; counts: (256,) uint64, pixels of each class value."""

    index: int
    pixels: NDArray[np.uint8]
    counts: NDArray[np.uint64]


def encode_strip(index: int, rows: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.uint64]]:
    """The one encoding of strip `index` with `rows` (n, width), and the pixels of each class value (256,)."""
    counts = np.zeros(256, np.uint64)
    octets = _HEAD.pack(index, rows.shape[0]) + encode_runs(rows, counts)
    return octets + _CHECK.pack(crc32c(octets)), counts


def check_strip(octets: bytes, index: int, rows: int) -> None:
    """Whether the check and the head of a strip fit, without decoding it. Raises StripDamaged."""
    if len(octets) < STRIP_OVERHEAD:
        raise StripDamaged(index, f"{len(octets)} bytes, at least {STRIP_OVERHEAD} are needed")
    (stated,) = _CHECK.unpack_from(octets, len(octets) - _CHECK.size)
    if crc32c(octets[: -_CHECK.size]) != stated:
        raise StripDamaged(index, "its CRC-32C does not match")
    if _HEAD.unpack_from(octets) != (index, rows):
        raise StripDamaged(index, "stands where another strip belongs")


def decode_strip(octets: bytes, index: int, rows: int, width: int, classes: int) -> Strip:
    """The strip in `octets`, which must be strip `index` of `rows` x `width` pixels with values 0 .. classes-1 or 255.

    The caller bounds rows * width; nothing else is allocated. Raises StripDamaged.
    """
    check_strip(octets, index, rows)
    pixels = np.empty((rows, width), np.uint8)
    counts = np.zeros(256, np.uint64)
    try:
        decode_runs(octets[_HEAD.size : -_CHECK.size], pixels, counts)
    except RunCodeInvalid as error:
        raise StripDamaged(index, str(error)) from error
    if (wrong := unknown_class(counts, classes)) is not None:
        raise StripDamaged(index, f"class value {wrong} where there are {classes} classes")
    return Strip(index, pixels, counts)


def unknown_class(counts: NDArray[np.uint64], classes: int) -> int | None:
    """The lowest class value that has pixels and no name, if any."""
    wrong = np.flatnonzero(counts[classes:NO_ANSWER])
    return classes + int(wrong[0]) if wrong.size else None

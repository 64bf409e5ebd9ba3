"""Mask strips: `strip_rows` rows of the class map, each strip on its own, so that a damaged one costs only itself.

A strip is index (u32), rows (u16), mode (u8), its pixels in that mode, and the CRC-32C of all that, big-endian
(docs/product-format.md, "Strip"). The mode follows from the pixels: the context code, or the pixels as they are where
that code would not be shorter. So every content has exactly one encoding.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from bindings.context import ContextCodeInvalid, ContextEncoder, decode_context
from bindings.crc import crc32c
from flight.product.errors import StripDamaged
from flight.product.header import NO_ANSWER

_HEAD = struct.Struct(">IHB")
_CHECK = struct.Struct(">I")
STRIP_OVERHEAD = _HEAD.size + _CHECK.size


class StripMode(IntEnum):
    """How the pixels of a strip are written."""

    CONTEXT = 0  # the context code (docs/context-code.md)
    PLAIN = 1  # one octet each: the context code would take as many or more


@dataclass(frozen=True, slots=True)
class Strip:
    """A decoded strip. pixels: (rows, width) uint8; counts: (256,) uint64, pixels of each class value."""

    index: int
    pixels: NDArray[np.uint8]
    counts: NDArray[np.uint64]


class StripEncoder:
    """Encodes strips row by row; keeps one encoder's state and the rows of the strip under way."""

    def __init__(self, width: int, strip_rows: int) -> None:
        """At most strip_rows rows of `width` pixels each. Raises GeometryRefused."""
        self._encoder = ContextEncoder(width, strip_rows * width - 1)
        self._kept = np.empty((strip_rows, width), np.uint8)

    @property
    def rows(self) -> int:
        """Rows of the strip so far."""
        return self._encoder.rows

    def feed(self, rows: NDArray[np.uint8]) -> None:
        """The strip's next rows, (n, width) in C order: bounded work for each pixel."""
        self._kept[self.rows : self.rows + len(rows)] = rows
        self._encoder.feed(rows)

    def counts(self) -> NDArray[np.uint64]:
        """The pixels of each value in the strip so far, (256,)."""
        if self._encoder.fits:
            kept: NDArray[np.uint64] = self._encoder.counts.copy()
            return kept
        counts: NDArray[np.uint64] = np.bincount(self._kept[: self.rows].reshape(-1), minlength=256).astype(np.uint64)
        return counts

    def end(self) -> tuple[StripMode, bytes]:
        """The strip's pixels and their mode; the next strip may begin."""
        kept = self._kept[: self.rows]
        code = self._encoder.end()
        self._encoder.begin()
        if code is None or len(code) >= kept.size:
            return StripMode.PLAIN, kept.tobytes()
        return StripMode.CONTEXT, code


def pack_strip(index: int, rows: int, mode: StripMode, code: bytes) -> bytes:
    """The octets of a strip."""
    octets = _HEAD.pack(index, rows, mode) + code
    return octets + _CHECK.pack(crc32c(octets))


def encode_strip(index: int, rows: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.uint64]]:
    """The one encoding of strip `index` with `rows` (n, width), and the pixels of each class value (256,)."""
    rows = np.ascontiguousarray(rows)
    encoder = StripEncoder(rows.shape[1], rows.shape[0])
    encoder.feed(rows)
    counts = encoder.counts()
    return pack_strip(index, rows.shape[0], *encoder.end()), counts


def encode_pixels(rows: NDArray[np.uint8]) -> tuple[StripMode, bytes]:
    """The mode and the code of a strip of `rows` (n, width), in C order."""
    encoder = StripEncoder(rows.shape[1], rows.shape[0])
    encoder.feed(rows)
    return encoder.end()


def check_strip(octets: bytes, index: int, rows: int) -> None:
    """Whether the check and the head of a strip fit, without decoding it. Raises StripDamaged."""
    if len(octets) < STRIP_OVERHEAD:
        raise StripDamaged(index, f"{len(octets)} bytes, at least {STRIP_OVERHEAD} are needed")
    (stated,) = _CHECK.unpack_from(octets, len(octets) - _CHECK.size)
    if crc32c(octets[: -_CHECK.size]) != stated:
        raise StripDamaged(index, "its CRC-32C does not match")
    if _HEAD.unpack_from(octets)[:2] != (index, rows):
        raise StripDamaged(index, "stands where another strip belongs")


def decode_strip(octets: bytes, index: int, rows: int, width: int, classes: int) -> Strip:
    """The strip in `octets`, which must be strip `index` of `rows` x `width` pixels with values 0 .. classes-1 or 255.

    The caller bounds rows * width; little else is allocated. Raises StripDamaged.
    """
    check_strip(octets, index, rows)
    pixels, counts = decode_pixels(octets[_HEAD.size - 1 : -_CHECK.size], index, rows, width)
    if (wrong := unknown_class(counts, classes)) is not None:
        raise StripDamaged(index, f"class value {wrong} where there are {classes} classes")
    return Strip(index, pixels, counts)


def decode_pixels(octets: bytes, index: int, rows: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Mode and code as `rows` x `width` pixels, and the pixels of each value (256,). Raises StripDamaged."""
    mode, code = octets[0], octets[1:]
    counts = np.zeros(256, np.uint64)
    if mode == StripMode.CONTEXT:
        pixels = np.empty((rows, width), np.uint8)
        if len(code) >= pixels.size:
            raise StripDamaged(index, f"a context code of {len(code)} bytes for {pixels.size} pixels")
        try:
            decode_context(code, pixels, counts)
        except ContextCodeInvalid as error:
            raise StripDamaged(index, str(error)) from error
    elif mode == StripMode.PLAIN:
        if len(code) != rows * width:
            raise StripDamaged(index, f"{len(code)} bytes for {rows * width} pixels")
        pixels = np.frombuffer(code, np.uint8).reshape(rows, width)
        if encode_pixels(pixels)[0] is not StripMode.PLAIN:
            raise StripDamaged(index, "pixels as they are, though the context code is shorter")
        counts += np.bincount(pixels.reshape(-1), minlength=256).astype(np.uint64)
    else:
        raise StripDamaged(index, f"mode {mode} is not known")
    return pixels, counts


def unknown_class(counts: NDArray[np.uint64], classes: int) -> int | None:
    """The lowest class value that has pixels and no name, if any."""
    wrong = np.flatnonzero(counts[classes:NO_ANSWER])
    return classes + int(wrong[0]) if wrong.size else None

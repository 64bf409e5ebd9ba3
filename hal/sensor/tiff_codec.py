"""TIFF segments back into samples: deflate, LZW, LZMA and the predictors (TIFF 6.0 sections 13, 14; Adobe TechNote 3).

Every decoder is told how many octets it may make, so that a small file cannot claim a large memory; a stream that has
a check is followed to it, so that damage is an error and not other pixels. tifffile alone has no LZW and no
floating-point predictor.
"""

from __future__ import annotations

import lzma
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bindings.lzw import LzwInvalid, decode_lzw

NONE, LZW, DEFLATE, DEFLATE_OLD, LZMA = 1, 5, 8, 32946, 34925
OWN_COMPRESSIONS = frozenset({NONE, LZW, DEFLATE, DEFLATE_OLD, LZMA})
DRAIN_BYTES = 1 << 16  # what follows the wanted octets is only looked at, this much at a time


class SegmentCorrupt(ValueError):
    """A segment that does not decode; the reader adds which file and segment."""


def decompress(octets: bytes, compression: int, size: int, most: int) -> bytes:
    """The first `size` octets (at least 1) of one segment; fewer when it ends before. Raises SegmentCorrupt.

    most: what the segment may hold at all: a last strip may be written in full though the image has fewer rows.
    Deflate and LZMA streams are followed to their end, where their check is; octets after it are padding. LZW has none.
    """
    if compression == NONE:
        return octets[:size]
    if compression in (DEFLATE, DEFLATE_OLD):
        try:
            return _inflate(octets, size, most)
        except zlib.error as error:
            raise SegmentCorrupt(f"deflate: {error}") from error
    if compression == LZMA:
        try:
            return _decode_lzma(octets, size, most)
        except (lzma.LZMAError, EOFError) as error:
            raise SegmentCorrupt(f"LZMA: {error}") from error
    try:
        return decode_lzw(octets, size)
    except LzwInvalid as error:
        raise SegmentCorrupt(f"LZW: {error.reason}") from error


def _inflate(octets: bytes, size: int, most: int) -> bytes:
    decoder = zlib.decompressobj()
    wanted = decoder.decompress(octets, size)
    made = len(wanted)
    while made >= size and not decoder.eof:
        more = decoder.decompress(decoder.unconsumed_tail, DRAIN_BYTES)
        made += len(more)
        _require_end("deflate", len(more), made, most, decoder.eof)
    return wanted


def _decode_lzma(octets: bytes, size: int, most: int) -> bytes:
    decoder = lzma.LZMADecompressor(memlimit=1 << 27)
    wanted = decoder.decompress(octets, size)
    made = len(wanted)
    while made >= size and not decoder.eof:
        more = decoder.decompress(b"", DRAIN_BYTES)
        made += len(more)
        _require_end("LZMA", len(more), made, most, decoder.eof)
    return wanted


def _require_end(name: str, more: int, made: int, most: int, ended: bool) -> None:
    """A stream goes on only within its segment, and as long as it gives something."""
    if made > most:
        raise SegmentCorrupt(f"{name}: the stream goes on behind the {most} octets of its strip or tile")
    if not more and not ended:
        raise SegmentCorrupt(f"{name}: the stream ends before its check")


def samples(
    octets: bytes, shape: tuple[int, int, int], dtype: np.dtype[Any], order: Literal["<", ">"], predictor: int
) -> NDArray[Any]:
    """(rows, columns, samples) in native order with the predictor undone. `octets` holds exactly that many.

    dtype: native; order: "<" or ">", as the file has it; predictor: 1 none, 2 horizontal, 3 floating point.
    """
    rows, columns, count = shape
    if predictor == 3:
        # Octet planes, most significant first, differenced along the row at a distance of one pixel.
        planes = np.frombuffer(octets, np.uint8).reshape(rows, columns * dtype.itemsize, count)
        planes = np.cumsum(planes, axis=1, dtype=np.uint8).reshape(rows, dtype.itemsize, columns * count)
        shuffled = np.ascontiguousarray(planes.transpose(0, 2, 1))
        floats: NDArray[Any] = shuffled.view(dtype.newbyteorder(">")).astype(dtype)
        return floats.reshape(shape)
    values = np.frombuffer(octets, dtype.newbyteorder(order)).astype(dtype).reshape(shape)
    if predictor == 2:
        wrapping = values.view(f"u{dtype.itemsize}")
        return np.cumsum(wrapping, axis=1, dtype=wrapping.dtype).view(dtype)
    return values

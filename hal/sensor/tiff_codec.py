"""TIFF segments back into samples: deflate, LZW, LZMA and the predictors (TIFF 6.0 sections 13, 14; Adobe TechNote 3).

Every decoder is told how many octets it may make: a segment that would grow beyond what its header promises is cut
there, so that a small file cannot claim a large memory. tifffile alone has no LZW and no floating-point predictor.
"""

from __future__ import annotations

import lzma
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

NONE, LZW, DEFLATE, DEFLATE_OLD, LZMA = 1, 5, 8, 32946, 34925
OWN_COMPRESSIONS = frozenset({NONE, LZW, DEFLATE, DEFLATE_OLD, LZMA})


class SegmentCorrupt(ValueError):
    """A segment that does not decode; the reader adds which file and segment."""


def decompress(octets: bytes, compression: int, size: int) -> bytes:
    """At most `size` octets of one segment. Raises SegmentCorrupt."""
    if compression == NONE:
        return octets[:size]
    if compression in (DEFLATE, DEFLATE_OLD):
        try:
            return zlib.decompressobj().decompress(octets, size)
        except zlib.error as error:
            raise SegmentCorrupt(f"deflate: {error}") from error
    if compression == LZMA:
        try:
            return lzma.LZMADecompressor(memlimit=1 << 27).decompress(octets, size)
        except (lzma.LZMAError, EOFError) as error:
            raise SegmentCorrupt(f"LZMA: {error}") from error
    return lzw_decode(octets, size)


def lzw_decode(octets: bytes, size: int) -> bytes:
    """TIFF LZW (most significant bit first, widths change one code early), at most `size` octets."""
    if len(octets) >= 2 and octets[0] == 0 and octets[1] & 1:
        raise SegmentCorrupt("LZW: the bit-reversed form from before TIFF 6.0")
    literals: list[bytes] = [bytes((value,)) for value in range(256)] + [b"", b""]
    table = literals.copy()
    parts: list[bytes] = []
    made = bits = held = 0
    width = 9
    previous = b""
    for octet in octets:
        held = (held << 8) | octet
        bits += 8
        if bits < width:
            continue
        bits -= width
        code = held >> bits
        held &= (1 << bits) - 1
        if code == 256:
            table = literals.copy()
            width, previous = 9, b""
            continue
        if code == 257:
            break
        if not previous:
            if code > 257:
                raise SegmentCorrupt("LZW: the first code is not a literal")
            entry = table[code]
        else:
            if code < len(table):
                entry = table[code]
            elif code == len(table):
                entry = previous + previous[:1]
            else:
                raise SegmentCorrupt(f"LZW: code {code} is not in the table")
            if len(table) < 4096:
                table.append(previous + entry[:1])
                if len(table) in (511, 1023, 2047):
                    width += 1
        parts.append(entry)
        previous = entry
        made += len(entry)
        if made >= size:
            break
    return b"".join(parts)[:size]


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

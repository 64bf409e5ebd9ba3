"""The class map as an indexed PNG (ISO/IEC 15948) with a world file beside it where the place is known.

Written strip by strip with the standard library: one octet a pixel, which image libraries that only know true colour
would make four.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from flight.product.container import Product
from flight.product.export.colours import palette
from flight.product.export.files import whole_file
from flight.product.header import NO_ANSWER

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_INDEXED = 3
_LEVEL = 6


def export(product: Product, path: Path) -> None:
    """Write `path`, and `path` with suffix .pgw if there is a transform. Raises StripDamaged, ExportNotWritten."""
    header = product.header
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(header.classes)] = palette(header)
    opacity = np.full(256, 255, np.uint8)
    opacity[NO_ANSWER] = 0
    with whole_file(path) as stream:
        stream.write(_SIGNATURE)
        _chunk(stream, b"IHDR", struct.pack(">IIBBBBB", header.width, header.height, 8, _INDEXED, 0, 0, 0))
        _chunk(stream, b"PLTE", colours.tobytes())
        _chunk(stream, b"tRNS", opacity.tobytes())
        squeeze = zlib.compressobj(_LEVEL)
        for index in range(header.strips):
            rows = product.strip(index)
            lines = np.zeros((rows.shape[0], header.width + 1), np.uint8)  # each line begins with its filter: none
            lines[:, 1:] = rows
            if packed := squeeze.compress(lines.tobytes()):
                _chunk(stream, b"IDAT", packed)
        _chunk(stream, b"IDAT", squeeze.flush())
        _chunk(stream, b"IEND", b"")
    if header.geo.transform is not None:
        with whole_file(path.with_suffix(".pgw")) as stream:
            stream.write(world_file(header.geo.transform).encode("ascii"))


def world_file(transform: tuple[float, float, float, float, float, float]) -> str:
    """Six lines: the steps along a row and a column, then the middle of the first pixel."""
    a, b, c, d, e, f = transform
    return "".join(f"{number!r}\n" for number in (a, d, b, e, c + (a + b) / 2, f + (d + e) / 2))


def _chunk(stream: BinaryIO, kind: bytes, content: bytes) -> None:
    stream.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)))

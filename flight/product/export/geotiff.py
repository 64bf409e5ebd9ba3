"""The class map as a GeoTIFF (OGC 19-008r4): colour map, nodata 255, deflate, strip by strip.

Place: ModelPixelScale and ModelTiepoint for a north-up transform, ModelTransformation for any other; the reference
system as its EPSG code. A product without a place gives a plain TIFF.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import tifffile

from flight.product.container import Product
from flight.product.export.colours import palette
from flight.product.export.files import whole_file
from flight.product.header import NO_ANSWER, GeoModel, ProductHeader

_MODEL_PIXEL_SCALE, _MODEL_TIEPOINT, _MODEL_TRANSFORMATION, _GEO_KEYS = 33550, 33922, 34264, 34735
_GDAL_METADATA, _GDAL_NODATA = 42112, 42113
_ASCII, _SHORT, _DOUBLE = 2, 3, 12
_LEVEL = 6
_PROJECTED, _GEOGRAPHIC, _PIXEL_IS_AREA = 1, 2, 1


def export(product: Product, path: Path) -> None:
    """Write `path`. Raises StripDamaged, ExportNotWritten."""
    header = product.header
    colours = np.zeros((3, 256), np.uint16)
    colours[:, : len(header.classes)] = np.array(palette(header), np.uint16).T * 257
    with whole_file(path) as stream, tifffile.TiffWriter(stream) as writer:
        writer.write(
            _strips(product),
            shape=(header.height, header.width),
            dtype=np.uint8,
            photometric="palette",
            colormap=colours,
            rowsperstrip=min(header.strip_rows, header.height),
            compression="adobe_deflate",
            software=header.software,
            metadata=None,
            extratags=[*_place(header.geo), *_words(header)],
        )


def _strips(product: Product) -> Iterator[bytes]:
    """The TIFF's strips, deflated here: tifffile takes an iterator of arrays for whole pages only."""
    for index in range(product.header.strips):
        yield zlib.compress(product.strip(index).tobytes(), _LEVEL)


def _place(geo: GeoModel) -> list[tuple[int, int, int, Any, bool]]:
    tags: list[tuple[int, int, int, Any, bool]] = []
    if geo.transform is not None:
        a, b, c, d, e, f = geo.transform
        if b == 0 and d == 0 and a > 0 and e < 0:
            tags.append((_MODEL_PIXEL_SCALE, _DOUBLE, 3, (a, -e, 0.0), True))
            tags.append((_MODEL_TIEPOINT, _DOUBLE, 6, (0.0, 0.0, 0.0, c, f, 0.0), True))
        else:
            matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
            tags.append((_MODEL_TRANSFORMATION, _DOUBLE, 16, matrix, True))
        if geo.epsg is not None:
            # EPSG codes of geographic systems on the surface lie in 4000..4999 (OGC 19-008r4, 7.5.4)
            geographic = 4000 <= geo.epsg < 5000
            keys = (
                *(1, 1, 0, 3),
                *(1024, 0, 1, _GEOGRAPHIC if geographic else _PROJECTED),
                *(1025, 0, 1, _PIXEL_IS_AREA),
                *(2048 if geographic else 3072, 0, 1, geo.epsg),
            )
            tags.append((_GEO_KEYS, _SHORT, len(keys), keys, True))
    return tags


def _words(header: ProductHeader) -> list[tuple[int, int, int, Any, bool]]:
    """What GDAL and QGIS show as metadata of the file and of its band."""
    items = {
        "APPLICATION": f"{header.application} {header.application_version}",
        "MODEL_SHA256": header.model_sha256.hex(),
        "SENSOR": header.sensor,
        "RADIOMETRY": header.radiometry,
        **{f"CLASS_{value}": name for value, name in enumerate(header.classes)},
    }
    lines = "".join(f'<Item name="{name}">{escape(text)}</Item>' for name, text in items.items())
    # TIFF's ASCII has seven bits: what is beyond goes in as XML character references
    metadata = f"<GDALMetadata>{lines}</GDALMetadata>".encode("ascii", "xmlcharrefreplace") + b"\0"
    nodata = f"{NO_ANSWER}\0".encode("ascii")
    return [
        (_GDAL_METADATA, _ASCII, len(metadata), metadata, True),
        (_GDAL_NODATA, _ASCII, len(nodata), nodata, True),
    ]

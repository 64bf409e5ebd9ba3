"""The class map as a GeoTIFF (OGC 19-008r4): colour map, nodata 255, deflate, strip by strip.

Place: ModelPixelScale and ModelTiepoint for a north-up transform, ModelTransformation for any other; the reference
system as its EPSG code. Lines from a camera get a grid of tie points in EPSG:4326, which GDAL reads as ground control
points. A product without a place gives a plain TIFF.
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
from flight.product.header import NO_ANSWER, ProductHeader
from flight.product.projection import pixel_to_lonlat

_MODEL_PIXEL_SCALE, _MODEL_TIEPOINT, _MODEL_TRANSFORMATION, _GEO_KEYS = 33550, 33922, 34264, 34735
_GDAL_METADATA, _GDAL_NODATA = 42112, 42113
_ASCII, _SHORT, _DOUBLE = 2, 3, 12
_LEVEL = 6
_TIE_POINTS = 9
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
            extratags=[*_place(header), *_words(header)],
        )


def _strips(product: Product) -> Iterator[bytes]:
    """The TIFF's strips, deflated here: tifffile takes an iterator of arrays for whole pages only."""
    for index in range(product.header.strips):
        yield zlib.compress(product.strip(index).tobytes(), _LEVEL)


def _place(header: ProductHeader) -> list[tuple[int, int, int, Any, bool]]:
    geo = header.geo
    tags: list[tuple[int, int, int, Any, bool]] = []
    if geo.camera is not None:
        points = _tie_points(header)
        tags.append((_MODEL_TIEPOINT, _DOUBLE, len(points), points, True))
        tags.append((_GEO_KEYS, _SHORT, *_keys(4326), True))
    if geo.transform is not None:
        a, b, c, d, e, f = geo.transform
        if b == 0 and d == 0 and a > 0 and e < 0:
            tags.append((_MODEL_PIXEL_SCALE, _DOUBLE, 3, (a, -e, 0.0), True))
            tags.append((_MODEL_TIEPOINT, _DOUBLE, 6, (0.0, 0.0, 0.0, c, f, 0.0), True))
        else:
            matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
            tags.append((_MODEL_TRANSFORMATION, _DOUBLE, 16, matrix, True))
        if geo.epsg is not None:
            tags.append((_GEO_KEYS, _SHORT, *_keys(geo.epsg), True))
    return tags


def _keys(epsg: int) -> tuple[int, tuple[int, ...]]:
    # EPSG codes of geographic systems on the surface lie in 4000..4999 (OGC 19-008r4, 7.5.4)
    geographic = 4000 <= epsg < 5000
    keys = (
        *(1, 1, 0, 3),
        *(1024, 0, 1, _GEOGRAPHIC if geographic else _PROJECTED),
        *(1025, 0, 1, _PIXEL_IS_AREA),
        *(2048 if geographic else 3072, 0, 1, epsg),
    )
    return len(keys), keys


def _tie_points(header: ProductHeader) -> tuple[float, ...]:
    """Column, row, 0, longitude, latitude, height of a grid of _TIE_POINTS a side. Longitudes do not leap."""
    cols, rows = np.meshgrid(np.linspace(0, header.width, _TIE_POINTS), np.linspace(0, header.height, _TIE_POINTS))
    lon, lat = pixel_to_lonlat(header.geo, cols.ravel(), rows.ravel())
    lon = lon[0] + (lon - lon[0] + 180.0) % 360.0 - 180.0
    zero = np.zeros_like(lon)
    return tuple(np.stack([cols.ravel(), rows.ravel(), zero, lon, lat, zero], axis=1).ravel().tolist())


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

"""The products as a static STAC catalogue (1.1.0): valid without a network, every link relative.

stac/catalog.json     every item
stac/items/ID.json    one product: footprint, times, assets with size and checksum (multihash)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flight.product.container import Product
from flight.product.export import Exported
from flight.product.export.files import make_folder, whole_file
from flight.product.projection import is_supported, pixel_to_lonlat
from ground_test.gateway.orders import utc_text

VERSION = "1.1.0"
EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
)
MEDIA_TYPES = {
    "product": "application/octet-stream",
    "geojson": "application/geo+json",
    "geotiff": "image/tiff; application=geotiff",
    "png": "image/png",
}
ROLES = {"product": ["data"], "geojson": ["data"], "geotiff": ["data"], "png": ["overview"]}
_SHA256_MULTIHASH = "1220"


def write_item(folder: Path, item_id: str, product: Product, files: Sequence[Exported], received_s: float) -> Path:
    """Write or replace one item and list it in the catalogue. Raises ExportNotWritten."""
    item = item_of(item_id, product, files, received_s, folder / "items")
    make_folder(folder / "items")
    path = folder / "items" / f"{item_id}.json"
    _write(path, item)
    _write(folder / "catalog.json", catalogue_of(sorted(entry.stem for entry in (folder / "items").glob("*.json"))))
    return path


def catalogue_of(items: Sequence[str]) -> dict[str, Any]:
    """The catalogue of these items."""
    return {
        "type": "Catalog",
        "stac_version": VERSION,
        "id": "swath",
        "title": "Swath products",
        "description": "Answers computed on board, verified and opened on the ground.",
        "links": [
            {"rel": "root", "href": "./catalog.json", "type": "application/json"},
            *({"rel": "item", "href": f"./items/{name}.json", "type": "application/geo+json"} for name in items),
        ],
    }


def item_of(
    item_id: str, product: Product, files: Sequence[Exported], received_s: float, folder: Path
) -> dict[str, Any]:
    """The item of one product; asset links are relative to `folder`, where the item will lie."""
    header, coverage = product.header, product.coverage
    ring = _footprint(product)
    seconds = header.height / header.line_rate_hz if header.line_rate_hz else 0.0
    properties: dict[str, Any] = {
        "title": f"{header.application} {utc_text(header.start_s)}",
        "datetime": utc_text(header.start_s),
        "start_datetime": utc_text(header.start_s),
        "end_datetime": utc_text(header.start_s + seconds),
        "created": utc_text(received_s),
        "instruments": [header.sensor.lower()],
        "proj:shape": [header.height, header.width],
        "processing:software": {header.software.split(" ")[0]: header.software.rpartition(" ")[2]},
        "processing:lineage": f"{header.application} {header.application_version}, computed on board",
        "processing:datetime": utc_text(product.time_s),
        "swath:application": header.application,
        "swath:application_version": header.application_version,
        "swath:model_sha256": header.model_sha256.hex(),
        "swath:parameters": dict(header.parameters),
        "swath:job": header.job_id.hex(),
        "swath:confidence": round(product.confidence, 3),
        "swath:counts": dict(zip(header.classes, product.counts, strict=True)),
        "swath:regions": product.regions_total,
        "swath:lines_lost": coverage.lines_lost,
        "swath:tiles": [coverage.tiles_total, coverage.tiles_screened, coverage.tiles_inferred],
        "swath:sealed_by": product.sealed_by.hex(),
    }
    # without a place there is still a code to state: STAC asks for null then
    properties["proj:code"] = f"EPSG:{header.geo.epsg}" if header.geo.epsg is not None else None
    if header.geo.transform is not None:
        properties["proj:transform"] = list(header.geo.transform)
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": list(EXTENSIONS),
        "id": item_id,
        "geometry": None if ring is None else {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        **({} if ring is None else {"bbox": _box(ring)}),
        "properties": properties,
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
        ],
        "assets": {file.kind: _asset(file, folder) for file in files},
    }


def _asset(file: Exported, folder: Path) -> dict[str, Any]:
    return {
        "href": Path(os.path.relpath(file.path, folder.resolve())).as_posix(),
        "type": MEDIA_TYPES[file.kind],
        "roles": ROLES[file.kind],
        "file:size": file.bytes,
        "file:checksum": _SHA256_MULTIHASH + hashlib.sha256(file.path.read_bytes()).hexdigest(),
    }


def _footprint(product: Product) -> list[list[float]] | None:
    """Corners, counter-clockwise, where the place is known."""
    header = product.header
    if header.geo.transform is None or not is_supported(header.geo.epsg):
        ring = [[lon, lat] for lon, lat in header.footprint]
        return ring if len(ring) >= 3 else None
    cols = np.array([0.0, 0.0, header.width, header.width])
    rows = np.array([0.0, header.height, header.height, 0.0])
    lon, lat = pixel_to_lonlat(header.geo, cols, rows)
    return [[round(float(x), 7), round(float(y), 7)] for x, y in zip(lon, lat, strict=True)]


def _box(ring: Sequence[Sequence[float]]) -> list[float]:
    lon, lat = [point[0] for point in ring], [point[1] for point in ring]
    return [min(lon), min(lat), max(lon), max(lat)]


def _write(path: Path, content: dict[str, Any]) -> None:
    with whole_file(path) as stream:
        stream.write(json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8") + b"\n")

"""The findings as GeoJSON (RFC 7946): polygons along pixel edges, with holes, in longitude and latitude of WGS 84.

A feature is one part of the finding class whose pixels share edges, in the order of its first pixel. Coordinates have
seven digits (a centimetre). Everything about the product as a whole stands in the foreign member `swath`.

Of a product without a class map the features are the polygons of its vector section, which end at the edges of strips;
without that too, the bounding boxes of its largest findings. `outline` says so.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindings.trace import Polygon, Runs, label_runs, trace_polygons
from flight.product.container import Product
from flight.product.errors import AntimeridianCrossed, NotGeoreferenced
from flight.product.export.files import whole_file
from flight.product.header import GeoModel
from flight.product.projection import pixel_area_m2, pixel_to_lonlat, turns_clockwise
from flight.product.vectors import QUARTERS

DIGITS = 7
# In a projected system a straight edge of pixels is a curve in longitude and latitude: it gets a corner at least every
# so many pixels, which keeps the chord within a few hundredths of a pixel of it.
_EDGE_PIXELS = 64
_POLYGONS_AT_ONCE = 256  # whose corners are placed in one go


def export(product: Product, path: Path) -> None:
    """Write `path`, one feature a line. The file streams; the mask is held whole.

    Raises NotGeoreferenced, UnsupportedProjection, OutsideProjection, AntimeridianCrossed, StripDamaged,
    ExportNotWritten.
    """
    geo = product.header.geo
    if geo.camera is None and (geo.transform is None or geo.epsg is None):
        raise NotGeoreferenced("GeoJSON")
    box = _box(product)
    with whole_file(path) as stream:
        opening = json.dumps({"type": "FeatureCollection", "bbox": box, "swath": about(product)}, ensure_ascii=False)
        stream.write(opening[:-1].encode("utf-8") + b', "features": [\n')
        separator = b""
        for feature in features(product):
            stream.write(separator + json.dumps(feature, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))
            separator = b",\n"
        stream.write(b"\n]}\n")


def features(product: Product) -> Iterator[dict[str, Any]]:
    """The features, one at a time. Raises as export()."""
    header = product.header
    if not product.has_mask:
        yield from _of_section(product) if product.vectors else _boxes(product)
        return
    class_map = product.mask()
    runs = label_runs(class_map, header.finding_class)
    areas, pixels = _areas_m2(header.geo, runs), runs.pixels()
    clockwise = turns_clockwise(header.geo, header.width, header.height)
    polygons = enumerate(trace_polygons(class_map, header.finding_class, runs))
    while several := list(itertools.islice(polygons, _POLYGONS_AT_ONCE)):
        rings = _rings(header.geo, [polygon for _, polygon in several], clockwise)
        for (part, _), coordinates in zip(several, rings, strict=True):
            yield {
                "type": "Feature",
                "id": part,
                "properties": {
                    "class": header.classes[header.finding_class],
                    "area_m2": round(float(areas[part]), 1),
                    "pixels": int(pixels[part]),
                    "confidence": round(product.confidence, 3),
                },
                "geometry": {"type": "Polygon", "coordinates": coordinates},
            }


def _of_section(product: Product) -> Iterator[dict[str, Any]]:
    header = product.header
    _, section = product.outlines()
    clockwise = turns_clockwise(header.geo, header.width, header.height)
    shapes = enumerate(
        rings
        for value, rings in zip(section.classes.tolist(), section.rings(), strict=True)
        if value == header.finding_class
    )
    while several := list(itertools.islice(shapes, _POLYGONS_AT_ONCE)):
        middles = np.array([(rings[0].min(axis=0) + rings[0].max(axis=0)) / (2 * QUARTERS) for _, rings in several])
        cells = pixel_area_m2(header.geo, middles[:, 0], middles[:, 1])
        polygons = [Polygon(rings[0], tuple(hole[::-1] for hole in rings[1:])) for _, rings in several]
        placed = _rings(header.geo, polygons, clockwise, QUARTERS)
        for (part, rings), cell, coordinates in zip(several, cells, placed, strict=True):
            pixels = (_doubled(rings[0]) - sum(map(_doubled, rings[1:]))) / (2 * QUARTERS**2)
            yield {
                "type": "Feature",
                "id": part,
                "properties": {
                    "class": header.classes[header.finding_class],
                    "area_m2": round(pixels * float(cell), 1),
                    "pixels": round(pixels),
                    "confidence": round(product.confidence, 3),
                    "outline": f"within {header.strip_rows} rows",
                },
                "geometry": {"type": "Polygon", "coordinates": coordinates},
            }


def _doubled(ring: NDArray[np.int32]) -> int:
    """Twice the area of a ring of the vector section, all of which run clockwise."""
    x, y = ring.astype(np.int64).T
    return int(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def _boxes(product: Product) -> Iterator[dict[str, Any]]:
    header = product.header
    if not product.regions:
        return
    clockwise = turns_clockwise(header.geo, header.width, header.height)
    boxes = [
        np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.int32)
        for left, top, right, bottom in (
            (found.first_col, found.first_row, found.last_col + 1, found.last_row + 1) for found in product.regions
        )
    ]
    rings = _rings(header.geo, [Polygon(box, ()) for box in boxes], clockwise)
    cols = np.array([found.col + 0.5 for found in product.regions])
    rows = np.array([found.row + 0.5 for found in product.regions])
    cells = pixel_area_m2(header.geo, cols, rows)
    for part, (found, coordinates) in enumerate(zip(product.regions, rings, strict=True)):
        yield {
            "type": "Feature",
            "id": part,
            "properties": {
                "class": header.classes[header.finding_class],
                "area_m2": round(found.area * float(cells[part]), 1),
                "pixels": found.area,
                "confidence": round(product.confidence, 3),
                "outline": "bounding box",
            },
            "geometry": {"type": "Polygon", "coordinates": coordinates},
        }


def about(product: Product) -> dict[str, Any]:
    """What the product says of itself, as JSON: origin, application, coverage, seal."""
    header, coverage = product.header, product.coverage
    return {
        "application": header.application,
        "application_version": header.application_version,
        "model_sha256": header.model_sha256.hex(),
        "parameters": dict(header.parameters),
        "software": header.software,
        "job": header.job_id.hex(),
        "capture": header.capture_id.hex(),
        "sensor": header.sensor,
        "radiometry": header.radiometry,
        "calibrated": header.calibrated,
        "start": utc(header.start_s) if header.start_s else None,
        "line_rate_hz": header.line_rate_hz,
        "width": header.width,
        "height": header.height,
        "epsg": header.geo.epsg,
        "transform": header.geo.transform,
        "sigma_m": header.geo.sigma_m,
        "geometry": "camera" if header.geo.camera is not None else "transform" if header.geo.transform else None,
        "footprint": header.footprint,
        "finding": header.classes[header.finding_class],
        "counts": dict(zip(header.classes, product.counts, strict=True)),
        "no_answer": product.no_answer,
        "regions_total": product.regions_total,
        "confidence": round(product.confidence, 3),
        "coverage": {name: getattr(coverage, name) for name in coverage.__slots__},
        "body_sha256": product.body_sha256.hex(),
        "sealed_by": product.sealed_by.hex(),
        "sealed": utc(product.time_s),
        "verified": product.verified,
    }


def utc(seconds: float) -> str:
    """RFC 3339 text of UTC seconds since 1970, to the millisecond."""
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=round(seconds * 1000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rings(geo: GeoModel, polygons: list[Polygon], clockwise: bool, steps: int = 1) -> list[list[list[list[float]]]]:
    """Exterior counter-clockwise, holes clockwise (RFC 7946, 3.1.6), closed, of each polygon.

    steps: of a pixel, which corners are counted in.
    """
    whole = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.holes)]
    rings = [_with_corners_between(ring, steps) if geo.epsg != 4326 else ring.astype(np.float64) for ring in whole]
    if clockwise:
        rings = [ring[::-1] for ring in rings]
    corners = np.concatenate(rings) / steps
    lon, lat = pixel_to_lonlat(geo, corners[:, 0], corners[:, 1])
    places = (np.round(np.stack((lon, lat), 1), DIGITS) + 0.0).tolist()
    at, closed = 0, []
    for ring in rings:
        closed.append([*places[at : at + len(ring)], places[at]])
        at += len(ring)
    taken = iter(closed)
    return [list(itertools.islice(taken, 1 + len(polygon.holes))) for polygon in polygons]


def _with_corners_between(corners: NDArray[np.int32], steps: int = 1) -> NDArray[np.float64]:
    """The same ring with no edge longer than _EDGE_PIXELS: new corners at multiples of it, so neighbours share them."""
    ends, longest = np.roll(corners, -1, axis=0), _EDGE_PIXELS * steps
    if int(np.abs(ends - corners).max()) <= longest:
        return corners.astype(np.float64)
    pieces: list[NDArray[np.float64]] = []
    for start, end in zip(corners.astype(np.float64), ends.astype(np.float64), strict=True):
        axis = int(np.abs(end - start).argmax())  # a section of other makers may have slanting edges
        low, high = sorted((int(start[axis]), int(end[axis])))
        between = np.arange(low // longest + 1, -(-high // longest)) * longest
        between = between if start[axis] == low else between[::-1]
        piece = start + ((between - start[axis]) / (end[axis] - start[axis]))[:, None] * (end - start)
        piece[:, axis] = between
        pieces += [start[None], piece]
    return np.concatenate(pieces)


def _areas_m2(geo: GeoModel, runs: Runs) -> NDArray[np.float64]:
    """Square metres of each part: each run at the scale of its middle."""
    lengths = (runs.end - runs.first).astype(np.float64)
    cells = pixel_area_m2(geo, (runs.first + runs.end) / 2.0, runs.row.astype(np.float64) + 0.5)
    return np.bincount(runs.part, weights=lengths * cells, minlength=runs.parts).astype(np.float64)


def _box(product: Product) -> list[float]:
    """West, south, east, north of the scene's outline. Raises AntimeridianCrossed when that is not one box."""
    width, height = product.header.width, product.header.height
    scene = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.int32)
    outline = _with_corners_between(scene)
    lon, lat = pixel_to_lonlat(product.header.geo, outline[:, 0], outline[:, 1])
    west, east = float(lon.min()), float(lon.max())
    steps = np.abs(np.diff(lon, append=lon[:1]))
    wrapped = product.header.geo.epsg not in (4326, 3857) and float(steps.max()) > 180.0
    if wrapped or west < -180.0 - 1e-9 or east > 180.0 + 1e-9:
        raise AntimeridianCrossed(west, east)
    return [round(value, DIGITS) for value in (west, float(lat.min()), east, float(lat.max()))]

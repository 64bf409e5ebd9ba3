"""An area of interest from a GeoJSON file (RFC 7946): bounded, and only polygons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flight.pipeline.errors import PipelineError

MAX_FILE_BYTES = 1 << 20
MAX_VERTICES = 10_000

Ring = tuple[tuple[float, float], ...]


class AreaInvalid(PipelineError, ValueError):
    """A file that is no GeoJSON polygon, or too much of one."""

    code = "area_invalid"
    exit_status = 2

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file, self.reason = file, reason


def read_area(path: Path) -> tuple[Ring, ...]:
    """All rings of the polygons in the file: (longitude, latitude), unclosed. Raises AreaInvalid.

    Outer rings run counter-clockwise and holes clockwise, as RFC 7946 asks for, however the file has them.
    """
    try:
        with path.open("rb") as stream:
            octets = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise AreaInvalid(str(path), error.strerror or str(error)) from error
    if len(octets) > MAX_FILE_BYTES:
        raise AreaInvalid(str(path), f"larger than {MAX_FILE_BYTES} bytes")
    try:
        content = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise AreaInvalid(str(path), f"not JSON: {error}") from error
    try:
        return area_rings(content)
    except AreaInvalid as error:
        raise AreaInvalid(str(path), error.reason) from error


def area_rings(content: Any) -> tuple[Ring, ...]:
    """As read_area, from a decoded GeoJSON object."""
    rings = tuple(
        _turned(_ring(ring), hole=index > 0) for polygon in _polygons(content) for index, ring in enumerate(polygon)
    )
    if not rings:
        raise AreaInvalid("area", "it holds no polygon")
    if sum(map(len, rings)) > MAX_VERTICES:
        raise AreaInvalid("area", f"more than {MAX_VERTICES} vertices")
    return rings


def _polygons(content: Any) -> list[Any]:
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "FeatureCollection" and isinstance(content.get("features"), list):
        return [polygon for feature in content["features"] for polygon in _polygons(feature)]
    if kind == "GeometryCollection" and isinstance(content.get("geometries"), list):
        return [polygon for geometry in content["geometries"] for polygon in _polygons(geometry)]
    if kind == "Feature":
        return _polygons(content.get("geometry"))
    coordinates = content.get("coordinates") if isinstance(content, dict) else None
    if kind == "Polygon" and isinstance(coordinates, list):
        return [coordinates]
    if kind == "MultiPolygon" and isinstance(coordinates, list) and all(isinstance(c, list) for c in coordinates):
        return coordinates
    raise AreaInvalid("area", f"a GeoJSON Polygon or MultiPolygon is needed, got {str(kind)[:32]}")


def _ring(ring: Any) -> Ring:
    if not isinstance(ring, list) or not 4 <= len(ring) <= MAX_VERTICES:
        raise AreaInvalid("area", "a ring has at least four positions, the last equal to the first")
    points = []
    for position in ring:
        if not isinstance(position, list) or not 2 <= len(position) <= 3:
            raise AreaInvalid("area", "a position is [longitude, latitude]")
        longitude, latitude = position[:2]
        if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in (longitude, latitude)):
            raise AreaInvalid("area", "a position holds numbers")
        if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):  # a whole number may be too large for a float
            raise AreaInvalid("area", f"{str([longitude, latitude])[:80]} is not on the globe")
        points.append((float(longitude), float(latitude)))
    if points[0] != points[-1]:
        raise AreaInvalid("area", "a ring is not closed")
    return tuple(points[:-1])


def _turned(ring: Ring, *, hole: bool) -> Ring:
    """The ring counter-clockwise, or clockwise for a hole."""
    following = (*ring[1:], ring[0])
    twice_area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, following, strict=True))
    return ring[::-1] if (twice_area > 0) == hole else ring

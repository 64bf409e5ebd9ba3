"""Vector sections made from nothing but numbers, for tests and for the committed ones.

`python -m tests.flight.product.vector_cases` writes them anew; do so only when the format changes on purpose.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bindings.simplify import simplify_rings
from bindings.trace import label_runs, trace_polygons
from bindings.vectors import DETECTION
from flight.product.vectors import NO_DETECTIONS, NO_POLYGONS, Detections, Polygons, decode_vectors, encode_vectors
from tests.flight.product.cases import blobs

SECTIONS = Path(__file__).with_name("vector_sections")

# the example of docs/vector-format.md
EXAMPLE = (
    Detections(np.array([(2, 40, 100, 9, 12, 200)], DETECTION)),
    Polygons.of([(1, [np.array([(8, 4), (20, 4), (20, 12), (8, 12)]), np.array([(12, 8), (16, 8), (12, 10)])])]),
)


def traced(tolerance: int) -> Polygons:
    """The outlines of smooth patches, exact (0) or simplified, in quarters of a pixel."""
    class_map = blobs(60, 70, 11, 3)
    shapes = []
    for value in (1, 2):
        for polygon in trace_polygons(class_map, value, label_runs(class_map, value)):
            rings = [ring * np.int32(4) for ring in (polygon.exterior, *polygon.holes)]
            counts = np.array([len(ring) for ring in rings], np.int32)
            keep = np.arange(len(rings)) == 0
            vertices, left = simplify_rings(np.concatenate(rings), counts, tolerance, keep)
            shapes.append((value, [ring for ring in np.split(vertices, np.cumsum(left)[:-1]) if len(ring)]))
    return Polygons.of(shapes)


def boxes(count: int) -> Detections:
    rng = np.random.Generator(np.random.PCG64(3))
    columns = (rng.integers(0, high, count, dtype=np.int64) for high in (4, 40_000, 40_000, 200, 160, 256))
    return Detections(np.array(list(zip(*(column.tolist() for column in columns), strict=True)), DETECTION))


def contents() -> dict[str, tuple[Detections, Polygons]]:
    return {
        "nothing": (NO_DETECTIONS, NO_POLYGONS),
        "example": EXAMPLE,
        "outlines": (NO_DETECTIONS, traced(0)),
        "simplified": (NO_DETECTIONS, traced(4)),
        "boxes": (boxes(100), NO_POLYGONS),
        "both": (boxes(20), traced(3)),
    }


def plain(detections: Detections, polygons: Polygons) -> dict[str, Any]:
    """The content as JSON has it beside a committed section."""
    return {
        "detections": [list(row) for row in detections.table.tolist()],
        "polygons": [
            [int(value), [ring.tolist() for ring in rings]]
            for value, rings in zip(polygons.classes, polygons.rings(), strict=True)
        ],
    }


def main() -> None:
    for name, content in contents().items():
        octets = encode_vectors(*content)
        shown = {"section": octets.hex(), **plain(*decode_vectors(octets))}
        text = json.dumps(shown, separators=(",", ":"))
        (SECTIONS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

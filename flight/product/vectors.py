"""Detections and polygons as one section of octets, and back (docs/vector-format.md). One content has one encoding.

Places are whole quarters of a pixel: x to the right, y down, (0, 0) the outer corner of the scene's first pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindings.vectors import (
    CLASS_MAX,
    DETECTION,
    FIELDS,
    PLACE_MAX,
    RING_MIN,
    SCORE_MAX,
    RingRefused,
    VectorCodeInvalid,
    VectorColumns,
    decode_columns,
    encode_columns,
    make_canonical,
)
from flight.product.errors import ProductDamaged, ProductError, ProductTooLarge

VERSION = 1
QUARTERS = 4  # steps of a pixel
MAX_SHIFT = 2  # places on whole pixels are coded as such
_MAX_COUNT = (1 << 31) // RING_MIN - 1
# No decision takes less than log2(64 / 63) bits: a vertex is three or more; a detection has four even ones as well.
_VERTICES_AN_OCTET, _DETECTIONS_AN_OCTET, _SLACK_OCTETS = 128, 2, 4


class VectorsRefused(ProductError, ValueError):
    """Detections or polygons that the section cannot hold."""

    code = "vectors_refused"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")
        self.what, self.reason = what, reason


class VectorsDamaged(ProductDamaged):
    """Octets that are not the one encoding of any detections and polygons. offset: octets of the section looked at."""

    code = "vectors_damaged"

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__("vectors", f"{reason} (octet {offset})")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class VectorLimits:
    """What a decoder takes at most, before anything is allocated for it."""

    detections: int = 1 << 20
    polygons: int = 1 << 20
    vertices: int = 1 << 23


DEFAULT_VECTOR_LIMITS = VectorLimits()


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes, one a row. table: (n,) of type DETECTION: class, y, x (upper left corner), width, height, score."""

    table: NDArray[Any]

    @classmethod
    def of(
        cls,
        boxes: NDArray[Any],
        scores: NDArray[Any],
        classes: NDArray[Any],
    ) -> Detections:
        """From boxes in pixels (n, 4) x0, y0, x1, y1, scores 0..1 and classes 0..255, rounded half to even.

        Corners are rounded, so that boxes that touch still do. Raises VectorsRefused.
        """
        corners = np.asarray(boxes, np.float64).reshape(-1, 4) * QUARTERS
        if not np.isfinite(corners).all() or (np.abs(corners) > PLACE_MAX).any():
            raise VectorsRefused("detections", f"a corner is not within {PLACE_MAX // QUARTERS} pixels")
        ranks = np.asarray(scores, np.float64)
        if not ((ranks >= 0) & (ranks <= 1)).all():
            raise VectorsRefused("detections", "a score is not from 0 to 1")
        whole = np.rint(corners).astype(np.int64)
        columns = (
            np.asarray(classes, np.int64),
            whole[:, 1],
            whole[:, 0],
            whole[:, 2] - whole[:, 0],
            whole[:, 3] - whole[:, 1],
            np.rint(ranks * SCORE_MAX).astype(np.int64),
        )
        table = np.empty(len(whole), DETECTION)
        for name, column in zip(FIELDS, columns, strict=True):
            if column.shape != (len(whole),):
                raise VectorsRefused("detections", f"{len(whole)} boxes, {len(column)} values of {name}")
            if len(column) and (column.min() < -(1 << 31) or column.max() >= 1 << 31):
                raise VectorsRefused("detections", f"a {name} is out of range")
            table[name] = column
        return cls(table)

    def __len__(self) -> int:
        return len(self.table)

    def boxes(self) -> NDArray[np.float64]:
        """(n, 4) x0, y0, x1, y1 in pixels."""
        x, y = self.table["x"].astype(np.float64), self.table["y"].astype(np.float64)
        return np.stack((x, y, x + self.table["width"], y + self.table["height"]), axis=1) / QUARTERS


@dataclass(frozen=True, slots=True)
class Polygons:
    """Polygons, one a row of `classes`; the rings of all of them one after another, each exterior before its holes."""

    classes: NDArray[np.int32]  # (p,) 0..255
    ring_counts: NDArray[np.int32]  # (p,) rings of each polygon, at least 1
    vertex_counts: NDArray[np.int32]  # (r,) vertices of each ring, at least 3; not closed
    vertices: NDArray[np.int32]  # (v, 2) x, y in quarters of a pixel

    @classmethod
    def of(cls, polygons: Iterable[tuple[int, Sequence[NDArray[Any]]]]) -> Polygons:
        """From (class, rings): the exterior, then the holes, each (n, 2) x, y in quarters of a pixel, not closed."""
        classes: list[int] = []
        ring_counts: list[int] = []
        rings: list[NDArray[np.int32]] = []
        for class_value, outlines in polygons:
            classes.append(class_value)
            ring_counts.append(len(outlines))
            rings += [np.asarray(ring, np.int32).reshape(-1, 2) for ring in outlines]
        return cls(
            np.array(classes, np.int32),
            np.array(ring_counts, np.int32),
            np.array([len(ring) for ring in rings], np.int32),
            np.concatenate(rings) if rings else np.empty((0, 2), np.int32),
        )

    def __len__(self) -> int:
        return len(self.classes)

    def rings(self) -> list[list[NDArray[np.int32]]]:
        """For each polygon its rings, the exterior first."""
        each = np.split(self.vertices, np.cumsum(self.vertex_counts)[:-1]) if len(self.vertex_counts) else []
        ends = np.cumsum(self.ring_counts)
        return [each[end - count : end] for end, count in zip(ends, self.ring_counts, strict=True)]


NO_DETECTIONS = Detections(np.empty(0, DETECTION))
NO_POLYGONS = Polygons.of(())


def encode_vectors(detections: Detections, polygons: Polygons) -> bytes:
    """The one encoding of these detections and polygons, whatever order they and their vertices come in.

    Raises VectorsRefused.
    """
    table = _sorted_detections(detections.table)
    shapes = _sorted_polygons(polygons)
    shifts = _shift(table["y"], table["x"], table["width"], table["height"]), _shift(shapes.vertices)
    columns = VectorColumns(table, shapes.classes, shapes.ring_counts, shapes.vertex_counts, shapes.vertices)
    counts = (len(table), len(shapes.classes), len(shapes.vertex_counts), len(shapes.vertices))
    if max(counts[0], counts[3] // RING_MIN) > _MAX_COUNT:
        raise VectorsRefused("vectors", f"{counts[0]} detections and {counts[3]} vertices are too many")
    head = bytes((VERSION, shifts[0] | shifts[1] << 2)) + b"".join(map(_leb128, counts))
    return head + encode_columns(columns, *shifts)


def decode_vectors(octets: bytes, limits: VectorLimits = DEFAULT_VECTOR_LIMITS) -> tuple[Detections, Polygons]:
    """What a section holds, in canonical order. Allocates nothing for counts past `limits` or past what so few octets
    can hold. Raises VectorsDamaged, ProductTooLarge.
    """
    if len(octets) < 2 or octets[0] != VERSION:
        raise VectorsDamaged(f"version {octets[0]} is not known" if octets else "is empty", 0)
    shifts = octets[1] & 3, octets[1] >> 2
    if max(shifts) > MAX_SHIFT:
        raise VectorsDamaged("units finer or coarser than quarters and pixels", 1)
    counts, at = [], 2
    for _ in range(4):
        count, at = _from_leb128(octets, at)
        counts.append(count)
    detections, polygons, rings, vertices = counts
    payload = octets[at:]
    room = len(payload) + _SLACK_OCTETS
    if (
        not polygons <= rings <= vertices // RING_MIN
        or (polygons == 0 and vertices)
        or vertices > _VERTICES_AN_OCTET * room
        or detections > _DETECTIONS_AN_OCTET * room
    ):
        raise VectorsDamaged(f"{counts} items cannot be in {len(payload)} octets", at)
    for name, count, limit in (
        ("detections", detections, limits.detections),
        ("polygons", polygons, limits.polygons),
        ("vertices", vertices, limits.vertices),
    ):
        if count > limit:
            raise ProductTooLarge(name, count, limit)
    columns = VectorColumns.empty(*counts)
    try:
        decode_columns(payload, columns, *shifts)
    except VectorCodeInvalid as error:
        raise VectorsDamaged(error.reason, at + error.offset) from error
    found = Detections(columns.detections)
    shapes = Polygons(columns.polygon_class, columns.polygon_rings, columns.ring_vertices, columns.vertices)
    try:
        again = encode_vectors(found, shapes)
    except VectorsRefused as error:
        raise VectorsDamaged(error.reason, len(octets)) from error
    if again != octets:
        raise VectorsDamaged("is not the one encoding of what it holds", len(octets))
    return found, shapes


def _sorted_detections(table: NDArray[Any]) -> NDArray[Any]:
    """By class, y, x, width, height, score. Raises VectorsRefused."""
    if table.dtype != DETECTION or table.ndim != 1:
        raise VectorsRefused("detections", f"a table of {len(FIELDS)} named int32 columns is needed, got {table.dtype}")
    bounds = {"class": (0, CLASS_MAX), "score": (0, SCORE_MAX), "width": (0, PLACE_MAX), "height": (0, PLACE_MAX)}
    for name in FIELDS:
        low, high = bounds.get(name, (-PLACE_MAX, PLACE_MAX))
        if len(table) and not (low <= int(table[name].min()) and int(table[name].max()) <= high):
            raise VectorsRefused("detections", f"{name} is not from {low} to {high} everywhere")
    return np.ascontiguousarray(table[np.lexsort([table[name] for name in reversed(FIELDS)])])


def _sorted_polygons(polygons: Polygons) -> Polygons:
    """Rings in their one form, holes and polygons in order. Raises VectorsRefused."""
    for name, column in (("classes", polygons.classes), ("ring_counts", polygons.ring_counts)):
        if column.shape != (len(polygons.classes),):
            raise VectorsRefused("polygons", f"{len(polygons.classes)} classes, {name} of shape {column.shape}")
    if not len(polygons.classes):
        if len(polygons.vertex_counts) or len(polygons.vertices):
            raise VectorsRefused("polygons", "rings or vertices without a polygon")
        return polygons
    classes, ring_counts = _int32("classes", polygons.classes), _int32("ring_counts", polygons.ring_counts)
    vertex_counts = _int32("vertex_counts", polygons.vertex_counts)
    vertices = np.array(polygons.vertices, np.int32, order="C")
    if int(classes.min()) < 0 or int(classes.max()) > CLASS_MAX:
        raise VectorsRefused("polygons", f"a class is not from 0 to {CLASS_MAX}")
    if int(ring_counts.min()) < 1 or int(ring_counts.sum(dtype=np.int64)) != len(vertex_counts):
        raise VectorsRefused("polygons", f"ring counts do not add up to {len(vertex_counts)} rings, one or more each")
    if int(vertex_counts.min()) < RING_MIN or int(vertex_counts.sum(dtype=np.int64)) != len(vertices):
        raise VectorsRefused("polygons", f"rings of {RING_MIN} or more vertices do not add up to {len(vertices)}")
    try:
        make_canonical(vertices, vertex_counts)
    except RingRefused as error:
        raise VectorsRefused(f"ring {error.ring}", error.reason) from error
    begins = np.cumsum(vertex_counts) - vertex_counts
    owner = np.repeat(np.arange(len(classes)), ring_counts)
    first_ring = np.cumsum(ring_counts) - ring_counts
    is_hole = np.ones(len(vertex_counts), bool)
    is_hole[first_ring] = False
    first = vertices[begins]

    def ring_key(ring: int) -> tuple[int, list[list[int]]]:
        inside = vertices[begins[ring] : begins[ring] + vertex_counts[ring]]
        return int(vertex_counts[ring]), inside[:, ::-1].tolist()

    rings = _ordered([first[:, 0], first[:, 1], is_hole, owner], ring_key)
    # a polygon's rings still stand side by side, at the same places: only the order within it has changed

    def polygon_key(polygon: int) -> tuple[int, list[tuple[int, list[list[int]]]]]:
        inside = rings[first_ring[polygon] : first_ring[polygon] + ring_counts[polygon]]
        return len(inside), [ring_key(int(ring)) for ring in inside]

    order = _ordered([first[first_ring][:, 0], first[first_ring][:, 1], classes], polygon_key)
    rings = rings[_spread(first_ring[order], ring_counts[order])]
    counts = vertex_counts[rings]
    return Polygons(
        classes[order],
        ring_counts[order],
        counts,
        np.ascontiguousarray(vertices[_spread(begins[rings], counts)]),
    )


def _ordered(columns: list[NDArray[Any]], key: Any) -> NDArray[np.int64]:
    """np.lexsort, and what it finds equal by `key`."""
    order = np.lexsort(columns).astype(np.int64)
    equal = np.ones(max(len(order) - 1, 0), bool)
    for column in columns:
        equal &= column[order][1:] == column[order][:-1]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], equal.view(np.int8), [0]))))
    for start, end in edges.reshape(-1, 2):
        order[start : end + 1] = sorted(order[start : end + 1].tolist(), key=key)
    return order


def _spread(begins: NDArray[Any], counts: NDArray[np.int32]) -> NDArray[np.int64]:
    """begins[0], begins[0] + 1, ... counts[0] of them, then those of the next."""
    ends = np.cumsum(counts, dtype=np.int64)
    return np.asarray(np.arange(ends[-1], dtype=np.int64) + np.repeat(begins - (ends - counts), counts), np.int64)


def _int32(name: str, column: NDArray[Any]) -> NDArray[np.int32]:
    if column.ndim != 1 or column.dtype.kind not in "iu":
        raise VectorsRefused("polygons", f"{name} must be whole numbers in one axis, got {column.dtype} {column.shape}")
    return np.ascontiguousarray(column, np.int32)


def _shift(*columns: NDArray[Any]) -> int:
    """Low bits that all of these lack, at most MAX_SHIFT; 0 for nothing at all."""
    if not columns[0].size:
        return 0
    together = 0
    for column in columns:
        together |= int(np.bitwise_or.reduce(column, axis=None))
    return MAX_SHIFT if together & 3 == 0 else 0 if together & 1 else 1


def _leb128(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*octets, value))


def _from_leb128(octets: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(5):
        if at + index >= len(octets):
            raise VectorsDamaged("ends in its counts", len(octets))
        value |= (octets[at + index] & 0x7F) << 7 * index
        if octets[at + index] < 0x80:
            if index and octets[at + index] == 0:
                raise VectorsDamaged("a count is not in its shortest form", at)
            return value, at + index + 1
    raise VectorsDamaged("a count is too large", at)

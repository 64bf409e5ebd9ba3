"""The code of detections and polygons (docs/vector-format.md) by the C core: bounded, and safe for any octets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bindings.errors import BindingsError
from bindings.faults import BufferMismatch
from bindings.ffi import Octets, check, ffi, lib, octets, view

PLACE_MAX: Final = int(lib.SW_VECTOR_PLACE_MAX)  # quarters of a pixel
CLASS_MAX: Final = int(lib.SW_VECTOR_CLASS_MAX)
SCORE_MAX: Final = int(lib.SW_VECTOR_SCORE_MAX)
RING_MIN: Final = int(lib.SW_VECTOR_RING_MIN)
FIELDS: Final = ("class", "y", "x", "width", "height", "score")
DETECTION: Final = np.dtype([(name, np.int32) for name in FIELDS])  # as sw_detection in csrc/decl/vectors.h

_REASONS = {
    int(lib.SW_VEC_CUT_SHORT): "the octets end before the numbers do",
    int(lib.SW_VEC_BEHIND): "octets follow the last number",
    int(lib.SW_VEC_NUMBER): "a number is longer than any can be",
    int(lib.SW_VEC_PLACE): f"a place is not within {PLACE_MAX} quarters of a pixel",
    int(lib.SW_VEC_CLASS): f"a class is not from 0 to {CLASS_MAX}",
    int(lib.SW_VEC_RINGS): "rings or vertices do not add up to the stated numbers",
    int(lib.SW_VEC_REPEATED): "a ring has the same vertex twice in a row",
    int(lib.SW_VEC_NO_AREA): "a ring encloses nothing",
}


class VectorCodeInvalid(BindingsError, ValueError):
    """Octets that are not the code of so many detections and polygons."""

    code = "vector_code_invalid"

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (octet {offset})")
        self.reason, self.offset = reason, offset


class RingRefused(BindingsError, ValueError):
    """A ring that is no outline of anything."""

    code = "ring_refused"

    def __init__(self, ring: int, reason: str) -> None:
        super().__init__(f"ring {ring}: {reason}")
        self.ring, self.reason = ring, reason


@dataclass(frozen=True, slots=True)
class VectorColumns:
    """Detections and polygons as the C core takes them; places in quarters of a pixel, x right, y down.

    A polygon's first ring is its exterior. Arrays are C-contiguous.
    """

    detections: NDArray[Any]  # (n,) DETECTION
    polygon_class: NDArray[np.int32]  # (p,)
    polygon_rings: NDArray[np.int32]  # (p,) rings of each, at least 1
    ring_vertices: NDArray[np.int32]  # (r,) vertices of each ring, at least RING_MIN
    vertices: NDArray[np.int32]  # (v, 2) x, y

    @classmethod
    def empty(cls, detections: int, polygons: int, rings: int, vertices: int) -> VectorColumns:
        """Arrays of these lengths, without values."""
        classes, counts, of_rings = (np.empty(length, np.int32) for length in (polygons, polygons, rings))
        return cls(np.empty(detections, DETECTION), classes, counts, of_rings, np.empty((vertices, 2), np.int32))


def make_canonical(vertices: NDArray[np.int32], ring_vertices: NDArray[np.int32]) -> None:
    """Turn every ring, in place, clockwise on screen and to its least rotation by (y, x).

    vertices: (v, 2) int32 x, y; ring_vertices: (r,) int32, which add up to v. Raises RingRefused, BufferMismatch.
    """
    address = ffi.cast("int32_t *", view("vertices", vertices, np.int32, 2, writable=True))
    counts = ffi.cast("int32_t *", view("ring_vertices", ring_vertices, np.int32, 1))
    _must_add_up("ring_vertices", ring_vertices, vertices.shape[0])
    if vertices.shape[1] != 2:
        raise BufferMismatch("vertices", f"(v, 2) is needed, got {vertices.shape}")
    ring = ffi.new("int64_t *")
    fault = lib.sw_rings_canonical(address, counts, len(ring_vertices), ring)
    if fault:
        raise RingRefused(int(ring[0]), _REASONS[fault])


def encode_columns(columns: VectorColumns, detection_shift: int, polygon_shift: int) -> bytes:
    """The code of columns in canonical order. Shifts, 0 to 2: low bits that all places lack.

    Raises CoreFault for columns that are out of range or order: flight/product/vectors.py refuses those by name.
    Releases the GIL.
    """
    _must_add_up("ring_vertices", columns.ring_vertices, len(columns.vertices))
    _must_add_up("polygon_rings", columns.polygon_rings, len(columns.ring_vertices))
    state = _state(columns, detection_shift, polygon_shift)
    capacity = 64 + 24 * len(columns.detections) + 8 * len(columns.ring_vertices) + 4 * len(columns.vertices)
    while True:
        out = np.empty(capacity, np.uint8)
        made = lib.sw_vectors_encode(
            state, ffi.cast("uint8_t *", view("out", out, np.uint8, 1, writable=True)), capacity
        )
        if made != lib.SW_E_SPACE:
            return out[: check(made)].tobytes()
        capacity *= 4


def decode_columns(data: Octets, columns: VectorColumns, detection_shift: int, polygon_shift: int) -> None:
    """Decode into all of `columns` (VectorColumns.empty). Raises VectorCodeInvalid; the columns then mean nothing.

    Never reads or writes out of bounds. Releases the GIL.
    """
    held = octets(data)
    where = ffi.new("size_t *")
    fault = lib.sw_vectors_decode(held, len(held), _state(columns, detection_shift, polygon_shift), where)
    if fault:
        raise VectorCodeInvalid(_REASONS[fault], int(where[0]))


def _state(columns: VectorColumns, detection_shift: int, polygon_shift: int) -> Any:
    polygons, rings = len(columns.polygon_class), len(columns.ring_vertices)
    vertices = len(columns.vertices)
    state = ffi.new("sw_vectors *", (len(columns.detections), polygons, rings, vertices))
    state.detection_shift, state.polygon_shift = detection_shift, polygon_shift
    state.detection = ffi.cast("sw_detection *", view("detections", columns.detections, DETECTION, 1))
    for name, array in (("polygon_class", columns.polygon_class), ("polygon_rings", columns.polygon_rings)):
        setattr(state, name, ffi.cast("int32_t *", view(name, array, np.int32, 1, shape=(polygons,))))
    state.ring_vertices = ffi.cast("int32_t *", view("ring_vertices", columns.ring_vertices, np.int32, 1))
    state.vertex = ffi.cast("int32_t *", view("vertices", columns.vertices, np.int32, 2, shape=(vertices, 2)))
    return state


def _must_add_up(name: str, counts: NDArray[np.int32], total: int) -> None:
    if (len(counts) and int(counts.min()) < 0) or int(counts.sum(dtype=np.int64)) != total:
        raise BufferMismatch(name, f"do not add up to {total}")

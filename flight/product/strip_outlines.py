"""Outlines of a product's findings, traced strip by strip while the rows go by, for its vector section.

A region that reaches over the edge of a strip is one polygon in each of its strips, and they share that edge: so what
is kept is one strip of rows and the corners found so far, both bounded, however tall the scene is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flight.product.outlines import outline_polygons
from flight.product.vectors import NO_DETECTIONS, QUARTERS, Polygons, encode_vectors

MAX_STRIP_RUNS = 1 << 15  # of the class, in one strip: tracing takes some 250 octets a run while it lasts
MAX_CORNERS = 1 << 17  # in all: a megabyte while they are kept
MAX_OF_MASK = 2  # times the octets of a class map that says the same


class LeftOut(Enum):
    """Why a product has no outlines though it has regions."""

    RUNS = f"a strip has more than {MAX_STRIP_RUNS:,} runs of the class"
    CORNERS = f"they have more than {MAX_CORNERS:,} corners"
    OCTETS = f"they would take more than {MAX_OF_MASK} times the octets of the class map"


@dataclass(frozen=True, slots=True)
class Outlines:
    """What came of it."""

    section: bytes  # docs/vector-format.md; empty without polygons
    polygons: int
    left_out: LeftOut | None


class StripOutlines:
    """Takes a class map's rows, first to last, and makes the section of the outlines of one class."""

    def __init__(self, width: int, strip_rows: int, value: int) -> None:
        """strip_rows: rows of every strip but the last."""
        self._value = value
        self._kept = np.empty((strip_rows, width), np.uint8)
        self._filled = self._first = self._runs = self._corners = 0
        self._strips: list[Polygons] = []
        self._left_out: LeftOut | None = None

    def feed(self, rows: NDArray[np.uint8]) -> None:
        """The next rows, (n, width) in any portions. The row that ends a strip has the tracing of all of it."""
        while rows.shape[0] and self._left_out is None:
            taken = rows[: len(self._kept) - self._filled]
            rows = rows[len(taken) :]
            here = taken == self._value
            self._runs += np.count_nonzero(here[:, 0]) + np.count_nonzero(here[:, 1:] > here[:, :-1])
            self._kept[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            if self._runs > MAX_STRIP_RUNS:
                self._leave_out(LeftOut.RUNS)
            elif self._filled == len(self._kept):
                self._end_strip()

    def finish(self, mask_octets: int | None) -> Outlines:
        """The map has ended. mask_octets: of the class map in the same product; None where there is none."""
        if self._left_out is None:
            self._end_strip()
        if not self._strips:
            return Outlines(b"", 0, self._left_out)
        columns = zip(*((p.classes, p.ring_counts, p.vertex_counts, p.vertices) for p in self._strips), strict=True)
        polygons = Polygons(*(np.concatenate(column) for column in columns))
        section = encode_vectors(NO_DETECTIONS, polygons)
        if mask_octets is not None and len(section) > MAX_OF_MASK * mask_octets:
            return Outlines(b"", 0, LeftOut.OCTETS)
        return Outlines(section, len(polygons), None)

    def _end_strip(self) -> None:
        if self._runs:
            polygons, _ = outline_polygons(self._kept[: self._filled], (self._value,))
            polygons.vertices[:, 1] += self._first * QUARTERS
            self._strips.append(polygons)
            self._corners += len(polygons.vertices)
        self._first += self._filled
        self._filled = self._runs = 0
        if self._corners > MAX_CORNERS:
            self._leave_out(LeftOut.CORNERS)

    def _leave_out(self, why: LeftOut) -> None:
        self._left_out = why
        self._strips.clear()
        self._kept = self._kept[:0].copy()  # gives the strip's memory back

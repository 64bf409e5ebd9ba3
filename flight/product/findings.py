"""The largest findings of a product: connected regions (8-connected) of its finding class, kept while strips go by.

A product carries the number of all regions and the 256 largest, in pixel coordinates; columns of small integers, so
that deterministic CBOR keeps them short (docs/product-format.md, "Findings").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindings.regions import FIELDS, REGION
from flight.product.errors import ProductDamaged

MAX_FINDINGS = 256
CENTRE_STEPS = 16  # a centre is kept in sixteenths of a pixel


@dataclass(frozen=True, slots=True)
class Finding:
    """One connected region. Centre: the mean of its pixels, (0.0, 0.0) being the middle of the first one."""

    area: int  # pixels
    first_row: int
    first_col: int
    last_row: int  # included
    last_col: int
    row: float  # centre
    col: float

    @property
    def rank(self) -> tuple[float, ...]:
        """Its place in a product: largest first, then from the top, then from the left."""
        return (-self.area, self.first_row, self.first_col, self.last_row, self.last_col, self.row, self.col)


class FindingTable:
    """Keeps the largest regions offered, whatever the order they come in; memory for MAX_FINDINGS."""

    def __init__(self) -> None:
        self.total = 0  # regions offered
        self._kept = np.empty(0, REGION)

    def offer(self, regions: NDArray[Any]) -> None:
        """Take in regions, an array of type REGION (RegionScanner.feed_table)."""
        self.total += len(regions)
        if len(self._kept) == MAX_FINDINGS:
            regions = regions[regions["area"] >= self._kept["area"][-1]]
        if not len(regions):
            return
        every = np.concatenate((self._kept, regions))
        if len(every) > MAX_FINDINGS:
            least = np.partition(every["area"], len(every) - MAX_FINDINGS)[len(every) - MAX_FINDINGS]
            every = every[every["area"] >= least]
        # lexsort's last key is its first; complete, so that the order is never left to chance
        order = np.lexsort((*(every[name] for name in reversed(FIELDS[1:])), -every["area"]))
        self._kept = every[order[:MAX_FINDINGS]]

    def largest(self) -> tuple[Finding, ...]:
        """Largest first, then from the top, then from the left."""
        return tuple(_finding(*map(int, region)) for region in self._kept.tolist())


def _finding(
    area: int, first_row: int, first_col: int, last_row: int, last_col: int, sum_row: int, sum_col: int
) -> Finding:
    """The centre rounded (half up) to sixteenths in whole numbers."""
    return Finding(
        area,
        first_row,
        first_col,
        last_row,
        last_col,
        first_row + _sixteenths(sum_row - first_row * area, area) / CENTRE_STEPS,
        first_col + _sixteenths(sum_col - first_col * area, area) / CENTRE_STEPS,
    )


def _sixteenths(total: int, count: int) -> int:
    return (2 * CENTRE_STEPS * total + count) // (2 * count)


def findings_to_columns(findings: tuple[Finding, ...]) -> list[list[int]]:
    """Seven columns of whole numbers; the area as the difference to the one before it, extents less one."""
    columns: list[list[int]] = [[] for _ in range(7)]
    area_before = 0
    for finding in findings:
        values = (
            area_before - finding.area if area_before else finding.area,
            finding.first_row,
            finding.first_col,
            finding.last_row - finding.first_row,
            finding.last_col - finding.first_col,
            round((finding.row - finding.first_row) * CENTRE_STEPS),
            round((finding.col - finding.first_col) * CENTRE_STEPS),
        )
        area_before = finding.area
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    return columns


def findings_from_columns(columns: Any, height: int, width: int) -> tuple[Finding, ...]:
    """The findings in seven decoded columns, each checked against the mask's size. Raises ProductDamaged."""
    if not isinstance(columns, list) or len(columns) != 7 or not all(isinstance(column, list) for column in columns):
        raise ProductDamaged("findings", "seven columns are needed")
    if len({len(column) for column in columns}) != 1 or len(columns[0]) > MAX_FINDINGS:
        raise ProductDamaged("findings", f"columns of one length, at most {MAX_FINDINGS}, are needed")
    if not all(type(value) is int and value >= 0 for column in columns for value in column):
        raise ProductDamaged("findings", "values are whole numbers from 0")
    found: list[Finding] = []
    for area, first_row, first_col, rows, cols, row, col in zip(*columns, strict=True):
        area = found[-1].area - area if found else area
        if first_row + rows >= height or first_col + cols >= width:
            raise ProductDamaged("findings", f"finding {len(found)} lies outside the mask")
        if not 1 <= area <= (rows + 1) * (cols + 1) or row > rows * CENTRE_STEPS or col > cols * CENTRE_STEPS:
            raise ProductDamaged("findings", f"finding {len(found)} does not fit its own extent")
        finding = Finding(
            area,
            first_row,
            first_col,
            first_row + rows,
            first_col + cols,
            first_row + row / CENTRE_STEPS,
            first_col + col / CENTRE_STEPS,
        )
        if found and finding.rank < found[-1].rank:
            raise ProductDamaged("findings", f"finding {len(found)} is out of order")
        found.append(finding)
    return tuple(found)

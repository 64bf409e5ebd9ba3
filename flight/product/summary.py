"""The summary of a product: what was looked at, what was found, counted (docs/product-format.md, "Summary")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flight.product.errors import HeaderInvalid, ProductDamaged
from flight.product.findings import Finding, findings_from_columns, findings_to_columns
from flight.product.header import Content, ProductHeader
from flight.services.cbor import CborError, decode, encode

MAX_SUMMARY_BYTES = 65_536
_CONFIDENCE_STEPS = 255


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was looked at, and what was not."""

    lines: int
    lines_lost: int
    tiles_total: int
    tiles_screened: int
    tiles_inferred: int
    nodata_pixels: int

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
                raise HeaderInvalid(f"coverage.{name}", f"must be a whole number from 0, got {value!r}")
        if self.lines_lost > self.lines:
            raise HeaderInvalid("coverage.lines_lost", f"{self.lines_lost} of {self.lines} lines")
        if self.tiles_screened + self.tiles_inferred > self.tiles_total:
            raise HeaderInvalid("coverage.tiles_total", "fewer than the tiles screened and inferred")


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of a product."""

    coverage: Coverage
    confidence: float  # 0..1, kept in steps of 1/255
    counts: tuple[int, ...]  # pixels of each class
    no_answer: int  # pixels without an answer
    regions_total: int
    regions: tuple[Finding, ...]  # the largest, largest first; none without Content.REGIONS

    def pack(self) -> bytes:
        """Deterministic CBOR: a map from field number to value, every field there. Raises HeaderInvalid."""
        if not 0.0 <= self.confidence <= 1.0:
            raise HeaderInvalid("confidence", f"must be from 0 to 1, got {self.confidence!r}")
        return encode(
            {
                1: [getattr(self.coverage, name) for name in Coverage.__slots__],
                2: round(self.confidence * _CONFIDENCE_STEPS),
                3: list(self.counts),
                4: self.no_answer,
                5: self.regions_total,
                6: findings_to_columns(self.regions),
            }
        )

    @classmethod
    def unpack(cls, octets: bytes, header: ProductHeader) -> Summary:
        """The summary in `octets`, as far as it can be checked against `header`. Raises ProductDamaged."""
        try:
            fields = decode(octets, max_depth=4, max_bytes=MAX_SUMMARY_BYTES)
        except CborError as error:
            raise ProductDamaged("summary", str(error)) from error
        if not isinstance(fields, dict) or list(fields) != [1, 2, 3, 4, 5, 6]:
            raise ProductDamaged("summary", "the fields 1 to 6 are needed, and no other")
        numbers = _numbers("coverage", fields[1], len(Coverage.__slots__))
        try:
            coverage = Coverage(*numbers)
        except HeaderInvalid as error:
            raise ProductDamaged("summary", str(error)) from error
        (confidence,) = _numbers("confidence", [fields[2]], 1)
        if confidence > _CONFIDENCE_STEPS:
            raise ProductDamaged("summary", f"confidence {confidence} of {_CONFIDENCE_STEPS}")
        counts = _numbers("counts", fields[3], len(header.classes))
        no_answer, total = _numbers("pixels without an answer and regions", [fields[4], fields[5]], 2)
        if sum(counts) + no_answer != header.width * header.height:
            raise ProductDamaged("summary", f"{sum(counts) + no_answer} of {header.width * header.height} pixels")
        findings = findings_from_columns(fields[6], header.height, header.width)
        if findings and Content.REGIONS not in header.contents:
            raise ProductDamaged("summary", "findings in a product without regions")
        if sum(finding.area for finding in findings) > counts[header.finding_class] or len(findings) > total:
            raise ProductDamaged("summary", "more findings than there are pixels or regions for")
        return cls(coverage, confidence / _CONFIDENCE_STEPS, tuple(counts), no_answer, total, findings)


def _numbers(name: str, values: Any, length: int) -> list[int]:
    if not isinstance(values, list) or len(values) != length or not all(type(v) is int and v >= 0 for v in values):
        raise ProductDamaged("summary", f"{name}: {length} whole numbers from 0 are needed")
    return values

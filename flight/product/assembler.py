"""Assembles a product's body from the rows of its class map, taken in any portions.

Equal rows under an equal header give an equal body, to the octet, however they were portioned and however often the
process was restarted. The work of a call is bounded by the rows given, and by one strip where outlines are traced;
what is kept is one strip of rows, the encoded strips, the preview, the counts, the largest findings and the outlines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bindings.regions import RegionScanner
from flight.product.errors import HeaderInvalid, MaskIncomplete, RowsRefused
from flight.product.findings import FindingTable
from flight.product.header import NO_ANSWER, Content, ProductHeader
from flight.product.layout import pack_body
from flight.product.mask import StripEncoder, encode_pixels, pack_strip
from flight.product.preview import PreviewMaker, has_preview
from flight.product.strip_outlines import Outlines, StripOutlines
from flight.product.summary import Coverage, Summary


class ProductAssembler:
    """Takes a class map's rows, first to last, and makes the body of a product."""

    def __init__(self, header: ProductHeader, *, outlined: bool = False) -> None:
        """outlined: trace the outlines of the finding class into the vector section. Raises HeaderInvalid."""
        if outlined and Content.REGIONS not in header.contents:
            raise HeaderInvalid("contents", "outlines of a product without regions")
        self.header = header
        self.outlines: Outlines | None = None  # once finished, if they were asked for
        self._rows = 0
        self._counts = np.zeros(256, np.uint64)
        self._scanner = RegionScanner(header.width, header.finding_class)
        self._findings = FindingTable()
        self._strips: list[bytes] = []
        masked = Content.MASK in header.contents
        self._encoder = StripEncoder(header.width, min(header.strip_rows, header.height)) if masked else None
        self._preview = PreviewMaker(header.width, len(header.classes)) if masked else None
        strip_rows = min(header.strip_rows, header.height)
        self._outlines = StripOutlines(header.width, strip_rows, header.finding_class) if outlined else None

    @property
    def rows(self) -> int:
        """Rows taken so far; the next one's place."""
        return self._rows

    @property
    def no_answer(self) -> int:
        """Pixels without an answer among the rows taken so far."""
        return int(self._counted()[NO_ANSWER])

    def add(self, first_row: int, rows: NDArray[np.uint8]) -> None:
        """Take the next rows, (n, width) uint8 with values 0 .. classes-1 or 255; first_row: their place.

        Raises RowsRefused, and is then as it was before.
        """
        header = self.header
        if first_row != self._rows:
            raise RowsRefused(first_row, f"row {self._rows} is the next")
        if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != header.width:
            raise RowsRefused(first_row, f"uint8 (n, {header.width}) is needed, got {rows.dtype} {rows.shape}")
        if self._rows + rows.shape[0] > header.height:
            raise RowsRefused(first_row, f"{rows.shape[0]} rows where {header.height - self._rows} are left")
        wrong = (rows >= len(header.classes)) & (rows != NO_ANSWER)
        if wrong.any():
            value = int(rows[wrong].min())
            raise RowsRefused(first_row, f"class value {value} where there are {len(header.classes)} classes")
        rows = np.ascontiguousarray(rows)
        self._findings.offer(self._scanner.feed_table(rows))
        self._rows += rows.shape[0]
        if self._outlines is not None:
            self._outlines.feed(rows)
        if self._encoder is None or self._preview is None:
            self._counts += np.bincount(rows.reshape(-1), minlength=256).astype(np.uint64)
            return
        self._preview.feed(rows)
        while rows.shape[0]:
            count = min(header.strip_rows - self._encoder.rows, rows.shape[0])
            self._encoder.feed(rows[:count])
            rows = rows[count:]
            if self._encoder.rows == header.strip_rows:
                self._end_strip(self._encoder)

    def revise(self, header: ProductHeader) -> None:
        """Go on under another header: a capture ended with other lines, or another start, than planned.

        What the rows taken so far depend on must stay: width, strip_rows, classes, finding_class, contents; the height
        must not be below them, nor above what was planned. Raises HeaderInvalid.
        """
        for name in ("width", "strip_rows", "classes", "finding_class", "contents"):
            if getattr(header, name) != getattr(self.header, name):
                raise HeaderInvalid(name, "is not the one that the rows were taken with")
        if not self._rows <= header.height <= self.header.height:
            raise HeaderInvalid(
                "height", f"{header.height} rows, {self._rows} are taken of {self.header.height} planned"
            )
        self.header = header

    def finish(self, coverage: Coverage, confidence: float, vectors: bytes = b"") -> bytes:
        """The body. confidence: 0..1, kept in steps of 1/255; vectors: a vector section (docs/vector-format.md), from
        elsewhere, so not where outlines are traced here.

        Called once, when all rows are there. Raises MaskIncomplete, HeaderInvalid, ProductTooLarge.
        """
        header = self.header
        if self._rows != header.height:
            raise MaskIncomplete(self._rows, header.height)
        if not 0.0 <= confidence <= 1.0:
            raise HeaderInvalid("confidence", f"must be from 0 to 1, got {confidence!r}")
        if vectors and Content.REGIONS not in header.contents:
            raise HeaderInvalid("contents", "vectors in a product without regions")
        if vectors and self._outlines is not None:
            raise HeaderInvalid("contents", "vectors beside the outlines that are traced here")
        if self._encoder is not None and self._encoder.rows:
            self._end_strip(self._encoder)
        self._findings.offer(self._scanner.finish_table())
        summary = Summary(
            coverage=coverage,
            confidence=confidence,
            counts=tuple(int(count) for count in self._counts[: len(header.classes)]),
            no_answer=int(self._counts[NO_ANSWER]),
            regions_total=self._findings.total,
            regions=self._findings.largest() if Content.REGIONS in header.contents else (),
        )
        preview = b""
        if self._preview is not None and has_preview(header.width, header.height):
            mode, code = encode_pixels(self._preview.finish())
            preview = bytes((mode,)) + code
        if self._outlines is not None:
            self.outlines = self._outlines.finish(sum(map(len, self._strips)) if self._encoder is not None else None)
            vectors = self.outlines.section
        return pack_body(header.pack(), summary.pack(), preview, vectors, self._strips)

    def _end_strip(self, encoder: StripEncoder) -> None:
        rows, counts = encoder.rows, encoder.counts()
        self._strips.append(pack_strip(len(self._strips), rows, *encoder.end()))
        self._counts += counts

    def _counted(self) -> NDArray[np.uint64]:
        return self._counts if self._encoder is None else self._counts + self._encoder.counts()

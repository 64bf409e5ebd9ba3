"""The product container, version 2: opened with bounds, whole or in part, and sealed (docs/product-format.md).

A container is a body (flight/product/layout.py, made by flight/product/assembler.py) and its seal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from numpy.typing import NDArray

from bindings.regions import RegionScanner
from flight.product.errors import (
    ContentMismatch,
    MaskAbsent,
    ProductDamaged,
    ProductError,
    ProductTooLarge,
    ProductTruncated,
    SealInvalid,
    StripDamaged,
)
from flight.product.findings import Finding, FindingTable
from flight.product.header import NO_ANSWER, Content, ProductHeader
from flight.product.layout import DEFAULT_LIMITS, Layout, Limits, read_layout
from flight.product.mask import check_strip, decode_pixels, decode_strip
from flight.product.preview import PreviewMaker, has_preview, preview_shape
from flight.product.seal import Seal, make_seal, verify_seal
from flight.product.summary import Coverage, Summary
from flight.product.vectors import Detections, Polygons, decode_vectors


@dataclass(frozen=True, slots=True)
class Product:
    """An opened container. Strips are decoded when asked for, each on its own."""

    header: ProductHeader
    summary: Summary
    body_sha256: bytes
    sealed_by: bytes  # key id; empty for a product that is not whole
    time_s: float  # of the seal; 0 for a product that is not whole
    verified: bool  # the seal was checked with a key that the caller trusts, and holds
    damaged: tuple[int, ...]  # strips that cannot be used, or are missing; only with tolerate_damage
    strips: tuple[bytes, ...]
    preview_octets: bytes
    vectors: bytes  # the vector section (docs/vector-format.md), empty if there is none

    @property
    def coverage(self) -> Coverage:
        return self.summary.coverage

    @property
    def confidence(self) -> float:
        return self.summary.confidence

    @property
    def counts(self) -> tuple[int, ...]:
        """Pixels of each class."""
        return self.summary.counts

    @property
    def no_answer(self) -> int:
        """Pixels without an answer."""
        return self.summary.no_answer

    @property
    def regions_total(self) -> int:
        return self.summary.regions_total

    @property
    def regions(self) -> tuple[Finding, ...]:
        """The largest, largest first; none in a product without regions."""
        return self.summary.regions

    @property
    def has_mask(self) -> bool:
        """Whether the product holds the class map."""
        return Content.MASK in self.header.contents

    def strip(self, index: int) -> NDArray[np.uint8]:
        """The rows of one strip, (rows, width); all NO_ANSWER for a damaged one. Raises StripDamaged, MaskAbsent."""
        if not self.has_mask:
            raise MaskAbsent("a strip")
        rows, width = self.header.rows_of(index), self.header.width
        if index in self.damaged:
            return np.full((rows, width), NO_ANSWER, np.uint8)
        return decode_strip(self.strips[index], index, rows, width, len(self.header.classes)).pixels

    def mask(self) -> NDArray[np.uint8]:
        """The whole class map, (height, width). Raises StripDamaged, MaskAbsent."""
        if not self.has_mask:
            raise MaskAbsent("the class map")
        whole = np.empty((self.header.height, self.header.width), np.uint8)
        for index in range(self.header.strips):
            first = index * self.header.strip_rows
            whole[first : first + self.header.rows_of(index)] = self.strip(index)
        return whole

    def preview(self) -> NDArray[np.uint8]:
        """The class map in at most PREVIEW_SIDE pixels a side; a map that is so small is its own preview.

        Raises MaskAbsent, StripDamaged, ProductDamaged for a preview that is missing or cannot be decoded.
        """
        header = self.header
        if not self.has_mask or not has_preview(header.width, header.height):
            return self.mask()
        if not self.preview_octets:
            raise ProductDamaged("preview", "it is missing")
        rows, columns = preview_shape(header.width, header.height)
        try:
            pixels, _ = decode_pixels(self.preview_octets, 0, rows, columns)
        except StripDamaged as error:
            raise ProductDamaged("preview", error.reason) from error
        if ((pixels >= len(header.classes)) & (pixels != NO_ANSWER)).any():
            raise ProductDamaged("preview", "a class value without a name")
        return pixels

    def outlines(self) -> tuple[Detections, Polygons]:
        """What the vector section holds; nothing where there is none. Raises VectorsDamaged, ProductTooLarge."""
        if not self.vectors:
            return Detections.of(np.empty((0, 4)), np.empty(0), np.empty(0)), Polygons.of(())
        return decode_vectors(self.vectors)

    def check_content(self) -> bool:
        """Decode every strip, one at a time, and return True if counts, findings and preview follow from them.

        False for a product without the class map: its counts and findings are its sealer's word, and nothing in it can
        tell. Raises StripDamaged, ProductDamaged or ContentMismatch.
        """
        if not self.has_mask:
            return False
        header = self.header
        counts = np.zeros(256, np.uint64)
        scanner, table = RegionScanner(header.width, header.finding_class), FindingTable()
        preview = PreviewMaker(header.width, len(header.classes))
        for index in range(header.strips):
            rows = self.strip(index)
            counts += np.bincount(rows.reshape(-1), minlength=256).astype(np.uint64)
            table.offer(scanner.feed_table(rows))
            preview.feed(rows)
        table.offer(scanner.finish_table())
        found = tuple(int(count) for count in counts[: len(self.counts)])
        if (found, int(counts[NO_ANSWER])) != (self.counts, self.no_answer):
            raise ContentMismatch("pixel counts", (*self.counts, self.no_answer), (*found, int(counts[NO_ANSWER])))
        if table.total != self.regions_total:
            raise ContentMismatch("regions", self.regions_total, table.total)
        if Content.REGIONS in header.contents and table.largest() != self.regions:
            raise ContentMismatch("findings", f"{len(self.regions)} largest", "others")
        if has_preview(header.width, header.height) and not np.array_equal(self.preview(), preview.finish()):
            raise ContentMismatch("preview", "one map", "another")
        return True


def seal(body: bytes, key: Ed25519PrivateKey, key_id: bytes, time_s: float) -> bytes:
    """The container: `body` and its seal. key_id: 1 to 32 octets; time_s: UTC seconds since 1970.

    Raises NotAProduct, ProductTruncated, ProductTooLarge, SealInvalid.
    """
    length = read_layout(body).body
    if length > len(body):
        raise ProductTruncated(length, len(body))
    if length < len(body):
        raise SealInvalid(f"{len(body) - length} octets stand behind the body")
    return body + make_seal(body, key, key_id, time_s).pack()


def open_container(
    octets: bytes,
    public_keys: Mapping[bytes, Ed25519PublicKey] | None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    tolerate_damage: bool = False,
) -> Product:
    """Check and open a container; the mask is decoded later, strip by strip.

    public_keys: trusted keys by key id, None to open without trust (`verified` is then False). tolerate_damage: open
    what is there of a damaged container, or of the beginning of one, as long as header and summary are whole. Strips
    that fail their check or are missing are named in `damaged`; preview and vectors are then empty; a seal that is
    missing, or does not hold for such a reason, leaves `verified` False.
    Raises a ProductError on any input that is not a container, never anything else.
    """
    octets = bytes(octets)
    layout = read_layout(octets, limits.container_bytes)
    if layout.body > len(octets) and not tolerate_damage:
        raise ProductTruncated(layout.body, len(octets))
    body = octets[: layout.body]
    header = ProductHeader.unpack(layout.part("header", body))
    _bound(header, limits)
    if layout.strips != header.strips:
        raise ProductDamaged("prefix", f"{layout.strips} strips where the header needs {header.strips}")
    summary = Summary.unpack(layout.part("summary", body), header)
    whole = layout.body <= len(octets)
    parts = {"preview": b"", "vectors": b""}
    for name in parts:
        try:
            parts[name] = layout.part(name, body)
        except ProductError:
            if not tolerate_damage:
                raise
            whole = False
    _check_parts(layout, header)
    strips, damaged = _cut_strips(body, layout, header, tolerate_damage)
    try:
        sealed = Seal.unpack(octets[layout.body :])
    except SealInvalid:
        if not tolerate_damage:
            raise
        sealed = None
    verified = False
    if public_keys is not None and sealed is not None:
        try:
            verify_seal(sealed, body, public_keys)
            verified = True
        except SealInvalid:
            if whole and not damaged:
                raise
    return Product(
        header=header,
        summary=summary,
        body_sha256=hashlib.sha256(body).digest(),
        sealed_by=sealed.key_id if sealed is not None else b"",
        time_s=sealed.time_s if sealed is not None else 0.0,
        verified=verified,
        damaged=damaged,
        strips=strips,
        preview_octets=parts["preview"],
        vectors=parts["vectors"],
    )


def _bound(header: ProductHeader, limits: Limits) -> None:
    if header.width * header.height > limits.pixels:
        raise ProductTooLarge("pixels", header.width * header.height, limits.pixels)
    if header.width * min(header.strip_rows, header.height) > limits.strip_pixels:
        raise ProductTooLarge("pixels of a strip", header.width * header.strip_rows, limits.strip_pixels)


def _check_parts(layout: Layout, header: ProductHeader) -> None:
    """Whether the parts are those that the header speaks of."""
    expected = Content.MASK in header.contents and has_preview(header.width, header.height)
    if bool(layout.preview) is not expected:
        raise ProductDamaged("preview", "there is one" if layout.preview else "there is none")
    if layout.vectors and Content.REGIONS not in header.contents:
        raise ProductDamaged("vectors", "there are some in a product without regions")


def _cut_strips(
    body: bytes, layout: Layout, header: ProductHeader, tolerate_damage: bool
) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """The strips, still encoded, and the numbers of those that fail their check."""
    try:
        lengths = layout.strip_lengths(body)
    except ProductError:
        if not tolerate_damage:
            raise
        return (b"",) * layout.strips, tuple(range(layout.strips))
    pieces: list[bytes] = []
    damaged: list[int] = []
    at = layout.strips_start
    for index, length in enumerate(lengths):
        piece = body[at : at + length]
        at += length
        try:
            check_strip(piece, index, header.rows_of(index))
        except StripDamaged:
            if not tolerate_damage:
                raise
            damaged.append(index)
        pieces.append(piece)
    return tuple(pieces), tuple(damaged)

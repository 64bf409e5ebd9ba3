"""The parts of a product's body and their order; each part's length stands in the prefix, its CRC-32C behind it.

prefix | header | summary | preview | vectors | strip table | strips: what says most for its octets comes first, so that
the beginning of a transfer is an answer already (docs/product-format.md, "Body").
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bindings.crc import crc32c
from flight.product.errors import NotAProduct, ProductDamaged, ProductTooLarge, ProductTruncated, UnsupportedVersion
from flight.product.header import MAX_HEADER_BYTES
from flight.product.preview import PREVIEW_SIDE
from flight.product.summary import MAX_SUMMARY_BYTES

MAGIC = b"\x89SWP\r\n\x1a\n"  # as PNG's: a transfer that alters line ends or the eighth bit is seen at once
VERSION = 2
MAX_PREVIEW_BYTES = PREVIEW_SIDE * PREVIEW_SIDE + 1
MAX_VECTOR_BYTES = 1 << 22

_PREFIX = struct.Struct(">8sBxxxIIIIII")  # magic, version, octets of body, header, summary, preview, vectors; strips
_CHECK = struct.Struct(">I")
_LENGTH = struct.Struct(">I")
PREFIX_BYTES = _PREFIX.size + _CHECK.size


@dataclass(frozen=True, slots=True)
class Limits:
    """What a decoder takes at most, before anything is allocated for it."""

    container_bytes: int = 64 << 20
    pixels: int = 1 << 28
    strip_pixels: int = 1 << 26


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Layout:
    """How long each part is, without its check."""

    body: int
    header: int
    summary: int
    preview: int
    vectors: int
    strips: int  # how many

    @property
    def strips_start(self) -> int:
        """Where the first strip begins."""
        lengths = (self.header, self.summary, self.preview, self.vectors, _LENGTH.size * self.strips)
        return PREFIX_BYTES + sum(length + _CHECK.size for length in lengths)

    def part(self, name: str, octets: bytes) -> bytes:
        """One of header, summary, preview, vectors, table. Raises ProductTruncated or ProductDamaged."""
        at = PREFIX_BYTES
        for other in ("header", "summary", "preview", "vectors", "table"):
            length = _LENGTH.size * self.strips if other == "table" else int(getattr(self, other))
            if other == name:
                if len(octets) < at + length + _CHECK.size:
                    raise ProductTruncated(at + length + _CHECK.size, len(octets))
                return _verified(name, octets[at : at + length + _CHECK.size])
            at += length + _CHECK.size
        raise KeyError(name)

    def strip_lengths(self, octets: bytes) -> list[int]:
        """Octets of each strip. Raises ProductTruncated or ProductDamaged."""
        lengths = [length for (length,) in _LENGTH.iter_unpack(self.part("table", octets))]
        if sum(lengths) != self.body - self.strips_start:
            raise ProductDamaged(
                "strip table", f"{sum(lengths)} octets where there are {self.body - self.strips_start}"
            )
        return lengths


def pack_body(header: bytes, summary: bytes, preview: bytes, vectors: bytes, strips: list[bytes]) -> bytes:
    """The body of these parts. Raises ProductTooLarge."""
    if len(vectors) > MAX_VECTOR_BYTES:
        raise ProductTooLarge("octets of the vectors", len(vectors), MAX_VECTOR_BYTES)
    table = b"".join(_LENGTH.pack(len(strip)) for strip in strips)
    parts = [*map(_checked, (header, summary, preview, vectors, table)), *strips]
    size = PREFIX_BYTES + sum(map(len, parts))
    prefix = _PREFIX.pack(MAGIC, VERSION, size, len(header), len(summary), len(preview), len(vectors), len(strips))
    return b"".join((_checked(prefix), *parts))


def read_layout(octets: bytes, limit: int = DEFAULT_LIMITS.container_bytes) -> Layout:
    """The prefix of a container, each length within its bound.

    Raises NotAProduct, ProductTruncated, UnsupportedVersion, ProductDamaged, ProductTooLarge.
    """
    if octets[: len(MAGIC)] != MAGIC[: len(octets)] or not octets:
        raise NotAProduct
    if len(octets) > len(MAGIC) and octets[len(MAGIC)] != VERSION:
        raise UnsupportedVersion(octets[len(MAGIC)], (VERSION,))
    if len(octets) < PREFIX_BYTES:
        raise ProductTruncated(PREFIX_BYTES, len(octets))
    prefix = _verified("prefix", octets[:PREFIX_BYTES])
    if prefix[9:12] != bytes(3):
        raise ProductDamaged("prefix", "reserved octets are not zero")
    _, _, body, header, summary, preview, vectors, strips = _PREFIX.unpack(prefix)
    for what, value, most in (
        ("octets of the container", max(body, len(octets)), limit),
        ("octets of the header", header, MAX_HEADER_BYTES),
        ("octets of the summary", summary, MAX_SUMMARY_BYTES),
        ("octets of the preview", preview, MAX_PREVIEW_BYTES),
        ("octets of the vectors", vectors, MAX_VECTOR_BYTES),
    ):
        if value > most:
            raise ProductTooLarge(what, value, most)
    layout = Layout(body, header, summary, preview, vectors, strips)
    if layout.strips_start > body:
        raise ProductDamaged("prefix", "the parts are larger than the body")
    return layout


def _checked(part: bytes) -> bytes:
    return part + _CHECK.pack(crc32c(part))


def _verified(name: str, part: bytes) -> bytes:
    """A part without its CRC-32C. Raises ProductDamaged."""
    content = part[: -_CHECK.size]
    if _CHECK.pack(crc32c(content)) != part[-_CHECK.size :]:
        raise ProductDamaged(name, "its CRC-32C does not match")
    return content

"""The product container, version 1: assembled strip by strip, opened with bounds (docs/product-format.md).

Body: prefix, header, strip table, strips, tail. Then the seal. Equal input gives an equal body, to the octet, whether
its strips were added in one life of the process or loaded again after a restart.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from numpy.typing import NDArray

from bindings.crc import crc32c
from bindings.regions import RegionScanner
from flight.product.errors import (
    ContentMismatch,
    HeaderInvalid,
    MaskIncomplete,
    NotAProduct,
    ProductDamaged,
    ProductTooLarge,
    ProductTruncated,
    SealInvalid,
    StripDamaged,
    StripRefused,
    UnsupportedVersion,
)
from flight.product.findings import Finding, FindingTable, findings_from_columns, findings_to_columns
from flight.product.header import MAX_HEADER_BYTES, NO_ANSWER, ProductHeader
from flight.product.mask import check_strip, decode_strip, encode_strip, unknown_class
from flight.product.seal import Seal, make_seal, verify_seal
from flight.services.cbor import CborError, decode, encode

MAGIC = b"\x89SWP\r\n\x1a\n"  # as PNG's: a transfer that alters line ends or the eighth bit is seen at once
VERSION = 1
MAX_TAIL_BYTES = 65_536

_PREFIX = struct.Struct(">8sBxxxIIII")  # magic, version, octets of body, header, strips, octets of tail
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


class ProductAssembler:
    """Takes a mask strip by strip, first to last, and makes the body of a product.

    The work of a call is bounded by one strip; what is kept is the encoded strips, the counts and the largest findings.
    """

    def __init__(self, header: ProductHeader) -> None:
        self.header = header
        self._strips: list[bytes] = []
        self._rows = 0
        self._counts = np.zeros(256, np.uint64)
        self._scanner = RegionScanner(header.width, header.finding_class)
        self._findings = FindingTable()

    @property
    def strips(self) -> int:
        """Strips taken so far; the index of the next one."""
        return len(self._strips)

    @property
    def octets(self) -> int:
        """Encoded size of the strips taken so far."""
        return sum(map(len, self._strips))

    @property
    def no_answer(self) -> int:
        """Pixels without an answer among the strips taken so far."""
        return int(self._counts[NO_ANSWER])

    def add_strip(self, index: int, rows: NDArray[np.uint8]) -> bytes:
        """Take strip `index`, rows (n, width) uint8 with values 0 .. classes-1 or 255, and give its encoding.

        Raises StripRefused, and is then as it was before.
        """
        self._expect(index)
        if rows.dtype != np.uint8 or rows.shape != (self.header.rows_of(index), self.header.width):
            needed = (self.header.rows_of(index), self.header.width)
            raise StripRefused(index, f"uint8 {needed} is needed, got {rows.dtype} {rows.shape}")
        encoded, counts = encode_strip(index, rows)
        if (wrong := unknown_class(counts, len(self.header.classes))) is not None:
            raise StripRefused(index, f"class value {wrong} where there are {len(self.header.classes)} classes")
        self._take(encoded, rows, counts)
        return encoded

    def load_strip(self, index: int, encoded: bytes) -> None:
        """Take strip `index` as add_strip() once gave it, after a restart. Raises StripRefused or StripDamaged."""
        self._expect(index)
        header = self.header
        strip = decode_strip(encoded, index, header.rows_of(index), header.width, len(header.classes))
        self._take(bytes(encoded), strip.pixels, strip.counts)

    def revise(self, header: ProductHeader) -> None:
        """Go on under another header: a capture ended with other lines, or another start, than planned.

        What the strips taken so far depend on must stay: width, strip_rows, classes, finding_class, and their rows.
        Raises HeaderInvalid.
        """
        for name in ("width", "strip_rows", "classes", "finding_class"):
            if getattr(header, name) != getattr(self.header, name):
                raise HeaderInvalid(name, "is not the one that the strips were taken with")
        taken = len(self._strips)
        if taken > header.strips or (
            taken and self._rows != (taken - 1) * header.strip_rows + header.rows_of(taken - 1)
        ):
            raise HeaderInvalid("height", f"{header.height} rows do not go on from the {self._rows} taken")
        self.header = header

    def finish(self, coverage: Coverage, confidence: float) -> bytes:
        """The body. confidence: 0..1, kept in steps of 1/255. Called once, when all rows are there.

        Raises MaskIncomplete, HeaderInvalid.
        """
        header = self.header
        if self._rows != header.height:
            raise MaskIncomplete(self._rows, header.height)
        if not 0.0 <= confidence <= 1.0:
            raise HeaderInvalid("confidence", f"must be from 0 to 1, got {confidence!r}")
        self._findings.offer(self._scanner.finish_table())
        tail = encode(
            {
                1: [getattr(coverage, name) for name in Coverage.__slots__],
                2: round(confidence * 255),
                3: [int(count) for count in self._counts[: len(header.classes)]],
                4: int(self._counts[NO_ANSWER]),
                5: self._findings.total,
                6: findings_to_columns(self._findings.largest()),
            }
        )
        packed = header.pack()
        table = b"".join(_LENGTH.pack(len(strip)) for strip in self._strips)
        parts = [_checked(packed), _checked(table), *self._strips, _checked(tail)]
        size = PREFIX_BYTES + sum(map(len, parts))
        prefix = _PREFIX.pack(MAGIC, VERSION, size, len(packed), len(self._strips), len(tail))
        return b"".join((_checked(prefix), *parts))

    def _expect(self, index: int) -> None:
        if index != len(self._strips) or index >= self.header.strips:
            raise StripRefused(index, f"strip {len(self._strips)} of {self.header.strips} is the next")

    def _take(self, encoded: bytes, rows: NDArray[np.uint8], counts: NDArray[np.uint64]) -> None:
        self._strips.append(encoded)
        self._rows += rows.shape[0]
        self._counts += counts
        self._findings.offer(self._scanner.feed_table(rows))


@dataclass(frozen=True, slots=True)
class Product:
    """An opened container. Strips are decoded when asked for, each on its own."""

    header: ProductHeader
    coverage: Coverage
    confidence: float
    counts: tuple[int, ...]  # pixels of each class
    no_answer: int  # pixels without an answer
    regions_total: int
    regions: tuple[Finding, ...]  # the largest, largest first
    body_sha256: bytes
    sealed_by: bytes  # key id
    time_s: float  # of the seal
    verified: bool  # the seal was checked with a key that the caller trusts, and holds
    damaged: tuple[int, ...]  # strips that cannot be used; only with tolerate_damage
    strips: tuple[bytes, ...]

    def strip(self, index: int) -> NDArray[np.uint8]:
        """The rows of one strip, (rows, width); all NO_ANSWER for a damaged one. Raises StripDamaged."""
        rows, width = self.header.rows_of(index), self.header.width
        if index in self.damaged:
            return np.full((rows, width), NO_ANSWER, np.uint8)
        return decode_strip(self.strips[index], index, rows, width, len(self.header.classes)).pixels

    def mask(self) -> NDArray[np.uint8]:
        """The whole class map, (height, width). Raises StripDamaged."""
        whole = np.empty((self.header.height, self.header.width), np.uint8)
        for index in range(self.header.strips):
            first = index * self.header.strip_rows
            whole[first : first + self.header.rows_of(index)] = self.strip(index)
        return whole

    def check_content(self) -> None:
        """Decode every strip, one at a time, and return if counts and findings follow from them.

        Raises StripDamaged or ContentMismatch.
        """
        counts = np.zeros(256, np.uint64)
        scanner, table = RegionScanner(self.header.width, self.header.finding_class), FindingTable()
        for index in range(self.header.strips):
            rows = self.strip(index)
            counts += np.bincount(rows.reshape(-1), minlength=256).astype(np.uint64)
            table.offer(scanner.feed_table(rows))
        table.offer(scanner.finish_table())
        found = tuple(int(count) for count in counts[: len(self.counts)])
        if (found, int(counts[NO_ANSWER])) != (self.counts, self.no_answer):
            raise ContentMismatch("pixel counts", (*self.counts, self.no_answer), (*found, int(counts[NO_ANSWER])))
        if table.total != self.regions_total:
            raise ContentMismatch("regions", self.regions_total, table.total)
        if table.largest() != self.regions:
            raise ContentMismatch("findings", f"{len(self.regions)} largest", "others")


def seal(body: bytes, key: Ed25519PrivateKey, key_id: bytes, time_s: float) -> bytes:
    """The container: `body` and its seal. key_id: 1 to 32 octets; time_s: UTC seconds since 1970.

    Raises NotAProduct, ProductTruncated, ProductTooLarge, SealInvalid.
    """
    length = _prefix(body, DEFAULT_LIMITS.container_bytes)[0]
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

    public_keys: trusted keys by key id, None to open without trust (`verified` is then False). tolerate_damage: a strip
    that fails its check is named in `damaged` instead of an error, and a seal that does not hold for that reason leaves
    `verified` False. Raises a ProductError on any input that is not a container, never anything else.
    """
    octets = bytes(octets)
    body_length, header_length, strips, tail_length = _prefix(octets, limits.container_bytes)
    if body_length > len(octets):
        raise ProductTruncated(body_length, len(octets))
    body = octets[:body_length]
    header_end = PREFIX_BYTES + header_length + _CHECK.size
    table_end = header_end + _LENGTH.size * strips + _CHECK.size
    tail_start = body_length - tail_length - _CHECK.size
    if tail_start < table_end:
        raise ProductDamaged("prefix", "the parts are larger than the body")
    header = ProductHeader.unpack(_verified("header", body[PREFIX_BYTES:header_end]))
    _bound(header, limits)
    if strips != header.strips:
        raise ProductDamaged("prefix", f"{strips} strips where the header needs {header.strips}")
    table = _verified("strip table", body[header_end:table_end])
    pieces, damaged = _cut_strips(body[table_end:tail_start], table, header, tolerate_damage)
    coverage, confidence, counts, no_answer, total, findings = _tail(_verified("tail", body[tail_start:]), header)
    found = Seal.unpack(octets[body_length:])
    verified = False
    if public_keys is not None:
        try:
            verify_seal(found, body, public_keys)
            verified = True
        except SealInvalid:
            if not damaged:
                raise
    return Product(
        header=header,
        coverage=coverage,
        confidence=confidence,
        counts=counts,
        no_answer=no_answer,
        regions_total=total,
        regions=findings,
        body_sha256=hashlib.sha256(body).digest(),
        sealed_by=found.key_id,
        time_s=found.time_s,
        verified=verified,
        damaged=damaged,
        strips=pieces,
    )


def _checked(part: bytes) -> bytes:
    return part + _CHECK.pack(crc32c(part))


def _verified(name: str, part: bytes) -> bytes:
    """A part without its CRC-32C. Raises ProductDamaged."""
    content = part[: -_CHECK.size]
    if _CHECK.pack(crc32c(content)) != part[-_CHECK.size :]:
        raise ProductDamaged(name, "its CRC-32C does not match")
    return content


def _prefix(octets: bytes, limit: int) -> tuple[int, int, int, int]:
    """Octets of the body, of the header, number of strips, octets of the tail; each within its bounds."""
    if octets[: len(MAGIC)] != MAGIC[: len(octets)] or not octets:
        raise NotAProduct
    if len(octets) < PREFIX_BYTES:
        raise ProductTruncated(PREFIX_BYTES, len(octets))
    if octets[len(MAGIC)] != VERSION:
        raise UnsupportedVersion(octets[len(MAGIC)], (VERSION,))
    prefix = _verified("prefix", octets[:PREFIX_BYTES])
    if prefix[9:12] != bytes(3):
        raise ProductDamaged("prefix", "reserved octets are not zero")
    _, _, body, header, strips, tail = _PREFIX.unpack(prefix)
    for what, value, most in (
        ("octets of the container", max(body, len(octets)), limit),
        ("octets of the header", header, MAX_HEADER_BYTES),
        ("octets of the tail", tail, MAX_TAIL_BYTES),
    ):
        if value > most:
            raise ProductTooLarge(what, value, most)
    return body, header, strips, tail


def _bound(header: ProductHeader, limits: Limits) -> None:
    if header.width * header.height > limits.pixels:
        raise ProductTooLarge("pixels", header.width * header.height, limits.pixels)
    if header.width * min(header.strip_rows, header.height) > limits.strip_pixels:
        raise ProductTooLarge("pixels of a strip", header.width * header.strip_rows, limits.strip_pixels)


def _cut_strips(
    octets: bytes, table: bytes, header: ProductHeader, tolerate_damage: bool
) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """The strips, still encoded, and the numbers of those that fail their check."""
    lengths = [length for (length,) in _LENGTH.iter_unpack(table)]
    if sum(lengths) != len(octets):
        raise ProductDamaged("strip table", f"{sum(lengths)} octets of strips where there are {len(octets)}")
    pieces: list[bytes] = []
    damaged: list[int] = []
    at = 0
    for index, length in enumerate(lengths):
        piece = octets[at : at + length]
        at += length
        try:
            check_strip(piece, index, header.rows_of(index))
        except StripDamaged:
            if not tolerate_damage:
                raise
            damaged.append(index)
        pieces.append(piece)
    return tuple(pieces), tuple(damaged)


def _tail(
    octets: bytes, header: ProductHeader
) -> tuple[Coverage, float, tuple[int, ...], int, int, tuple[Finding, ...]]:
    try:
        fields = decode(octets, max_depth=4, max_bytes=MAX_TAIL_BYTES)
    except CborError as error:
        raise ProductDamaged("tail", str(error)) from error
    if not isinstance(fields, dict) or list(fields) != [1, 2, 3, 4, 5, 6]:
        raise ProductDamaged("tail", "the fields 1 to 6 are needed, and no other")
    numbers = _numbers("coverage", fields[1], len(Coverage.__slots__))
    try:
        coverage = Coverage(*numbers)
    except HeaderInvalid as error:
        raise ProductDamaged("tail", str(error)) from error
    (confidence,) = _numbers("confidence", [fields[2]], 1)
    if confidence > 255:
        raise ProductDamaged("tail", f"confidence {confidence} of 255")
    counts = _numbers("counts", fields[3], len(header.classes))
    no_answer, total = _numbers("pixels without an answer and regions", [fields[4], fields[5]], 2)
    if sum(counts) + no_answer != header.width * header.height:
        raise ProductDamaged("tail", f"{sum(counts) + no_answer} pixels counted of {header.width * header.height}")
    findings = findings_from_columns(fields[6], header.height, header.width)
    if sum(finding.area for finding in findings) > counts[header.finding_class] or len(findings) > total:
        raise ProductDamaged("tail", "more findings than there are pixels or regions for")
    return coverage, confidence / 255, tuple(counts), no_answer, total, findings


def _numbers(name: str, values: Any, length: int) -> list[int]:
    if not isinstance(values, list) or len(values) != length or not all(type(v) is int and v >= 0 for v in values):
        raise ProductDamaged("tail", f"{name}: {length} whole numbers from 0 are needed")
    return values

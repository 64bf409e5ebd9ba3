"""A decoder of product containers written from docs/product-format.md alone. Imports nothing of Swath; slow, plain."""

from __future__ import annotations

import hashlib
import math
import struct
from collections import Counter
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.flight.product import independent_context


class Refused(Exception):
    pass


def need(condition: object, reason: str) -> None:
    if not condition:
        raise Refused(reason)


def crc32c(octets: bytes) -> int:
    value = 0xFFFFFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def cbor(octets: bytes, at: int = 0) -> tuple[Any, int]:
    """(value, offset behind it)."""
    need(at < len(octets), "cbor: short")
    major, info = octets[at] >> 5, octets[at] & 31
    at += 1
    if major == 7:
        if info in (20, 21, 22):
            return {20: False, 21: True, 22: None}[info], at
        need(info == 27 and at + 8 <= len(octets), "cbor: simple")
        number = struct.unpack(">d", octets[at : at + 8])[0]
        need(math.isfinite(number), "cbor: not finite")
        return number, at + 8
    need(info <= 27, "cbor: indefinite")
    argument = info
    if info >= 24:
        size = {24: 1, 25: 2, 26: 4, 27: 8}[info]
        need(at + size <= len(octets), "cbor: short")
        argument = int.from_bytes(octets[at : at + size], "big")
        need(argument >= {1: 24, 2: 256, 4: 65536, 8: 1 << 32}[size], "cbor: not shortest")
        at += size
    if major == 0:
        return argument, at
    if major == 1:
        return -1 - argument, at
    if major in (2, 3):
        need(at + argument <= len(octets), "cbor: short")
        content: Any = octets[at : at + argument]
        if major == 3:
            try:
                content = content.decode("utf-8")
            except UnicodeDecodeError:
                raise Refused("cbor: text") from None
        return content, at + argument
    need(major in (4, 5), "cbor: tag")
    need(argument <= len(octets), "cbor: count")
    if major == 4:
        items = []
        for _ in range(argument):
            item, at = cbor(octets, at)
            items.append(item)
        return items, at
    entries: dict[Any, Any] = {}
    before = b""
    for _ in range(argument):
        start = at
        key, at = cbor(octets, at)
        need(octets[start:at] > before, "cbor: key order")
        before = octets[start:at]
        entries[key], at = cbor(octets, at)
    return entries, at


def whole_cbor(octets: bytes) -> Any:
    value, end = cbor(octets)
    need(end == len(octets), "cbor: octets behind")
    return value


def pixels(octets: bytes, rows: int, width: int) -> list[list[int]]:
    """The pixels that a mode and a code stand for."""
    need(len(octets) >= 1, "pixels: mode")
    mode, code = octets[0], octets[1:]
    if mode == 0:
        need(len(code) < rows * width, "pixels: context code too long")
        try:
            return independent_context.decode(code, rows, width)
        except independent_context.Refused as error:
            raise Refused(str(error)) from None
    need(mode == 1 and len(code) == rows * width, "pixels: plain")
    return [list(code[row * width : (row + 1) * width]) for row in range(rows)]


def smaller(image: list[list[int]], factor: int) -> list[list[int]]:
    """Squares of `factor` pixels, each the class that most of its pixels have, the lowest where several do."""
    width = len(image[0])
    return [
        [
            min(
                Counter(value for row in image[y : y + factor] for value in row[x : x + factor]).items(),
                key=lambda i: (-i[1], i[0]),
            )[0]
            for x in range(0, width, factor)
        ]
        for y in range(0, len(image), factor)
    ]


def checked(octets: bytes, at: int, length: int) -> tuple[bytes, int]:
    need(at + length + 4 <= len(octets), "part: short")
    part = octets[at : at + length]
    need(struct.unpack(">I", octets[at + length : at + length + 4])[0] == crc32c(part), "part: crc")
    return part, at + length + 4


HEADER_NAMES = [
    "job_id",
    "capture_id",
    "application",
    "application_version",
    "model_sha256",
    "parameters",
    "software",
    "sensor",
    "radiometry",
    "calibrated",
    "start_s",
    "line_rate_hz",
    "width",
    "height",
    "strip_rows",
    "classes",
    "finding_class",
    "place",
    "footprint",
    "contents",
]


def decode(octets: bytes, public_key: bytes) -> dict[str, Any]:
    """Everything a container says, as plain values; public_key: 32 octets. Raises Refused."""
    need(octets[:8] == bytes.fromhex("89535750 0D0A1A0A"), "mark")
    need(len(octets) >= 9 and octets[8] == 2, "version")
    prefix, at = checked(octets, 0, 36)
    need(prefix[9:12] == bytes(3), "reserved")
    size, header_size, summary_size, preview_size, vectors_size, count = struct.unpack(">IIIIII", prefix[12:36])
    need(size <= len(octets), "short")
    body, seal = octets[:size], octets[size:]
    header_octets, at = checked(body, at, header_size)
    header = whole_cbor(header_octets)
    need(list(header) == list(range(1, 21)), "header keys")
    header = dict(zip(HEADER_NAMES, header.values(), strict=True))
    width, height, step = header["width"], header["height"], header["strip_rows"]
    masked, regions = 1 in header["contents"], 2 in header["contents"]
    need(count == (-(-height // step) if masked else 0), "strips")
    summary_octets, at = checked(body, at, summary_size)
    preview_octets, at = checked(body, at, preview_size)
    vectors, at = checked(body, at, vectors_size)
    need(regions or not vectors, "vectors without regions")
    table, at = checked(body, at, 4 * count)
    mask: list[list[int]] = []
    for index in range(count):
        (length,) = struct.unpack(">I", table[4 * index : 4 * index + 4])
        need(length >= 11, "strip: short")
        strip, at = checked(body, at, length - 4)
        rows = min(step, height - index * step)
        need(struct.unpack(">IH", strip[:6]) == (index, rows), "strip: head")
        mask += pixels(strip[6:], rows, width)
    need(at == size, "body length")
    preview = None
    need(bool(preview_octets) == (masked and max(width, height) > 512), "preview: there or not")
    if preview_octets:
        wanted = smaller(mask, -(-width // 512))
        if len(wanted) > 512:
            wanted = smaller(wanted, -(-len(wanted) // 512))
        preview = pixels(preview_octets, len(wanted), len(wanted[0]))
        need(preview == wanted, "preview: of another map")
    tail = whole_cbor(summary_octets)
    need(list(tail) == [1, 2, 3, 4, 5, 6], "summary keys")
    findings: list[list[float]] = []
    area = 0
    for n, (less, row, col, rows, cols, row16, col16) in enumerate(zip(*tail[6], strict=True)):
        area = less if n == 0 else area - less
        findings.append([area, row, col, row + rows, col + cols, row + row16 / 16, col + col16 / 16])
    need(len(seal) > 2 and seal[0] == 1 and len(seal) == 2 + seal[1] + 72, "seal")
    statement, signature = seal[:-64], seal[-64:]
    message = b"swath product seal v1\0" + statement + hashlib.sha256(body).digest()
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except Exception:
        raise Refused("signature") from None
    return {
        "header": header,
        "mask": mask if masked else None,
        "preview": preview,
        "vectors": vectors,
        "coverage": tail[1],
        "confidence": tail[2],
        "counts": tail[3],
        "no_answer": tail[4],
        "regions": tail[5],
        "findings": findings,
        "key_id": statement[2 : 2 + statement[1]],
        "time_us": struct.unpack(">q", statement[-8:])[0],
    }

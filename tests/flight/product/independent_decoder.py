"""A decoder of product containers written from docs/product-format.md alone. Imports nothing of Swath; slow, plain."""

from __future__ import annotations

import hashlib
import math
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Refused(Exception):
    pass


def need(condition, reason):
    if not condition:
        raise Refused(reason)


def crc32c(octets):
    value = 0xFFFFFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def cbor(octets, at=0):
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
        content = octets[at : at + argument]
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
    entries, before = {}, b""
    for _ in range(argument):
        start = at
        key, at = cbor(octets, at)
        need(octets[start:at] > before, "cbor: key order")
        before = octets[start:at]
        entries[key], at = cbor(octets, at)
    return entries, at


def whole_cbor(octets):
    value, end = cbor(octets)
    need(end == len(octets), "cbor: octets behind")
    return value


def runs(octets, pixels):
    """The pixels of a strip, as a list."""
    out, values, at = [], [], 0
    while len(out) < pixels:
        token = shift = 0
        while True:
            need(at < len(octets) and shift < 63, "runs: number")
            token |= (octets[at] & 0x7F) << shift
            shift += 7
            at += 1
            if octets[at - 1] < 0x80:
                break
        need(shift == 7 or octets[at - 1] != 0, "runs: not shortest")
        if token & 1:
            need(at < len(octets), "runs: short")
            need(octets[at] not in values[-2:], "runs: named in vain")
            values.append(octets[at])
            at += 1
        else:
            need(len(values) >= 2, "runs: nothing to imply")
            values.append(values[-2])
        length = token // 2 + 1
        need(len(out) + length <= pixels, "runs: too long")
        out += [values[-1]] * length
    need(at == len(octets), "runs: octets behind")
    return out


def checked(octets, at, length):
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
]


def decode(octets, public_key):
    """Everything a container says, as plain values; public_key: 32 octets. Raises Refused."""
    need(octets[:8] == bytes.fromhex("89535750 0D0A1A0A"), "mark")
    need(len(octets) >= 9 and octets[8] == 1, "version")
    prefix, at = checked(octets, 0, 28)
    need(prefix[9:12] == bytes(3), "reserved")
    size, header_size, count, tail_size = struct.unpack(">IIII", prefix[12:28])
    need(size <= len(octets), "short")
    body, seal = octets[:size], octets[size:]
    header_octets, at = checked(body, at, header_size)
    header = whole_cbor(header_octets)
    need(list(header) == list(range(1, 20)), "header keys")
    header = dict(zip(HEADER_NAMES, header.values(), strict=True))
    width, height, step = header["width"], header["height"], header["strip_rows"]
    need(count == -(-height // step), "strips")
    table, at = checked(body, at, 4 * count)
    mask = []
    for index in range(count):
        (length,) = struct.unpack(">I", table[4 * index : 4 * index + 4])
        need(length >= 10, "strip: short")
        strip, at = checked(body, at, length - 4)
        rows = min(step, height - index * step)
        need(struct.unpack(">IH", strip[:6]) == (index, rows), "strip: head")
        pixels = runs(strip[6:], rows * width)
        mask += [pixels[row * width : (row + 1) * width] for row in range(rows)]
    tail_octets, at = checked(body, at, tail_size)
    need(at == size, "body length")
    tail = whole_cbor(tail_octets)
    need(list(tail) == [1, 2, 3, 4, 5, 6], "tail keys")
    findings, area = [], 0
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
        "mask": mask,
        "coverage": tail[1],
        "confidence": tail[2],
        "counts": tail[3],
        "no_answer": tail[4],
        "regions": tail[5],
        "findings": findings,
        "key_id": statement[2 : 2 + statement[1]],
        "time_us": struct.unpack(">q", statement[-8:])[0],
    }

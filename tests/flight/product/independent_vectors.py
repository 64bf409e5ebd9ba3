"""A decoder of vector sections written from docs/vector-format.md alone. Imports nothing of Swath; slow, plain."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

LIMIT = 1 << 26


class Refused(Exception):
    pass


def need(condition: bool, reason: str) -> None:
    if not condition:
        raise Refused(reason)


class Decisions:
    """The range decoder, and the models by any name."""

    def __init__(self, octets: bytes) -> None:
        self.octets, self.asked = octets, 0
        self.range, self.code = 2**32 - 1, 0
        for _ in range(4):
            self.code = self.code * 256 + self.octet()
        self.models: dict[Any, list[int]] = defaultdict(lambda: [32768, 0])

    def octet(self) -> int:
        self.asked += 1
        return self.octets[self.asked - 1] if self.asked <= len(self.octets) else 0

    def split(self, bound: int) -> int:
        decision = int(self.code >= bound)
        if decision:
            self.range -= bound
            self.code -= bound
        else:
            self.range = bound
        while self.range < 1 << 24:
            self.range *= 256
            self.code = self.code * 256 + self.octet()
        return decision

    def even(self) -> int:
        return self.split(self.range // 2)

    def by(self, *name: Any) -> int:
        model = self.models[name]
        probability, uses = model
        decision = self.split(self.range // 4096 * (probability // 16))
        step = 131072 // (2 * uses + 3)
        if decision:
            probability -= probability * step // 65536
        else:
            probability += (65536 - probability) * step // 65536
        model[:] = [max(1024, min(64512, probability)), min(44, uses + 1)]
        return decision

    def number(self, *name: Any) -> int:
        length = 0
        while self.by(*name, "longer", length):
            length += 1
            need(length <= 29, "number too long")
        if length < 2:
            return length
        value = 2 + self.by(*name, "second", length)
        for _ in range(length - 2):
            value = 2 * value + self.even()
        return value

    def nonzero(self, sign: tuple[Any, ...], size: tuple[Any, ...]) -> int:
        negative = self.by(*sign)
        value = self.number(*size) + 1
        return -value if negative else value

    def signed(self, *name: Any) -> int:
        return 0 if self.by(*name, "zero") else self.nonzero((*name, "negative"), (*name, "size"))


def place(value: int, unit: int) -> int:
    need(abs(value * unit) <= LIMIT, "place out of range")
    return value


def size(value: int) -> int:
    return min(7, abs(value).bit_length())


def direction(x: int, y: int) -> int:
    return 3 * (0 if x == 0 else 1 if x > 0 else 2) + (0 if y == 0 else 1 if y > 0 else 2)


def start(d: Decisions, before: tuple[int, int, int], unit: int) -> tuple[int, int, int]:
    """Class, y, x."""
    step = d.number("class")
    value = before[0] + step
    need(0 <= value <= 255, "class")
    y = d.signed("first") if step else before[1] + d.number("down")
    x = (0 if step else before[2]) + d.signed("across")
    return value, place(y, unit), place(x, unit)


def ring(d: Decisions, x: int, y: int, count: int, unit: int) -> list[list[int]]:
    vertices = [[x * unit, y * unit]]
    a = b = last_x = 0
    for _ in range(count - 1):
        step_x = 0 if d.by("zero x", a, b) else d.nonzero(("left", a, b), ("step x", size(last_x)))
        s = direction(step_x, 0) // 3
        step_y = 0
        if s == 0 or not d.by("zero y", a, b, s):
            step_y = d.nonzero(("up", a, b, s), ("step y", size(step_x)))
        x, y = place(x + step_x, unit), place(y + step_y, unit)
        vertices.append([x * unit, y * unit])
        a, b, last_x = b, direction(step_x, step_y), step_x
    return vertices


def leb128(octets: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(5):
        need(at + index < len(octets), "counts cut short")
        octet = octets[at + index]
        value += (octet % 128) << (7 * index)
        if octet < 128:
            need(octet > 0 or index == 0, "count not shortest")
            return value, at + index + 1
    raise Refused("count too long")


def decode(octets: bytes) -> dict[str, Any]:
    """{"detections": [[class, y, x, width, height, score]], "polygons": [[class, [ring of [x, y]]]]}. Raises Refused.

    The one order is not checked: that takes an encoder.
    """
    need(len(octets) >= 2 and octets[0] == 1, "version")
    need(octets[1] < 16 and octets[1] % 4 <= 2 and octets[1] // 4 <= 2, "units")
    units = 2 ** (octets[1] % 4), 2 ** (octets[1] // 4)
    at, counts = 2, []
    for _ in range(4):
        count, at = leb128(octets, at)
        counts.append(count)
    boxes, polygons, rings, vertices = counts
    numbers = octets[at:]
    room = len(numbers) + 4
    need(vertices <= 128 * room and boxes <= 2 * room, "counts past what the octets hold")
    need(polygons <= rings and 3 * rings <= vertices and (polygons > 0 or vertices == 0), "counts")
    content: dict[str, Any] = {"detections": [], "polygons": []}
    if not boxes and not polygons:
        need(not numbers, "octets behind")
        return content
    d = Decisions(numbers)
    before = (-1, 0, 0)
    unit = units[0]
    for _ in range(boxes):
        before = value, y, x = start(d, before, unit)
        width = place(d.number("width"), unit)
        height = place(d.number("height", size(width)), unit)
        bits = 1
        for _ in range(4):
            bits = 2 * bits + d.by("score", bits)
        for _ in range(4):
            bits = 2 * bits + d.even()
        content["detections"].append([value, y * unit, x * unit, width * unit, height * unit, bits - 256])
    before = (-1, 0, 0)
    unit = units[1]
    for _ in range(polygons):
        before = value, y, x = start(d, before, unit)
        holes = d.number("holes")
        outlines = []
        for index in range(holes + 1):
            if index:
                y = place(y + d.signed("hole down"), unit)
                x = place(x + d.signed("hole across"), unit)
            count = 3 + d.number("vertices", index > 0)
            rings, vertices = rings - 1, vertices - count
            need(rings >= 0 and vertices >= 0, "rings or vertices past the stated numbers")
            outlines.append(ring(d, x, y, count, unit))
        content["polygons"].append([value, outlines])
    need(rings == 0 and vertices == 0, "rings or vertices missing")
    need(d.asked == len(numbers) + 3, "cut short, or octets behind")
    return content

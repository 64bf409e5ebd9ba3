"""A decoder of the context code written from docs/context-code.md alone, its table read from there. Slow, plain."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "context-code.md"


class Refused(Exception):
    pass


def prior() -> list[int]:
    table = PAGE.read_text(encoding="utf-8").split("## PRIOR")[1].split("```")[1]
    numbers = [int(number) for number in re.findall(r"\d+", table)]
    assert len(numbers) == 512
    return numbers


class Decoder:
    def __init__(self, octets: bytes) -> None:
        self.octets, self.at = octets, 0
        self.low, self.range, self.code = 0, 2**32 - 1, 0
        for _ in range(4):
            self.code = self.code << 8 | self.octet()

    def octet(self) -> int:
        self.at += 1
        return self.octets[self.at - 1] if self.at <= len(self.octets) else 0

    def shift(self) -> None:
        while self.range < 2**24:
            self.range <<= 8
            self.low = self.low << 8 & 2**32 - 1
            self.code = self.code << 8 | self.octet()

    def decide(self, *counters: list[int]) -> int:
        total = sum(chance for chance, _ in counters)
        p = min(max(total >> 6 if len(counters) == 1 else total >> 7, 16), 65520)
        ones = self.range * p >> 16
        zeros = self.range - ones
        bit = int(self.code >= zeros)
        if bit:
            self.code, self.low, self.range = self.code - zeros, self.low + zeros, ones
        else:
            self.range = zeros
        self.shift()
        for counter in counters:
            chance, seen = counter
            way = 2**22 - 1 - chance if bit else chance
            step = way * (2**17 // (2 * seen + 3)) >> 16
            counter[0] = chance + step if bit else chance - step
            counter[1] = min(seen + 1, 127)
        return bit

    def place(self, n: int) -> int:
        self.range //= n
        place = self.code // self.range
        if place >= n:
            raise Refused("place")
        self.code -= place * self.range
        self.low += place * self.range
        self.shift()
        return place

    def check_end(self) -> None:
        if len(self.octets) > self.at or (self.octets and self.octets[-1] == 0):
            raise Refused("octets behind")
        for k in range(5):
            step = -self.low % 2 ** (32 - 8 * k)
            if step < self.range:
                if step != self.code:
                    raise Refused("ending")
                return
        raise Refused("ending")


def decode(octets: bytes, rows: int, width: int) -> list[list[int]]:
    """The rows of a strip, lists of classes. Raises Refused."""
    coder, table = Decoder(octets), prior()

    def begin(chance: int, seen: int) -> list[int]:
        return [chance * 1024, seen]

    alike: dict[int, list[int]] = {}
    classed: dict[tuple[int, int, int], list[int]] = {}
    following: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: begin(256, 1))
    broken: dict[int, list[int]] = {}
    unusual = begin(512, 0)
    value: defaultdict[int, list[int]] = defaultdict(lambda: begin(2048, 0))
    beside: defaultdict[int, int] = defaultdict(lambda: 1, {1: 0})
    image: list[list[int]] = []

    def new_class(left: int, excluded: Iterable[int]) -> int:
        if not coder.decide(unusual):
            found = beside[left]
        else:
            node = 1
            while node < 256:
                node = 2 * node + coder.decide(value[node])
            found = node - 256
            if found in (left, beside[left]):
                raise Refused("class")
        if found in excluded:
            raise Refused("class")
        return found

    for y in range(rows):
        row: list[int] = []
        image.append(row)

        def at(dx: int, dy: int) -> int:
            column = len(row) + dx  # noqa: B023
            if dy == 0:
                return row[column] if column >= 0 else (image[y - 1][0] if y else 0)  # noqa: B023
            return image[y - dy][min(max(column, 0), width - 1)] if y >= dy else at(-1, 0)  # noqa: B023

        while len(row) < width:
            w = at(-1, 0)
            above = {"NWW": -2, "NW": -1, "N": 0, "NE": 1, "NEE": 2, "NEEE": 3}
            over = {"NNWW": -2, "NNW": -1, "NN": 0, "NNE": 1, "NNEE": 2}
            near = {name: at(dx, 1) for name, dx in above.items()}
            near |= {name: at(dx, 2) for name, dx in over.items()}
            near |= {"WW": at(-2, 0), "WWW": at(-3, 0)}
            order = ["NWW", "NW", "N", "NE", "NEE", "NNW", "NN", "NNE", "WW", "NEEE", "NNWW", "NNEE", "WWW"]
            pattern = sum((near[name] == w) << bit for bit, name in enumerate(order))
            if pattern == 8191 and y:
                n = 1
                while n < 4096 and len(row) + n < width and at(n + 3, 1) == w and at(n + 2, 2) == w:
                    n += 1
                i = n.bit_length() - 1
                if not coder.decide(broken.setdefault(i, begin(min(4 * 2**i, 1024), 1))):
                    row += [w] * n
                    continue
                row += [w] * coder.place(n)
                found = new_class(w, ())
            else:
                core = pattern % 512
                one = alike.setdefault(pattern, begin(table[core], 4))
                other = classed.setdefault((core, near["N"] % 8, w % 8), begin(table[core], 4))
                if not coder.decide(one, other):
                    row.append(w)
                    continue
                names = ["N", "NW", "NE", "WW", "NN", "NEE", "NWW", "NNW"]
                candidates = [c for c in dict.fromkeys(near[name] for name in names) if c != w][:3]
                for rank, candidate in enumerate(candidates):
                    six = tuple(near[name] == candidate for name in names[:6])
                    if not coder.decide(following[rank, six, rank + 1 < len(candidates)]):
                        found = candidate
                        break
                else:
                    found = new_class(w, candidates)
            row.append(found)
            beside[w], beside[found] = found, w
    coder.check_end()
    return image

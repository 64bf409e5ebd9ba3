"""A set of octet ranges of one file: what has come, what is due, what is acknowledged."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]  # first octet, octet behind the last


class Extents:
    """Disjoint, ordered ranges; touching ones are one range.

    >>> extents = Extents([(0, 10), (20, 30)])
    >>> extents.missing(5, 25), list(extents.add(10, 22)), list(extents)
    ([(10, 20)], [(10, 20)], [(0, 30)])
    """

    __slots__ = ("_ends", "_starts", "total")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0  # octets covered
        for start, end in ranges:
            self.add(start, end)

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def end(self) -> int:
        """Octet behind the last one covered, 0 when empty."""
        return self._ends[-1] if self._ends else 0

    def first(self) -> Range:
        """The lowest range; the set must not be empty."""
        return self._starts[0], self._ends[0]

    def missing(self, start: int, end: int) -> list[Range]:
        """Parts of [start, end) that are not covered, in order."""
        gaps = []
        at = start
        for index in range(bisect_right(self._ends, start), len(self._starts)):
            if self._starts[index] >= end:
                break
            if self._starts[index] > at:
                gaps.append((at, self._starts[index]))
            at = self._ends[index]
        if at < end:
            gaps.append((at, end))
        return gaps

    def covers(self, start: int, end: int) -> bool:
        """Whether every octet of [start, end) is covered."""
        return not self.missing(start, end)

    def add(self, start: int, end: int) -> list[Range]:
        """Cover [start, end); the parts that were not covered before."""
        if start >= end:
            return []
        if self._ends and start == self._ends[-1]:  # the common case: the next octets in order
            self._ends[-1] = end
            self.total += end - start
            return [(start, end)]
        fresh = self.missing(start, end)
        if not fresh:
            return fresh
        low = bisect_left(self._ends, start)
        high = bisect_right(self._starts, end)
        if low < high:
            start, end = min(start, self._starts[low]), max(end, self._ends[high - 1])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]
        self.total += sum(last - first for first, last in fresh)
        return fresh

    def remove(self, start: int, end: int) -> None:
        """Uncover [start, end)."""
        if start >= end:
            return
        low = bisect_right(self._ends, start)
        high = bisect_left(self._starts, end)
        if low >= high:
            return
        kept = []
        for index in range(low, high):
            first, last = self._starts[index], self._ends[index]
            self.total -= min(last, end) - max(first, start)
            if first < start:
                kept.append((first, start))
            if last > end:
                kept.append((end, last))
        self._starts[low:high] = [first for first, _ in kept]
        self._ends[low:high] = [last for _, last in kept]

"""What the lateness of frames says: percentiles, and which gaps a witness beside them had as well. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[Any]  # int64 nanoseconds


@dataclass(frozen=True, slots=True)
class Lateness:
    """Microseconds."""

    count: int
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float

    @classmethod
    def of(cls, late_ns: Times) -> Lateness:
        """Percentiles by the nearest rank: each is a value that was measured. Raises ValueError for nothing."""
        if not len(late_ns):
            raise ValueError("nothing was measured")
        points = np.percentile(late_ns, [50, 99, 99.9, 100], method="inverted_cdf") / 1e3
        return cls(len(late_ns), *(round(float(point), 1) for point in points))


@dataclass(frozen=True, slots=True)
class Ticks:
    """What was to happen at `nominal_ns` (ascending) and did `late_ns` later."""

    nominal_ns: Times
    late_ns: Times

    def gaps(self, limit_ns: int) -> list[tuple[int, int]]:
        """From when to when nothing happened that was due, for what was later than the limit; touching ones are one."""
        found: list[tuple[int, int]] = []
        late = self.late_ns > limit_ns
        for start, length in zip(self.nominal_ns[late].tolist(), self.late_ns[late].tolist(), strict=True):
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], start + length))
            else:
                found.append((start, start + length))
        return found

    def within(self, gaps: list[tuple[int, int]], reach_ns: int) -> NDArray[np.bool_]:
        """Which of them lie, from their time to their happening, in one of those gaps or at most `reach_ns` beside."""
        if not gaps:
            return np.zeros(len(self.nominal_ns), bool)
        starts, ends = np.array(gaps, np.int64).T
        ends = np.maximum.accumulate(ends)
        before = np.searchsorted(starts, self.nominal_ns + self.late_ns + reach_ns, side="right")
        latest = ends[np.maximum(before - 1, 0)]
        touching: NDArray[np.bool_] = (before > 0) & (latest >= self.nominal_ns - reach_ns)
        return touching


def seen_by(gaps: list[tuple[int, int]], others: list[tuple[int, int]], reach_ns: int) -> list[bool]:
    """Of each gap: whether one of the others is at the same time, or at most `reach_ns` away."""
    if not gaps:
        return []
    starts, ends = np.array(gaps, np.int64).T
    return [bool(item) for item in Ticks(starts, ends - starts).within(others, reach_ns)]

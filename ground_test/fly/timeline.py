"""Which host time a mission time was, on a clock whose speed changed. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field


@dataclass(slots=True)
class Timeline:
    """Every change of speed: (mission time, host time, speed from then on), in order.

    >>> line = Timeline()
    >>> line.changed(100.0, 5.0, 10.0); line.changed(120.0, 7.0, 2.0)
    >>> line.host_s(110.0), line.host_s(122.0)
    (6.0, 8.0)
    """

    _changes: list[tuple[float, float, float]] = field(default_factory=list)

    def changed(self, mission_s: float, host_s: float, speed: float) -> None:
        self._changes.append((mission_s, host_s, speed))

    def host_s(self, mission_s: float) -> float:
        """Needs one change at least; a time before the first is counted back from it."""
        index = max(bisect_right(self._changes, mission_s, key=lambda change: change[0]) - 1, 0)
        at_mission_s, at_host_s, speed = self._changes[index]
        return at_host_s + (mission_s - at_mission_s) / speed

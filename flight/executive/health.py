"""Health: the watchdog is fed only while everything that must live has shown that it does.

The gate holds who was last heard in which frame; the frame loop asks it at the end of each frame, and the C clock
pets the watchdog only on its word. A frame loop that merely turns proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from flight.executive.component import HEALTHY, UNHEALTHY
from flight.services.events import EventRing


@dataclass(slots=True)
class _Watched:
    name: str
    number: int
    limit_frames: int
    last_frame: int = 0
    silent: bool = False


class HealthGate:
    """Check-ins of what must live: the critical activities, and whatever else the composition watches."""

    def __init__(self, events: EventRing) -> None:
        self._events = events
        self._watched: dict[str, _Watched] = {}
        self._every: tuple[_Watched, ...] = ()
        self.healthy = True

    def watch(self, name: str, limit_frames: int, *, number: int = 0xFF, from_frame: int = 0) -> None:
        """From now on `name` must check in at least every `limit_frames` frames.

        Of one that is watched already the limit changes, and not when it was heard last.
        """
        if limit_frames < 1:
            raise ValueError(f"{name}: a limit of {limit_frames} frames")
        watched = self._watched.setdefault(name, _Watched(name, number, limit_frames, from_frame))
        watched.number, watched.limit_frames = number, limit_frames
        self._every = tuple(self._watched.values())

    def unwatch(self, name: str) -> None:
        """`name` need not check in any more. Harmless for one that is not watched."""
        self._watched.pop(name, None)
        self._every = tuple(self._watched.values())

    def check_in(self, name: str, frame: int) -> None:
        """`name` lives in `frame`, or is excused: it has no business in the present mode."""
        self._watched[name].last_frame = frame

    def silent(self) -> tuple[str, ...]:
        """Who has not checked in for too long, by the last judge()."""
        return tuple(watched.name for watched in self._watched.values() if watched.silent)

    def judge(self, frame: int) -> bool:
        """Whether all were heard in time; changes are events."""
        healthy, every, position = True, self._every, 0
        while position < len(every):  # an iterator would be an object of its own in every frame
            watched = every[position]
            position += 1
            silent_for = frame - watched.last_frame
            silent = silent_for > watched.limit_frames
            if silent and not watched.silent:
                self._events.emit(UNHEALTHY, activity=watched.number, silent=silent_for)
            watched.silent = silent
            healthy = healthy and not silent
        if healthy and not self.healthy:
            self._events.emit(HEALTHY, frame=frame)
        self.healthy = healthy
        return healthy

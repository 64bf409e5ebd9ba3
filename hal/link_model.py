"""What a channel does to frames: rate, delay, loss, windows. Pure; drivers and the simulator move the octets."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """One direction of one link, in mission time."""

    rate_bps: float = 1e6
    delay_s: float = 0.0
    loss: float = 0.0  # probability that a frame is lost, 0 ... 1
    queue_bytes: int = 65_536  # what the transmitter holds; more is refused
    windows: tuple[tuple[float, float], ...] | None = None  # open from, to; None: always open


class LinkModel:
    """Frames offered at one end come out at the other, later, or never. Deterministic for a seed.

    >>> link = LinkModel(LinkSettings(rate_bps=8000, delay_s=1.0), seed=1)
    >>> link.offer(b"x" * 1000, now_s=0.0), link.due(1.9), len(link.due(2.0))
    (True, [], 1)
    """

    def __init__(self, settings: LinkSettings, seed: int) -> None:
        self._settings = settings
        self._random = random.Random(seed)  # noqa: S311 - a channel, not a secret
        self._free_at_s = -1e300
        self._flying: list[tuple[float, int, bytes]] = []
        self._order = 0
        self.refused = 0
        self.lost = 0

    def is_open(self, now_s: float) -> bool:
        """Whether the link exists now."""
        windows = self._settings.windows
        return windows is None or any(start <= now_s < end for start, end in windows)

    def offer(self, frame: bytes, now_s: float) -> bool:
        """Give a frame to the transmitter. False (counted) when its queue is full or the link is closed."""
        settings = self._settings
        start_s = max(now_s, self._free_at_s)
        backlog_bytes = (start_s - now_s) * settings.rate_bps / 8
        if not self.is_open(now_s) or backlog_bytes + len(frame) > settings.queue_bytes:
            self.refused += 1
            return False
        self._free_at_s = start_s + len(frame) * 8 / settings.rate_bps
        if self._random.random() < settings.loss or not self.is_open(self._free_at_s):
            self.lost += 1
            return True
        heapq.heappush(self._flying, (self._free_at_s + settings.delay_s, self._order, frame))
        self._order += 1
        return True

    def due(self, now_s: float) -> list[bytes]:
        """Frames that have arrived by now, in order of arrival."""
        out = []
        while self._flying and self._flying[0][0] <= now_s:
            out.append(heapq.heappop(self._flying)[2])
        return out

    def next_due_s(self) -> float | None:
        """When the next frame arrives; None when none is flying."""
        return self._flying[0][0] if self._flying else None

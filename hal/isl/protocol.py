"""An inter-satellite link terminal: whole frames to a named neighbour, while a window is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class IslStatus:
    """Counters since the terminal was opened."""

    frames_sent: int
    frames_received: int
    frames_refused: int
    neighbours_up: tuple[int, ...]  # spacecraft numbers reachable now


class IslTerminal(Protocol):
    """One terminal. Frames are datagrams with the sender's spacecraft number."""

    @property
    def max_frame_bytes(self) -> int: ...

    def send(self, neighbour: int, frame: bytes) -> bool:
        """Queue one frame for `neighbour`; False (counted) when it cannot go. Never blocks."""
        ...

    def receive_into(self, buffer: bytearray, deadline_s: float) -> tuple[int, int]:
        """(neighbour, bytes). Raises DeadlineExceeded. deadline_s: host time."""
        ...

    def status(self) -> IslStatus: ...

    def close(self) -> None: ...

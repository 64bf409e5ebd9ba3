"""A radio moves whole transfer frames and never blocks past a deadline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RadioStatus:
    """Counters since the radio was opened."""

    frames_sent: int
    frames_received: int
    frames_refused: int  # by the transmit queue, or longer than max_frame_bytes
    bytes_sent: int
    bytes_received: int


class Radio(Protocol):
    """One radio, seen from one end of the link."""

    @property
    def max_frame_bytes(self) -> int: ...

    def send(self, frame: bytes) -> bool:
        """Queue one frame; False (counted) when the transmitter cannot take it now. Never blocks."""
        ...

    def receive_into(self, buffer: bytearray, deadline_s: float) -> int:
        """Bytes of the next frame, written to the start of `buffer`. deadline_s: host time.

        A deadline in the past polls. Raises DeadlineExceeded when no frame came.
        """
        ...

    def status(self) -> RadioStatus: ...

    def close(self) -> None: ...

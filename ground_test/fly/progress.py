"""How the flight is shown: one redrawn line on a terminal, a plain line for every change elsewhere."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

from ground_test.fly.first_flight import FirstFlight

_CLEAR = "\r\x1b[K"


class Progress:
    """Writes to stderr, so that stdout stays the report's."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._redraws = self._stream.isatty()
        self._said: tuple[str, ...] = ()
        self._drawn = False

    def say(self, text: str) -> None:
        """A line that stays."""
        self.end()
        print(text, file=self._stream, flush=True)

    def show(self, flight: FirstFlight) -> None:
        """How things stand."""
        now = (
            flight.contact or "no contact",
            *(f"{placed.order.name} {_word(placed.status, placed.delivered)}" for placed in flight.placed),
        )
        text = f"T+{_clock_text(flight.elapsed_s)}  x{flight.speed:<4.0f} {' | '.join(now)}"
        if self._redraws:
            width = shutil.get_terminal_size((120, 24)).columns - 1  # a line that wraps cannot be redrawn
            print(_CLEAR + text[:width], end="", file=self._stream, flush=True)
            self._drawn = True
        elif now != self._said:
            self._said = now
            print(text, file=self._stream, flush=True)

    def end(self) -> None:
        """The redrawn line is finished."""
        if self._drawn:
            print(file=self._stream, flush=True)
            self._drawn = False


def _word(status: str, delivered: bool) -> str:
    return "delivered" if delivered else "on the ground" if status == "completed" else status


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:d}:{minutes % 60:02d}:{rest:02d}"

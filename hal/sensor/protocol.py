"""A pushbroom line sensor: a line comes once, at its time; one not taken is lost and counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SensorFormat:
    """What every line of one capture looks like. Lines are (columns, bands), interleaved by pixel."""

    columns: int
    bands: int
    dtype: str  # "uint8", "uint16", "int16", "float32"
    line_rate_hz: float  # lines per second of mission time
    lines: int | None  # lines in the capture, None for an endless pushbroom


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Which lines a read delivered. `lost` counts the lines lost just before `first`."""

    first: int
    count: int
    lost: int
    time_s: float  # mission time of line `first`
    last: bool  # no line follows


class Sensor(Protocol):
    """One sensor. Calls never block past their deadline; errors are hal.errors types."""

    @property
    def format(self) -> SensorFormat: ...

    def start(self, at_mission_s: float) -> None:
        """Line 0 is exposed at `at_mission_s`; line n at at_mission_s + n / line_rate_hz."""
        ...

    def read_into(self, buffer: NDArray[Any], deadline_s: float) -> LineBlock:
        """Fill buffer[:count] (rows, columns, bands) with the lines that are due, at least one.

        deadline_s: host time. Raises DeadlineExceeded when no line is due before it.
        """
        ...

    def close(self) -> None: ...

"""The bus gives time, attitude and power-off notices, and answers pointing requests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class PointingReply(IntEnum):
    """What the bus says to a pointing request."""

    ACCEPTED = 0
    REFUSED_ANGLE = 1
    REFUSED_BUSY = 2
    REFUSED_POWER = 3


@dataclass(frozen=True, slots=True)
class PlatformState:
    """What the bus tells at one time."""

    time_s: float  # mission time
    roll_deg: float  # off-nadir to the right of the track
    pitch_deg: float
    yaw_deg: float
    attitude_sigma_deg: float
    power_off_at_s: float | None  # a notice: power goes at this mission time


class Platform(Protocol):
    """One spacecraft bus."""

    def state(self) -> PlatformState: ...

    def request_pointing(self, start_s: float, end_s: float, roll_deg: float) -> PointingReply: ...

    def close(self) -> None: ...

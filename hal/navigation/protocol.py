"""Position and velocity, and the ground track under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NavigationFix:
    """State at one time. Earth-centred Earth-fixed, metres and metres per second."""

    time_s: float
    position_ecef_m: tuple[float, float, float]
    velocity_ecef_m_s: tuple[float, float, float]
    latitude_deg: float  # geodetic, WGS 84, of the point below
    longitude_deg: float  # -180 ... 180
    altitude_m: float
    sigma_m: float  # one-sigma position uncertainty


class Navigation(Protocol):
    """A GNSS receiver or a propagated orbit."""

    def fix(self) -> NavigationFix:
        """State now (mission time of the clock the driver was given)."""
        ...

    def at(self, mission_s: float) -> NavigationFix:
        """Predicted state; raises hal.errors.HalError where the driver cannot predict."""
        ...

    def close(self) -> None: ...

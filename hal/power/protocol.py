"""What the payload computer knows about energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PowerReading:
    """One reading of the battery and the rails."""

    time_s: float  # mission time
    battery_wh: float
    capacity_wh: float
    solar_w: float
    load_w: float
    sunlit: bool
    modelled: bool  # False when every figure was measured

    @property
    def state_of_charge(self) -> float:
        """0 ... 1."""
        return self.battery_wh / self.capacity_wh


class Power(Protocol):
    """One power source as seen by the payload computer."""

    def read(self) -> PowerReading: ...

    def set_load_w(self, consumer: str, watts: float) -> None:
        """Tell a model what a consumer draws now; measured rails ignore it."""
        ...

    def close(self) -> None: ...

"""A modelled battery: solar input by the sun and the Earth's shadow, load by what consumers declare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hal.clock import Clock
from hal.errors import DeviceClosed
from hal.navigation.frames import is_sunlit
from hal.navigation.orbit import driver as navigation_driver
from hal.options import DriverOptions, Options
from hal.power.protocol import PowerReading

STEP_S = 10.0  # of the energy integral; a shadow edge is met within it
MAX_STEPS = 4096


class SimulatedPower:
    """The Power protocol over an energy integral in mission time."""

    def __init__(
        self,
        clock: Clock,
        sunlit: Callable[[float], bool],
        *,
        capacity_wh: float,
        battery_wh: float,
        solar_w: float,
        base_load_w: float,
    ) -> None:
        self._clock, self._sunlit = clock, sunlit
        self._capacity_wh, self._battery_wh = capacity_wh, min(battery_wh, capacity_wh)
        self._solar_w, self._base_load_w = solar_w, base_load_w
        self._loads: dict[str, float] = {}
        self._updated_s = clock.mission_s()
        self._closed = False

    def read(self) -> PowerReading:
        self._integrate()
        now_s = self._updated_s
        sunlit = self._sunlit(now_s)
        return PowerReading(
            time_s=now_s,
            battery_wh=self._battery_wh,
            capacity_wh=self._capacity_wh,
            solar_w=self._solar_w if sunlit else 0.0,
            load_w=self._load_w(),
            sunlit=sunlit,
            modelled=True,
        )

    def set_load_w(self, consumer: str, watts: float) -> None:
        if not 0 <= watts < 1e6:
            raise DriverOptions("watts", f"{consumer}: {watts} W is no load")
        self._integrate()
        self._loads[consumer] = watts

    def close(self) -> None:
        self._closed = True

    def _load_w(self) -> float:
        return self._base_load_w + sum(self._loads.values())

    def _integrate(self) -> None:
        if self._closed:
            raise DeviceClosed("power simulated")
        now_s = self._clock.mission_s()
        step_s = max(STEP_S, (now_s - self._updated_s) / MAX_STEPS)
        while self._updated_s < now_s:
            span_s = min(step_s, now_s - self._updated_s)
            solar_w = self._solar_w if self._sunlit(self._updated_s) else 0.0
            charged_wh = self._battery_wh + (solar_w - self._load_w()) * span_s / 3600.0
            self._battery_wh = min(self._capacity_wh, max(0.0, charged_wh))
            self._updated_s = now_s if span_s < step_s else self._updated_s + span_s


def driver(options: Mapping[str, Any], clock: Clock) -> SimulatedPower:
    """Entry point. Options: capacity_wh, battery_wh, solar_w, base_load_w, orbit = {...} (else always sunlit)."""
    checked = Options("power simulated", options, ("capacity_wh", "battery_wh", "solar_w", "base_load_w", "orbit"))
    capacity_wh = checked.number("capacity_wh", 80.0, minimum=0.001)
    sunlit: Callable[[float], bool] = lambda _: True  # noqa: E731
    if checked.has("orbit"):
        navigation = navigation_driver(checked.table("orbit"), clock)

        def sunlit(mission_s: float) -> bool:
            return is_sunlit(navigation.at(mission_s).position_ecef_m, mission_s)

    return SimulatedPower(
        clock,
        sunlit,
        capacity_wh=capacity_wh,
        battery_wh=checked.number("battery_wh", capacity_wh, minimum=0.0),
        solar_w=checked.number("solar_w", 60.0, minimum=0.0),
        base_load_w=checked.number("base_load_w", 12.0, minimum=0.0),
    )

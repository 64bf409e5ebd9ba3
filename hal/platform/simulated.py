"""A modelled spacecraft bus: it points nadir, grants off-nadir looks within its limits, and can announce power-off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hal.clock import Clock
from hal.errors import DeviceClosed
from hal.options import Options
from hal.platform.protocol import PlatformState, PointingReply

MAX_REQUESTS = 64


@dataclass(frozen=True, slots=True)
class _Look:
    start_s: float
    end_s: float
    roll_deg: float


class SimulatedPlatform:
    """The Platform protocol over a list of granted looks, slewing at a fixed rate."""

    def __init__(
        self,
        clock: Clock,
        *,
        max_roll_deg: float,
        slew_deg_s: float,
        attitude_sigma_deg: float,
        power_off_at_s: float | None,
    ) -> None:
        self._clock = clock
        self._max_roll_deg, self._slew_deg_s, self._sigma_deg = max_roll_deg, slew_deg_s, attitude_sigma_deg
        self._power_off_at_s = power_off_at_s
        self._looks: list[_Look] = []
        self._closed = False

    def state(self) -> PlatformState:
        if self._closed:
            raise DeviceClosed("platform simulated")
        now_s = self._clock.mission_s()
        # What each look asks for now: its roll, less what the slew from or to it has still to go. Granted looks are so
        # far apart that the larger of two on one side is reachable, and that two on different sides never meet.
        asked = [self._asked_deg(look, now_s) for look in self._looks]
        roll_deg = max(0.0, *asked) + min(0.0, *asked) if asked else 0.0
        return PlatformState(now_s, roll_deg, 0.0, 0.0, self._sigma_deg, self._power_off_at_s)

    def _asked_deg(self, look: _Look, now_s: float) -> float:
        outside_s = max(look.start_s - now_s, now_s - look.end_s, 0.0)
        return math.copysign(max(0.0, abs(look.roll_deg) - outside_s * self._slew_deg_s), look.roll_deg)

    def request_pointing(self, start_s: float, end_s: float, roll_deg: float) -> PointingReply:
        if self._closed:
            raise DeviceClosed("platform simulated")
        now_s = self._clock.mission_s()
        self._looks = [look for look in self._looks if look.end_s + abs(look.roll_deg) / self._slew_deg_s > now_s]
        if not abs(roll_deg) <= self._max_roll_deg or not -math.inf < start_s < end_s < math.inf:
            return PointingReply.REFUSED_ANGLE
        wanted = _Look(start_s, end_s, roll_deg)
        if wanted in self._looks:
            return PointingReply.ACCEPTED
        if self._power_off_at_s is not None and end_s > self._power_off_at_s:
            return PointingReply.REFUSED_POWER
        for look in self._looks:
            between_s = abs(look.roll_deg - roll_deg) / self._slew_deg_s
            if start_s < look.end_s + between_s and look.start_s < end_s + between_s:
                return PointingReply.REFUSED_BUSY
        if len(self._looks) >= MAX_REQUESTS or start_s - abs(roll_deg) / self._slew_deg_s < now_s:
            return PointingReply.REFUSED_BUSY
        self._looks.append(wanted)
        return PointingReply.ACCEPTED

    def announce_power_off(self, at_mission_s: float | None) -> None:
        """Give or withdraw a power-off notice (the fault button of a bench)."""
        self._power_off_at_s = at_mission_s

    def close(self) -> None:
        self._closed = True


def driver(options: Mapping[str, Any], clock: Clock) -> SimulatedPlatform:
    """Entry point. Options: max_roll_deg, slew_deg_s, attitude_sigma_deg, power_off_at_s."""
    checked = Options(
        "platform simulated", options, ("max_roll_deg", "slew_deg_s", "attitude_sigma_deg", "power_off_at_s")
    )
    return SimulatedPlatform(
        clock,
        max_roll_deg=checked.number("max_roll_deg", 30.0, minimum=0.0, maximum=60.0),
        slew_deg_s=checked.number("slew_deg_s", 1.0, minimum=0.001),
        attitude_sigma_deg=checked.number("attitude_sigma_deg", 0.01, minimum=0.0),
        power_off_at_s=checked.number("power_off_at_s") if checked.has("power_off_at_s") else None,
    )

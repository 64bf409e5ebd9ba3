"""The geometry of one strip from what flies: camera file, predicted or measured orbit, and the bus's attitude.

Numbers are rounded far below what matters (a tenth of a millimetre, 2e-12 of a turn), so that the last bit of a sine,
which differs between machines, does not reach the product.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from hal.errors import HalError
from hal.navigation.protocol import NavigationFix
from hal.navigation.rotation import Quaternion, from_roll_pitch_yaw
from hal.platform.protocol import PlatformState
from hal.sensor.camera_file import CameraFile
from hal.sensor.camera_model import CameraModel
from hal.sensor.line_geometry import (
    MAX_ATTITUDE_KNOTS,
    MAX_ORBIT_KNOTS,
    AttitudeKnot,
    GeometrySigma,
    LineGeometry,
    OrbitKnot,
)

ORBIT_STEP_S = 10.0  # a Hermite curve through a low orbit is then good to a millimetre
LONGEST_ORBIT_STEP_S = 60.0  # and then to half a metre
MAX_KNOTS_OF_ATTITUDE = 32  # what a product carries; a bus tells more
_MARGIN_S = 1.0

GeometryT = TypeVar("GeometryT", bound=LineGeometry)
At = Callable[[float], NavigationFix]


class StripTooLong(HalError, ValueError):
    """A strip that the knots of one geometry do not hold."""

    code = "strip_too_long"

    def __init__(self, strip_s: float, limit_s: float) -> None:
        super().__init__(f"a strip of {strip_s:.0f} s; a geometry holds {limit_s:.0f} s")
        self.strip_s, self.limit_s = strip_s, limit_s


class AttitudeUnknown(HalError, LookupError):
    """Nothing, or nothing near enough in time, was told about the attitude during a strip."""

    code = "attitude_unknown"

    def __init__(self, start_s: float, end_s: float, reason: str) -> None:
        super().__init__(f"attitude from {start_s:.1f} to {end_s:.1f} s: {reason}")
        self.start_s, self.end_s, self.reason = start_s, end_s, reason


def strip_geometry(
    kind: type[GeometryT],
    camera: CameraFile,
    *,
    start_s: float,
    line_rate_hz: float,
    lines: int,
    at: At,
    attitude: Sequence[PlatformState],
    longest_gap_s: float = 30.0,
) -> GeometryT:
    """The geometry of a strip whose line 0 is exposed at `start_s` (mission time).

    at: navigation fixes, asked for on both sides of the strip. attitude: what the bus told, in order of time: it must
    begin before the strip and end after it, with gaps of at most `longest_gap_s`.
    Raises StripTooLong, AttitudeUnknown, CameraInvalid, GeometryError, and what `at` raises.
    """
    end_s = start_s + (lines - 1) / line_rate_hz
    knots = 1 + max(1, math.ceil((end_s - start_s + 2 * _MARGIN_S) / ORBIT_STEP_S))
    knots = min(knots, MAX_ORBIT_KNOTS)
    step_s = (end_s - start_s + 2 * _MARGIN_S) / (knots - 1)
    if step_s > LONGEST_ORBIT_STEP_S:
        raise StripTooLong(end_s - start_s, LONGEST_ORBIT_STEP_S * (MAX_ORBIT_KNOTS - 1) - 2 * _MARGIN_S)
    fixes = [at(start_s - _MARGIN_S + step_s * number) for number in range(knots)]
    told = _covering(attitude, start_s, end_s, longest_gap_s)
    mounting_rad = math.radians(camera.sigma.mounting_deg)
    attitude_rad = math.radians(max(state.attitude_sigma_deg for state in told))
    return kind(
        start_s=start_s,
        line_period_s=1.0 / line_rate_hz,
        lines=lines,
        camera=_rounded(camera.model()),
        orbit=tuple(_orbit_knot(fix, start_s) for fix in fixes),
        attitude=tuple(_attitude_knot(state, start_s) for state in told),
        height_m=camera.height_m,
        sigma=GeometrySigma(
            orbit_m=max(fix.sigma_m for fix in fixes),
            attitude_rad=round(math.hypot(attitude_rad, mounting_rad), 9),
            time_s=camera.sigma.time_s,
            height_m=camera.sigma.height_m,
            camera_px=camera.sigma.camera_px,
        ),
    )


def _covering(
    attitude: Sequence[PlatformState], start_s: float, end_s: float, longest_gap_s: float
) -> list[PlatformState]:
    """The states round the strip, thinned evenly to what a product carries."""
    first = max((index for index, state in enumerate(attitude) if state.time_s <= start_s), default=None)
    last = min((index for index, state in enumerate(attitude) if state.time_s >= end_s), default=None)
    if first is None or last is None:
        raise AttitudeUnknown(start_s, end_s, "the bus told nothing before the first or after the last line")
    told = list(attitude[first : last + 1])
    if len(told) == 1:
        return told
    gap_s = max(after.time_s - before.time_s for before, after in itertools.pairwise(told))
    if gap_s > longest_gap_s:
        raise AttitudeUnknown(start_s, end_s, f"the bus told nothing for {gap_s:.1f} s")
    most = min(MAX_KNOTS_OF_ATTITUDE, MAX_ATTITUDE_KNOTS)
    if len(told) > most:
        told = [told[round(index * (len(told) - 1) / (most - 1))] for index in range(most)]
    steady = all(_angles(state) == _angles(told[0]) for state in told)
    return [max(told, key=lambda state: state.attitude_sigma_deg)] if steady else told


def _angles(state: PlatformState) -> tuple[float, float, float]:
    return state.roll_deg, state.pitch_deg, state.yaw_deg


def _orbit_knot(fix: NavigationFix, start_s: float) -> OrbitKnot:
    x, y, z = (round(part, 4) for part in fix.position_ecef_m)
    u, v, w = (round(part, 7) for part in fix.velocity_ecef_m_s)
    return OrbitKnot(round(fix.time_s - start_s, 6), (x, y, z), (u, v, w))


def _attitude_knot(state: PlatformState, start_s: float) -> AttitudeKnot:
    return AttitudeKnot(round(state.time_s - start_s, 6), _turn(from_roll_pitch_yaw(*_angles(state))))


def _rounded(camera: CameraModel) -> CameraModel:
    return CameraModel(
        camera.columns,
        camera.focal_m,
        camera.pixel_pitch_m,
        camera.principal_column,
        camera.along_m,
        camera.columns_left,
        _turn(camera.boresight),
        camera.distortion,
    )


def _turn(quaternion: Quaternion) -> Quaternion:
    w, x, y, z = (round(part, 12) for part in quaternion)
    return w, x, y, z

"""Strips of a made satellite, for tests of geometry: a circular orbit, exact at every time, and a camera of 10 m."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hal.navigation.frames import EARTH_RATE_RAD_S
from hal.navigation.rotation import from_roll_pitch_yaw
from hal.sensor.camera_model import CameraModel
from hal.sensor.line_geometry import AttitudeKnot, GeometrySigma, LineGeometry, OrbitKnot

START_S = 1_790_000_000.0
RADIUS_M = 6_878_137.0
RATE_RAD_S = math.sqrt(3.986004418e14 / RADIUS_M**3)


def circle(after_s: Any, inclination_deg: Any = 97.4, node_deg: Any = 30.0, latitude_deg: Any = 20.0) -> Any:
    """Earth-fixed position and velocity (3,) on a circular orbit that rotates under the Earth, at any time."""
    inclination, node = math.radians(inclination_deg), math.radians(node_deg)
    anomaly = math.radians(latitude_deg) + RATE_RAD_S * after_s
    first = np.array([math.cos(node), math.sin(node), 0.0])
    second = np.array(
        [-math.sin(node) * math.cos(inclination), math.cos(node) * math.cos(inclination), math.sin(inclination)]
    )
    position = RADIUS_M * (math.cos(anomaly) * first + math.sin(anomaly) * second)
    velocity = RADIUS_M * RATE_RAD_S * (math.cos(anomaly) * second - math.sin(anomaly) * first)
    turn = EARTH_RATE_RAD_S * after_s
    to_fixed = np.array([[math.cos(turn), math.sin(turn), 0], [-math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    position, velocity = to_fixed @ position, to_fixed @ velocity
    return position, velocity - np.cross([0, 0, EARTH_RATE_RAD_S], position)


def camera(columns: Any = 2000, gsd_m: Any = 10.0, **fields: Any) -> Any:
    """A camera whose pixels are `gsd_m` wide from 500 km."""
    return CameraModel(
        **{
            "columns": columns,
            "focal_m": 0.5,
            "pixel_pitch_m": 0.5 * gsd_m / 500_000.0,
            "principal_column": columns / 2,
            **fields,
        }
    )


def strip(
    kind: Any = LineGeometry,
    *,
    lines: Any = 4000,
    roll_deg: Any = 0.0,
    pitch_deg: Any = 0.0,
    yaw_deg: Any = 0.0,
    orbit: Any = None,
    step_s: Any = None,
    **fields: Any,
) -> Any:
    """A strip of 10 m lines on a circular orbit."""
    period_s = fields.pop("line_period_s", 10.0 / 6900.0)
    duration_s = lines * period_s
    knots = max(2, math.ceil(duration_s / (step_s or 10.0)) + 1)
    times = np.linspace(-0.1, duration_s + 0.1, knots)
    states: Any = [circle(float(time), **(orbit or {})) for time in times]
    return kind(
        **{
            "start_s": START_S,
            "line_period_s": period_s,
            "lines": lines,
            "camera": camera(),
            "orbit": tuple(
                OrbitKnot(float(time), position.tolist(), velocity.tolist())
                for time, (position, velocity) in zip(times, states, strict=True)
            ),
            "attitude": tuple(
                AttitudeKnot(float(time), from_roll_pitch_yaw(roll_deg, pitch_deg, yaw_deg)) for time in times
            ),
            "sigma": GeometrySigma(orbit_m=20.0, attitude_rad=1e-4, time_s=1e-3, height_m=30.0, camera_px=0.2),
            **fields,
        }
    )

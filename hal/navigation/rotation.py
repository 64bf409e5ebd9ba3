"""Rotations as unit quaternions (w, x, y, z), many at once; the orbital frame; roll, pitch and yaw.

A quaternion turns components in its inner frame into components in its outer frame: v_outer = q * v_inner * q^-1. The
orbital frame is that of a nadir-pointing satellite (CCSDS "LVLH"): z to the Earth's centre, y against the orbit's
normal (to the right of the track), x forward; its normal is that of the inertial motion.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hal.navigation.frames import EARTH_RATE_RAD_S

Floats: TypeAlias = "NDArray[np.float64]"
Quaternion: TypeAlias = "tuple[float, float, float, float]"

IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)
_NEARLY_ONE = 1.0 - 1e-12  # above it an arc's sine has no digits left; the chord is the arc


def multiply(a: ArrayLike, b: ArrayLike) -> Floats:
    """a * b, (..., 4): first b, then a."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a, np.float64), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b, np.float64), -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(quaternion: ArrayLike) -> Floats:
    """The inverse rotation of unit quaternions, (..., 4)."""
    inverse: Floats = np.asarray(quaternion, np.float64) * np.array([1.0, -1.0, -1.0, -1.0])
    return inverse


def to_matrix(quaternion: ArrayLike) -> Floats:
    """(..., 3, 3) rotation matrices of (..., 4) unit quaternions."""
    w, x, y, z = np.moveaxis(np.asarray(quaternion, np.float64), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    matrices: Floats = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    return matrices


def from_matrix(matrix: ArrayLike) -> Quaternion:
    """The unit quaternion, w >= 0, of one (3, 3) rotation matrix (Shepperd 1978)."""
    m = np.asarray(matrix, np.float64)
    trace = float(m[0, 0] + m[1, 1] + m[2, 2])
    candidates = [trace, float(m[0, 0]), float(m[1, 1]), float(m[2, 2])]
    largest = candidates.index(max(candidates))
    if largest == 0:
        q = [1 + trace, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]]
    else:
        i = largest - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        q = [m[k, j] - m[j, k], 0.0, 0.0, 0.0]
        q[1 + i], q[1 + j], q[1 + k] = 1 + m[i, i] - m[j, j] - m[k, k], m[j, i] + m[i, j], m[k, i] + m[i, k]
    norm = math.sqrt(sum(float(part) ** 2 for part in q)) * (1.0 if q[0] >= 0 else -1.0)
    w, x, y, z = (float(part) / norm for part in q)
    return w, x, y, z


def slerp(times: Floats, knots: Floats, at: Floats) -> Floats:
    """Unit quaternions at times `at` (n,), between knots (k, 4) at rising `times` (k,), by the shorter arc.

    Before the first and after the last knot the attitude stays. One knot: it holds always.
    """
    if len(times) == 1:
        return np.broadcast_to(knots[0], (*at.shape, 4))
    segment = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    share = np.clip((at - times[segment]) / (times[segment + 1] - times[segment]), 0.0, 1.0)
    first, second = knots[segment], knots[segment + 1]
    cosine = np.einsum("...i,...i->...", first, second)
    second = np.where(cosine[..., None] < 0, -second, second)
    cosine = np.abs(cosine)
    arc = np.arccos(np.minimum(cosine, 1.0))
    close = cosine > _NEARLY_ONE
    sine = np.where(close, 1.0, np.sin(arc))
    a = np.where(close, 1.0 - share, np.sin((1.0 - share) * arc) / sine)
    b = np.where(close, share, np.sin(share * arc) / sine)
    mixed = a[..., None] * first + b[..., None] * second
    unit: Floats = mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)
    return unit


def orbital_axes(position_ecef_m: ArrayLike, velocity_ecef_m_s: ArrayLike) -> Floats:
    """(..., 3, 3): columns are the orbital frame's x, y, z in Earth-fixed components.

    position, velocity: (..., 3); the velocity is relative to the rotating Earth, as in a NavigationFix.
    """
    position, velocity = np.asarray(position_ecef_m, np.float64), np.asarray(velocity_ecef_m_s, np.float64)
    inertial = velocity + EARTH_RATE_RAD_S * np.stack(
        [-position[..., 1], position[..., 0], np.zeros_like(position[..., 0])], axis=-1
    )
    down = -position / np.linalg.norm(position, axis=-1, keepdims=True)
    right = np.cross(down, inertial)
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    return np.stack([np.cross(right, down), right, down], axis=-1)


def from_roll_pitch_yaw(roll_deg: float, pitch_deg: float, yaw_deg: float) -> Quaternion:
    """Body to orbital frame of a bus's angles: yaw about down, then pitch about right, then roll about forward.

    Positive roll looks to the right of the track, positive pitch looks ahead, positive yaw turns the nose to the right.
    """
    half = [math.radians(angle) / 2 for angle in (-roll_deg, pitch_deg, yaw_deg)]
    roll, pitch, yaw = ((math.cos(angle), math.sin(angle)) for angle in half)
    about_x, about_y, about_z = (roll[0], roll[1], 0, 0), (pitch[0], 0, pitch[1], 0), (yaw[0], 0, 0, yaw[1])
    w, x, y, z = multiply(multiply(about_z, about_y), about_x).tolist()
    return w, x, y, z


def in_orbital_frame(body_to_ecef: ArrayLike, position_ecef_m: ArrayLike, velocity_ecef_m_s: ArrayLike) -> Quaternion:
    """Body to orbital frame from an Earth-fixed attitude, as a star tracker's after the Earth's rotation."""
    axes = from_matrix(orbital_axes(position_ecef_m, velocity_ecef_m_s))
    w, x, y, z = multiply(conjugate(axes), body_to_ecef).tolist()
    return (w, x, y, z) if w >= 0 else (-w, -x, -y, -z)

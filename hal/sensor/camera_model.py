"""The inner geometry of a line camera: from a column to a direction in the spacecraft's body frame, and back.

Camera frame: z along the optical axis, x in the direction of flight, y to the right of it. The detector line lies
across the track; column coordinates have their pixel centres at n + 0.5. With `columns_left` columns run to the left of
the track, so that the image is not mirrored when lines are shown from the top in order of capture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from hal.errors import HalError
from hal.navigation.rotation import IDENTITY, Floats, Quaternion, to_matrix

MAX_COLUMNS = 1 << 24
MAX_DISTORTION = 4
MAX_TANGENT = 5.0  # of the half field of view, about 79 degrees
_NEWTON_STEPS = 8


class CameraInvalid(HalError, ValueError):
    """A camera that cannot be: a number out of range, or a distortion that folds the detector over itself."""

    code = "camera_invalid"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"camera {field}: {reason}")
        self.field, self.reason = field, reason


def bounded(field: str, value: object, low: float, high: float) -> float:
    """A finite number in low ... high. Raises CameraInvalid."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise CameraInvalid(field, f"must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def unit_quaternion(field: str, parts: object) -> Quaternion:
    """Four numbers (w, x, y, z) whose squares add up to one. Raises CameraInvalid."""
    if not isinstance(parts, (tuple, list)) or len(parts) != 4:
        raise CameraInvalid(field, "four numbers w, x, y, z are needed")
    w, x, y, z = (bounded(field, part, -1.000001, 1.000001) for part in parts)
    if abs(math.sqrt(w * w + x * x + y * y + z * z) - 1.0) > 1e-6:
        raise CameraInvalid(field, "must have length one")
    return w, x, y, z


@dataclass(frozen=True, slots=True)
class CameraModel:
    """One line of detectors behind one lens. Checked when it is made; raises CameraInvalid.

    tangent across the track = u * (1 + k1 u^2 + k2 u^4 + ...), u = (column - principal_column) * pixel_pitch / focal
    """

    columns: int
    focal_m: float
    pixel_pitch_m: float
    principal_column: float  # column coordinate of the optical axis
    along_m: float = 0.0  # how far before the axis, in the direction of flight, the line looks (focal plane, metres)
    columns_left: bool = True
    boresight: Quaternion = IDENTITY  # camera to body
    distortion: tuple[float, ...] = ()  # k1, k2, ...
    _powers: Floats = field(init=False, repr=False, compare=False)
    _to_body: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        if isinstance(self.columns, bool) or not isinstance(self.columns, int) or not 1 <= self.columns <= MAX_COLUMNS:
            raise CameraInvalid("columns", f"must be a whole number from 1 to {MAX_COLUMNS}, got {self.columns!r}")
        if not isinstance(self.columns_left, bool):
            raise CameraInvalid("columns_left", "must be true or false")
        put(self, "focal_m", bounded("focal_m", self.focal_m, 1e-4, 1e3))
        put(self, "pixel_pitch_m", bounded("pixel_pitch_m", self.pixel_pitch_m, 1e-8, 1.0))
        put(self, "principal_column", bounded("principal_column", self.principal_column, -1e8, 1e8))
        put(self, "along_m", bounded("along_m", self.along_m, -self.focal_m, self.focal_m))
        put(self, "boresight", unit_quaternion("boresight", self.boresight))
        if not isinstance(self.distortion, (tuple, list)) or len(self.distortion) > MAX_DISTORTION:
            raise CameraInvalid("distortion", f"at most {MAX_DISTORTION} numbers")
        put(self, "distortion", tuple(bounded("distortion", number, -1e6, 1e6) for number in self.distortion))
        powers = np.zeros(2 * len(self.distortion) + 2)
        powers[1], powers[3::2] = 1.0, self.distortion
        put(self, "_powers", powers)
        put(self, "_to_body", to_matrix(self.boresight))
        self._check_field()

    def _check_field(self) -> None:
        edges = self._undistorted(np.array([0.0, self.columns]))
        if np.abs(edges).max() > MAX_TANGENT:
            raise CameraInvalid("focal_m", "the field of view is wider than 157 degrees")
        inside = np.linspace(edges.min(), edges.max(), 257)
        slope = np.polynomial.polynomial.polyval(inside, np.polynomial.polynomial.polyder(self._powers))
        if slope.min() < 0.1 or np.abs(self._across(inside)).max() > MAX_TANGENT:
            raise CameraInvalid("distortion", "columns must keep their order and their place in the field of view")

    @property
    def pixel_rad(self) -> float:
        """The angle that one pixel sees on the optical axis."""
        return self.pixel_pitch_m / self.focal_m

    def directions(self, columns: Floats) -> Floats:
        """(n, 3) unit vectors in the body frame of (n,) column coordinates."""
        across = self._across(self._undistorted(columns))
        along = np.full_like(across, self.along_m / self.focal_m)
        sight = np.stack([along, across, np.ones_like(across)], axis=-1)
        sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
        seen: Floats = sight @ self._to_body.T
        return seen

    def seen_at(self, direction: Floats) -> tuple[Floats, Floats]:
        """(ahead, column) of (n, 3) body vectors of any length.

        ahead: tangent by which the place lies before the detector line; column: its column coordinate, also outside
        0 ... columns. Both NaN for what is behind the camera.
        """
        x, y, z = np.moveaxis(direction @ self._to_body, -1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            z = np.where(z > 0, z, np.nan)
            return x / z - self.along_m / self.focal_m, self._column(y / z)

    def _undistorted(self, columns: Floats) -> Floats:
        side = -1.0 if self.columns_left else 1.0
        return side * (np.asarray(columns, np.float64) - self.principal_column) * self.pixel_rad

    def _across(self, undistorted: Floats) -> Floats:
        if not self.distortion:
            return undistorted
        # outside the detector the polynomial goes on as a straight line, so that it stays invertible
        edges = np.sort(self._undistorted(np.array([0.0, self.columns])))
        held = np.clip(undistorted, edges[0], edges[1])
        slope = np.polynomial.polynomial.polyval(held, np.polynomial.polynomial.polyder(self._powers))
        across: Floats = np.polynomial.polynomial.polyval(held, self._powers) + slope * (undistorted - held)
        return across

    def _column(self, across: Floats) -> Floats:
        undistorted = across
        for _ in range(_NEWTON_STEPS if self.distortion else 0):
            ahead = self._across(undistorted + 1e-7)
            here = self._across(undistorted)
            undistorted = undistorted - (here - across) * 1e-7 / (ahead - here)
        side = -1.0 if self.columns_left else 1.0
        return side * undistorted / self.pixel_rad + self.principal_column

"""The camera geometry that a product carries: what the ground needs to give its pixels a place (docs/geolocation.md).

The geometry itself is hal/sensor/line_geometry.py, the same code on board and on the ground; this is its record of
octets. Deterministic CBOR, a map from field number to value, every field there. A typical strip of 40 s has 5 knots of
orbit and 1 to 5 of attitude and takes 400 to 740 octets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flight.product.errors import ProductError
from flight.services.cbor import CborError, decode, encode
from hal.sensor.camera_model import CameraInvalid, CameraModel
from hal.sensor.line_geometry import (
    AttitudeKnot,
    GeometryError,
    GeometrySigma,
    Ground,
    HeightModel,
    HeightUnusable,
    KnotsDoNotCover,
    KnotsRefused,
    LineGeometry,
    NotFinite,
    OrbitKnot,
    PlaceOutOfReach,
    RayMissesEarth,
)

__all__ = [
    "MAX_GEOMETRY_BYTES",
    "AttitudeKnot",
    "CameraGeometry",
    "CameraInvalid",
    "CameraModel",
    "GeometryError",
    "GeometryInvalid",
    "GeometrySigma",
    "Ground",
    "HeightModel",
    "HeightUnusable",
    "KnotsDoNotCover",
    "KnotsRefused",
    "LineGeometry",
    "NotFinite",
    "OrbitKnot",
    "PlaceOutOfReach",
    "RayMissesEarth",
]

VERSION = 1
MAX_GEOMETRY_BYTES = 6144  # all knots that may be
_MAX_DEPTH, _MAX_ITEMS = 4, 1024


class GeometryInvalid(ProductError, ValueError):
    """Octets that are not a camera geometry."""

    code = "geometry_invalid"

    def __init__(self, reason: str) -> None:
        super().__init__(f"camera geometry: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class CameraGeometry(LineGeometry):
    """A strip's geometry as a product carries it. `CameraGeometry.from_cbor(g.to_cbor()) == g`.

    ground(rows, columns) -> Ground(lon_deg, lat_deg, sigma_m); pixel(lon_deg, lat_deg) -> (row, column).
    """

    def to_cbor(self) -> bytes:
        """The record's octets, at most MAX_GEOMETRY_BYTES."""
        camera, sigma = self.camera, self.sigma
        return encode(
            {
                0: VERSION,
                1: self.start_s,
                2: self.line_period_s,
                3: self.lines,
                4: [
                    camera.columns,
                    camera.focal_m,
                    camera.pixel_pitch_m,
                    camera.principal_column,
                    camera.along_m,
                    camera.columns_left,
                    camera.boresight,
                    camera.distortion,
                ],
                5: [[knot.offset_s, *knot.position_ecef_m, *knot.velocity_ecef_m_s] for knot in self.orbit],
                6: [[knot.offset_s, *knot.quaternion] for knot in self.attitude],
                7: self.height_m,
                8: [sigma.orbit_m, sigma.attitude_rad, sigma.time_s, sigma.height_m, sigma.camera_px],
            }
        )

    @classmethod
    def from_cbor(cls, octets: bytes) -> CameraGeometry:
        """The geometry in `octets`, every field checked. Raises GeometryInvalid and nothing else."""
        try:
            fields = decode(octets, max_depth=_MAX_DEPTH, max_items=_MAX_ITEMS, max_bytes=MAX_GEOMETRY_BYTES)
            return cls._of(fields)
        except (CborError, CameraInvalid, GeometryError) as error:
            raise GeometryInvalid(str(error)) from error

    @classmethod
    def _of(cls, fields: Any) -> CameraGeometry:
        if not isinstance(fields, dict) or list(fields) != list(range(9)):
            raise GeometryInvalid("the fields 0 to 8 are needed, and no other")
        if isinstance(fields[0], bool) or fields[0] != VERSION or not isinstance(fields[0], int):
            raise GeometryInvalid(f"version {fields[0]!r}; this decoder knows {VERSION}")
        columns, focal, pitch, principal, along, left, boresight, distortion = _list("camera", fields[4], 8)
        camera = CameraModel(
            columns,
            _float("focal_m", focal),
            _float("pixel_pitch_m", pitch),
            _float("principal_column", principal),
            _float("along_m", along),
            left,
            _floats("boresight", boresight, 4),
            _floats("distortion", distortion, len(_list("distortion", distortion))),
        )
        orbit = []
        for knot in _list("orbit", fields[5]):
            offset_s, x, y, z, u, v, w = _floats("orbit", knot, 7)
            orbit.append(OrbitKnot(offset_s, (x, y, z), (u, v, w)))
        attitude = []
        for knot in _list("attitude", fields[6]):
            offset_s, w, x, y, z = _floats("attitude", knot, 5)
            attitude.append(AttitudeKnot(offset_s, (w, x, y, z)))
        return cls(
            _float("start_s", fields[1]),
            _float("line_period_s", fields[2]),
            fields[3],
            camera,
            tuple(orbit),
            tuple(attitude),
            _float("height_m", fields[7]),
            GeometrySigma(*_floats("sigma", fields[8], 5)),
        )


def _float(field: str, value: Any) -> float:
    if not isinstance(value, float):
        raise GeometryInvalid(f"{field} must be a float, got {value!r}")
    return value


def _list(field: str, value: Any, length: int | None = None) -> list[Any]:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        raise GeometryInvalid(f"{field} must be a list" + (f" of {length}" if length is not None else ""))
    return value


def _floats(field: str, value: Any, length: int) -> Any:
    return tuple(_float(field, number) for number in _list(field, value, length))

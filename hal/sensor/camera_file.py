"""A camera described in TOML: its inner geometry, its mounting, what is uncertain, and how its numbers are calibrated.

An example with comments is examples/cameras/linescan_30m.toml.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hal.navigation.rotation import from_roll_pitch_yaw
from hal.sensor.camera_model import MAX_COLUMNS, MAX_DISTORTION, CameraInvalid, CameraModel
from hal.toml_records import load_record

Name = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[\x21-\x7e]+\Z")]
Angle = Annotated[float, Meta(ge=-180, le=180)]


class Boresight(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Camera to body, as a bus says its own attitude: positive roll looks right, positive pitch ahead."""

    roll_deg: Angle = 0.0
    pitch_deg: Angle = 0.0
    yaw_deg: Angle = 0.0


class CameraSigma(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One standard deviation of what belongs to the camera; orbit and attitude bring their own."""

    mounting_deg: Annotated[float, Meta(ge=0, le=10)] = 0.0  # about each axis
    time_s: Annotated[float, Meta(ge=0, le=100)] = 0.0  # of a line's time
    height_m: Annotated[float, Meta(ge=0, le=10_000)] = 0.0  # of the ground
    camera_px: Annotated[float, Meta(ge=0, le=1000)] = 0.0  # of a column's direction


class BandGain(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one band's numbers become radiance or reflectance: number * gain + offset."""

    name: Name
    gain: Annotated[float, Meta(gt=0, le=1e9)]
    offset: Annotated[float, Meta(ge=-1e9, le=1e9)] = 0.0
    sun_irradiance: Annotated[float, Meta(gt=0, le=1e6)] | None = None  # W / (m2 um) at one astronomical unit


class RadiometryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The calibration of all bands."""

    kind: Literal["radiance", "reflectance"]
    band: Annotated[tuple[BandGain, ...], Meta(min_length=1, max_length=256)]

    def __post_init__(self) -> None:
        names = [band.name for band in self.band]
        if len(set(names)) != len(names):
            raise ValueError("a band is named twice")
        if self.kind == "radiance" and any(band.sun_irradiance is None for band in self.band):
            raise ValueError("radiance needs the sun_irradiance of every band")


class CameraFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    name: Name
    columns: Annotated[int, Meta(ge=1, le=MAX_COLUMNS)]
    focal_mm: Annotated[float, Meta(gt=0, le=1e6)]
    pixel_pitch_um: Annotated[float, Meta(gt=0, le=1e6)]
    principal_column: float | None = None  # None: the middle
    along_track_mm: float = 0.0
    columns_run: Literal["left", "right"] = "left"
    distortion: Annotated[tuple[float, ...], Meta(max_length=MAX_DISTORTION)] = ()
    height_m: Annotated[float, Meta(ge=-1000, le=10_000)] = 0.0
    boresight: Boresight = Boresight()
    sigma: CameraSigma = CameraSigma()
    radiometry: RadiometryTable | None = None
    register_to: Name | None = None  # the band that the others are moved onto; None: they lie on each other

    def __post_init__(self) -> None:
        numbers = (self.focal_mm, self.pixel_pitch_um, self.along_track_mm, self.height_m, *self.distortion)
        if not all(map(math.isfinite, numbers)):
            raise ValueError("numbers must be finite")
        try:
            self.model()
        except CameraInvalid as error:
            raise ValueError(str(error)) from error

    def model(self) -> CameraModel:
        """The inner geometry."""
        mount = self.boresight
        return CameraModel(
            columns=self.columns,
            focal_m=self.focal_mm * 1e-3,
            pixel_pitch_m=self.pixel_pitch_um * 1e-6,
            principal_column=self.columns / 2 if self.principal_column is None else self.principal_column,
            along_m=self.along_track_mm * 1e-3,
            columns_left=self.columns_run == "left",
            boresight=from_roll_pitch_yaw(mount.roll_deg, mount.pitch_deg, mount.yaw_deg),
            distortion=self.distortion,
        )


def load_camera(path: Path) -> CameraFile:
    """Read and check a camera file. Raises ConfigError with file and line."""
    return load_record(path, CameraFile)

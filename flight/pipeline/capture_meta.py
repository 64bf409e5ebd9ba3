"""What is known about a capture besides its pixels: stored with it, reported by the camera process."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from flight.pipeline.strip_buffer import MAX_BANDS, MAX_COLUMNS, MAX_LINES, StripFormat
from flight.product.geolocation import MAX_GEOMETRY_BYTES, CameraGeometry

Name = Annotated[str, Meta(max_length=32, pattern=r"^[\x20-\x7e]*\Z")]
PerBand = Annotated[tuple[float, ...], Meta(min_length=1, max_length=MAX_BANDS)]
BandNames = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MAX_BANDS)]


class CaptureMeta(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Shape, radiometry and place of the lines of one capture. Every number is finite.

    Decoding one raises msgspec.ValidationError for anything that is not so.
    """

    columns: Annotated[int, Meta(ge=1, le=MAX_COLUMNS)]
    bands: Annotated[int, Meta(ge=1, le=MAX_BANDS)]
    dtype: Literal["uint8", "uint16", "int16", "float32"]
    line_rate_hz: Annotated[float, Meta(gt=0, le=1e9)]  # lines per second of mission time
    lines: Annotated[int, Meta(ge=0, le=MAX_LINES)] | None  # None: the sensor ends when it is told to
    band_names: BandNames
    band_common: BandNames  # "green", "nir", ... "" where unknown
    band_centre_nm: Annotated[tuple[float | None, ...], Meta(min_length=1, max_length=MAX_BANDS)]
    sensor: Name
    radiometry: Literal["toa", "surface", "dn", "dn8"]
    scale: PerBand  # reflectance = value * scale + offset
    offset: PerBand
    nodata: float | None = None  # NaN needs no naming: such a sample is never valid
    # (a, b, c, d, e, f): x = a * column + b * line + c, y = d * column + e * line + f, pixel corners
    transform: tuple[float, float, float, float, float, float] | None = None
    epsg: Annotated[int, Meta(ge=1, le=999_999)] | None = None
    gsd_m: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    camera: Annotated[bytes, Meta(max_length=MAX_GEOMETRY_BYTES)] = b""  # CBOR of a CameraGeometry; empty: none
    register_to: Annotated[int, Meta(ge=0, lt=MAX_BANDS)] | None = None  # band that the others are moved onto

    def __post_init__(self) -> None:
        for field in ("band_names", "band_common", "band_centre_nm", "scale", "offset"):
            if len(getattr(self, field)) != self.bands:
                raise ValueError(f"{field} needs {self.bands} entries")
        numbers = [
            *self.scale,
            *self.offset,
            *(self.transform or ()),
            *(c for c in self.band_centre_nm if c is not None),
        ]
        numbers += [value for value in (self.nodata, self.gsd_m, self.line_rate_hz) if value is not None]
        if not all(map(math.isfinite, numbers)):
            raise ValueError("numbers must be finite")
        if self.register_to is not None and self.register_to >= self.bands:
            raise ValueError("register_to is no band")
        if self.camera and self.geometry is None:
            raise ValueError("a camera geometry of other columns")

    @property
    def geometry(self) -> CameraGeometry | None:
        """The camera geometry of these lines. None where there is none, or one of other columns."""
        found = CameraGeometry.from_cbor(self.camera) if self.camera else None
        return found if found is not None and found.camera.columns == self.columns else None

    @property
    def format(self) -> StripFormat:
        return StripFormat(self.columns, self.bands, self.dtype)

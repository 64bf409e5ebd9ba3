"""What a product says of itself before its pixels: job, origin, application, place (docs/product-format.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from flight.product.errors import HeaderInvalid
from flight.product.geolocation import CameraGeometry, GeometryInvalid
from flight.services.cbor import CborError, decode, encode

MAX_HEADER_BYTES = 16_384
MAX_SIDE = 1 << 24
MAX_STRIP_ROWS = 1024
MAX_CLASSES = 64
NO_ANSWER = 255  # the class value of a pixel without an answer: nodata, outside the area, line lost

_DEGREE_UNITS = 10_000_000  # a footprint is kept in 1e-7 degrees, about a centimetre


class Content(IntEnum):
    """What a product holds beside its summary; numbers as in a job's `products`."""

    MASK = 1  # the class map, and its preview
    REGIONS = 2  # the largest findings; outlines of all, where they are worth their octets


@dataclass(frozen=True, slots=True)
class GeoModel:
    """Where a pixel lies: x = a*col + b*row + c, y = d*col + e*row + f; (0, 0) is the first pixel's outer corner.

    Or, for lines from a camera, by `camera`: its longitudes and latitudes are those of EPSG:4326, pixel by pixel.
    """

    transform: tuple[float, float, float, float, float, float] | None  # a, b, c, d, e, f
    epsg: int | None  # of x and y
    sigma_m: float  # one standard deviation of the place of a pixel; 0 is "not stated"
    camera: CameraGeometry | None = None

    def __post_init__(self) -> None:
        if self.transform is not None:
            if len(self.transform) != 6 or not all(math.isfinite(number) for number in self.transform):
                raise HeaderInvalid("geo.transform", "six finite numbers are needed")
            object.__setattr__(self, "transform", tuple(float(number) for number in self.transform))
            a, b, _, d, e, _ = self.transform
            if a * e - b * d == 0:
                raise HeaderInvalid("geo.transform", "it maps all pixels onto a line")
        if self.epsg is not None and not 1024 <= self.epsg <= 32767:
            raise HeaderInvalid("geo.epsg", f"{self.epsg} is not an EPSG code of a coordinate reference system")
        object.__setattr__(self, "sigma_m", _finite("geo.sigma_m", self.sigma_m, 0.0, 1e7))
        if self.camera is not None:
            if not isinstance(self.camera, CameraGeometry):
                raise HeaderInvalid("geo.camera", "must be a CameraGeometry")
            if self.transform is not None or self.epsg is not None:
                raise HeaderInvalid("geo", "has both a transform and a camera")

    def pack(self) -> list[Any]:
        """As the header has it: three fields, and a fourth where there is a camera."""
        fields: list[Any] = [self.transform, self.epsg, self.sigma_m]
        return fields if self.camera is None else [*fields, self.camera.to_cbor()]

    @classmethod
    def unpack(cls, value: Any) -> GeoModel:
        """The place in a decoded header. Raises HeaderInvalid."""
        if not isinstance(value, list) or len(value) not in (3, 4):
            raise HeaderInvalid("geo", "must be a list of 3 or 4")
        transform, epsg, sigma_m = value[:3]
        if transform is not None:
            transform = tuple(_float("geo.transform", number) for number in _list("geo.transform", transform, 6))
        if epsg is not None:
            _whole("geo.epsg", epsg, 0, 1 << 16)
        camera = None
        if len(value) == 4:
            if not isinstance(value[3], bytes):
                raise HeaderInvalid("geo.camera", "must be octets")
            try:
                camera = CameraGeometry.from_cbor(value[3])
            except GeometryInvalid as error:
                raise HeaderInvalid("geo.camera", error.reason) from error
        return cls(transform, epsg, _float("geo.sigma_m", sigma_m), camera)


@dataclass(frozen=True, slots=True)
class ProductHeader:
    """The header of a product. Checked when it is made, so one that exists is one that can be sent.

    Parameters are kept sorted by name and the footprint in 1e-7 degrees, so that equal meaning is equal octets and
    `ProductHeader.unpack(header.pack()) == header`. Raises HeaderInvalid.
    """

    job_id: bytes  # 32; zeros for `swath run`
    capture_id: bytes  # 16
    application: str
    application_version: str
    model_sha256: bytes  # 32
    parameters: tuple[tuple[str, float], ...]
    software: str  # name and version of what made it
    sensor: str
    radiometry: str  # "toa", "surface", "dn", "dn8"
    calibrated: bool
    start_s: float  # first line, UTC seconds since 1970; 0: not known
    line_rate_hz: float  # 0: not a line scanner, or not known
    width: int
    height: int
    classes: tuple[str, ...]  # name of class value 0, 1, ...
    finding_class: int  # the class that regions, polygons and alerts are about
    geo: GeoModel
    footprint: tuple[tuple[float, float], ...]  # (lon, lat) degrees, ring not closed; empty: not known
    strip_rows: int = 256
    contents: tuple[Content, ...] = (Content.MASK, Content.REGIONS)  # sorted

    def __post_init__(self) -> None:
        put = object.__setattr__
        for field, length in (("job_id", 32), ("capture_id", 16), ("model_sha256", 32)):
            put(self, field, _octets(field, getattr(self, field), length))
        for field, limit in (
            ("application", 64),
            ("application_version", 32),
            ("software", 64),
            ("sensor", 64),
            ("radiometry", 16),
        ):
            _text(field, getattr(self, field), limit)
        put(self, "parameters", _parameters(self.parameters))
        if not isinstance(self.calibrated, bool):
            raise HeaderInvalid("calibrated", "must be true or false")
        put(self, "start_s", _finite("start_s", self.start_s, -6e10, 2.5e11))  # years 68 to 9892
        put(self, "line_rate_hz", _finite("line_rate_hz", self.line_rate_hz, 0.0, 1e9))
        _whole("width", self.width, 1, MAX_SIDE)
        _whole("height", self.height, 1, MAX_SIDE)
        _whole("strip_rows", self.strip_rows, 1, MAX_STRIP_ROWS)
        put(self, "classes", tuple(self.classes))
        _whole("classes", len(self.classes), 1, MAX_CLASSES)
        for name in self.classes:
            _text("classes", name, 64)
        _whole("finding_class", self.finding_class, 0, len(self.classes) - 1)
        if not isinstance(self.geo, GeoModel):
            raise HeaderInvalid("geo", "must be a GeoModel")
        camera = self.geo.camera
        if camera is not None and (camera.camera.columns != self.width or camera.lines < self.height):
            raise HeaderInvalid(
                "geo.camera", f"{camera.lines} lines of {camera.camera.columns} for {self.height} of {self.width}"
            )
        put(self, "footprint", _footprint(self.footprint))
        put(self, "contents", _contents(self.contents))

    @property
    def strips(self) -> int:
        """How many strips the mask has; 0 without one."""
        return -(-self.height // self.strip_rows) if Content.MASK in self.contents else 0

    def rows_of(self, index: int) -> int:
        """How many rows strip `index` has: strip_rows, fewer in the last."""
        return min(self.strip_rows, self.height - index * self.strip_rows)

    def pack(self) -> bytes:
        """Deterministic CBOR: a map from field number to value, every field there."""
        octets = encode(
            {
                1: self.job_id,
                2: self.capture_id,
                3: self.application,
                4: self.application_version,
                5: self.model_sha256,
                6: dict(self.parameters),
                7: self.software,
                8: self.sensor,
                9: self.radiometry,
                10: self.calibrated,
                11: self.start_s,
                12: self.line_rate_hz,
                13: self.width,
                14: self.height,
                15: self.strip_rows,
                16: self.classes,
                17: self.finding_class,
                18: self.geo.pack(),
                19: [[_units(lon), _units(lat)] for lon, lat in self.footprint],
                20: [int(content) for content in self.contents],
            }
        )
        if len(octets) > MAX_HEADER_BYTES:
            raise HeaderInvalid("header", f"{len(octets)} bytes, at most {MAX_HEADER_BYTES}")
        return octets

    @classmethod
    def unpack(cls, octets: bytes) -> ProductHeader:
        """The header in `octets`, every field checked. Raises HeaderInvalid."""
        try:
            fields = decode(octets, max_depth=3, max_bytes=MAX_HEADER_BYTES)
        except CborError as error:
            raise HeaderInvalid("header", str(error)) from error
        if not isinstance(fields, dict) or list(fields) != list(range(1, 21)):
            raise HeaderInvalid("header", "the fields 1 to 20 are needed, and no other")
        parameters = fields[6]
        if not isinstance(parameters, dict):
            raise HeaderInvalid("parameters", "must be a map")
        corners = [_list("footprint", corner, 2) for corner in _list("footprint", fields[19])]
        for lon, lat in corners:
            _whole("footprint", lon, -180 * _DEGREE_UNITS, 180 * _DEGREE_UNITS)
            _whole("footprint", lat, -90 * _DEGREE_UNITS, 90 * _DEGREE_UNITS)
        return cls(
            job_id=fields[1],
            capture_id=fields[2],
            application=fields[3],
            application_version=fields[4],
            model_sha256=fields[5],
            parameters=tuple((name, _float("parameters", value)) for name, value in parameters.items()),
            software=fields[7],
            sensor=fields[8],
            radiometry=fields[9],
            calibrated=fields[10],
            start_s=_float("start_s", fields[11]),
            line_rate_hz=_float("line_rate_hz", fields[12]),
            width=fields[13],
            height=fields[14],
            strip_rows=fields[15],
            classes=tuple(_list("classes", fields[16])),
            finding_class=fields[17],
            geo=GeoModel.unpack(fields[18]),
            footprint=tuple((lon / _DEGREE_UNITS, lat / _DEGREE_UNITS) for lon, lat in corners),
            contents=tuple(_list("contents", fields[20])),
        )


def _units(degrees: float) -> int:
    return round(degrees * _DEGREE_UNITS)


def _octets(field: str, value: Any, length: int) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)) or len(value) != length:
        raise HeaderInvalid(field, f"{length} bytes are needed")
    return bytes(value)


def _text(field: str, value: Any, limit: int) -> None:
    if not isinstance(value, str):
        raise HeaderInvalid(field, "must be text")
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise HeaderInvalid(field, "has a lone surrogate") from error
    if size > limit:
        raise HeaderInvalid(field, f"{size} bytes, at most {limit}")
    if not value.isprintable():
        raise HeaderInvalid(field, "has characters that cannot be printed")


def _whole(field: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise HeaderInvalid(field, f"must be a whole number from {low} to {high}, got {value!r}")


def _finite(field: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise HeaderInvalid(field, f"must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def _float(field: str, value: Any) -> float:
    """A number that came as float64, the only form a float has in a header."""
    if not isinstance(value, float):
        raise HeaderInvalid(field, f"must be a float, got {value!r}")
    return value


def _list(field: str, value: Any, length: int | None = None) -> list[Any]:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        raise HeaderInvalid(field, "must be a list" + (f" of {length}" if length is not None else ""))
    return value


def _parameters(parameters: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    found: dict[str, float] = {}
    for name, value in parameters:
        _text("parameters", name, 64)
        if name in found:
            raise HeaderInvalid("parameters", f"`{name}` twice")
        found[name] = _finite(f"parameters.{name}", value, -1e300, 1e300)
    if len(found) > 64:
        raise HeaderInvalid("parameters", f"{len(found)}, at most 64")
    # the order of a deterministic CBOR map: shorter names first
    return tuple(sorted(found.items(), key=lambda item: encode(item[0])))


def _contents(contents: tuple[Any, ...]) -> tuple[Content, ...]:
    for number in contents:
        if isinstance(number, bool) or not isinstance(number, int) or number not in tuple(Content):
            raise HeaderInvalid("contents", f"{number!r} is none of {', '.join(map(str, map(int, Content)))}")
    if list(contents) != sorted(set(contents)):
        raise HeaderInvalid("contents", "must be sorted, each once")
    return tuple(Content(number) for number in contents)


def _footprint(footprint: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    if len(footprint) > 64:
        raise HeaderInvalid("footprint", f"{len(footprint)} corners, at most 64")
    corners = []
    for lon, lat in footprint:
        lon, lat = _finite("footprint", lon, -180.0, 180.0), _finite("footprint", lat, -90.0, 90.0)
        corners.append((_units(lon) / _DEGREE_UNITS, _units(lat) / _DEGREE_UNITS))
    return tuple(corners)

"""The alert: 48 octets that go ahead of a product (docs/product-format.md, "Alert").

Its eight-octet code says that a holder of the alert key made it; the signed product that follows confirms it.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from bindings.crc import crc16_ccitt
from flight.product.container import Product
from flight.product.errors import AlertInvalid
from flight.product.projection import is_supported, pixel_area_m2, pixel_to_lonlat

SIZE = 48
MAC_BYTES = 8
MIN_KEY_BYTES = 16

_BODY = struct.Struct(">BBH8sIIQiiBxxx")
_VERSION = 1
_DOMAIN = b"swath alert v1\x00"
_DEGREE_UNITS = 10_000_000
_NO_PLACE = 0x7FFF_FFFF
_NO_AREA = 0xFFFF_FFFF_FFFF_FFFF


class AlertKind(IntEnum):
    """What an alert says."""

    FINDINGS = 1  # there are findings; the product follows
    NONE_FOUND = 2  # looked, and found none


@dataclass(frozen=True, slots=True)
class Alert:
    """The answer in short. Place: the centre of the largest finding, None where it is not known."""

    job: bytes  # the first 8 octets of the job's id
    kind: AlertKind
    application: int  # application_number() of its name
    time_s: int  # of the first line, UTC seconds since 1970
    count: int  # regions
    area_m2: int | None  # of all findings
    lon: float | None  # degrees, steps of 1e-7
    lat: float | None
    confidence: float  # 0..1, steps of 1/255

    def pack(self, key: bytes) -> bytes:
        """SIZE octets, the last MAC_BYTES of them the code under `key`. Raises AlertInvalid."""
        placed = self.lon is not None and self.lat is not None
        try:
            body = _BODY.pack(
                _VERSION,
                self.kind,
                self.application,
                self.job,
                self.time_s,
                self.count,
                _NO_AREA if self.area_m2 is None else self.area_m2,
                round(self.lon * _DEGREE_UNITS) if placed and self.lon is not None else _NO_PLACE,
                round(self.lat * _DEGREE_UNITS) if placed and self.lat is not None else _NO_PLACE,
                round(self.confidence * 255),
            )
        except struct.error as error:
            raise AlertInvalid(f"a number out of its range: {error}") from error
        if len(self.job) != 8:
            raise AlertInvalid(f"a short job id has 8 bytes, not {len(self.job)}")
        return body + _code(body, key)

    @classmethod
    def unpack(cls, octets: bytes) -> Alert:
        """What the octets say, true or not: verify_alert() tells. Raises AlertInvalid."""
        if len(octets) != SIZE:
            raise AlertInvalid(f"{len(octets)} bytes where {SIZE} are needed")
        version, kind, application, job, time_s, count, area, lon, lat, confidence = _BODY.unpack_from(octets)
        if version != _VERSION:
            raise AlertInvalid(f"version {version} is not known")
        if octets[_BODY.size - 3 : _BODY.size] != bytes(3):
            raise AlertInvalid("reserved octets are not zero")
        try:
            known = AlertKind(kind)
        except ValueError as error:
            raise AlertInvalid(f"kind {kind} is not known") from error
        placed = lon != _NO_PLACE or lat != _NO_PLACE
        if placed and (abs(lon) > 180 * _DEGREE_UNITS or abs(lat) > 90 * _DEGREE_UNITS):
            raise AlertInvalid("a place that is not on Earth")
        return cls(
            job=job,
            kind=known,
            application=application,
            time_s=time_s,
            count=count,
            area_m2=None if area == _NO_AREA else area,
            lon=lon / _DEGREE_UNITS if placed else None,
            lat=lat / _DEGREE_UNITS if placed else None,
            confidence=confidence / 255,
        )


def verify_alert(octets: bytes, key: bytes) -> Alert:
    """The alert, if a holder of `key` made it. Raises AlertInvalid."""
    alert = Alert.unpack(octets)
    if not hmac.compare_digest(_code(octets[: _BODY.size], key), octets[_BODY.size :]):
        raise AlertInvalid("its code does not match")
    return alert


def application_number(name: str) -> int:
    """A 16-bit number for an application's name (CRC-16/CCITT); the job tells the name where two should ever meet."""
    return crc16_ccitt(name.encode("utf-8"))


def alert_of(product: Product) -> Alert:
    """The alert that goes ahead of `product`."""
    header = product.header
    place: tuple[float, float] | None = None
    area_m2: int | None = None
    if header.geo.transform is not None and is_supported(header.geo.epsg):
        # the middle of a pixel is half a pixel from its corner; without findings the scene's middle gives the scale
        rows = np.array([finding.row + 0.5 for finding in product.regions] or [header.height / 2])
        cols = np.array([finding.col + 0.5 for finding in product.regions] or [header.width / 2])
        pixels = np.array([float(finding.area) for finding in product.regions] or [0.0])
        cells = pixel_area_m2(header.geo, cols, rows)
        beyond = product.counts[header.finding_class] - float(pixels.sum())  # in regions too small to be listed
        area_m2 = round(float((pixels * cells).sum() + beyond * cells.mean()))
        if product.regions:
            lon, lat = pixel_to_lonlat(header.geo, cols[:1], rows[:1])
            place = (float(lon[0]), float(lat[0]))
    return Alert(
        job=header.job_id[:8],
        kind=AlertKind.FINDINGS if product.regions_total else AlertKind.NONE_FOUND,
        application=application_number(header.application),
        time_s=min(max(int(header.start_s), 0), 0xFFFF_FFFF),
        count=min(product.regions_total, 0xFFFF_FFFF),
        area_m2=area_m2,
        lon=place[0] if place else None,
        lat=place[1] if place else None,
        confidence=product.confidence,
    )


def _code(body: bytes, key: bytes) -> bytes:
    if len(key) < MIN_KEY_BYTES:
        raise AlertInvalid(f"an alert key has at least {MIN_KEY_BYTES} bytes, not {len(key)}")
    return hmac.digest(key, _DOMAIN + body, "sha256")[:MAC_BYTES]

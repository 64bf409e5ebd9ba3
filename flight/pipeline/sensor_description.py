"""What a sensor's lines mean: its format and, where its driver tells, its bands, radiometry and place."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.process_errors import SensorUndescribed
from hal.sensor.protocol import Sensor, SensorFormat
from hal.sensor.radiometry import RADIOMETRY_NAMES
from hal.sensor.scene import SceneInfo

MAX_TEXT = 32  # characters, as CaptureMeta has it
_NAMES = {number: name for name, number in RADIOMETRY_NAMES.items()}


@runtime_checkable
class DescribedSensor(Protocol):
    """A sensor whose driver knows what its bands and numbers are."""

    @property
    def info(self) -> SceneInfo: ...


def describe(sensor: Sensor) -> CaptureMeta:
    """The description of a capture by this sensor. Raises SensorUndescribed where it would be a guess."""
    if not isinstance(sensor, DescribedSensor):
        raise SensorUndescribed("the driver does not say what its bands are")
    form, info = sensor.format, sensor.info
    if form.bands != len(info.bands):
        raise SensorUndescribed(f"lines of {form.bands} bands, {len(info.bands)} are described")
    return describe_lines(info, form)


def describe_lines(info: SceneInfo, form: SensorFormat) -> CaptureMeta:
    """What is known of a scene's bands, numbers and place, said of lines of a given form.

    Texts are cut to what a description may carry; a nodata value of NaN needs no naming.
    """
    return CaptureMeta(
        columns=form.columns,
        bands=form.bands,
        dtype=form.dtype,  # type: ignore[arg-type]  # checked by the strip format and by every decoder
        line_rate_hz=form.line_rate_hz,
        lines=form.lines,
        band_names=tuple(_short(band.name) for band in info.bands),
        band_common=tuple(_short(band.common) for band in info.bands),
        band_centre_nm=tuple(band.centre_nm for band in info.bands),
        sensor=_short(info.sensor),
        radiometry=_NAMES[info.radiometry],  # type: ignore[arg-type]
        scale=tuple(map(float, info.scale)),
        offset=tuple(map(float, info.offset)),
        nodata=None if info.nodata is None or math.isnan(info.nodata) else float(info.nodata),
        transform=info.transform,
        epsg=info.epsg,
        gsd_m=info.gsd_m,
    )


def _short(text: str) -> str:
    """At most MAX_TEXT printable ASCII characters."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text[:MAX_TEXT])

"""Which band is which: from a named sensor, from the band names, and from a hint in the file name; never by guessing.

`B04` is red on Sentinel-2 and near infrared on Landsat-7, so names alone count only when every sensor that knows all of
them means the same by them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hal.sensor.bands import NOMINAL_NM, SENSORS, BandInfo, SensorModel, common_name, sensor_hinted, sensor_named
from hal.sensor.errors import BandsAmbiguous, BandUnknown, SensorUnknown

GENERIC = "generic"
# Metadata items in which products name their spacecraft or instrument.
SENSOR_TAGS = (
    "SPACECRAFT_ID", "SPACECRAFT_NAME", "SPACECRAFT", "DATATAKE_1_SPACECRAFT_NAME", "SATELLITE", "SATELLITE_ID",
    "SATELLITE_NAME", "PLATFORM", "PLATFORM_ID", "PLATFORM_NAME", "SENSOR", "SENSOR_ID", "SENSOR_NAME", "INSTRUMENT",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Identity:
    """The sensor and its bands, in the order of the file."""

    sensor: str
    bands: tuple[BandInfo, ...]


def sensor_tagged(tags: dict[str, str]) -> str | None:
    """The sensor that the file's metadata names ("LANDSAT_8", "Sentinel-2A", "S2B MSI"), None when none that is known.

    The first tag that names one counts: the spacecraft says more than the instrument. tags: names in upper case.
    """
    for tag in SENSOR_TAGS:
        text = tags.get(tag, "")
        try:
            return sensor_named(text).name
        except SensorUnknown:
            hinted = sensor_hinted(text)
            if hinted is not None:
                return hinted.name
    return None


def identify(
    path: str, count: int, names: tuple[str, ...] | None, sensor: str | None, *, names_given: bool, file_name: str
) -> Identity:
    """The bands of a scene.

    names: one per band or None; names_given: a person wrote them (sidecar), so each must mean something;
    file_name: only asked for a hint, and only when the names alone fit several sensors.
    Raises SensorUnknown, BandUnknown, BandsAmbiguous.
    """
    if names is not None and not names_given and _just_numbers(names):
        names = None
    if sensor is not None:
        return _of_sensor(path, count, names, sensor_named(sensor), names_given=names_given)
    if names is None:
        raise BandsAmbiguous(
            path,
            (),
            [model.name for model in SENSORS.values() if count in model.layouts],
            f"{count} band{'s' if count > 1 else ''} without names",
        )
    return _of_names(path, names, sensor_hinted(file_name))


def _of_sensor(
    path: str, count: int, names: tuple[str, ...] | None, model: SensorModel, *, names_given: bool
) -> Identity:
    found = [model.band(name) for name in names] if names is not None else []
    if names is not None and names_given and not model.open_ended:
        for name, band in zip(names, found, strict=True):
            if band is None:
                raise BandUnknown(path, name, model.name, [band.name for band in model.bands])
    if names is not None and (any(found) or model.open_ended):
        return Identity(
            model.name, tuple(band or BandInfo(name, "", None) for name, band in zip(names, found, strict=True))
        )
    layout = model.layout(count)
    if layout is None and model.open_ended:
        layout = tuple(BandInfo(f"band{number}", "", None) for number in range(1, count + 1))
    if layout is None:
        counts = ", ".join(str(known) for known in sorted(model.layouts))
        raise BandsAmbiguous(
            path, names or (), (), f"{count} unnamed bands are no usual file of {model.title} (those have {counts})"
        )
    return Identity(model.name, layout)


def _of_names(path: str, names: tuple[str, ...], hint: SensorModel | None) -> Identity:
    fitting: list[Identity] = []
    for model in SENSORS.values():
        bands = [model.band(name) for name in names]
        known = [band for band in bands if band is not None]
        if len(known) == len(names):
            fitting.append(Identity(model.name, tuple(known)))
    for identity in fitting:
        if hint is not None and identity.sensor == hint.name:
            return identity
    if not fitting:
        if hint is not None and any(hint.band(name) for name in names):  # one odd plane among known ones
            return _of_sensor(path, len(names), names, hint, names_given=False)
        shown = ", ".join(name or "(unnamed)" for name in names)
        raise BandsAmbiguous(path, names, (), f"no known sensor has all of the bands {shown}")
    meanings = {tuple(band.common for band in identity.bands) for identity in fitting}
    if len(meanings) > 1:
        example, means = _disagreement(names, fitting)
        raise BandsAmbiguous(path, names, [identity.sensor for identity in fitting], f"`{example}` is {means}")
    if len(fitting) == 1:
        return fitting[0]
    # Several sensors mean the same by these names: the meaning is certain, the maker is not.
    commons = [common_name(name) or band.common for name, band in zip(names, fitting[0].bands, strict=True)]
    return Identity(
        GENERIC,
        tuple(BandInfo(name, common, NOMINAL_NM.get(common)) for name, common in zip(names, commons, strict=True)),
    )


def _disagreement(names: tuple[str, ...], fitting: list[Identity]) -> tuple[str, str]:
    """A band that the sensors disagree about, and what each means by it."""
    for index, name in enumerate(names):
        said: dict[str, str] = {}
        for identity in fitting:
            said.setdefault(identity.bands[index].common or "another band", SENSORS[identity.sensor].title)
        if len(said) > 1:
            return name, ", ".join(f"{common} on {title}" for common, title in said.items())
    return names[0], "unclear"


def _just_numbers(names: tuple[str, ...]) -> bool:
    """`Band 1`, `Band 2` ... in order say nothing beyond the order."""
    return all(
        re.fullmatch(rf"(?:band)?[ _-]?0*{number}", name.strip().lower()) for number, name in enumerate(names, 1)
    )

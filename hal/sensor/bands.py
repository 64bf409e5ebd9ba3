"""Sensors and their bands: what a band name means, and at which wavelength it looks.

Centre wavelengths in nanometres: Sentinel-2 MSI from the ESA Sentinel-2 user handbook (S2A), Landsat 4-9 from the USGS
band designations. Common names are those of the STAC electro-optical extension; every sensor with one near-infrared
band calls it `nir`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hal.sensor.errors import SensorUnknown


@dataclass(frozen=True, slots=True)
class BandInfo:
    """One band of one scene."""

    name: str  # as the sensor's maker calls it, "B04"
    common: str  # "coastal", "blue", ... "swir22", "thermal", "pan"; "" when unknown
    centre_nm: float | None


@dataclass(frozen=True, slots=True)
class SensorModel:
    """One sensor: its bands in their usual order, and what a file with n unnamed planes usually holds."""

    name: str
    title: str
    bands: tuple[BandInfo, ...]
    layouts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    open_ended: bool = False  # also takes names that it does not know, as bands without a meaning

    def band(self, text: str) -> BandInfo | None:
        """The band that `text` names: "B04", "B4", "band 4", "red", "B4 red", "red (B4)"; None when it names none."""
        by_id = {_band_key(band.name): band for band in self.bands}
        by_common = {band.common: band for band in self.bands if band.common}
        identifiers, commons = _words(text)
        found = [by_id[key] for key in identifiers if key in by_id]
        found += [by_common[common] for common in commons if common in by_common]
        if identifiers and not any(key in by_id for key in identifiers):
            return None
        return found[0] if found and all(band == found[0] for band in found) else None

    def layout(self, count: int) -> tuple[BandInfo, ...] | None:
        """What `count` unnamed planes of this sensor usually are."""
        names = self.layouts.get(count)
        if names is None:
            return None
        by_name = {band.name: band for band in self.bands}
        return tuple(by_name[name] for name in names)


def common_name(text: str) -> str:
    """The one common name that a band description states ("NIR (B4)" -> "nir"), or ""."""
    commons = _words(text)[1]
    return commons[0] if len(set(commons)) == 1 else ""


NOMINAL_NM: dict[str, float] = {
    "coastal": 443.0, "blue": 490.0, "green": 560.0, "red": 660.0, "rededge1": 705.0, "rededge2": 740.0,
    "rededge3": 783.0, "nir": 840.0, "nir08": 865.0, "nir09": 945.0, "cirrus": 1375.0, "swir16": 1610.0,
    "swir22": 2200.0, "thermal": 11000.0, "pan": 590.0,
}  # fmt: skip

_SYNONYMS = {
    "aerosol": "coastal", "swir1": "swir16", "swir2": "swir22", "narrownir": "nir08",
    "watervapour": "nir09", "watervapor": "nir09", "panchromatic": "pan", "thermal1": "thermal", "lwir": "thermal",
}  # fmt: skip


def _bands(*rows: tuple[str, str, float]) -> tuple[BandInfo, ...]:
    return tuple(BandInfo(*row) for row in rows)


def _generic(*commons: str) -> tuple[BandInfo, ...]:
    return tuple(BandInfo(common, common, NOMINAL_NM[common]) for common in commons)


_S2 = _bands(
    ("B01", "coastal", 442.7), ("B02", "blue", 492.4), ("B03", "green", 559.8), ("B04", "red", 664.6),
    ("B05", "rededge1", 704.1), ("B06", "rededge2", 740.5), ("B07", "rededge3", 782.8), ("B08", "nir", 832.8),
    ("B8A", "nir08", 864.7), ("B09", "nir09", 945.1), ("B10", "cirrus", 1373.5), ("B11", "swir16", 1613.7),
    ("B12", "swir22", 2202.4),
)  # fmt: skip
_OLI = _bands(
    ("B1", "coastal", 442.96), ("B2", "blue", 482.04), ("B3", "green", 561.41), ("B4", "red", 654.59),
    ("B5", "nir", 864.67), ("B6", "swir16", 1608.86), ("B7", "swir22", 2200.73), ("B8", "pan", 589.5),
    ("B9", "cirrus", 1373.43), ("B10", "thermal", 10895.0), ("B11", "", 12005.0),
)  # fmt: skip
_ETM = _bands(
    ("B1", "blue", 482.5), ("B2", "green", 560.0), ("B3", "red", 660.0), ("B4", "nir", 837.5), ("B5", "swir16", 1650.0),
    ("B6_VCID_1", "", 11450.0), ("B6_VCID_2", "thermal", 11450.0), ("B7", "swir22", 2220.0), ("B8", "pan", 710.0),
)  # fmt: skip
_TM = _bands(
    ("B1", "blue", 485.0), ("B2", "green", 560.0), ("B3", "red", 660.0), ("B4", "nir", 830.0), ("B5", "swir16", 1650.0),
    ("B6", "thermal", 11450.0), ("B7", "swir22", 2215.0),
)  # fmt: skip


def _names(bands: Sequence[BandInfo], *leave_out: str) -> tuple[str, ...]:
    return tuple(band.name for band in bands if band.name not in leave_out)


_S2_LAYOUTS = {
    13: _names(_S2),  # level 1C
    12: _names(_S2, "B10"),  # level 2A has no cirrus band
    10: _names(_S2, "B01", "B09", "B10"),  # the 10 m and 20 m bands
    6: ("B02", "B03", "B04", "B08", "B11", "B12"),
    4: ("B02", "B03", "B04", "B08"),
    3: ("B04", "B03", "B02"),  # true colour
}
_OLI_LAYOUTS = {
    11: _names(_OLI),
    10: _names(_OLI, "B8"),
    9: _names(_OLI, "B10", "B11"),
    7: ("B1", "B2", "B3", "B4", "B5", "B6", "B7"),
    6: ("B2", "B3", "B4", "B5", "B6", "B7"),
    4: ("B2", "B3", "B4", "B5"),
    3: ("B4", "B3", "B2"),
}
_ETM_LAYOUTS = {
    9: _names(_ETM),
    8: _names(_ETM, "B8"),
    7: _names(_ETM, "B6_VCID_1", "B8"),
    6: ("B1", "B2", "B3", "B4", "B5", "B7"),
    4: ("B1", "B2", "B3", "B4"),
    3: ("B3", "B2", "B1"),
}
_TM_LAYOUTS = {
    7: _names(_TM),
    6: ("B1", "B2", "B3", "B4", "B5", "B7"),
    4: ("B1", "B2", "B3", "B4"),
    3: ("B3", "B2", "B1"),
}
_S2_ALIASES = ("sentinel2", "sentinel2a", "sentinel2b", "sentinel2c", "s2a", "s2b", "s2c", "msi")
_RGB, _BGR = ("red", "green", "blue"), ("blue", "green", "red")


def _camera(name: str, title: str, order: tuple[str, ...]) -> SensorModel:
    return SensorModel(name, title, _generic(*order), {len(order): order})


SENSORS: dict[str, SensorModel] = {
    model.name: model
    for model in (
        SensorModel("S2", "Sentinel-2 MSI", _S2, _S2_LAYOUTS, _S2_ALIASES),
        SensorModel("L9", "Landsat 9 OLI-2/TIRS-2", _OLI, _OLI_LAYOUTS, ("landsat9", "lc9", "lc09")),
        SensorModel("L8", "Landsat 8 OLI/TIRS", _OLI, _OLI_LAYOUTS, ("landsat8", "lc8", "lc08", "lo8", "lo08")),
        SensorModel("L7", "Landsat 7 ETM+", _ETM, _ETM_LAYOUTS, ("landsat7", "le7", "le07", "etm")),
        SensorModel("L5", "Landsat 5 TM", _TM, _TM_LAYOUTS, ("landsat5", "lt5", "lt05", "ls5", "tm")),
        SensorModel("L4", "Landsat 4 TM", _TM, _TM_LAYOUTS, ("landsat4", "lt4", "lt04")),
        _camera("RGB", "colour camera", _RGB),
        _camera("BGR", "colour camera, blue first", _BGR),
        _camera("RGBN", "colour and near-infrared camera", (*_RGB, "nir")),
        _camera("BGRN", "colour and near-infrared camera, blue first", (*_BGR, "nir")),
        SensorModel("NAIP", "USDA NAIP aerial camera", _generic(*_RGB, "nir"), {4: (*_RGB, "nir"), 3: _RGB}),
        SensorModel("generic", "bands called by common names", _generic(*NOMINAL_NM), open_ended=True),
    )
}

_ALIASES = {alias: model.name for model in SENSORS.values() for alias in (model.name.lower(), *model.aliases)}
# Only these may be read out of a file's name: "tm" or "rgb" there means too little.
_HINT = re.compile(
    r"(?<![a-z0-9])(?:(s2[abc]?|sentinel[-_ ]?2[abc]?)(?=$|[^a-z0-9]|l[12])|(landsat[-_ ]?0?[45789])(?![0-9])"
    r"|(l[45789])(?![a-z0-9])|(l[coets]0?[45789])(?=$|[^a-z0-9]|\d{6}))"
)


def sensor_named(text: str) -> SensorModel:
    """The sensor of that name or alias ("S2", "sentinel-2", "LC08"). Raises SensorUnknown."""
    key = re.sub(r"[^a-z0-9]", "", text.lower())
    if key not in _ALIASES:
        near = difflib.get_close_matches(key, _ALIASES, 1)
        raise SensorUnknown(text, SENSORS, _ALIASES[near[0]] if near else "")
    return SENSORS[_ALIASES[key]]


def sensor_hinted(file_name: str) -> SensorModel | None:
    """The one sensor that a file name mentions as a word of its own; None when none, or several."""
    found = set()
    for hit in _HINT.finditer(file_name.lower()):
        key = re.sub(r"[^a-z0-9]", "", hit[0])
        found.add("S2" if key.startswith("s") else SENSORS[_ALIASES.get(key, f"L{key[-1]}")].name)
    return SENSORS[found.pop()] if len(found) == 1 else None


def _band_key(name: str) -> str:
    """ "B04", "b4" and "B4" are one name."""
    return re.sub(r"^B0*(?=\d)", "B", name.upper().replace("-", "_"))


def _words(text: str) -> tuple[list[str], list[str]]:
    """The band identifiers and the common names in a description, normalised."""
    identifiers: list[str] = []
    commons: list[str] = []
    lowered = re.sub(r"\bband[ _-]?(?=\d)", "b", text.lower())
    lowered = re.sub(r"\bnear[ _-]?infra-?red\b", "nir", lowered)
    for token in re.findall(r"[a-z0-9_]+", lowered):
        token = re.sub(r"^(?:sr|toa|st|boa)_(?=b\d)", "", token)
        if re.fullmatch(r"b\d{1,2}a?(?:_vcid_\d)?", token):
            identifiers.append(_band_key(token))
            continue
        for word in token.split("_"):
            word = _SYNONYMS.get(word, word)
            if word in NOMINAL_NM:
                commons.append(word)
    return identifiers, commons

"""What the numbers of a scene mean, where neither sidecar nor file says it.

Sentinel-2 level 1C and 2A: reflectance x 10000 (before processing baseline 04.00, as every re-export here). Landsat 8/9
level 1: DN * 2e-5 - 0.1, sun angle not applied; Collection 2 level 2: DN * 2.75e-5 - 0.2 (USGS Landsat handbooks).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum


class Radiometry(IntEnum):
    """What value * scale + offset is."""

    TOA = 1  # top-of-atmosphere reflectance
    SURFACE = 2  # surface reflectance
    DN = 3  # a detector's numbers, calibration unknown
    DN8 = 4  # uncalibrated 8-bit (browse) numbers: value / 255 stands for reflectance


RADIOMETRY_NAMES = {"toa": Radiometry.TOA, "surface": Radiometry.SURFACE, "dn": Radiometry.DN, "dn8": Radiometry.DN8}

_SURFACE_WORDS = re.compile(r"l2a|l2sp|nbar|surface|(?<![a-z0-9])(?:sr|boa|l2)(?![a-z0-9])")
_TOA_WORDS = re.compile(r"l1c|l1tp|l1gt|(?<![a-z0-9])(?:toa|l1)(?![a-z0-9])")


@dataclass(frozen=True, slots=True)
class Calibration:
    """One scale and offset for all bands, and the value that means no measurement."""

    radiometry: Radiometry
    scale: float
    offset: float
    nodata: float | None


def usual_calibration(sensor: str, dtype: str, band_names: tuple[str, ...], file_name: str) -> Calibration:
    """What files of this sensor and sample type usually hold."""
    words = file_name.lower()
    says_surface = bool(_SURFACE_WORDS.search(words)) and not _TOA_WORDS.search(words)
    says_toa = bool(_TOA_WORDS.search(words))
    reflectance = Radiometry.SURFACE if says_surface else Radiometry.TOA
    if dtype == "uint8":
        return Calibration(Radiometry.DN8, 1 / 255, 0.0, None)
    if dtype == "float32":
        return Calibration(reflectance, 1.0, 0.0, None)
    if sensor == "S2":
        if len(band_names) == 12 and "B10" not in band_names and not says_toa:
            reflectance = Radiometry.SURFACE  # level 2A leaves out the cirrus band
        return Calibration(reflectance, 1e-4, 0.0, 0.0)
    if dtype == "int16" and sensor in ("L4", "L5", "L7", "L8", "L9"):
        return Calibration(Radiometry.SURFACE, 1e-4, 0.0, -9999.0)
    if sensor in ("L8", "L9"):
        if says_surface:
            return Calibration(Radiometry.SURFACE, 2.75e-5, -0.2, 0.0)
        return Calibration(Radiometry.TOA, 2e-5, -0.1, 0.0)
    if sensor in ("L4", "L5", "L7") and says_surface:
        return Calibration(Radiometry.SURFACE, 2.75e-5, -0.2, 0.0)
    return Calibration(Radiometry.DN, 1.0, 0.0, None)

"""Which bands of a scene feed which planes of a graph, and how their numbers become reflectance.

A manifest asks for bands by common name and wavelength; sensors number theirs as they like (B04 is red on Sentinel-2
and near infrared on Landsat 7). The first variant whose bands are all there is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bindings.tiles import Normalisation
from hal.sensor.bands import BandInfo
from hal.sensor.scene import Radiometry
from payload_models.errors import GsdRefused, MissingBands, RadiometryRefused
from payload_models.manifest import Band, Manifest

NAMES: dict[str, Radiometry] = {
    "toa": Radiometry.TOA,
    "surface": Radiometry.SURFACE,
    "dn": Radiometry.DN,
    "dn8": Radiometry.DN8,
}
CALIBRATED = (Radiometry.TOA, Radiometry.SURFACE)


@dataclass(frozen=True, slots=True)
class InputPlan:
    """How one scene goes into one variant of an application."""

    variant: int
    band_indices: tuple[int, ...]  # of the scene, in the order of the graph's planes
    norm: Normalisation  # scene numbers to reflectance, clipped as the manifest says
    calibrated: bool  # False: 8-bit browse numbers stand in for reflectance, and the product says so


def match(
    manifest: Manifest,
    bands: Sequence[BandInfo],
    radiometry: Radiometry,
    scale: Sequence[float],
    offset: Sequence[float],
    *,
    gsd_m: float | None = None,
) -> InputPlan:
    """Plan the input of a scene. `scale`, `offset`: reflectance = number * scale + offset, per band of the scene.

    Raises RadiometryRefused, GsdRefused (only where the ground sampling distance is known), MissingBands.
    """
    accepted = manifest.input.radiometry
    if radiometry not in [NAMES[name] for name in accepted]:
        raise RadiometryRefused(manifest.name, radiometry.name.lower(), accepted)
    low, high = manifest.input.gsd_m
    if gsd_m is not None and not low <= gsd_m <= high:
        raise GsdRefused(manifest.name, gsd_m, low, high)
    for variant, entry in enumerate(manifest.variant):
        found = [find_band(band, bands) for band in entry.bands]
        indices = tuple(index for index in found if index is not None)
        if len(indices) == len(found):
            norm = Normalisation(
                scale=tuple(float(scale[index]) for index in indices),
                offset=tuple(float(offset[index]) for index in indices),
                low=manifest.input.low,
                high=manifest.input.high,
            )
            return InputPlan(variant, indices, norm, radiometry in CALIBRATED)
    # Name what the least demanding variant lacks: that is the shortest way to an answer.
    lacking = [[band.name for band in entry.bands if find_band(band, bands) is None] for entry in manifest.variant]
    have = [band.common or band.name for band in bands]
    raise MissingBands(manifest.name, min(lacking, key=len), have)


def find_band(wanted: Band, bands: Sequence[BandInfo]) -> int | None:
    """The scene's band of that common name, else the one whose centre lies nearest the middle of the range."""
    low, high = wanted.nm
    for index, band in enumerate(bands):
        if band.common == wanted.name and (band.centre_nm is None or low <= band.centre_nm <= high):
            return index
    inside = [
        (abs(band.centre_nm - (low + high) / 2), index)
        for index, band in enumerate(bands)
        if band.centre_nm is not None and low <= band.centre_nm <= high
    ]
    return min(inside)[1] if inside else None

"""SCENE.toml beside SCENE.tif: what the file itself does not say, or says wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from hal.sensor.errors import SidecarError
from hal.toml_records import ConfigError, load_record


class Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every field is optional; one that is given outranks the scene file."""

    sensor: str | None = None  # "S2", "L7", "RGB", "generic", ...
    bands: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=256)] | None = None
    radiometry: Literal["toa", "surface", "dn", "dn8"] | None = None
    gsd_m: Annotated[float, msgspec.Meta(gt=0, le=100_000)] | None = None
    nodata: float | Literal["none"] | None = None  # "none": the file's own nodata value is a measurement
    scale: float | tuple[float, ...] | None = None  # reflectance = value * scale + offset
    offset: float | tuple[float, ...] | None = None


def sidecar_of(scene: Path) -> Sidecar:
    """The sidecar of a scene; an empty one where there is none. Raises SidecarError."""
    path = scene.with_suffix(".toml")
    if path == scene or not path.is_file():
        return Sidecar()
    try:
        return load_record(path, Sidecar)
    except ConfigError as error:
        raise SidecarError.of(error) from error


def per_band(scene: Path, key: str, value: float | tuple[float, ...] | None, count: int) -> tuple[float, ...] | None:
    """A number for all bands, or a list with one per band. Raises SidecarError."""
    if value is None:
        return None
    values = (value,) * count if isinstance(value, float) else value
    if len(values) != count:
        raise complaint(scene, key, f"`{key}` has {len(values)} numbers, the scene {count} bands")
    if not all(-1e9 < number < 1e9 for number in values):
        raise complaint(scene, key, f"`{key}` must hold finite numbers")
    return values


def complaint(scene: Path, key: str, reason: str) -> SidecarError:
    """An error about one field that only the scene shows to be wrong, at the line that writes it."""
    path = scene.with_suffix(".toml")
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    for number, line in enumerate(lines, 1):
        if line.split("=")[0].strip() == key:
            return SidecarError(str(path), reason, number, line)
    return SidecarError(str(path), reason)

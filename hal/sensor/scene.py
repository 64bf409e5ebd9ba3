"""A scene file opened: who took it, what its bands and numbers mean, where it lies, and its rows on demand."""

from __future__ import annotations

import math
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hal.sensor.bands import BandInfo
from hal.sensor.errors import (
    BandsAmbiguous,
    BandUnknown,
    CompressionUnsupported,
    DtypeUnsupported,
    SceneBufferMismatch,
    SceneError,
    SceneTooLarge,
    SceneTruncated,
    SceneUnreadable,
    SensorUnknown,
    SidecarError,
)
from hal.sensor.geokeys import ground_sampling_m
from hal.sensor.identify import identify, sensor_tagged
from hal.sensor.npz_file import NpzRows
from hal.sensor.radiometry import RADIOMETRY_NAMES, Calibration, Radiometry, usual_calibration
from hal.sensor.raw import MAX_READ_BYTES, FileFacts, RowSource, Transform
from hal.sensor.sidecar import Sidecar, complaint, per_band, sidecar_of
from hal.sensor.tiff_file import TiffRows

__all__ = [
    "BandInfo",
    "BandUnknown",
    "BandsAmbiguous",
    "CompressionUnsupported",
    "DtypeUnsupported",
    "Radiometry",
    "Scene",
    "SceneBufferMismatch",
    "SceneError",
    "SceneInfo",
    "SceneTooLarge",
    "SceneTruncated",
    "SceneUnreadable",
    "SensorUnknown",
    "SidecarError",
    "open_scene",
]

REFLECTANCE_LIMIT = 4.0  # floats beyond it are not reflectance, whatever the file's name says
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True, slots=True)
class SceneInfo:
    """What is known about a scene. reflectance = value * scale + offset, per band."""

    path: str
    width: int
    height: int
    dtype: str  # "uint8", "uint16", "int16", "float32"
    bands: tuple[BandInfo, ...]
    sensor: str
    radiometry: Radiometry
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    nodata: float | None
    transform: Transform | None  # (a, b, c, d, e, f): x = a*col + b*row + c, y = d*col + e*row + f, pixel corners
    epsg: int | None
    gsd_m: float | None

    @property
    def raw_bytes(self) -> int:
        """Samples x octets per sample."""
        return self.width * self.height * len(self.bands) * np.dtype(self.dtype).itemsize


class Scene:
    """An open scene. Keeps at most one row of tiles in memory."""

    def __init__(self, info: SceneInfo, rows: RowSource) -> None:
        self.info = info
        self._rows: RowSource | None = rows

    def read_rows(self, first: int, count: int) -> NDArray[Any]:
        """(count, width, bands), contiguous, native samples. Raises SceneError; IndexError outside the scene."""
        source = self._source(first, count)
        out = np.empty((count, self.info.width, len(self.info.bands)), self.info.dtype)
        source.read_rows_into(first, out)
        return out

    def read_rows_into(self, first: int, out: NDArray[Any]) -> None:
        """The same rows into `out` (count, width, bands), which nothing else is needed for where the file allows it.

        Raises SceneError, of it SceneBufferMismatch for a buffer of another kind; IndexError outside the scene.
        """
        info = self.info
        source = self._source(first, out.shape[0] if out.ndim else 0)
        kind = ((out.shape[0], info.width, len(info.bands)), np.dtype(info.dtype))
        if (out.shape, out.dtype) != kind or not (out.flags.c_contiguous and out.flags.writeable):
            raise SceneBufferMismatch(info.path, f"{kind[1]} {kind[0]}", f"{out.dtype} {out.shape}")
        source.read_rows_into(first, out)

    def _source(self, first: int, count: int) -> RowSource:
        """Where rows come from, once these can be asked for."""
        info = self.info
        if self._rows is None:
            raise SceneUnreadable(info.path, "is closed")
        if not (first >= 0 and count >= 1 and first + count <= info.height):
            raise IndexError(f"rows {first} ... {first + count - 1} of a scene with {info.height}")
        size = count * info.width * len(info.bands) * np.dtype(info.dtype).itemsize
        if size > MAX_READ_BYTES:
            raise SceneTooLarge(info.path, "bytes of one read", size, MAX_READ_BYTES)
        return self._rows

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_scene(path: Path, *, sensor: str | None = None) -> Scene:
    """Open a GeoTIFF or npz scene; `sensor` outranks sidecar and file. Raises SceneError and nothing else."""
    path = Path(path)
    rows = _open_rows(path)
    try:
        return Scene(_info(path, rows.facts, rows, sensor), rows)
    except BaseException:
        rows.close()
        raise


def _open_rows(path: Path) -> TiffRows | NpzRows:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SceneUnreadable(str(path), "not a file")
        with path.open("rb") as stream:
            magic = stream.read(4)
    except (OSError, ValueError) as error:
        if isinstance(error, SceneError):
            raise
        raise SceneUnreadable(str(path), getattr(error, "strerror", None) or str(error)) from error
    if magic in _TIFF_MAGIC:
        return TiffRows(path)
    if magic[:2] == b"PK":
        return NpzRows(path)
    if not magic:
        raise SceneTruncated(str(path), 8, 0)
    raise SceneUnreadable(str(path), "neither a TIFF nor an npz file")


def _info(path: Path, facts: FileFacts, rows: RowSource, sensor: str | None) -> SceneInfo:
    side = sidecar_of(path)
    if side.bands is not None and len(side.bands) != facts.count:
        raise complaint(path, "bands", f"`bands` names {len(side.bands)} bands, the scene has {facts.count}")
    identity = identify(
        str(path),
        facts.count,
        side.bands or facts.band_names,
        sensor or side.sensor or facts.sensor or sensor_tagged(dict(facts.tags)),
        names_given=side.bands is not None,
        file_name=path.name,
    )
    usual = usual_calibration(identity.sensor, facts.dtype, tuple(band.name for band in identity.bands), path.name)
    radiometry, scale, offset = _calibration(path, facts, side, usual)
    if facts.dtype == "float32" and side.radiometry is None and not _looks_like_reflectance(facts, rows):
        radiometry = Radiometry.DN
    gsd_m = side.gsd_m
    if gsd_m is None and facts.transform is not None:
        gsd_m = ground_sampling_m(
            facts.transform, facts.epsg, facts.geographic, facts.metres_per_unit, facts.width, facts.height
        )
    return SceneInfo(
        path=str(path),
        width=facts.width,
        height=facts.height,
        dtype=facts.dtype,
        bands=identity.bands,
        sensor=identity.sensor,
        radiometry=radiometry,
        scale=scale,
        offset=offset,
        nodata=_nodata(path, facts, side, usual),
        transform=facts.transform,
        epsg=facts.epsg,
        gsd_m=gsd_m,
    )


def _calibration(
    path: Path, facts: FileFacts, side: Sidecar, usual: Calibration
) -> tuple[Radiometry, tuple[float, ...], tuple[float, ...]]:
    """The sidecar's numbers, else the file's, else what such files usually hold."""
    count = facts.count
    radiometry = RADIOMETRY_NAMES[side.radiometry] if side.radiometry else usual.radiometry
    scale = per_band(path, "scale", side.scale, count)
    offset = per_band(path, "offset", side.offset, count)
    if scale is not None or offset is not None:
        return radiometry, scale or (1.0,) * count, offset or (0.0,) * count
    if facts.scale is not None or facts.offset is not None:
        if side.radiometry is None and radiometry in (Radiometry.DN, Radiometry.DN8):
            radiometry = Radiometry.TOA  # a file that gives its own scale is calibrated
        return radiometry, facts.scale or (1.0,) * count, facts.offset or (0.0,) * count
    if radiometry is Radiometry.DN8:
        return radiometry, (1 / 255,) * count, (0.0,) * count
    if radiometry is Radiometry.DN or usual.radiometry in (Radiometry.DN, Radiometry.DN8):
        return radiometry, (1.0,) * count, (0.0,) * count
    return radiometry, (usual.scale,) * count, (usual.offset,) * count


def _nodata(path: Path, facts: FileFacts, side: Sidecar, usual: Calibration) -> float | None:
    if side.nodata == "none":
        return None
    if isinstance(side.nodata, float):
        if math.isnan(side.nodata):
            return None  # NaN is never a measurement, it needs no naming
        if facts.dtype != "float32":
            limits = np.iinfo(facts.dtype)
            if not (side.nodata.is_integer() and limits.min <= side.nodata <= limits.max):
                raise complaint(path, "nodata", f"`nodata` {side.nodata} is no {facts.dtype}")
        return side.nodata
    return facts.nodata if facts.nodata is not None else usual.nodata


def _looks_like_reflectance(facts: FileFacts, rows: RowSource) -> bool:
    """Whether the middle row's numbers are those of reflectance: kelvin and decibels are not."""
    middle = np.empty((1, facts.width, facts.count), np.float32)
    rows.read_rows_into(facts.height // 2, middle)
    row = middle.astype(np.float64)
    row = row[np.isfinite(row) & (row != (facts.nodata if facts.nodata is not None else np.nan))]
    if row.size == 0:
        return True
    low, high = np.percentile(row, (1, 99))
    return bool(low > -1.0 and high < REFLECTANCE_LIMIT)

"""What a scene file holds before anyone says what it means, and the sizes above which nothing is believed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from hal.sensor.errors import DtypeUnsupported, SceneTooLarge, SceneUnreadable

DTYPES = ("uint8", "uint16", "int16", "float32")
MAX_SIDE = 1 << 18  # rows or columns
MAX_BANDS = 256
MAX_SEGMENT_BYTES = 1 << 28  # one compressed strip or tile, decoded
MAX_BLOCK_BYTES = 1 << 29  # one row of tiles, decoded: the most that reading ever keeps
MAX_READ_BYTES = 1 << 30  # one call of read_rows

Transform = tuple[float, float, float, float, float, float]


class RowSource(Protocol):
    """Rows of one open file. Errors are SceneError."""

    def read_rows_into(self, first: int, out: NDArray[Any]) -> None:
        """Rows from `first` on into (count, width, bands) of this dtype, C order; all was checked by the caller."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file says about itself, checked for consistency but not for meaning."""

    width: int
    height: int
    count: int  # bands
    dtype: str
    band_names: tuple[str, ...] | None = None  # one per band, None where the file names none
    sensor: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)  # metadata items of the file, names in upper case
    scale: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None
    nodata: float | None = None
    transform: Transform | None = None  # pixel corner convention
    epsg: int | None = None
    geographic: bool = False  # coordinates are degrees
    metres_per_unit: float | None = None  # of projected coordinates


def checked_shape(path: str, height: int, width: int, count: int) -> None:
    """Refuse what no sensor delivers, before anything of that size is made."""
    for what, value, limit in (("height", height, MAX_SIDE), ("width", width, MAX_SIDE), ("bands", count, MAX_BANDS)):
        if value < 1:
            raise SceneUnreadable(path, f"{what} is {value}")
        if value > limit:
            raise SceneTooLarge(path, what, value, limit)


def checked_dtype(path: str, name: str) -> str:
    """One of the four sample types. Raises DtypeUnsupported naming the other one."""
    if name not in DTYPES:
        raise DtypeUnsupported(path, name)
    return name


def checked_transform(path: str, values: tuple[float, ...]) -> Transform:
    """Six finite numbers that give every pixel an area."""
    a, b, c, d, e, f = (float(value) for value in values)
    if not all(math.isfinite(value) and abs(value) < 1e12 for value in (a, b, c, d, e, f)):
        raise SceneUnreadable(path, "the geotransform is not finite")
    if not abs(a * e - b * d) > 1e-18:
        raise SceneUnreadable(path, "the geotransform gives a pixel no area")
    return a, b, c, d, e, f

"""A scene file as a strip that has ended: for `swath run`, where no satellite is involved."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from flight.pipeline.capture_meta import CaptureMeta
from hal.sensor.scene import Scene, SceneInfo


class SceneSource:
    """The LineSource protocol over an open scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    @property
    def columns(self) -> int:
        return self._scene.info.width

    @property
    def bands(self) -> int:
        return len(self._scene.info.bands)

    @property
    def dtype(self) -> str:
        return self._scene.info.dtype

    @property
    def lines(self) -> int | None:
        return self._scene.info.height

    @property
    def available(self) -> int:
        return self._scene.info.height

    def rows(self, first: int, count: int) -> NDArray[Any]:
        return self._scene.read_rows(first, count)

    def release(self, before: int) -> None:
        """A file gives no memory back; Scene holds one row of tiles."""

    def lost_ranges(self) -> tuple[tuple[int, int], ...]:
        return ()


def describe_scene(info: SceneInfo, line_rate_hz: float) -> CaptureMeta:
    """What a scene file says, as the description of a strip."""
    return CaptureMeta(
        columns=info.width,
        bands=len(info.bands),
        dtype=info.dtype,
        line_rate_hz=line_rate_hz,
        lines=info.height,
        band_names=tuple(band.name for band in info.bands),
        band_common=tuple(band.common for band in info.bands),
        band_centre_nm=tuple(band.centre_nm for band in info.bands),
        sensor=info.sensor,
        radiometry=info.radiometry.name.lower(),
        scale=info.scale,
        offset=info.offset,
        nodata=info.nodata,
        transform=info.transform,
        epsg=info.epsg,
        gsd_m=info.gsd_m,
    )

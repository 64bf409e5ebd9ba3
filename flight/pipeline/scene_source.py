"""A scene file as a strip that has ended: for `swath run`, where no satellite is involved."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from hal.sensor.scene import Scene


class SceneSource:
    """The LineSource protocol over an open scene. Reading on is forward; going back starts a compressed npz again."""

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

    def read_into(self, first: int, out: NDArray[Any]) -> None:
        """See LineSource. Raises SceneError."""
        self._scene.read_rows_into(first, out)

    def release(self, before: int) -> None:
        """A file gives no memory back; Scene holds one row of tiles."""

    def lost_ranges(self) -> tuple[tuple[int, int], ...]:
        return ()

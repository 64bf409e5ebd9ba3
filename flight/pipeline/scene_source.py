"""A scene file as a strip that has ended: for `swath run`, where no satellite is involved."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hal.sensor.scene import Scene


class SceneSource:
    """The LineSource protocol over an open scene.

    keep_rows: how many of the rows read last are kept, because tiles overlap: a compressed npz can only be read
    forward, going back a few rows would decompress it from its start.
    """

    def __init__(self, scene: Scene, keep_rows: int) -> None:
        self._scene, self._keep_rows = scene, keep_rows
        self._kept: NDArray[Any] | None = None
        self._kept_first = 0

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
        """Lines first ... first + count - 1. Raises SceneError."""
        kept, end = self._kept, first + count
        kept_end = self._kept_first + (0 if kept is None else kept.shape[0])
        if kept is not None and self._kept_first <= first < kept_end < end:
            block = np.empty((count, *kept.shape[1:]), kept.dtype)
            block[: kept_end - first] = kept[first - self._kept_first :]
            block[kept_end - first :] = self._scene.read_rows(kept_end, end - kept_end)
        else:
            block = self._scene.read_rows(first, count)
        if self._keep_rows:
            self._kept_first = max(first, end - self._keep_rows)
            self._kept = block[self._kept_first - first :].copy()
        return block

    def release(self, before: int) -> None:
        """A file gives no memory back; Scene holds one row of tiles."""

    def lost_ranges(self) -> tuple[tuple[int, int], ...]:
        return ()

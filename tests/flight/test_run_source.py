"""A scene as a line source: the rows are the scene's, and a stream that only goes forward is not started again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.pipeline.scene_source import SceneSource
from hal.sensor.npz_file import NpzRows
from hal.sensor.scene import open_scene

IMAGE = np.random.default_rng(1).integers(0, 60_000, (400, 9, 3), dtype=np.uint16)


@pytest.fixture(scope="module")
def scene_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.npz"
    np.savez_compressed(path, img=IMAGE, sensor=np.array("RGB"))
    return path


@settings(max_examples=40, deadline=None)
@given(
    keep=st.sampled_from([0, 1, 32, 500]),
    requests=st.lists(st.tuples(st.integers(0, 399), st.integers(1, 120)), min_size=1, max_size=8),
)
def test_any_rows_asked_for_are_the_rows_of_the_scene(
    scene_path: Path, keep: int, requests: list[tuple[int, int]]
) -> None:
    with open_scene(scene_path) as scene:
        source = SceneSource(scene, keep_rows=keep)
        for first, count in requests:
            count = min(count, 400 - first)
            np.testing.assert_array_equal(source.rows(first, count), IMAGE[first : first + count])


def test_overlapping_tiles_read_a_compressed_scene_once(scene_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    monkeypatch.setattr(NpzRows, "_open_image", lambda self, real=NpzRows._open_image: (starts.append(1), real(self)))
    with open_scene(scene_path) as scene:
        source = SceneSource(scene, keep_rows=16)
        for first in range(0, 400 - 64, 48):
            np.testing.assert_array_equal(source.rows(first, 64), IMAGE[first : first + 64])
    assert len(starts) == 1, "it was decompressed from its start again"

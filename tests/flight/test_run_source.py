"""A scene as a line source: the rows are the scene's, and a stream that only goes forward is not started again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.pipeline.engine_rows import LineWindow
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
@given(requests=st.lists(st.tuples(st.integers(0, 399), st.integers(1, 120)), min_size=1, max_size=8))
def test_any_rows_asked_for_are_the_rows_of_the_scene(scene_path: Path, requests: list[tuple[int, int]]) -> None:
    with open_scene(scene_path) as scene:
        source = SceneSource(scene)
        for first, count in requests:
            count = min(count, 400 - first)
            out = np.empty((count, 9, 3), np.uint16)
            source.read_into(first, out)
            np.testing.assert_array_equal(out, IMAGE[first : first + count])


@settings(max_examples=60, deadline=None)
@given(
    lines=st.integers(1, 80),
    windows=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 80)), min_size=1, max_size=10),
)
def test_a_window_that_rolls_on_shows_the_scene_and_reads_no_line_twice(
    lines: int, windows: list[tuple[int, int]]
) -> None:
    """As rows of tiles ask: windows begin and end no earlier than those before, by small steps and by leaps."""
    read: list[int] = []

    class Counting:
        columns, bands, dtype, lines, available = 9, 3, "uint16", 400, 400

        def read_into(self, first: int, out: np.ndarray) -> None:
            read.extend(range(first, first + len(out)))
            out[...] = IMAGE[first : first + len(out)]

        def release(self, before: int) -> None: ...

        def lost_ranges(self) -> tuple[tuple[int, int], ...]:
            return ()

    window = LineWindow(Counting(), lines)
    first = end = 0
    for step, count in windows:
        first = min(first + step, 400 - lines)
        end = max(end, first + min(count, lines))
        end = min(end, first + lines)
        np.testing.assert_array_equal(window.show(first, end - first), IMAGE[first:end])
    assert len(read) == len(set(read))
    window.close()


def test_overlapping_tiles_read_a_compressed_scene_once(scene_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    real = NpzRows._open_image

    def counted(self: NpzRows) -> None:
        starts.append(1)
        real(self)

    monkeypatch.setattr(NpzRows, "_open_image", counted)
    with open_scene(scene_path) as scene:
        window = LineWindow(SceneSource(scene), 64)
        for first in range(0, 400 - 64, 48):
            np.testing.assert_array_equal(window.show(first, 64), IMAGE[first : first + 64])
        np.testing.assert_array_equal(window.show(340, 60), IMAGE[340:400])  # the last row reflects what it had before
    assert len(starts) == 1, "it was decompressed from its start again"

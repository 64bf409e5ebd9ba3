"""Rows read into a buffer that is given: where the file lies as they are wanted, and what buffers are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hal.sensor.scene import SceneBufferMismatch, open_scene

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    strip=st.sampled_from([1, 3, 16, 64, 100]),
    left_out=st.sets(st.integers(0, 5), max_size=3),
    big_endian=st.booleans(),
    requests=st.lists(st.tuples(st.integers(0, 99), st.integers(1, 100)), min_size=1, max_size=6),
)
def test_rows_as_they_lie_are_read_into_the_buffer_given(
    tmp_path: Path, strip: int, left_out: set[int], big_endian: bool, requests: list[tuple[int, int]]
) -> None:
    """Strips in a row, strips with holes in the file between them, and strips that are not there at all."""
    values = np.random.default_rng(3).integers(8, 60_000, (100, 11, 2), np.uint16)
    path = tmp_path / f"scene{strip}{big_endian}{''.join(map(str, sorted(left_out)))}.tif"
    path.unlink(missing_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=100, width=11, count=2, dtype="uint16", blockysize=strip, interleave="pixel",
        SPARSE_OK=True, nodata=7, ENDIANNESS="BIG" if big_endian else "LITTLE",
    ) as out:  # fmt: skip
        for number, first in reversed(list(enumerate(range(0, 100, strip)))):  # so that the file's order is another
            if number not in left_out:
                rows = values[first : first + strip]
                window = rasterio.windows.Window(0, first, 11, len(rows))
                out.write(np.moveaxis(rows, 2, 0), window=window)
    for number in left_out:
        values[number * strip : (number + 1) * strip] = 7
    with open_scene(path, sensor="generic") as scene:
        for first, count in requests:
            rows = np.full((min(count, 100 - first), 11, 2), 9, np.uint16)
            scene.read_rows_into(first, rows)
            np.testing.assert_array_equal(rows, values[first : first + count])


@pytest.mark.parametrize(
    "buffer",
    [
        np.zeros((4, 11, 3), np.uint16),
        np.zeros((4, 11, 2), np.int16),
        np.zeros((4, 11, 4), np.uint16)[:, :, ::2],
        np.zeros((4, 22), np.uint16),
        np.frombuffer(bytes(4 * 11 * 2 * 2), np.uint16).reshape(4, 11, 2),
    ],
)
def test_a_buffer_that_cannot_take_the_rows_is_refused(tmp_path: Path, buffer: np.ndarray) -> None:
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", driver="GTiff", height=9, width=11, count=2, dtype="uint16") as out:
        out.write(np.zeros((2, 9, 11), np.uint16))
    with open_scene(path, sensor="generic") as scene:
        with pytest.raises(SceneBufferMismatch) as refused:
            scene.read_rows_into(0, buffer)
        assert refused.value.code == "scene_buffer_mismatch"
        with pytest.raises(IndexError):
            scene.read_rows_into(8, np.zeros((2, 11, 2), np.uint16))
        with pytest.raises(IndexError):
            scene.read_rows_into(0, np.zeros((), np.uint16))

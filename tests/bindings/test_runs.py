"""Run lengths against NumPy's differences, and against a loop."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.faults import BufferMismatch, GeometryRefused
from bindings.mask import decode_runs, encode_runs
from bindings.runs import RunsOverflow, find_runs

pytestmark = pytest.mark.arm


def mask(rows: int, cols: int, mean_run: float, classes: int, seed: int) -> NDArray[np.uint8]:
    """A map whose runs have geometric lengths of a given mean."""
    rng = np.random.default_rng(seed)
    steps = (rng.random(rows * cols) < 1 / mean_run) * rng.integers(1, max(classes, 2), rows * cols)
    return (np.cumsum(steps) % max(classes, 1) + 255 - classes).astype(np.uint8).reshape(rows, cols)


masks = st.builds(
    mask,
    rows=st.integers(1, 40),
    cols=st.sampled_from([1, 2, 7, 63, 64, 65, 127, 255, 256, 257, 300]),
    mean_run=st.sampled_from([1, 1.3, 3, 20, 90, 1000, 1e9]),
    classes=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)


def found(pixels: NDArray[np.uint8], *, by_row: bool = False) -> tuple[list[int], list[int]]:
    lengths, values = np.full(pixels.size, 7, np.uint32), np.full(pixels.size, 7, np.uint8)
    count = find_runs(pixels, lengths, values, by_row=by_row)
    return lengths[:count].tolist(), values[:count].tolist()


def by_differences(flat: NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]))
    return np.diff(starts).tolist(), flat[starts[:-1]].tolist()


@settings(max_examples=150, deadline=None)
@given(masks)
def test_runs_of_a_raster_are_those_that_differences_find(pixels: NDArray[np.uint8]) -> None:
    assert found(pixels) == by_differences(pixels.reshape(-1))


@settings(max_examples=60, deadline=None)
@given(masks)
def test_runs_by_row_end_with_every_row(pixels: NDArray[np.uint8]) -> None:
    rows = [by_differences(row) for row in pixels]
    assert found(pixels, by_row=True) == ([n for row in rows for n in row[0]], [v for row in rows for v in row[1]])


@pytest.mark.parametrize("size", [4095, 4096, 4097, 8192, 8193, 8194, 70_001])
@pytest.mark.parametrize("mean_run", [1, 1.02, 40])
def test_runs_go_on_where_blocks_meet(size: int, mean_run: float) -> None:
    flat = mask(1, size, mean_run, 3, size)[0]
    grouped = [(len(list(run)), value) for value, run in groupby(flat.tolist())]
    assert found(flat) == ([n for n, _ in grouped], [v for _, v in grouped])


@settings(max_examples=100, deadline=None)
@given(masks)
def test_the_run_code_of_long_maps_comes_back_and_counts_every_pixel(pixels: NDArray[np.uint8]) -> None:
    counts, again = np.zeros(256, np.uint64), np.zeros(256, np.uint64)
    encoded, out = encode_runs(pixels, counts), np.empty_like(pixels)
    decode_runs(encoded, out, again)
    np.testing.assert_array_equal(out, pixels)
    np.testing.assert_array_equal(counts, np.bincount(pixels.reshape(-1), minlength=256))
    np.testing.assert_array_equal(again, counts)


def test_no_pixels_have_no_runs() -> None:
    for shape in ((0,), (0, 5), (5, 0)):
        for by_row in (False, True):
            assert (
                find_runs(np.zeros(shape, np.uint8), np.zeros(0, np.uint32), np.zeros(0, np.uint8), by_row=by_row) == 0
            )


@settings(max_examples=60, deadline=None)
@given(pixels=masks, data=st.data())
def test_too_little_room_is_refused_and_nothing_behind_it_is_touched(
    pixels: NDArray[np.uint8], data: st.DataObject
) -> None:
    runs = len(found(pixels)[0])
    room = data.draw(st.integers(0, runs - 1))
    lengths, values = np.full(runs, 7, np.uint32), np.full(runs, 7, np.uint8)
    with pytest.raises(RunsOverflow, match=f"more than {room} runs"):
        find_runs(pixels, lengths[:room], values[:room])
    assert (lengths[room:] == 7).all() and (values[room:] == 7).all()
    assert find_runs(pixels, lengths, values) == runs


SHARED = np.zeros(80, np.uint8)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"pixels": np.zeros(10, np.int8)}, BufferMismatch, "int8"),
        ({"pixels": np.zeros(20, np.uint8)[::2]}, BufferMismatch, "contiguous"),
        ({"pixels": [1, 2]}, BufferMismatch, "array"),
        ({"lengths": np.zeros(10, np.int32)}, BufferMismatch, "int32"),
        ({"lengths": np.zeros((2, 5), np.uint32)}, BufferMismatch, "axes"),
        ({"values": np.zeros(9, np.uint8)}, BufferMismatch, "shape"),
        ({"values": np.zeros(10, np.uint16)}, BufferMismatch, "uint16"),
        ({"pixels": SHARED[:10], "values": SHARED[5:15]}, GeometryRefused, "overlap"),
        ({"lengths": SHARED[:40].view(np.uint32), "values": SHARED[30:40]}, GeometryRefused, "overlap"),
    ],
)
def test_arrays_that_c_must_not_see_are_refused(change: dict[str, Any], error: type[Exception], says: str) -> None:
    given_arrays: dict[str, Any] = {
        "pixels": np.zeros(10, np.uint8), "lengths": np.zeros(10, np.uint32), "values": np.zeros(10, np.uint8),
        **change,
    }  # fmt: skip
    with pytest.raises(error, match=says):
        find_runs(**given_arrays)

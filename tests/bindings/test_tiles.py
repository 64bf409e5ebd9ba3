"""The tile kernel against numpy.pad, numpy.clip and plain sums."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.faults import BufferMismatch, GeometryRefused, WindowMismatch
from bindings.tiles import Layout, Normalisation, TileStats, tile_f32

pytestmark = pytest.mark.arm

DTYPES = (np.uint8, np.uint16, np.int16, np.float32)


def reflected(scene: NDArray[Any], row: int, col: int, side: int) -> NDArray[Any]:
    """The tile by numpy.pad alone."""
    rows, cols = scene.shape[:2]
    before = (max(0, -row), max(0, -col))
    after = (max(0, row + side - rows), max(0, col + side - cols))
    padded = np.pad(scene, ((before[0], after[0]), (before[1], after[1]), (0, 0)), mode="reflect")
    top, left = row + before[0], col + before[1]
    return padded[top : top + side, left : left + side]


def laid_out(scene: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """(rows, cols, bands) in the order of another layout."""
    order = {Layout.HWC: (0, 1, 2), Layout.BSQ: (2, 0, 1), Layout.BIL: (0, 2, 1)}[layout]
    return np.ascontiguousarray(scene.transpose(order))


def draw_scene(rng: np.random.Generator, rows: int, cols: int, bands: int, dtype: Any, nodata: float) -> NDArray[Any]:
    if np.dtype(dtype).kind == "f":
        scene = rng.normal(0.2, 0.3, (rows, cols, bands)).astype(dtype)
        scene[rng.random((rows, cols, bands)) < 0.05] = np.nan
    else:
        span = np.iinfo(dtype)
        scene = rng.integers(span.min, span.max + 1, (rows, cols, bands)).astype(dtype)
        scene[rng.random((rows, cols)) < 0.1] = span.max
    scene[rng.random((rows, cols)) < 0.2] = dtype(nodata)
    scene[rng.random((rows, cols, bands)) < 0.1] = dtype(nodata)
    return scene


def cut(
    window: NDArray[Any],
    layout: Layout,
    row: int,
    col: int,
    side: int,
    bands: list[int],
    norm: Normalisation,
    **how: Any,
) -> tuple[TileStats, NDArray[np.float32], NDArray[np.uint8]]:
    rows = window.shape[1 if layout == Layout.BSQ else 0]
    how = {"first_row": 0, "scene_rows": rows, "nodata": None, **how}
    out = np.full((len(bands), side, side), np.nan, np.float32)
    valid = np.full((side, side), 77, np.uint8)
    return tile_f32(window, layout, row=row, col=col, bands=bands, norm=norm, out=out, valid=valid, **how), out, valid


def norm_of(
    count: int, scale: float = 0.01, offset: float = -0.1, low: float = 0.0, high: float = 1.0
) -> Normalisation:
    return Normalisation(
        tuple(scale * (1 + b) for b in range(count)), tuple(offset * b for b in range(count)), low, high
    )


@settings(max_examples=150, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from(Layout),
    rows=st.integers(1, 40),
    cols=st.integers(1, 40),
    planes=st.integers(1, 6),
    side=st.integers(1, 24),
    nodata=st.sampled_from([None, 0.0, 7.0, -9999.5]),
    data=st.data(),
)
def test_a_tile_equals_what_numpy_pads_clips_and_sums(
    dtype: Any, layout: Layout, rows: int, cols: int, planes: int, side: int, nodata: float | None, data: st.DataObject
) -> None:
    row = data.draw(st.integers(-2 * side, rows + side), label="row")
    col = data.draw(st.integers(-2 * side, cols + side), label="col")
    bands = data.draw(st.lists(st.integers(0, planes - 1), min_size=1, max_size=4), label="bands")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    scene = draw_scene(rng, rows, cols, planes, dtype, nodata if nodata in (0.0, 7.0) else 7.0)
    norm = norm_of(len(bands), scale=1.0 if dtype is np.float32 else 0.004)
    window = laid_out(scene, layout)
    stats, out, valid = cut(window, layout, row, col, side, bands, norm, nodata=nodata)

    raw = reflected(scene, row, col, side)[..., bands]
    bad = np.isnan(raw).any(axis=2) if dtype is np.float32 else np.zeros((side, side), bool)
    if nodata is not None:
        bad |= (raw.astype(np.float64) == nodata).all(axis=2)
    np.testing.assert_array_equal(valid, (~bad).astype(np.uint8))
    expected = raw.astype(np.float32) * np.array(norm.scale, np.float32) + np.array(norm.offset, np.float32)
    expected = np.where(bad[..., None], np.float32(0), np.clip(expected, np.float32(0), np.float32(1)))
    np.testing.assert_array_equal(out, expected.transpose(2, 0, 1))

    ys, xs = np.arange(row, row + side), np.arange(col, col + side)
    inside = np.outer((ys >= 0) & (ys < rows), (xs >= 0) & (xs < cols))
    assert stats.pixels == inside.sum()
    assert stats.nodata == (inside & bad).sum()
    for plane, band in enumerate(stats.bands):
        kept = raw[..., plane][inside & ~bad]
        assert band.valid == kept.size
        if kept.size:
            assert (band.minimum, band.maximum) == (kept.min(), kept.max())
            assert band.total == pytest.approx(kept.astype(np.float64).sum(), rel=1e-12, abs=1e-9)
        else:
            assert (band.minimum, band.maximum, band.total) == (0, 0, 0)
        assert band.saturated == (0 if dtype is np.float32 else (kept == np.iinfo(dtype).max).sum())


def in_order(first: int, count: int) -> list[int]:
    return list(range(first, first + count))


@pytest.mark.parametrize("side", [40, 41])
@pytest.mark.parametrize("nodata", [None, 7.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("planes", "bands"),
    [
        (1, [0]), (3, [0, 1, 2]), (4, in_order(0, 4)), (4, [1, 2, 3]), (4, [3, 2, 1, 0]), (6, in_order(0, 6)),
        (6, [4, 5]), (12, in_order(0, 12)), (13, in_order(0, 13)), (13, [2, 2, 7, 12]), (13, in_order(1, 11)),
        (40, in_order(3, 35)),
    ],
)  # fmt: skip
def test_every_number_of_bands_and_every_edge_gives_the_tile_of_numpy(
    planes: int, bands: list[int], dtype: Any, nodata: float | None, side: int
) -> None:
    rng = np.random.default_rng(planes)
    rows, cols = 97, 83
    low, high = (0, 200) if dtype is np.uint8 else (-3000, 3000) if dtype is np.int16 else (0, 60_000)
    scene = rng.integers(low, high, (rows, cols, planes)).astype(dtype)
    scene[rng.random((rows, cols)) < 0.001] = 7
    full = None if dtype is np.float32 else np.iinfo(dtype).max
    if full is not None:
        scene[rng.random(scene.shape) < 0.001] = full
    scene[60:80, 40:] = 7
    norm = norm_of(len(bands), scale=1e-4)
    for row, col in ((0, 0), (5, 3), (-9, 11), (20, -20), (70, 20), (30, 60), (-120, -7), (56, 42)):
        stats, out, valid = cut(scene, Layout.HWC, row, col, side, bands, norm, nodata=nodata)
        raw = reflected(scene, row, col, side)[..., bands]
        bad = (raw == 7).all(axis=2) if nodata is not None else np.zeros((side, side), bool)
        expected = raw.astype(np.float32) * np.array(norm.scale, np.float32) + np.array(norm.offset, np.float32)
        expected = np.where(bad[..., None], np.float32(0), np.clip(expected, np.float32(0), np.float32(1)))
        np.testing.assert_array_equal(out, expected.transpose(2, 0, 1))
        np.testing.assert_array_equal(valid, (~bad).astype(np.uint8))
        inside = np.zeros((side, side), bool)
        inside[max(0, -row) : rows - row if rows > row else 0, max(0, -col) : cols - col if cols > col else 0] = True
        assert (stats.pixels, stats.nodata) == (inside.sum(), (inside & bad).sum())
        for plane, band in enumerate(stats.bands):
            kept = raw[..., plane][inside & ~bad].astype(np.float64)
            measured = (kept.min(), kept.max(), kept.sum()) if kept.size else (0, 0, 0)
            assert (band.minimum, band.maximum, band.total) == measured
            assert band.saturated == (kept == full).sum()


@given(side=st.integers(2, 16), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_strided_windows_give_the_same_tile_as_their_copies(side: int, seed: int) -> None:
    big = np.random.default_rng(seed).integers(0, 65536, (60, 45, 7), dtype=np.uint16)
    norm = norm_of(2, scale=1e-5)
    for part in (big[3:50:2, ::3, :], big[:, 5:40, 1:4], big[::4, ::2, 2:7]):
        one = cut(part, Layout.HWC, -3, -2, side, [2, 0], norm, nodata=3)
        two = cut(part.copy(), Layout.HWC, -3, -2, side, [2, 0], norm, nodata=3)
        assert one[0] == two[0]
        np.testing.assert_array_equal(one[1], two[1])
    planes = np.moveaxis(big, 2, 0).copy()[::2, 1:50:3, 4:30]
    one = cut(planes, Layout.BSQ, 1, 0, side, [3, 1], norm)
    two = cut(planes.copy(), Layout.BSQ, 1, 0, side, [3, 1], norm)
    assert one[0] == two[0]
    np.testing.assert_array_equal(one[1], two[1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (7, 8), (15, 15), (16, 16), (17, 17), (33, 31)])
def test_scenes_of_awkward_size_are_reflected_as_often_as_it_takes(shape: tuple[int, int]) -> None:
    scene = np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(*shape, 1)
    _, out, _ = cut(scene, Layout.HWC, -20, -35, 16, [0], norm_of(1, scale=1.0, high=1e6))
    np.testing.assert_array_equal(out[0], reflected(scene, -20, -35, 16)[..., 0])


def test_a_window_that_holds_only_the_rows_needed_gives_the_tile_of_the_whole_scene() -> None:
    scene = np.random.default_rng(5).integers(0, 256, (50, 20, 3), dtype=np.uint8)
    norm = norm_of(3)
    whole = cut(scene, Layout.HWC, 38, 0, 16, [0, 1, 2], norm)
    part = cut(scene[34:], Layout.HWC, 38, 0, 16, [0, 1, 2], norm, first_row=34, scene_rows=50)
    assert whole[0] == part[0]
    np.testing.assert_array_equal(whole[1], part[1])


def test_a_row_that_the_window_lacks_is_named_and_nothing_is_written() -> None:
    window = np.zeros((10, 8, 1), np.uint8)
    out, valid = np.full((1, 8, 8), 5, np.float32), np.full((8, 8), 5, np.uint8)
    with pytest.raises(WindowMismatch) as caught:
        tile_f32(
            window, Layout.HWC, first_row=20, scene_rows=100, row=25, col=0, bands=[0], norm=norm_of(1), nodata=None,
            out=out, valid=valid,
        )  # fmt: skip
    assert (caught.value.row, caught.value.first_row, caught.value.rows) == (30, 20, 10)
    assert isinstance(caught.value, IndexError)
    assert (out == 5).all()
    assert (valid == 5).all()


def test_infinities_are_clipped_and_never_become_nan() -> None:
    scene = np.array([[[np.inf], [-np.inf], [1.0]]], np.float32)
    stats, out, valid = cut(scene, Layout.HWC, 0, 0, 3, [0], Normalisation((0.0,), (0.0,), -1.0, 2.0))
    assert np.isfinite(out).all()
    assert valid.all()
    stats, out, _ = cut(scene, Layout.HWC, 0, 0, 3, [0], Normalisation((1.0,), (0.0,), -1.0, 2.0))
    np.testing.assert_array_equal(out[0, 0], [2.0, -1.0, 1.0])
    assert (stats.bands[0].minimum, stats.bands[0].maximum) == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("nodata", "bad"), [(-1.0, 0), (300.0, 0), (3.5, 0), (float("nan"), 0), (1e300, 0), (float("inf"), 0), (3.0, 1)]
)
def test_a_nodata_value_that_the_type_cannot_hold_matches_nothing(nodata: float, bad: int) -> None:
    scene = np.array([[[0], [3], [44], [255]]], np.uint8)
    stats, _, _ = cut(scene, Layout.HWC, 0, 0, 4, [0], norm_of(1), nodata=nodata)
    assert stats.nodata == bad


GOOD: dict[str, Any] = {
    "window": np.zeros((8, 9, 2), np.uint16), "layout": Layout.HWC, "first_row": 0, "scene_rows": 8, "row": 0, "col": 0,
    "bands": [0, 1], "norm": norm_of(2), "nodata": None, "out": np.zeros((2, 4, 4), np.float32),
    "valid": np.zeros((4, 4), np.uint8),
}  # fmt: skip


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"window": np.zeros((8, 9, 2), np.float64)}, BufferMismatch, "float64"),
        ({"window": np.zeros((8, 9, 2), ">u2")}, BufferMismatch, ">u2"),
        ({"window": np.zeros((8, 9), np.uint16)}, BufferMismatch, "axes"),
        ({"window": [[1]]}, BufferMismatch, "list"),
        ({"window": np.zeros((8, 9, 4), np.uint16)[..., ::2]}, BufferMismatch, "last axis"),
        ({"window": np.zeros((8, 9, 2), np.uint16)[::-1]}, BufferMismatch, "stride"),
        ({"window": np.zeros(8 * 9 * 4 + 1, np.uint8)[1:].view(np.uint16).reshape(8, 9, 2)}, BufferMismatch, "aligned"),
        ({"window": np.zeros((0, 9, 2), np.uint16)}, GeometryRefused, "0 x 9"),
        ({"out": np.zeros((2, 4, 5), np.float32)}, BufferMismatch, "shape"),
        ({"out": np.zeros((1, 4, 4), np.float32)}, BufferMismatch, "shape"),
        ({"out": np.zeros((2, 4, 4), np.float64)}, BufferMismatch, "float64"),
        ({"out": np.zeros((2, 8, 4), np.float32)[:, ::2]}, BufferMismatch, "contiguous"),
        ({"out": read_only(np.zeros((2, 4, 4), np.float32))}, BufferMismatch, "read-only"),
        ({"out": np.zeros((2, 0, 0), np.float32), "valid": np.zeros((0, 0), np.uint8)}, GeometryRefused, "side"),
        ({"valid": np.zeros((4, 3), np.uint8)}, BufferMismatch, "shape"),
        ({"valid": np.zeros((4, 4), bool)}, BufferMismatch, "bool"),
        ({"bands": [0, 2]}, GeometryRefused, "bands"),
        ({"bands": [-1, 0]}, GeometryRefused, "bands"),
        ({"norm": norm_of(3)}, GeometryRefused, "3 scales"),
        ({"norm": Normalisation((1.0, float("nan")), (0.0, 0.0), 0.0, 1.0)}, GeometryRefused, "finite"),
        ({"norm": Normalisation((1.0, 1e39), (0.0, 0.0), 0.0, 1.0)}, GeometryRefused, "finite"),
        ({"first_row": -1}, GeometryRefused, "row -1"),
        ({"row": -(1 << 70)}, GeometryRefused, "beyond"),
        ({"col": (1 << 40) + 1}, GeometryRefused, "beyond"),
        ({"scene_rows": 1 << 63}, GeometryRefused, "beyond"),
        ({"scene_rows": 7}, GeometryRefused, "7 rows"),
    ],
)
def test_what_c_must_not_see_is_refused_at_the_door(change: dict[str, Any], error: type[Exception], says: str) -> None:
    arguments = {**GOOD, **change}
    with pytest.raises(error, match=re.escape(says)):
        tile_f32(arguments.pop("window"), arguments.pop("layout"), **arguments)


def test_output_that_overlaps_the_window_is_refused() -> None:
    memory = np.zeros(1000, np.float32)
    with pytest.raises(GeometryRefused, match="overlap"):
        cutting = {**GOOD, "window": memory[:144].reshape(8, 9, 2), "out": memory[100:132].reshape(2, 4, 4)}
        tile_f32(cutting.pop("window"), cutting.pop("layout"), **cutting)

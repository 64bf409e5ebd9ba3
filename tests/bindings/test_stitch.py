"""The stitcher against the usual recipe: accumulate, divide by the weights, take the largest."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.faults import BufferMismatch, GeometryRefused, OrderMismatch, StateRefused
from bindings.stitch import Stitcher, TileGrid

pytestmark = pytest.mark.arm

NEAR = 1e-5  # where float32 and float64 blends may fall on different sides of a decision

grids = st.builds(
    lambda width, core, seam, margin: TileGrid(width, core + 2 * margin, min(seam, core // 2) + 2 * margin, margin),
    width=st.integers(1, 60),
    core=st.integers(1, 20),
    seam=st.integers(0, 9),
    margin=st.integers(0, 4),
)


def tiles_of(grid: TileGrid, rows: int) -> list[tuple[int, int]]:
    return [(r, c) for r in range(grid.rows_of(rows)) for c in range(grid.columns)]


def fly(stitcher: Stitcher, tiles: dict[tuple[int, int], NDArray[np.float32]], rows: int) -> NDArray[np.uint8]:
    grid, last = stitcher.grid, stitcher.grid.rows_of(rows) - 1
    out = np.full((rows, grid.width), 99, np.uint8)
    for (r, c), tile in tiles.items():
        stitcher.put(tile, r, c, last_row=r == last, scene_rows=rows, out=out, out_first_row=0)
    return out


def weights(grid: TileGrid, index: int, last: int) -> NDArray[np.float64]:
    """One axis of a tile's weight, float64."""
    weight = np.ones(grid.tile)
    ramp = (np.arange(grid.seam) + 0.5) / grid.seam if grid.seam else np.zeros(0)
    if index > 0:
        weight[: grid.margin] = 0
        weight[grid.margin : grid.margin + grid.seam] = ramp
    if index < last:
        weight[grid.tile - grid.margin :] = 0
        weight[grid.tile - grid.margin - grid.seam : grid.tile - grid.margin] = 1 - ramp
    return weight


def accumulated(
    grid: TileGrid, tiles: dict[tuple[int, int], NDArray[np.float32]], rows: int, classes: int
) -> NDArray[np.float64]:
    """Blended scores of the whole scene by accumulation and division."""
    pad = grid.tile
    total = np.zeros((classes, rows + 3 * pad, grid.width + 3 * pad))
    weight = np.zeros(total.shape[1:])
    for (r, c), tile in tiles.items():
        w = np.outer(weights(grid, r, grid.rows_of(rows) - 1), weights(grid, c, grid.columns - 1))
        y, x = r * grid.stride - grid.margin + pad, c * grid.stride - grid.margin + pad
        total[:, y : y + grid.tile, x : x + grid.tile] += tile * w
        weight[y : y + grid.tile, x : x + grid.tile] += w
    inside = (slice(pad, pad + rows), slice(pad, pad + grid.width))
    np.testing.assert_allclose(weight[inside], 1.0, atol=1e-12)  # a partition of unity, everywhere in the scene
    blended: NDArray[np.float64] = total[:, inside[0], inside[1]] / weight[inside]
    return blended


@settings(max_examples=120, deadline=None)
@given(
    grid=grids,
    rows=st.integers(1, 60),
    classes=st.integers(1, 5),
    threshold=st.sampled_from([0.5, 0.3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_class_map_equals_accumulate_divide_and_argmax(
    grid: TileGrid, rows: int, classes: int, threshold: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tiles = {at: rng.random((classes, grid.tile, grid.tile), np.float32) for at in tiles_of(grid, rows)}
    stitcher = Stitcher(grid, classes, threshold)
    out = fly(stitcher, tiles, rows)
    blended = accumulated(grid, tiles, rows, classes)
    ranked = np.sort(blended, axis=0)
    if classes == 1:
        expected, clear = blended[0] >= threshold, np.abs(blended[0] - threshold) > NEAR
        confidence = np.abs(blended[0] - 0.5) * 2
    else:
        expected, clear = blended.argmax(axis=0), ranked[-1] - ranked[-2] > NEAR
        confidence = ranked[-1] - ranked[-2]
    np.testing.assert_array_equal(out[clear], expected[clear])
    assert out.max() < max(classes, 2)
    assert stitcher.final_pixels == rows * grid.width
    assert stitcher.confidence_total == pytest.approx(confidence.sum(), abs=1e-4 * rows * grid.width)


@settings(max_examples=60, deadline=None)
@given(grid=grids, rows=st.integers(1, 50), classes=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_where_tiles_agree_the_map_is_that_of_the_whole_scene_to_the_bit(
    grid: TileGrid, rows: int, classes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    levels = np.array([0.1, 0.3, 0.5, np.nextafter(np.float32(0.5), np.float32(0)), 0.7], np.float32)
    pad = 3 * grid.tile
    scene = rng.choice(levels, (classes, rows + 2 * pad, grid.width + 2 * pad))
    tiles = {}
    for r, c in tiles_of(grid, rows):
        y, x = r * grid.stride - grid.margin + pad, c * grid.stride - grid.margin + pad
        tiles[r, c] = np.ascontiguousarray(scene[:, y : y + grid.tile, x : x + grid.tile])
    whole = scene[:, pad : pad + rows, pad : pad + grid.width]
    expected = whole[0] >= np.float32(0.5) if classes == 1 else whole.argmax(axis=0)
    np.testing.assert_array_equal(fly(Stitcher(grid, classes, 0.5), tiles, rows), expected)


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 9])
@pytest.mark.parametrize("side", [31, 32, 131])
def test_long_rows_keep_ties_infinities_and_what_is_not_a_number_in_their_place(classes: int, side: int) -> None:
    rng = np.random.default_rng(side)
    levels = np.array([0, 0.25, 0.5, 0.9, 1, 1.5, -0.0, -1, np.nan, np.inf, -np.inf], np.float32)
    scores = rng.choice(levels, (classes, side, side))
    scores[:, 3:9] = np.nan
    stitcher = Stitcher(TileGrid(side, side, 0, 0), classes, 0.5)
    out = np.full((side, side), 99, np.uint8)
    stitcher.put(scores, 0, 0, last_row=True, scene_rows=side, out=out, out_first_row=0)
    known = np.where(np.isnan(scores), np.float32(-np.inf), scores)
    np.testing.assert_array_equal(out, known.argmax(axis=0))
    ranked = np.sort(known, axis=0)
    with np.errstate(invalid="ignore"):
        distance = np.nan_to_num(ranked[-1] - ranked[-2], nan=0.0, posinf=1.0)
    units = np.rint(np.clip(distance, 0, 1) * np.float32(65536))
    assert stitcher.confidence_total == units.sum(dtype=np.float64) / 65536


def blend(before: NDArray[np.float32], after: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    return before + (after - before) * weight


@settings(max_examples=60, deadline=None)
@given(
    grid=st.builds(
        lambda width, core, seam, margin: TileGrid(width, core + 2 * margin, min(seam, core // 2) + 2 * margin, margin),
        width=st.integers(30, 150),
        core=st.integers(40, 90),
        seam=st.integers(0, 40),
        margin=st.integers(0, 4),
    ),
    classes=st.integers(1, 5),
    kind=st.sampled_from(["plain", "few levels", "signed", "wild"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_two_rows_of_wide_tiles_give_the_bits_of_the_blend_written_out(
    grid: TileGrid, classes: int, kind: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = grid.stride + max(grid.seam, 1)
    levels = np.array([0, -0.0, 0.25, 0.5, 1, 1e-45, 1e-40], np.float32)
    if kind == "wild":
        levels = np.array([0, -0.0, 0.5, 1, 2, -3, 5, 1e38, -1e38, np.nan, np.inf, -np.inf], np.float32)
    tiles = {}
    for at in tiles_of(grid, rows):
        shape = (classes, grid.tile, grid.tile)
        tiles[at] = rng.random(shape, np.float32) if kind == "plain" else rng.choice(levels, shape)
        if kind == "signed":
            tiles[at] = rng.normal(size=shape).astype(np.float32)
    stitcher = Stitcher(grid, classes, 0.5)
    out = fly(stitcher, tiles, rows)

    ramp = ((2 * np.arange(grid.seam) + 1).astype(np.float32) / np.float32(2 * grid.seam or 1)).astype(np.float32)
    seam, core, m = grid.seam, grid.core, grid.margin
    total = np.zeros((classes, rows, grid.width), np.float32)
    with np.errstate(all="ignore"):
        for r in range(grid.rows_of(rows)):
            line = np.zeros((classes, core, grid.width + core), np.float32)
            for c in range(grid.columns):
                inner, x = tiles[r, c][:, m : m + core, m : m + core], c * grid.stride
                if c:
                    line[:, :, x : x + seam] = blend(line[:, :, x : x + seam], inner[:, :, :seam], ramp)
                line[:, :, x + (seam if c else 0) : x + core] = inner[:, :, seam if c else 0 :]
            y, line = r * grid.stride, line[:, :, : grid.width]
            if r:
                shared = min(seam, rows - y)
                total[:, y : y + shared] = blend(total[:, y : y + shared], line[:, :shared], ramp[:shared, None])
                total[:, y + seam :] = line[:, seam : rows - y]
            else:
                total[:, :core] = line[:, : min(core, rows)]
        if classes == 1:
            expected: NDArray[Any] = total[0] >= np.float32(0.5)
            distance = np.abs(total[0] - np.float32(0.5)) * np.float32(2)
        else:
            known = np.where(np.isnan(total), np.float32(-np.inf), total)
            expected = known.argmax(axis=0)
            ranked = np.sort(known, axis=0)
            distance = ranked[-1] - ranked[-2]
    np.testing.assert_array_equal(out, expected)
    distance = np.clip(np.nan_to_num(distance, nan=0.0, posinf=1.0), 0, 1)
    assert stitcher.confidence_total == np.rint(distance * np.float32(65536)).sum(dtype=np.float64) / 65536


@settings(max_examples=60, deadline=None)
@given(grid=grids, rows=st.integers(1, 60), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_a_stitcher_restored_at_any_tile_goes_on_to_the_same_map(
    grid: TileGrid, rows: int, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    order = tiles_of(grid, rows)
    tiles = {at: rng.random((2, grid.tile, grid.tile), np.float32) for at in order}
    whole = Stitcher(grid, 2, 0.5)
    expected = fly(whole, tiles, rows)
    cut = data.draw(st.integers(0, len(order)))
    first, second = Stitcher(grid, 2, 0.5), Stitcher(grid, 2, 0.5)
    before = fly(first, {at: tiles[at] for at in order[:cut]}, rows)
    second.restore(first.state())
    assert second.state() == first.state()
    after = fly(second, {at: tiles[at] for at in order[cut:]}, rows)
    np.testing.assert_array_equal(np.where(before == 99, after, before), expected)
    assert (second.state(), second.confidence_total) == (whole.state(), whole.confidence_total)
    assert second.final_pixels == rows * grid.width


@given(grid=grids, rows=st.integers(1, 200))
def test_final_rows_cover_the_scene_once_and_in_order(grid: TileGrid, rows: int) -> None:
    spans = [grid.final_rows(r, rows) for r in range(grid.rows_of(rows))]
    assert spans[0][0] == 0
    assert spans[-1][1] == rows
    assert all(one[1] == two[0] for one, two in pairwise(spans))
    assert spans[:-1] == [grid.final_rows(r, None) for r in range(len(spans) - 1)]


def test_the_lowest_class_wins_a_tie_and_a_number_at_the_threshold_is_in() -> None:
    grid = TileGrid(4, 4, 0, 0)
    assert (fly(Stitcher(grid, 3, 0.5), {(0, 0): np.full((3, 4, 4), 0.25, np.float32)}, 4) == 0).all()
    assert (fly(Stitcher(grid, 1, 0.1), {(0, 0): np.full((1, 4, 4), 0.1, np.float32)}, 4) == 1).all()


def test_seam_memory_does_not_grow_with_the_rows() -> None:
    grid = TileGrid(300, 32, 8, 0)
    stitcher = Stitcher(grid, 2, 0.5)
    size = len(stitcher.state())
    tile, out = np.zeros((2, 32, 32), np.float32), np.zeros((24, 300), np.uint8)
    for r in range(40):
        for c in range(grid.columns):
            stitcher.put(tile, r, c, last_row=False, scene_rows=0, out=out, out_first_row=24 * r)
        assert len(stitcher.state()) == size
    assert size < 4 * 2 * 8 * (300 + 32) + 200


def test_rows_beside_those_that_are_final_are_not_touched() -> None:
    grid = TileGrid(10, 8, 2, 0)
    stitcher = Stitcher(grid, 1, 0.5)
    frame = np.full((20, 30), 7, np.uint8)
    out = frame[:, 5:15]  # rows of a larger array
    for c in range(grid.columns):
        stitcher.put(np.ones((1, 8, 8), np.float32), 0, c, last_row=False, scene_rows=0, out=out, out_first_row=-4)
    expected = np.full((20, 30), 7, np.uint8)
    expected[4:10, 5:15] = 1
    np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ((0, 8, 0, 0), "positive"),
        ((8, 0, 0, 0), "positive"),
        ((8, 8, -2, 0), "positive"),
        ((8, 8, 2, -1), "positive"),
        ((8, 8, 3, 2), "margin 2"),
        ((8, 8, 8, 4), "stride"),
        ((8, 8, 6, 0), "stride"),
    ],
)
def test_grids_that_do_not_cover_are_refused(sizes: tuple[int, int, int, int], says: str) -> None:
    with pytest.raises(GeometryRefused, match=says):
        TileGrid(*sizes)


def test_a_stitcher_takes_1_to_254_classes_and_a_finite_threshold() -> None:
    for classes, threshold in ((0, 0.5), (255, 0.5), (1, float("nan"))):
        with pytest.raises(GeometryRefused):
            Stitcher(TileGrid(8, 8, 0, 0), classes, threshold)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"tile_col": 1}, OrderMismatch, "out of turn"),
        ({"tile_row": 1}, OrderMismatch, "(0, 0)"),
        ({"last_row": True, "scene_rows": 9}, GeometryRefused, "not the last"),
        ({"last_row": True, "scene_rows": 0}, GeometryRefused, "do not fit"),
        ({"probabilities": np.zeros((1, 8, 8))}, BufferMismatch, "float64"),
        ({"probabilities": np.zeros((1, 8, 9), np.float32)}, BufferMismatch, "shape"),
        ({"probabilities": np.zeros((1, 8, 16), np.float32)[..., ::2]}, BufferMismatch, "contiguous"),
        ({"out": np.zeros((8, 19), np.uint8)}, GeometryRefused, "8 x 19"),
        ({"out": np.zeros((5, 20), np.uint8)}, GeometryRefused, "do not fit"),
        ({"out": np.zeros((8, 20), np.int8)}, BufferMismatch, "int8"),
        ({"out": np.broadcast_to(np.zeros(20, np.uint8), (8, 20))}, BufferMismatch, "read-only"),
        ({"out_first_row": 1}, GeometryRefused, "from row 1"),
    ],
)
def test_a_tile_out_of_turn_or_a_buffer_that_does_not_fit_is_refused(
    change: dict[str, Any], error: type[Exception], says: str
) -> None:
    stitcher = Stitcher(TileGrid(20, 8, 2, 0), 1, 0.5)
    before = stitcher.state()
    put: dict[str, Any] = {
        "probabilities": np.zeros((1, 8, 8), np.float32), "tile_row": 0, "tile_col": 0, "last_row": False,
        "scene_rows": 0, "out": np.zeros((8, 20), np.uint8), "out_first_row": 0, **change,
    }  # fmt: skip
    with pytest.raises(error, match=re.escape(says)):
        stitcher.put(**put)
    assert stitcher.state() == before


def test_after_the_last_tile_none_is_taken() -> None:
    stitcher = Stitcher(TileGrid(8, 8, 0, 0), 1, 0.5)
    tile = np.zeros((1, 8, 8), np.float32)
    fly(stitcher, {(0, 0): tile}, 8)
    with pytest.raises(OrderMismatch, match="expected: none"):
        stitcher.put(tile, 1, 0, last_row=False, scene_rows=0, out=np.zeros((8, 8), np.uint8), out_first_row=8)


@given(st.data())
@settings(max_examples=60)
def test_damaged_or_foreign_state_is_refused_and_changes_nothing(data: st.DataObject) -> None:
    stitcher = Stitcher(TileGrid(12, 6, 2, 0), 1, 0.5)
    good = stitcher.state()
    damaged = bytearray(good)
    damaged[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    foreign = Stitcher(TileGrid(12, 6, 2, 0), 1, 0.25).state()
    for octets in (bytes(damaged), good[:-1], good + b"\0", b"", foreign):
        with pytest.raises(StateRefused):
            stitcher.restore(octets)
        assert stitcher.state() == good

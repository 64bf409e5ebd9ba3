"""Objects seen by several tiles come out once, whole, and where they are in the scene."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindings.faults import BufferMismatch, GeometryRefused
from bindings.seams import FoundBoxes, TileGrid, merge_tiles

pytestmark = pytest.mark.arm
SIDE, OVERLAP = 64, 24
GRID = TileGrid(SIDE, OVERLAP, 200, 240)


def starts(length: int) -> list[int]:
    return list(range(0, length - OVERLAP, SIDE - OVERLAP))


def seen(objects: np.ndarray, row: int, col: int) -> FoundBoxes:
    """What a perfect detector says of one tile: every object that it sees any of, cut at the tile's sides."""
    low = np.maximum(objects[:, :2] - [col, row], 0)
    high = np.minimum(objects[:, 2:4] - [col, row], SIDE)
    visible = ((high - low) > 0).all(axis=1)
    boxes = np.concatenate((low, high), axis=1)[visible].astype(np.float32)
    return FoundBoxes(boxes, objects[visible, 4].astype(np.float32), objects[visible, 5].astype(np.int32))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_every_object_smaller_than_the_overlap_comes_out_once_and_whole(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.choice(8 * 6, min(count, 48), replace=False)  # a cell each, so that no two overlap
    corner = np.stack((cells % 8 * 30, cells // 8 * 33), axis=1) + rng.integers(0, 9, (len(cells), 2))
    sides = rng.integers(3, OVERLAP - 3, (len(cells), 2))
    objects = np.concatenate(
        (corner, corner + sides, rng.permutation(len(cells))[:, None] / 64, rng.integers(0, 3, (len(cells), 1))), axis=1
    )
    tiles = [(row, col, seen(objects, row, col)) for row in starts(200) for col in starts(240)]
    merged = merge_tiles(tiles, GRID, iou_threshold=0.5)
    expected = objects[np.argsort(-objects[:, 4])]
    assert merged.boxes.tolist() == expected[:, :4].tolist()
    assert merged.classes.tolist() == expected[:, 5].tolist()


def test_a_box_longer_than_the_overlap_is_kept_in_its_pieces_and_one_at_the_scenes_edge_is_whole() -> None:
    long = np.array([[10, 20, 230, 26, 0.9, 1.0], [0, 100, 6, 108, 0.8, 1.0]])
    tiles = [(row, col, seen(long, row, col)) for row in starts(200) for col in starts(240)]
    merged = merge_tiles(tiles, GRID, iou_threshold=0.5)
    assert [0.0, 100.0, 6.0, 108.0] in merged.boxes.tolist()
    assert merged.boxes[:, 0].min() == 0 and sorted(merged.boxes[:, 2].tolist())[-1] == 230


def test_nothing_and_what_does_not_fit() -> None:
    assert len(merge_tiles([], GRID, iou_threshold=0.5).boxes) == 0
    for wrong in ((0, 0, 5, 5), (8, 8, 5, 5), (8, 2, 0, 5)):
        with pytest.raises(GeometryRefused):
            TileGrid(*wrong)
    odd = FoundBoxes(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(2, np.int32))
    with pytest.raises(BufferMismatch):
        merge_tiles([(0, 0, odd)], GRID, iou_threshold=0.5)

"""The streaming scanner against OpenCV's labeller, which sees the whole map at once."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.faults import BufferMismatch, GeometryRefused, OrderMismatch
from bindings.regions import Region, RegionScanner

pytestmark = pytest.mark.arm


def labelled(labels: NDArray[np.uint8], value: int) -> list[Region]:
    """All regions by OpenCV."""
    count, names = cv2.connectedComponents((labels == value).astype(np.uint8), connectivity=8)
    regions = []
    for name in range(1, count):
        rows, cols = np.nonzero(names == name)
        box = (int(rows.min()), int(cols.min()), int(rows.max()), int(cols.max()))
        regions.append(Region(len(rows), *box, int(rows.sum()), int(cols.sum())))
    return sorted(regions)


def scanned(labels: NDArray[np.uint8], value: int, block: int) -> list[Region]:
    scanner = RegionScanner(labels.shape[1], value)
    found = []
    for first in range(0, len(labels), block):
        found += scanner.feed(labels[first : first + block])
    assert scanner.rows == len(labels)
    return found + scanner.finish()


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(1, 40),
    cols=st.integers(1, 40),
    filled=st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.95]),
    block=st.integers(1, 41),
    value=st.sampled_from([0, 1, 255]),
    seed=st.integers(0, 2**32 - 1),
)
def test_regions_equal_those_of_a_labeller_that_sees_the_whole_map(
    rows: int, cols: int, filled: float, block: int, value: int, seed: int
) -> None:
    labels = np.where(np.random.default_rng(seed).random((rows, cols)) < filled, value, 7).astype(np.uint8)
    assert sorted(scanned(labels, value, block)) == labelled(labels, value)


PICTURES = {
    "spiral": "#######|#.....#|#.###.#|#.#.#.#|#.#...#|#.#####|#......",
    "comb that joins at last": "#.#.#.#|#.#.#.#|#.#.#.#|#######",
    "comb that joins at first": "#######|#.#.#.#|#.#.#.#",
    "corners touch": "#.#|.#.|#.#",
    "ring in a ring": "#######|#.....#|#.###.#|#.#.#.#|#.###.#|#.....#|#######",
    "joined late by a corner": "#...#|#...#|.#.#.|..#..",
    "nothing": "...|...",
    "everything": "###|###",
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("block", [1, 2, 100])
def test_shapes_that_join_late_or_enclose_each_other(name: str, block: int) -> None:
    labels = np.array([[c == "#" for c in line] for line in PICTURES[name].split("|")], np.uint8)
    assert sorted(scanned(labels, 1, block)) == labelled(labels, 1)


def test_a_region_is_given_as_soon_as_a_row_without_it_was_taken() -> None:
    scanner = RegionScanner(5, 1)
    assert scanner.feed(np.array([[0, 1, 1, 0, 0], [0, 0, 1, 0, 0]], np.uint8)) == []
    assert scanner.feed(np.zeros((1, 5), np.uint8)) == [Region(3, 0, 1, 1, 2, 1, 5)]
    assert scanner.finish() == []


def test_a_list_is_ordered_by_first_row_and_column() -> None:
    labels = (np.random.default_rng(3).random((60, 60)) < 0.2).astype(np.uint8)
    scanner = RegionScanner(60, 1)
    found = scanner.feed(labels)
    assert len(found) > 100
    assert found == sorted(found, key=lambda region: (region.first_row, region.first_col))


def test_more_regions_than_one_call_holds_are_all_given() -> None:
    labels = np.zeros((3000, 101), np.uint8)
    labels[::2, ::2] = 1  # single pixels, none touching another
    found = scanned(labels, 1, 3000)
    assert len(found) == 1500 * 51
    assert {region.area for region in found} == {1}


def test_rows_may_be_part_of_a_larger_array() -> None:
    big = (np.random.default_rng(4).random((50, 90)) < 0.5).astype(np.uint8)
    part = big[::3, 10:47]
    assert sorted(scanned(part, 1, 5)) == labelled(part.copy(), 1)


def test_what_does_not_fit_is_refused() -> None:
    for width, value in ((0, 1), (5, 256), (5, -1), (1 << 25, 1)):
        with pytest.raises(GeometryRefused):
            RegionScanner(width, value)
    scanner = RegionScanner(5, 1)
    with pytest.raises(GeometryRefused):
        scanner.feed(np.zeros((2, 6), np.uint8))
    with pytest.raises(BufferMismatch):
        scanner.feed(np.zeros((2, 5), bool))
    with pytest.raises(BufferMismatch):
        scanner.feed(np.zeros((2, 10), np.uint8)[:, ::2])
    scanner.finish()
    with pytest.raises(OrderMismatch):
        scanner.feed(np.zeros((1, 5), np.uint8))
    with pytest.raises(OrderMismatch):
        scanner.finish()

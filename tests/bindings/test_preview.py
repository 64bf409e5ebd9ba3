"""The majority of squares against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from bindings.faults import BufferMismatch, GeometryRefused
from bindings.preview import MajorityReducer

MAPS = npst.arrays(
    np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 40)), elements=st.sampled_from([0, 1, 2, 3, 255])
)


def plain(pixels: NDArray[np.uint8], factor: int) -> list[list[int]]:
    rows, cols = pixels.shape
    return [
        [
            int(np.bincount(pixels[y : y + factor, x : x + factor].ravel(), minlength=256).argmax())
            for x in range(0, cols, factor)
        ]
        for y in range(0, rows, factor)
    ]


@pytest.mark.arm
@settings(max_examples=150, deadline=None)
@given(MAPS, st.integers(1, 12), st.lists(st.integers(0, 9), max_size=5))
def test_each_square_is_the_class_that_most_of_its_pixels_have(
    pixels: NDArray[np.uint8], factor: int, pieces: list[int]
) -> None:
    reducer = MajorityReducer(pixels.shape[1], factor, 4)
    given_rows, at = [], 0
    for count in [*pieces, len(pixels)]:
        given_rows.append(reducer.feed(pixels[at : at + count]))
        at += count
    given_rows.append(reducer.finish())
    assert np.concatenate(given_rows).tolist() == plain(pixels, factor)


def test_sizes_that_make_no_sense_are_refused() -> None:
    for width, factor, classes in ((0, 1, 1), (1, 0, 1), (1, 1 << 17, 1), (1, 1, 0), (1, 1, 256)):
        with pytest.raises(GeometryRefused):
            MajorityReducer(width, factor, classes)
    with pytest.raises(BufferMismatch):
        MajorityReducer(4, 2, 1).feed(np.zeros((2, 5), np.uint8))

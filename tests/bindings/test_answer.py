"""What is said of a tile's scores, against plain NumPy: checks, margins in units, pixels without an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.answer import MARGIN_ONE, Own, blank, close_invalid, measure
from bindings.faults import BufferMismatch, GeometryRefused

pytestmark = pytest.mark.arm


@st.composite
def owns(draw: st.DrawFn, side: int) -> Own:
    rows = sorted(draw(st.tuples(st.integers(0, side), st.integers(0, side))))
    columns = sorted(draw(st.tuples(st.integers(0, side), st.integers(0, side))))
    return Own(rows[0], rows[1], columns[0], columns[1])


def mask_in_a_wider_row(rng: np.random.Generator, own: Own, chance: float) -> NDArray[np.uint8]:
    """The own pixels as the engine holds them: some columns of a row that is as wide as the scene."""
    rows, columns = own.shape
    wide = (rng.random((rows, columns + 11)) < chance).astype(np.uint8)
    return wide[:, 3 : 3 + columns]


def inside(plane: NDArray[Any], own: Own) -> NDArray[Any]:
    return plane[..., own.first_row : own.end_row, own.first_col : own.end_col]


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    side=st.sampled_from([1, 2, 7, 16, 33, 130]),
    classes=st.sampled_from([1, 2, 3, 5]),
    seed=st.integers(0, 2**32 - 1),
    chance=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_the_margin_is_that_of_numpy_summed_in_units(
    data: st.DataObject, side: int, classes: int, seed: int, chance: float
) -> None:
    rng = np.random.default_rng(seed)
    own = data.draw(owns(side))
    scores = rng.random((classes, side, side), dtype=np.float32)
    if seed % 3 == 0:
        scores = (scores * 4).round() / np.float32(4)  # ties
    open_ = mask_in_a_wider_row(rng, own, chance)
    found = measure(scores, own, open_, 0.0, 1.0)
    if classes == 1:
        margin = np.abs(inside(scores, own)[0] - np.float32(0.5)) * np.float32(2)
    else:
        ranked = np.sort(inside(scores, own), axis=0)
        margin = ranked[-1] - ranked[-2]
    units = (margin * np.float32(MARGIN_ONE) + np.float32(0.5)).astype(np.int64)
    assert found.margin_units == int(units[open_ == 1].sum())
    assert found.pixels == int(open_.sum())
    assert found.outside == 0


@settings(max_examples=100, deadline=None)
@given(
    side=st.sampled_from([1, 2, 7, 33]),
    classes=st.sampled_from([1, 4]),
    seed=st.integers(0, 2**32 - 1),
    wrong=st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 1.001, -0.001, 1e30]), max_size=6),
)
def test_every_score_that_is_none_is_counted_wherever_it_lies(
    side: int, classes: int, seed: int, wrong: list[float]
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random((classes, side, side), dtype=np.float32)
    places = rng.permutation(scores.size)[: len(wrong)]
    scores.reshape(-1)[places] = wrong[: len(places)]
    nothing = np.zeros((0, 0), np.uint8)
    assert measure(scores, Own(0, 0, 0, 0), nothing, -1e-4, 1 + 1e-4).outside == len(places)


def test_the_ends_of_the_range_belong_to_it() -> None:
    scores = np.array([0.0, 1.0, 0.5, 1.0], np.float32).reshape(1, 2, 2)
    assert measure(scores, Own(0, 2, 0, 2), np.ones((2, 2), np.uint8), 0.0, 1.0).outside == 0
    assert measure(np.nextafter(scores, np.float32(2)), Own(0, 0, 0, 0), np.ones((0, 0), np.uint8), 0.0, 1.0).outside


@settings(max_examples=100, deadline=None)
@given(
    data=st.data(),
    side=st.sampled_from([1, 2, 7, 16, 33, 130]),
    seed=st.integers(0, 2**32 - 1),
    chance=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
)
def test_invalid_pixels_are_closed_and_a_valid_one_anywhere_is_seen(
    data: st.DataObject, side: int, seed: int, chance: float
) -> None:
    rng = np.random.default_rng(seed)
    own = data.draw(owns(side))
    valid = (rng.random((side, side)) < chance).astype(np.uint8)
    open_ = mask_in_a_wider_row(rng, own, 0.7)
    whole, expected = open_.base, open_ & inside(valid, own)
    assert whole is not None
    outside = whole.copy()
    outside[:, 3 : 3 + own.shape[1]] = expected
    assert close_invalid(valid, own, open_) == bool(valid.any())
    assert np.array_equal(whole, outside), "something beside the own pixels was written"


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(0, 9), width=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
def test_labels_that_are_not_open_get_no_answer(rows: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (rows, width)).astype(np.uint8)
    open_ = rng.integers(0, 2, (rows, width)).astype(np.uint8)
    expected = np.where(open_ == 1, labels, 255)
    assert blank(labels, open_, 255) == int(np.count_nonzero(open_ == 0))
    assert np.array_equal(labels, expected)


def test_a_long_row_is_blanked_to_its_end() -> None:
    labels, open_ = np.zeros((2, 40_000), np.uint8), np.ones((2, 40_000), np.uint8)
    open_[1, -3:] = open_[0, 32_767:32_770] = 0
    assert blank(labels, open_, 7) == 6
    assert np.array_equal(labels == 7, open_ == 0)


def test_what_does_not_fit_is_refused_before_anything_is_written() -> None:
    scores, open_ = np.zeros((1, 4, 4), np.float32), np.ones((2, 2), np.uint8)
    for own in (Own(3, 5, 0, 2), Own(0, 2, -1, 1), Own(2, 1, 0, 2), Own(0, 2, 3, 5)):
        with pytest.raises(GeometryRefused):
            measure(scores, own, open_, 0, 1)
        with pytest.raises(GeometryRefused):
            close_invalid(np.zeros((4, 4), np.uint8), own, open_)
    with pytest.raises(GeometryRefused):
        measure(scores, Own(0, 3, 0, 2), open_, 0, 1)
    with pytest.raises(BufferMismatch):
        measure(scores.astype(np.float64), Own(0, 2, 0, 2), open_, 0, 1)
    with pytest.raises(BufferMismatch):
        measure(np.zeros((1, 4, 5), np.float32), Own(0, 2, 0, 2), open_, 0, 1)
    with pytest.raises(BufferMismatch):
        close_invalid(np.zeros((4, 5), np.uint8), Own(0, 2, 0, 2), open_)
    with pytest.raises(BufferMismatch):
        blank(np.zeros((2, 3), np.uint8), open_, 255)
    with pytest.raises(GeometryRefused):
        blank(np.zeros((2, 2), np.uint8), open_, 256)
    for low, high in ((-1.5, 1), (0, 2.5), (float("nan"), 1)):
        with pytest.raises(GeometryRefused):
            measure(scores, Own(0, 2, 0, 2), open_, low, high)
    with pytest.raises(GeometryRefused):
        measure(np.zeros((0, 4, 4), np.float32), Own(0, 2, 0, 2), open_, 0, 1)
    assert open_.all()

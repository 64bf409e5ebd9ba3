"""What is said of a tile's scores, against plain NumPy: checks, margins in units, pixels without an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.answer import MARGIN_ONE, AnswerRows, Own, Plane, holds_only
from bindings.faults import BufferMismatch, GeometryRefused

pytestmark = pytest.mark.arm

LEFT = 3  # columns of the scene to the left of the tile's own pixels


@st.composite
def owns(draw: st.DrawFn, side: int) -> Own:
    rows = sorted(draw(st.tuples(st.integers(0, side), st.integers(0, side))))
    columns = sorted(draw(st.tuples(st.integers(0, side), st.integers(0, side))))
    return Own(rows[0], rows[1], columns[0], columns[1])


def rows_of(rng: np.random.Generator, own: Own, chance: float) -> AnswerRows:
    """Rows that are wider than the tile's own pixels, some of them open."""
    answers = AnswerRows(max(1, own.end_row - own.first_row), own.end_col - own.first_col + 11)
    answers.begin(own.end_row - own.first_row)
    answers.open_[...] = rng.random(answers.open_.shape) < chance
    return answers


def inside(plane: NDArray[Any], own: Own) -> NDArray[Any]:
    return plane[..., own.first_row : own.end_row, own.first_col : own.end_col]


def of(rows: NDArray[Any], own: Own) -> NDArray[Any]:
    return rows[:, LEFT : LEFT + own.end_col - own.first_col]


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
    answers = rows_of(rng, own, chance)
    found = answers.measure(Plane(scores), own, LEFT, 0.0, 1.0)
    if classes == 1:
        margin = np.abs(inside(scores, own)[0] - np.float32(0.5)) * np.float32(2)
    else:
        ranked = np.sort(inside(scores, own), axis=0)
        margin = ranked[-1] - ranked[-2]
    units = (margin * np.float32(MARGIN_ONE) + np.float32(0.5)).astype(np.int64)
    open_ = of(answers.open_, own)
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
    answers = AnswerRows(side, side)
    found = answers.measure(Plane(scores), Own(0, side, 0, side), 0, -1e-4, 1 + 1e-4)
    assert found.outside == len(places)


def test_the_ends_of_the_range_belong_to_it() -> None:
    scores = np.array([0.0, 1.0, 0.5, 1.0], np.float32).reshape(1, 2, 2)
    answers, own = AnswerRows(2, 2), Own(0, 2, 0, 2)
    assert answers.measure(Plane(scores), own, 0, 0.0, 1.0).outside == 0
    assert answers.measure(Plane(np.nextafter(scores, np.float32(2))), own, 0, 0.0, 1.0).outside == 2
    assert answers.measure(Plane(np.nextafter(scores, np.float32(-1))), own, 0, 0.0, 1.0).outside == 1


@settings(max_examples=100, deadline=None)
@given(
    data=st.data(),
    side=st.sampled_from([1, 2, 7, 16, 33, 130]),
    seed=st.integers(0, 2**32 - 1),
    chance=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
)
def test_own_pixels_that_are_not_valid_are_closed_and_nothing_else_is(
    data: st.DataObject, side: int, seed: int, chance: float
) -> None:
    rng = np.random.default_rng(seed)
    own = data.draw(owns(side))
    valid = (rng.random((side, side)) < chance).astype(np.uint8)
    answers = rows_of(rng, own, 0.7)
    expected = answers.open_.copy()
    of(expected, own)[...] &= inside(valid, own)
    answers.close_invalid(Plane(valid), own, LEFT)
    assert np.array_equal(answers.open_, expected), "something beside the own pixels was written"


@settings(max_examples=100, deadline=None)
@given(
    rows=st.integers(0, 9),
    columns=st.integers(0, 20),
    bands=st.integers(1, 5),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    other=st.none() | st.tuples(st.integers(0, 8), st.integers(0, 19), st.integers(0, 4)),
)
def test_a_window_of_one_sample_alone_is_told_from_one_with_another(
    rows: int, columns: int, bands: int, dtype: str, other: tuple[int, int, int] | None
) -> None:
    fill = np.array(77, dtype)
    whole = np.full((rows, columns + 5, bands), 3, dtype)
    window = whole[:, 2 : 2 + columns]
    window[...] = fill
    inside_it = other is not None and other[0] < rows and other[1] < columns and other[2] < bands
    if other is not None and inside_it:
        window[other] = 78
    assert holds_only(window, fill) is not inside_it


def test_samples_of_another_type_or_with_gaps_are_refused() -> None:
    with pytest.raises(BufferMismatch):
        holds_only(np.zeros((2, 2, 2), np.uint8), np.array(0, np.uint16))
    with pytest.raises(BufferMismatch):
        holds_only(np.zeros((2, 4, 2), np.uint8)[:, ::2], np.array(0, np.uint8))
    with pytest.raises(BufferMismatch):
        holds_only(np.zeros((2, 4, 4), np.uint8)[:, :, ::2], np.array(0, np.uint8))


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(0, 9), width=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
def test_labels_that_are_not_open_get_no_answer(rows: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    answers = AnswerRows(9, width)
    answers.begin(rows)
    assert answers.open_.all()
    answers.labels[...] = rng.integers(0, 4, (rows, width))
    answers.open_[...] = rng.integers(0, 2, (rows, width))
    expected = np.where(answers.open_ == 1, answers.labels, 255)
    assert answers.blank(255) == int(np.count_nonzero(answers.open_ == 0))
    assert np.array_equal(answers.labels, expected)


def test_a_long_row_is_blanked_to_its_end() -> None:
    answers = AnswerRows(2, 40_000)
    answers.open_[1, -3:] = answers.open_[0, 32_767:32_770] = 0
    answers.labels[...] = 0
    assert answers.blank(7) == 6
    assert np.array_equal(answers.labels == 7, answers.open_ == 0)


def test_what_does_not_fit_is_refused() -> None:
    scores, valid = Plane(np.zeros((1, 4, 4), np.float32)), Plane(np.zeros((4, 4), np.uint8))
    answers, good = AnswerRows(2, 5), Own(0, 2, 0, 2)
    for own in (Own(3, 5, 0, 2), Own(0, 2, -1, 1), Own(2, 1, 0, 2), Own(0, 2, 3, 5), Own(0, 3, 0, 2)):
        with pytest.raises(GeometryRefused):
            answers.measure(scores, own, 0, 0, 1)
        with pytest.raises(GeometryRefused):
            answers.close_invalid(valid, own, 0)
    for left in (-1, 4):
        with pytest.raises(GeometryRefused):
            answers.close_invalid(valid, good, left)
    for low, high in ((-1.5, 1), (0, 2.5), (float("nan"), 1)):
        with pytest.raises(GeometryRefused):
            answers.measure(scores, good, 0, low, high)
    with pytest.raises(GeometryRefused):
        answers.measure(valid, good, 0, 0, 1)
    with pytest.raises(GeometryRefused):
        answers.close_invalid(scores, good, 0)
    with pytest.raises(GeometryRefused):
        answers.begin(3)
    with pytest.raises(GeometryRefused):
        answers.blank(256)
    with pytest.raises(GeometryRefused):
        AnswerRows(0, 4)
    assert answers.open_.all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 4, 4), np.float64),
        np.zeros((1, 4, 5), np.float32),
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 4), np.float32),
        np.zeros((2, 4, 8), np.float32)[:, :, ::2],
        np.zeros(4, np.uint8),
    ],
)
def test_a_buffer_that_c_must_not_see_is_refused(array: NDArray[Any]) -> None:
    with pytest.raises(BufferMismatch):
        Plane(array)


@pytest.mark.parametrize("shape", [(0, 4, 4), (255, 1, 1), (1, 0, 0)])
def test_a_tile_without_classes_or_pixels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(GeometryRefused):
        Plane(np.zeros(shape, np.float32))

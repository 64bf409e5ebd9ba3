"""Suppression through cells against the plain quadratic rule: the same boxes in the same order, for any boxes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.faults import BufferMismatch, GeometryRefused
from bindings.nms import BoxRefused, keep_boxes, suppress

pytestmark = pytest.mark.arm
THRESHOLDS = [0.0, 1e-30, 0.001, 0.1, 0.3, 0.5, 0.55, 0.7, 0.8, 0.9, 0.99, 0.9999, 1.0]


def reference(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int32] | None, threshold: float
) -> list[int]:
    """Every box against every kept box."""
    corners = boxes.astype(np.float64)
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: (-float(scores[i]), i)):
        others = np.array(kept, np.int64)
        low = np.maximum(corners[others, :2], corners[index, :2])
        high = np.minimum(corners[others, 2:], corners[index, 2:])
        sides = np.maximum(high - low, 0.0)
        shared = sides[:, 0] * sides[:, 1]
        over = shared > threshold * (area[others] + area[index] - shared)
        if classes is not None:
            over &= classes[others] == classes[index]
        if not over.any():
            kept.append(index)
    return kept


def scene(kind: str, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(count, 4) float32 boxes of one kind of trouble."""
    if kind == "any sizes":
        corner = rng.uniform(-6000, 6000, (count, 2))
        sides = 2.0 ** rng.uniform(0, np.log2(5000), (count, 2))
    elif kind == "all in one place":
        corner = rng.uniform(0, 3, (count, 2))
        sides = rng.uniform(20, 24, (count, 2))
    elif kind == "seams":
        half = rng.uniform(0, 300, (count, 2))
        half[count // 2 :] = half[: count - count // 2] + rng.normal(0, 0.6, (count - count // 2, 2))
        corner, sides = half, rng.uniform(8, 12, (count, 2))
    elif kind == "whole numbers, many equal":
        corner = rng.integers(-4, 5, (count, 2)).astype(np.float64)
        sides = rng.integers(0, 4, (count, 2)).astype(np.float64)
    elif kind == "near a power of two":
        corner = rng.integers(-2, 3, (count, 2)) * 8.0 + rng.choice([0, 1e-6, -1e-6], (count, 2))
        sides = 2.0 ** rng.integers(0, 6, (count, 2)) * rng.choice([1, 1 - 2**-23, 1 + 2**-22], (count, 2))
    elif kind == "thin":
        corner = rng.uniform(-50, 50, (count, 2))
        sides = np.where(rng.random((count, 1)) < 0.5, [1.0, 5000.0], [5000.0, 1.0]) * rng.uniform(0.5, 1.5, (count, 2))
    else:
        corner = rng.uniform(-1, 1, (count, 2)) * 2.0 ** rng.uniform(-149, 127, (count, 2))
        sides = 2.0 ** rng.uniform(-149, 127, (count, 2))
    with np.errstate(under="ignore"):
        boxes = np.concatenate((corner, corner + sides), axis=1).astype(np.float32)
    return np.asarray(np.clip(boxes, np.float32(-3e38), np.float32(3e38)), np.float32)


KINDS = [
    "any sizes",
    "all in one place",
    "seams",
    "whole numbers, many equal",
    "near a power of two",
    "thin",
    "any floats",
]


@settings(max_examples=250, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    count=st.integers(0, 120),
    threshold=st.sampled_from(THRESHOLDS) | st.floats(0.0, 1.0),
    levels=st.sampled_from([1, 3, 1 << 20]),
    kinds_of_object=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_kept_is_what_the_quadratic_rule_keeps(
    kind: str, count: int, threshold: float, levels: int, kinds_of_object: int | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    boxes = scene(kind, count, rng)
    scores = ((rng.integers(0, levels, count) - levels // 3) / levels).astype(np.float32)
    classes = None
    if kinds_of_object is not None:
        classes = rng.integers(-1, kinds_of_object - 1, count).astype(np.int32)
    kept = keep_boxes(boxes, scores, classes, iou_threshold=threshold)
    assert kept.dtype == np.int64
    assert kept.tolist() == reference(boxes, scores, classes, threshold)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.tuples(*[st.integers(0, 6)] * 4, st.integers(0, 2)), min_size=1, max_size=24),
    threshold=st.sampled_from([0.0, 1 / 3, 0.5, 1.0]),
)
def test_small_whole_boxes_with_shared_edges_and_exact_thirds(values: list[tuple[int, ...]], threshold: float) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in values], np.float32)
    scores = np.array([score for *_, score in values], np.float32)
    assert keep_boxes(boxes, scores, iou_threshold=threshold).tolist() == reference(boxes, scores, None, threshold)


def test_ties_are_won_by_the_lower_index_and_minus_zero_is_zero() -> None:
    boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (4, 1))
    assert keep_boxes(boxes, np.array([0.5, 0.7, 0.7, 0.7], np.float32), iou_threshold=0.5).tolist() == [1]
    assert keep_boxes(boxes, np.array([-0.0, 0.0, 0.0, -1.0], np.float32), iou_threshold=0.5).tolist() == [0]


def test_at_one_nothing_is_suppressed_and_at_zero_any_shared_area_does() -> None:
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [3, 3, 9, 9], [9, 3, 12, 9], [2, 2, 2, 3]], np.float32)
    scores = np.linspace(1, 0, 5).astype(np.float32)
    assert keep_boxes(boxes, scores, iou_threshold=1.0).tolist() == [0, 1, 2, 3, 4]
    assert keep_boxes(boxes, scores, iou_threshold=0.0).tolist() == [0, 3, 4]  # edges that touch share no area


def test_classes_do_not_suppress_each_other() -> None:
    boxes = np.tile(np.array([[5, 5, 9, 9]], np.float32), (3, 1))
    scores, classes = np.array([1, 2, 3], np.float32), np.array([7, -7, 7], np.int32)
    assert keep_boxes(boxes, scores, classes, iou_threshold=0.5).tolist() == [2, 1]


# --- the work, counted: never timed


def work(boxes: NDArray[np.float32], threshold: float) -> float:
    """Comparisons and cells a box."""
    done = suppress(boxes, np.linspace(1, 0, len(boxes)).astype(np.float32), iou_threshold=threshold)
    return (done.comparisons + done.cells) / len(boxes)


def nested(count: int) -> NDArray[np.float32]:
    """One centre, sides from one pixel to 5000: everything overlaps everything."""
    half = 2.0 ** np.linspace(-1, np.log2(2500), count)
    return np.stack((-half, -half, half, half), axis=1).astype(np.float32)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_the_work_a_box_does_not_grow_with_their_number(threshold: float) -> None:
    rng = np.random.default_rng(7)
    crowd: dict[str, Callable[[int], NDArray[np.float32]]] = {
        "nested": nested,
        "one place": lambda n: scene("all in one place", n, rng),
        "thin crosses": lambda n: scene("thin", n, rng),
        "a grid that just does not overlap": lambda n: np.array(
            [(8 * (i % 64), 8 * (i // 64), 8 * (i % 64) + 8, 8 * (i // 64) + 8) for i in range(n)], np.float32
        ),
    }
    for name, made in crowd.items():
        few, many = work(made(1000), threshold), work(made(8000), threshold)
        assert many < 2 * few + 250, name


def test_at_zero_a_box_over_many_small_ones_costs_no_more_than_those() -> None:
    """The declared worst case: no overlap bounds a size any more. Never more than all kept boxes and some cells."""
    small = np.array([(2 * (i % 50), 2 * (i // 50), 2 * (i % 50) + 1, 2 * (i // 50) + 1) for i in range(2000)])
    gaps = np.array([(-5000.0, 2 * i + 1.25, 5000.0, 2 * i + 1.75) for i in range(300)])  # between the rows
    boxes = np.concatenate((small, gaps)).astype(np.float32)
    done = suppress(boxes, np.linspace(1, 0, len(boxes)).astype(np.float32), iou_threshold=0.0)
    assert len(done.indices) == len(boxes)
    assert done.comparisons <= len(boxes) ** 2 / 2 + 20 * len(boxes)


# --- what is refused


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_box_or_score_that_is_no_number_is_named(wrong: float) -> None:
    for column in range(4):
        boxes = np.tile(np.array([[0, 0, 1, 1]], np.float32), (5, 1))
        boxes[3, column] = wrong
        with pytest.raises(BoxRefused) as told:
            keep_boxes(boxes, np.zeros(5, np.float32), iou_threshold=0.5)
        assert told.value.index == 3 and isinstance(told.value, ValueError)
    scores = np.zeros(2, np.float32)
    scores[1] = wrong
    with pytest.raises(BoxRefused, match="box 1"):
        keep_boxes(np.zeros((2, 4), np.float32), scores, iou_threshold=0.5)


@pytest.mark.parametrize("box", [[1, 0, 0, 1], [0, 1, 1, 0]])
def test_an_inverted_box_is_named(box: list[float]) -> None:
    with pytest.raises(BoxRefused, match="ends before it begins") as told:
        keep_boxes(np.array([[0, 0, 1, 1], box], np.float32), np.zeros(2, np.float32), iou_threshold=0.5)
    assert told.value.numbers()["index"] == 1


def test_what_does_not_fit_is_refused() -> None:
    boxes, scores = np.zeros((3, 4), np.float32), np.zeros(3, np.float32)
    for threshold in (-0.01, 1.01, float("nan")):
        with pytest.raises(GeometryRefused):
            keep_boxes(boxes, scores, iou_threshold=threshold)
    for wrong in (
        (boxes.astype(np.float64), scores, None),
        (boxes[:, :3], scores, None),
        (np.zeros((3, 5), np.float32), scores, None),
        (boxes[::2], scores, None),
        (boxes, scores[:2], None),
        (boxes, scores, np.zeros(3, np.int64)),
        (boxes, scores, np.zeros(2, np.int32)),
    ):
        with pytest.raises(BufferMismatch):
            keep_boxes(*wrong, iou_threshold=0.5)
    assert keep_boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), iou_threshold=0.5).shape == (0,)

"""The gate against plain NumPy over the same subsample, and its rule."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.faults import BufferMismatch, GeometryRefused, WindowMismatch
from bindings.gate import Gate, GateRule, GateStats, Verdict
from bindings.tiles import Layout

pytestmark = pytest.mark.arm

TO_HWC = {Layout.HWC: (0, 1, 2), Layout.BSQ: (1, 2, 0), Layout.BIL: (0, 2, 1)}
FROM_HWC = {Layout.HWC: (0, 1, 2), Layout.BSQ: (2, 0, 1), Layout.BIL: (0, 2, 1)}


def looked_at(first: int, side: int, length: int, step: int) -> NDArray[np.int64]:
    """The rows (or columns) of a tile that are looked at."""
    inside = np.arange(max(first, 0), min(first + side, length))
    return inside[(min(step, inside.size) - 1) // 2 :: step]


@settings(max_examples=200, deadline=None)
@given(
    layout=st.sampled_from(Layout),
    dtype=st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]),
    shape=st.tuples(
        st.sampled_from([1, 2, 9, 70]), st.sampled_from([1, 3, 64, 150]), st.sampled_from([1, 3, 4, 5, 19])
    ),
    side=st.sampled_from([1, 2, 7, 64, 140]),
    step=st.integers(1, 20),
    data=st.data(),
)
def test_what_is_seen_is_what_numpy_finds_in_the_subsample(
    layout: Layout, dtype: Any, shape: tuple[int, int, int], side: int, step: int, data: st.DataObject
) -> None:
    rows, cols, planes = shape
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    scene = rng.integers(0, data.draw(st.sampled_from([2, 100])), shape).astype(dtype)
    if dtype == np.float32:
        scene += rng.random(shape, np.float32)
        scene[rng.random(shape) < 0.02] = np.nan
    scene[rng.random(shape[:2]) < data.draw(st.sampled_from([0.0, 0.3, 1.0]))] = 1
    bands = data.draw(st.sampled_from([tuple(range(planes)), (planes - 1,), (0, planes - 1, 0), (planes - 1, 0)]))
    if planes >= 4:
        bands = data.draw(st.sampled_from([bands, (1, 2, 3), (0, 1, 2, 3)]))
    row, col = data.draw(st.integers(1 - side, rows - 1)), data.draw(st.integers(1 - side, cols - 1))
    nodata, brightness = (
        data.draw(st.sampled_from([None, 1.0, 1e9, 0.5])),
        data.draw(st.sampled_from([None, 1.5, 40.0])),
    )
    gate = Gate(
        layout=layout, columns=cols, planes=planes, dtype=dtype, bands=bands, nodata=nodata, side=side, step=step,
        brightness=brightness,
    )  # fmt: skip
    roomy = np.zeros([n + 3 for n in np.transpose(scene, FROM_HWC[layout]).shape], dtype)
    window = roomy[tuple(slice(1, n + 1) for n in np.transpose(scene, FROM_HWC[layout]).shape)]
    window[...] = np.transpose(scene, FROM_HWC[layout])
    stats = gate.look(window, first_row=0, scene_rows=rows, row=row, col=col)

    pixels = scene[np.ix_(looked_at(row, side, rows, step), looked_at(col, side, cols, step))]
    seen = pixels[:, :, list(bands)].reshape(-1, len(bands))
    bad = np.isnan(seen).any(axis=1)
    if nodata is not None:
        bad |= (seen == nodata).all(axis=1)
    good = seen[~bad].astype(np.float64)
    assert (stats.looked, stats.nodata, stats.valid) == (len(seen), bad.sum(), len(good))
    assert stats.nodata_fraction == bad.mean()
    bright = good.mean(axis=1) >= brightness if brightness is not None and len(good) else np.zeros(len(good))
    assert stats.bright == bright.sum()
    if not len(good):
        assert all(math.isnan(number) for number in (*stats.minimum, *stats.maximum, *stats.mean))
        return
    assert stats.bright_fraction == bright.mean()
    np.testing.assert_array_equal(stats.minimum, good.min(axis=0))
    np.testing.assert_array_equal(stats.maximum, good.max(axis=0))
    if dtype == np.float32:
        np.testing.assert_allclose(stats.mean, good.mean(axis=0), rtol=1e-12)
    else:
        np.testing.assert_array_equal(stats.mean, good.sum(axis=0) / len(good))


def test_a_window_of_some_rows_shows_what_the_whole_scene_shows() -> None:
    scene = np.random.default_rng(0).integers(0, 99, (60, 40, 4), dtype=np.uint16)
    gate = Gate(layout=Layout.HWC, columns=40, planes=4, dtype=np.uint16, bands=(0, 2), nodata=None, side=16, step=4)
    whole = gate.look(scene, first_row=0, scene_rows=60, row=20, col=-3)
    assert gate.look(scene[20:36], first_row=20, scene_rows=60, row=20, col=-3) == whole
    with pytest.raises(WindowMismatch, match="row 21"):
        gate.look(scene[22:36], first_row=22, scene_rows=60, row=20, col=-3)
    with pytest.raises(WindowMismatch, match="row 33"):
        gate.look(scene[20:33], first_row=20, scene_rows=60, row=20, col=-3)


SETUP: dict[str, Any] = {
    "layout": Layout.HWC, "columns": 40, "planes": 4, "dtype": np.uint16, "bands": (0, 1), "nodata": None, "side": 16,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dtype": np.float64}, "float64"),
        ({"bands": ()}, "bands"),
        ({"bands": (0, 4)}, "bands"),
        ({"bands": (-1,)}, "bands"),
        ({"step": 0}, "step 0"),
        ({"side": 0}, "side 0"),
        ({"columns": 0}, "columns 0"),
        ({"brightness": math.inf}, "brightness"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(GeometryRefused, match=says):
        Gate(**{**SETUP, **change})


@pytest.mark.parametrize(
    ("window", "change", "error", "says"),
    [
        (np.zeros((60, 40, 4), np.int16), {}, BufferMismatch, "int16"),
        (np.zeros((60, 40), np.uint16), {}, BufferMismatch, "axes"),
        (np.zeros((60, 40, 8), np.uint16)[..., ::2], {}, BufferMismatch, "contiguous"),
        (np.zeros((60, 41, 4), np.uint16), {}, GeometryRefused, "41"),
        (np.zeros((60, 40, 4), np.uint16), {"row": 60}, GeometryRefused, "row 60"),
        (np.zeros((60, 40, 4), np.uint16), {"row": -16}, GeometryRefused, "row -16"),
        (np.zeros((60, 40, 4), np.uint16), {"col": 40}, GeometryRefused, "col 40"),
        (np.zeros((60, 40, 4), np.uint16), {"first_row": 1}, GeometryRefused, "1 to 60"),
        (np.zeros((60, 40, 4), np.uint16), {"first_row": -1}, GeometryRefused, "-1 to 58"),
    ],
)
def test_a_window_that_was_not_announced_is_refused(
    window: NDArray[Any], change: dict[str, int], error: type[Exception], says: str
) -> None:
    place = {"first_row": 0, "scene_rows": 60, "row": 0, "col": 0, **change}
    with pytest.raises(error, match=says):
        Gate(**SETUP).look(window, **place)


def stats(looked: int, nodata: int, bright: int, maximum: float) -> GateStats:
    return GateStats(looked, nodata, bright, np.array([[0.0], [maximum], [7.0]]).tobytes())


@pytest.mark.parametrize(
    ("rule", "seen", "verdict"),
    [
        (GateRule(), stats(64, 64, 0, -math.inf), Verdict.NODATA),
        (GateRule(), stats(64, 63, 1, 9), Verdict.LOOK),
        (GateRule(nodata_from=0.5), stats(64, 32, 0, 9), Verdict.NODATA),
        (GateRule(nodata_from=None), stats(64, 64, 0, -math.inf), Verdict.LOOK),
        (GateRule(nodata_from=None, dark_below=5), stats(64, 64, 0, -math.inf), Verdict.LOOK),
        (GateRule(bright_from=0.9), stats(64, 24, 36, 9), Verdict.BRIGHT),
        (GateRule(bright_from=0.9), stats(64, 24, 35, 9), Verdict.LOOK),
        (GateRule(dark_below=9.5), stats(64, 0, 0, 9), Verdict.DARK),
        (GateRule(dark_below=9), stats(64, 0, 0, 9), Verdict.LOOK),
    ],
)
def test_a_rule_names_the_first_reason_that_holds(rule: GateRule, seen: GateStats, verdict: Verdict) -> None:
    assert rule.verdict(seen) is verdict


@pytest.mark.parametrize("change", [{"nodata_from": 0.0}, {"bright_from": 1.1}, {"dark_below": math.nan}])
def test_a_rule_that_makes_no_sense_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(GeometryRefused, match=next(iter(change))):
        GateRule(**change)

"""Spectral algebra against plain NumPy and exact integers, and its bits against the promised order written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.crc import crc32c
from bindings.faults import BufferMismatch, GeometryRefused
from bindings.spectral import (
    BandAlgebra,
    Moments,
    SingularCovariance,
    TooFewPixels,
    matched_filter,
    normalised_difference,
)
from bindings.tiles import Layout

pytestmark = pytest.mark.arm

FROM_HWC = {Layout.HWC: (0, 1, 2), Layout.BSQ: (2, 0, 1), Layout.BIL: (0, 2, 1)}
DTYPES = [np.uint8, np.uint16, np.int16, np.float32]


def laid_out(scene: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """The (rows, cols, bands) scene in another order of axes, as a part of a larger array."""
    turned = np.transpose(scene, FROM_HWC[layout])
    roomy = np.zeros([n + 2 for n in turned.shape], scene.dtype)
    window = roomy[tuple(slice(1, n + 1) for n in turned.shape)]
    window[...] = turned
    return window


@st.composite
def scenes(draw: st.DrawFn) -> NDArray[Any]:
    shape = draw(st.tuples(st.sampled_from([1, 2, 5]), st.sampled_from([1, 3, 31, 32, 33, 70]), st.integers(1, 21)))
    dtype = draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = (0, 255) if dtype == np.uint8 else (0, 65535) if dtype == np.uint16 else (-32768, 32767)
    scene = rng.integers(low, high, shape, endpoint=True).astype(dtype)
    if dtype == np.float32:
        scene += rng.random(shape, np.float32)
        scene[rng.random(shape) < 0.01] = np.nan
        scene[rng.random(shape) < 0.01] = -np.inf
    scene[rng.random(shape[:2]) < 0.2] = 7
    return scene


def chosen(scene: NDArray[Any], bands: tuple[int, ...], nodata: float | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """(rows, cols, bands) of the chosen bands, and which pixels are valid."""
    part = scene[:, :, list(bands)]
    valid = np.isfinite(part).all(axis=2)
    if nodata is not None:
        valid &= ~(part == nodata).all(axis=2)
    return part, valid


@settings(max_examples=120, deadline=None)
@given(scene=scenes(), layout=st.sampled_from(Layout), nodata=st.sampled_from([None, 7.0, 7.5, -1e9]), data=st.data())
def test_moments_are_those_of_numpy(
    scene: NDArray[Any], layout: Layout, nodata: float | None, data: st.DataObject
) -> None:
    planes = scene.shape[2]
    bands = data.draw(st.sampled_from([tuple(range(planes)), (planes - 1,), (planes - 1, 0)]))
    moments = Moments(bands, nodata=nodata)
    window, cut = laid_out(scene, layout), data.draw(st.integers(0, len(scene)))
    row_axis = FROM_HWC[layout].index(0)
    parts = (window.take(range(cut), row_axis), window.take(range(cut, len(scene)), row_axis))
    found = sum(moments.add(np.ascontiguousarray(part), layout) for part in parts)
    part, valid = chosen(scene, bands, nodata)
    spectra = part[valid].astype(np.float64)
    assert found == moments.pixels == len(spectra)
    if len(spectra) < 2:
        with pytest.raises(TooFewPixels):
            moments.covariance()
        return
    if scene.dtype != np.float32:  # sums of integers are exact
        total = spectra.astype(np.int64).sum(axis=0)
        np.testing.assert_array_equal(moments.mean(), total / len(spectra))
    scale = np.abs(spectra).max() ** 2 + 1
    np.testing.assert_allclose(moments.mean(), spectra.mean(axis=0), rtol=1e-13, atol=1e-13 * np.sqrt(scale))
    expected = np.cov(spectra, rowvar=False, ddof=1).reshape(len(bands), len(bands))
    np.testing.assert_allclose(moments.covariance(), expected, rtol=1e-11, atol=1e-13 * scale * len(spectra))


@settings(max_examples=60, deadline=None)
@given(scene=scenes(), data=st.data())
def test_moments_have_the_same_bits_for_every_layout_and_split_of_rows(
    scene: NDArray[Any], data: st.DataObject
) -> None:
    bands = tuple(range(scene.shape[2]))
    origin = np.arange(len(bands)) * 0.3
    bits = set()
    for layout in Layout:
        for cut in (0, data.draw(st.integers(0, len(scene)))):
            moments = Moments(bands, nodata=7, origin=origin)
            for part in (scene[:cut], scene[cut:]):
                moments.add(laid_out(part, layout), layout)
            if moments.pixels > 1:
                bits.add((moments.pixels, moments.mean().tobytes(), moments.covariance().tobytes()))
    assert len(bits) <= 1
    part, valid = chosen(scene, bands, 7)
    if valid.sum() < 2:
        return
    total, products = np.zeros(len(bands)), np.zeros((len(bands), len(bands)))
    for spectrum in part[valid].astype(np.float64) - origin:  # the order of additions, written out
        total += spectrum
        products += np.multiply.outer(spectrum, spectrum)
    count = int(valid.sum())
    scatter = (products - np.multiply.outer(total, total) / count) / (count - 1)
    assert bits == {(count, (origin + total / count).tobytes(), scatter.tobytes())}


def in_lanes(weights: NDArray[np.float64], spectra: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eight sums over every eighth band, in the order that is promised."""
    lanes = np.zeros((*spectra.shape[:-1], 8))
    for band, weight in enumerate(weights):
        lanes[..., band % 8] += weight * spectra[..., band]
    a, b, c, d, e, f, g, h = np.moveaxis(lanes, -1, 0)
    result: NDArray[np.float64] = ((a + e) + (c + g)) + ((b + f) + (d + h))
    return result


@settings(max_examples=120, deadline=None)
@given(scene=scenes(), layout=st.sampled_from(Layout), divide=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_weighted_sums_and_ratios_have_the_bits_of_their_order(
    scene: NDArray[Any], layout: Layout, divide: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bands = tuple(range(scene.shape[2]))
    above, below, origin = rng.normal(size=(3, len(bands)))
    algebra = BandAlgebra(
        bands, tuple(above), tuple(below) if divide else (), 0.5, -0.25, tuple(origin) if seed % 2 else ()
    )
    out = np.full(scene.shape[:2], 9, np.float32)
    found = algebra.apply(laid_out(scene, layout), layout, out, nodata=7)
    part, valid = chosen(scene, bands, 7)
    assert found == valid.sum()
    spectra = np.where(valid[..., None], part, 0).astype(np.float64) - (origin if seed % 2 else 0)
    with np.errstate(all="ignore"):
        expected = in_lanes(above, spectra) + 0.5
        if divide:
            expected = expected / (in_lanes(below, spectra) - 0.25)
        expected = np.where(valid, expected, np.nan).astype(np.float32)
    np.testing.assert_array_equal(out, expected)


def test_a_normalised_difference_is_nothing_where_both_are_zero() -> None:
    scene = np.array([[[3, 9, 1], [0, 5, 0], [0, 5, 4]]], np.uint16)
    out = np.zeros((1, 3), np.float32)
    normalised_difference(2, 0).apply(scene, Layout.HWC, out)
    np.testing.assert_array_equal(out, np.array([[-0.5, np.nan, 1.0]], np.float32))


@settings(max_examples=40, deadline=None)
@given(
    bands=st.integers(1, 40), dtype=st.sampled_from([np.uint16, np.float32]), seed=st.integers(0, 2**32 - 1),
    shrinkage=st.sampled_from([0.0, 0.1]),
)  # fmt: skip
def test_the_matched_filter_is_that_of_the_inverse(bands: int, dtype: Any, seed: int, shrinkage: float) -> None:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(bands, bands)) + 3 * np.eye(bands)
    scene = (1000 + 50 * rng.normal(size=(20, 50, bands)) @ mixing).clip(0, 65535).astype(dtype)
    moments = Moments(range(bands), origin=np.full(bands, 1000))
    moments.add(scene, Layout.HWC)
    mean, covariance = moments.mean(), moments.covariance()
    target = -rng.random(bands) * mean
    algebra = matched_filter(range(bands), mean, covariance, target, shrinkage=shrinkage)
    out = np.zeros((20, 50), np.float32)
    algebra.apply(scene, Layout.HWC, out)
    used = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / bands * np.eye(bands)
    inverse = np.linalg.inv(used)
    expected = (scene.astype(np.float64) - mean) @ inverse @ target / (target @ inverse @ target)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    spot = BandAlgebra(algebra.bands, algebra.above)
    one = np.zeros((1, 1), np.float32)
    spot.apply(target.astype(np.float32).reshape(1, 1, -1), Layout.HWC, one)
    assert one[0, 0] == pytest.approx(1, abs=1e-5)


def test_moments_and_filter_of_a_known_scene_have_the_recorded_bits() -> None:
    count = np.arange(40 * 30 * 12, dtype=np.uint64)
    noise = ((count * np.uint64(6364136223846793005)) >> np.uint64(33)).astype(np.uint16).reshape(40, 30, 12)
    moments = Moments(range(12), nodata=3)
    moments.add(noise, Layout.HWC)
    algebra = matched_filter(range(12), moments.mean(), moments.covariance(), np.arange(1, 13), shrinkage=0.01)
    out = np.zeros((40, 30), np.float32)
    algebra.apply(noise, Layout.HWC, out)
    assert (crc32c(moments.covariance()), crc32c(np.array(algebra.above)), crc32c(out)) == (
        3698020400,
        3858118573,
        3237609469,
    )


def test_a_covariance_that_cannot_be_inverted_is_named_and_shrinkage_helps() -> None:
    scene = np.random.default_rng(1).integers(0, 999, (10, 10, 3), dtype=np.uint16)
    scene[..., 2] = scene[..., 0] // 2 * 2
    scene[..., 0] = scene[..., 2]
    moments = Moments((0, 1, 2))
    moments.add(scene, Layout.HWC)
    mean, covariance = moments.mean(), moments.covariance()
    with pytest.raises(SingularCovariance, match="band 2") as caught:
        matched_filter((0, 1, 2), mean, covariance, (1, 1, 1))
    assert caught.value.band == 2
    matched_filter((0, 1, 2), mean, covariance, (1, 1, 1), shrinkage=0.01)
    with pytest.raises(SingularCovariance, match="band 0"):
        matched_filter((0, 1), (0, 0), np.zeros((2, 2)), (1, 1), shrinkage=0.5)


def test_moments_of_no_pixels_are_refused() -> None:
    moments = Moments((0,), nodata=0)
    assert moments.add(np.zeros((3, 0, 1), np.uint8), Layout.HWC) == 0
    assert moments.add(np.zeros((3, 4, 1), np.uint8), Layout.HWC) == 0
    with pytest.raises(TooFewPixels, match="1 valid"):
        moments.mean()
    moments.add(np.ones((1, 1, 1), np.uint8), Layout.HWC)
    assert moments.mean() == 1
    with pytest.raises(TooFewPixels, match="2 valid"):
        moments.covariance()


@pytest.mark.parametrize(
    ("bands", "origin"), [((), None), ((-1,), None), (range(1025), None), ((0,), [0, 1]), ((0,), [np.nan])]
)
def test_moments_that_make_no_sense_are_refused(bands: Any, origin: Any) -> None:
    with pytest.raises(GeometryRefused):
        Moments(bands, origin=origin)


@pytest.mark.parametrize(
    ("window", "error"),
    [
        (np.zeros((4, 4, 2), np.float64), BufferMismatch),
        (np.zeros((4, 4), np.uint8), BufferMismatch),
        (np.zeros((4, 4, 4), np.uint8)[..., ::2], BufferMismatch),
        (np.zeros((4, 4, 1), np.uint8), GeometryRefused),
    ],
)
def test_windows_that_c_must_not_see_are_refused(window: NDArray[Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Moments((0, 1)).add(window, Layout.HWC)
    with pytest.raises(error):
        normalised_difference(0, 1).apply(window, Layout.HWC, np.zeros((4, 4), np.float32))


def test_an_output_of_another_shape_or_over_the_window_is_refused() -> None:
    window = np.zeros((4, 4, 2), np.float32)
    wrong: tuple[NDArray[Any], ...] = (
        np.zeros((4, 5), np.float32),
        np.zeros((4, 4)),
        np.zeros((4, 8), np.float32)[:, ::2],
    )
    for out in wrong:
        with pytest.raises(BufferMismatch):
            normalised_difference(0, 1).apply(window, Layout.HWC, out)
    with pytest.raises(GeometryRefused, match="overlap"):
        normalised_difference(0, 1).apply(window, Layout.HWC, window.reshape(-1)[:16].reshape(4, 4))


@pytest.mark.parametrize(
    "change",
    [
        {"above": (1.0,)}, {"below": (1.0,)}, {"origin": (1.0,)}, {"above": (np.nan, 1.0)}, {"above_shift": np.inf},
    ],
)  # fmt: skip
def test_algebra_that_does_not_fit_its_bands_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(GeometryRefused):
        BandAlgebra(**{"bands": (0, 1), "above": (1.0, 1.0), **change})


@pytest.mark.parametrize(
    "change",
    [{"mean": (0,)}, {"target": (0, 0)}, {"target": (0, np.nan)}, {"covariance": np.eye(3)}, {"shrinkage": 1.5}],
)
def test_a_filter_that_does_not_fit_its_bands_is_refused(change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"mean": (0, 0), "covariance": np.eye(2), "target": (1, 1), **change}
    with pytest.raises(GeometryRefused):
        matched_filter((0, 1), **arguments)

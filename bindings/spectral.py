"""Algebra over the bands of a pixel, for a hundred bands and more: moments, matched filter, weighted sums and ratios.

Everything is computed in float64 with a fixed order of additions: the same bits on every machine, for every layout, and
however the rows of a scene are split over calls. A pixel is not valid where a band is not finite or all are nodata.
The matched filter is that of Manolakis, Marden and Shaw (Lincoln Laboratory Journal 14, 2003), as flown for methane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bindings.errors import BindingsError
from bindings.faults import GeometryRefused
from bindings.ffi import check, ffi, lib, view
from bindings.tiles import Layout

_SAMPLES: Final[dict[np.dtype[Any], int]] = {
    np.dtype(np.uint8): lib.SW_SPECTRA_U8,
    np.dtype(np.uint16): lib.SW_SPECTRA_U16,
    np.dtype(np.int16): lib.SW_SPECTRA_I16,
    np.dtype(np.float32): lib.SW_SPECTRA_F32,
}
_LANES: Final = int(lib.SW_SPECTRA_LANES)
BANDS_MAX: Final = int(lib.SW_SPECTRA_BANDS_MAX)


class SingularCovariance(BindingsError, ValueError):
    """A covariance that cannot be inverted: too few pixels, or bands that depend on each other."""

    code = "singular_covariance"

    def __init__(self, band: int, pivot: float) -> None:
        super().__init__(
            f"the covariance is singular at band {band} (pivot {pivot:.3g}); more pixels or shrinkage help"
        )
        self.band, self.pivot = band, pivot


class TooFewPixels(BindingsError, ValueError):
    """Moments of fewer valid pixels than they need."""

    code = "too_few_pixels"

    def __init__(self, pixels: int, needed: int) -> None:
        super().__init__(f"{needed} valid pixels are needed, there are {pixels}")
        self.pixels, self.needed = pixels, needed


class _Spectra:
    """The chosen bands of windows, as C sees them."""

    def __init__(self, bands: Sequence[int], nodata: float | None, origin: NDArray[np.float64]) -> None:
        self.bands = tuple(index(band) for band in bands)
        count = len(self.bands)
        if not 1 <= count <= BANDS_MAX or min(self.bands) < 0:
            raise GeometryRefused(f"1 to {BANDS_MAX} bands, counted from 0, are needed, got {self.bands}")
        if origin.shape != (count,) or not np.isfinite(origin).all():
            raise GeometryRefused(f"the origin is a finite number for each of {count} bands")
        known = nodata is not None and not math.isnan(nodata)
        self.padded = -(-count // _LANES) * _LANES
        self._keep = (
            ffi.new("int32_t[]", self.bands),
            ffi.new("double[]", origin.tolist()),
            ffi.new("double[]", int(lib.SW_SPECTRA_PIXELS) * self.padded),
        )
        band, start, room = self._keep
        self.c = ffi.new(
            "sw_spectra *",
            {
                "bands": count, "band": band, "has_nodata": known, "nodata": nodata if known else 0.0,
                "origin": start, "room": room,
            },
        )  # fmt: skip

    def see(self, window: NDArray[Any], layout: Layout) -> tuple[Any, int, int]:
        """Address, rows and columns of a window, once C may see it."""
        source = view("window", window, tuple(_SAMPLES), 3, contiguous=False)
        axes = Layout(layout).axes
        rows, cols, planes = (window.shape[axis] for axis in axes)
        if max(self.bands) >= planes:
            raise GeometryRefused(f"bands {self.bands} of a window with {planes}")
        c = self.c
        c.sample, c.rows, c.cols = _SAMPLES[window.dtype], rows, cols
        # of an axis of one element NumPy may keep any stride at all
        c.row_stride, c.col_stride, c.band_stride = (
            window.strides[axis] // window.itemsize if window.shape[axis] > 1 else 1 for axis in axes
        )
        return source, rows, cols


def _padded(numbers: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    return np.concatenate((numbers, np.zeros(length - numbers.size)))


def _doubles(array: NDArray[np.float64]) -> Any:
    return ffi.cast("double *", view("array", array, np.float64, array.ndim, writable=True))


class Moments:
    """Mean and covariance of spectra, window by window.

    bands: which planes, in this order. nodata: as in the module. origin: subtracted from every sample before anything
    is summed, per band, default 0: something near the mean keeps small variances on large means exact. Integer
    samples with an origin of whole numbers are summed without any rounding as long as no sum exceeds 2**53.
    Raises GeometryRefused. Not to be shared by threads.
    """

    def __init__(self, bands: Sequence[int], *, nodata: float | None = None, origin: ArrayLike | None = None) -> None:
        start = np.zeros(len(bands)) if origin is None else np.array(origin, np.float64)
        self._spectra, self._origin = _Spectra(bands, nodata, start), start
        self._sum = np.zeros(self._spectra.padded)
        self._products = np.zeros((self._spectra.padded, self._spectra.padded))
        self.pixels = 0  # valid ones so far

    def add(self, window: NDArray[Any], layout: Layout) -> int:
        """Take all pixels of `window` (u8, u16, i16 or f32; last axis contiguous); returns how many were valid.

        Raises BufferMismatch, GeometryRefused. Releases the GIL.
        """
        source, _, _ = self._spectra.see(window, layout)
        found = int(check(lib.sw_spectra_add(source, self._spectra.c, _doubles(self._sum), _doubles(self._products))))
        self.pixels += found
        return found

    def mean(self) -> NDArray[np.float64]:
        """(bands,) float64, in units of the samples. Raises TooFewPixels."""
        if self.pixels < 1:
            raise TooFewPixels(self.pixels, 1)
        mean: NDArray[np.float64] = self._origin + self._sum[: self._origin.size] / self.pixels
        return mean

    def covariance(self) -> NDArray[np.float64]:
        """(bands, bands) float64, symmetric, divided by pixels - 1. Raises TooFewPixels."""
        if self.pixels < 2:
            raise TooFewPixels(self.pixels, 2)
        count = self._origin.size
        total, upper = self._sum[:count], np.triu(self._products[:count, :count])
        products = upper + np.triu(upper, 1).T
        scatter: NDArray[np.float64] = (products - np.outer(total, total) / self.pixels) / (self.pixels - 1)
        return scatter


@dataclass(frozen=True, slots=True)
class BandAlgebra:
    """(sum of above * (x - origin) + above_shift) / (sum of below * (x - origin) + below_shift), per pixel.

    bands: the planes x is taken from; above, below, origin: a number for each. below empty: no division; origin empty:
    zero. See `normalised_difference` and `matched_filter` for the usual ones.
    """

    bands: tuple[int, ...]
    above: tuple[float, ...]
    below: tuple[float, ...] = ()
    above_shift: float = 0.0
    below_shift: float = 0.0
    origin: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.bands)
        if len(self.above) != count or len(self.below) not in (0, count) or len(self.origin) not in (0, count):
            raise GeometryRefused(
                f"{len(self.above)} and {len(self.below)} weights and {len(self.origin)} origins for {count} bands"
            )
        if not all(map(math.isfinite, (*self.above, *self.below, *self.origin, self.above_shift, self.below_shift))):
            raise GeometryRefused("weights, shifts and origins must be finite")

    def apply(
        self, window: NDArray[Any], layout: Layout, out: NDArray[np.float32], *, nodata: float | None = None
    ) -> int:
        """Fill `out` (rows, cols) float32; returns how many pixels are valid.

        window: u8, u16, i16 or f32, last axis contiguous. NaN where a pixel is not valid or its divisor is 0.
        Raises BufferMismatch, GeometryRefused. Releases the GIL.
        """
        spectra = _Spectra(self.bands, nodata, np.array(self.origin or (0.0,) * len(self.bands)))
        source, rows, cols = spectra.see(window, layout)
        target = view("out", out, np.float32, 2, shape=(rows, cols), writable=True)
        if np.may_share_memory(window, out):
            raise GeometryRefused("window and out must not overlap in memory")
        above = ffi.new("double[]", _padded(np.array(self.above), spectra.padded).tolist())
        below: Any = ffi.NULL
        if self.below:
            below = ffi.new("double[]", _padded(np.array(self.below), spectra.padded).tolist())
        shifts = self.above_shift, self.below_shift
        return int(
            check(
                lib.sw_spectra_weigh(
                    source, spectra.c, above, shifts[0], below, shifts[1], ffi.cast("float *", target)
                )
            )
        )  # fmt: skip


def normalised_difference(first: int, second: int) -> BandAlgebra:
    """(a - b) / (a + b) of planes a = `first` and b = `second`."""
    return BandAlgebra((first, second), (1.0, -1.0), (1.0, 1.0))


def matched_filter(
    bands: Sequence[int], mean: ArrayLike, covariance: ArrayLike, target: ArrayLike, *, shrinkage: float = 0.0
) -> BandAlgebra:
    """alpha = (x - mean)' S^-1 target / (target' S^-1 target): 0 for the mean, 1 for mean + target.

    mean, target: (bands,); covariance: (bands, bands). shrinkage: 0 ... 1, S = (1 - shrinkage) * covariance
    + shrinkage * (mean variance) * identity, for few pixels or bands that depend on each other. Raises
    SingularCovariance, GeometryRefused.
    """
    centre, wanted, scatter = (np.array(number, np.float64) for number in (mean, target, covariance))
    count = len(bands)
    if centre.shape != (count,) or wanted.shape != (count,) or scatter.shape != (count, count):
        raise GeometryRefused(
            f"mean {centre.shape}, target {wanted.shape} and covariance {scatter.shape} do not fit {count} bands"
        )
    if not (np.isfinite(centre).all() and np.isfinite(wanted).all() and np.isfinite(scatter).all()):
        raise GeometryRefused("mean, target and covariance must be finite")
    if not 0.0 <= shrinkage <= 1.0:
        raise GeometryRefused(f"shrinkage is 0 to 1, got {shrinkage}")
    if not wanted.any():
        raise GeometryRefused("the target is zero in every band")
    scatter = (1.0 - shrinkage) * scatter
    scatter[np.diag_indices(count)] += shrinkage * (math.fsum(np.diag(np.array(covariance, np.float64))) / count)
    weights = _solve(scatter, wanted)
    weights = weights / math.fsum(wanted * weights)
    return BandAlgebra(tuple(bands), tuple(weights.tolist()), origin=tuple(centre.tolist()))


def _solve(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """matrix^-1 right by Cholesky, column by column: products and differences of arrays alone, so that no library's
    choice of kernels changes a bit."""
    lower: NDArray[np.float64] = np.tril(matrix)
    count = len(matrix)
    smallest = count * np.finfo(np.float64).eps * np.diag(matrix)
    for k in range(count):
        pivot = float(lower[k, k])
        if not pivot > smallest[k]:
            raise SingularCovariance(k, pivot)
        lower[k:, k] /= math.sqrt(pivot)
        below = lower[k + 1 :, k]
        lower[k + 1 :, k + 1 :] -= np.multiply.outer(below, below)
    solved: NDArray[np.float64] = right.copy()
    for k in range(count):
        solved[k] /= lower[k, k]
        solved[k + 1 :] -= solved[k] * lower[k + 1 :, k]
    for k in reversed(range(count)):
        solved[k] /= lower[k, k]
        solved[:k] -= solved[k] * lower[k, :k]
    return solved

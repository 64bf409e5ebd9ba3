"""A hundred bands: moments and matched filter against NumPy, on one window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bindings.spectral import Moments, matched_filter
from bindings.tiles import Layout


def contestants(side: int, bands: int) -> dict[str, Callable[[], object]]:
    """What timing.interleave() takes: ours and NumPy's, on a side x side x bands u16 window, interleaved by pixel.

    `moments` against `moments_matmul` (float64 copy, X'X by the linear algebra library) and `moments_einsum`; `filter`
    against `filter_matmul` and `filter_einsum`; `read` is one pass over the window.
    """
    rng = np.random.default_rng(bands)
    scene = rng.integers(0, 10_000, (side, side, bands), dtype=np.uint16)
    out = np.zeros((side, side), np.float32)
    chosen = range(bands)
    moments = Moments(chosen)
    moments.add(scene, Layout.HWC)
    mean = moments.mean()
    algebra = matched_filter(chosen, mean, moments.covariance(), -0.01 * mean)
    weights = np.array(algebra.above)

    def moments_matmul() -> object:
        spectra = scene.reshape(-1, bands).astype(np.float64)
        return spectra.mean(axis=0), spectra.T @ spectra

    def moments_einsum() -> object:
        spectra = scene.reshape(-1, bands).astype(np.float64)
        return spectra.mean(axis=0), np.einsum("pi,pj->ij", spectra, spectra)

    return {
        "moments": lambda: Moments(chosen).add(scene, Layout.HWC),
        "moments_matmul": moments_matmul,
        "moments_einsum": moments_einsum,
        "filter": lambda: algebra.apply(scene, Layout.HWC, out),
        "filter_matmul": lambda: ((scene - mean) @ weights).astype(np.float32),
        "filter_einsum": lambda: np.einsum("rcb,b->rc", scene - mean, weights).astype(np.float32),
        "read": lambda: np.max(scene),
    }

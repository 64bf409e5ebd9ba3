"""What a graph costs on this board: time per tile and memory."""

from __future__ import annotations

import resource
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from payload_models.inference import Session
from payload_models.loader import Application

WARM_UP = 3  # the first runs allocate and choose kernels


@dataclass(frozen=True, slots=True)
class Measurement:
    """One variant, one thread, tiles of the manifest's size."""

    model: str
    tile: int
    runs: int
    median_ms: float
    fastest_ms: float
    p10_ms: float
    p90_ms: float
    megapixels_per_s: float  # at the median, of the pixels that a tile is made of
    peak_rss_mb: float  # of this process, so far: the interpreter and the runtime are in it
    added_rss_mb: float  # by which this variant raised that peak


def measure(application: Application, variant: int, host_s: Callable[[], float], *, runs: int) -> Measurement:
    """Run one variant `runs` times on seeded pixels. `host_s`: a monotonic clock in seconds."""
    manifest, entry = application.manifest, application.manifest.variant[variant]
    tile = manifest.input.tile
    before = _peak_mb()
    session = Session(application, variant)
    pixels = np.random.default_rng(1).random((len(entry.bands), tile, tile), np.float32)
    for _ in range(WARM_UP):
        session.run(pixels)
    took = []
    for _ in range(runs):
        begun = host_s()
        session.run(pixels)
        took.append(1e3 * (host_s() - begun))
    low, high = np.quantile(took, (0.1, 0.9))
    median = statistics.median(took)
    return Measurement(
        model=entry.model,
        tile=tile,
        runs=runs,
        median_ms=median,
        fastest_ms=min(took),
        p10_ms=float(low),
        p90_ms=float(high),
        megapixels_per_s=tile * tile / 1e3 / median if median else float("inf"),
        peak_rss_mb=_peak_mb(),
        added_rss_mb=_peak_mb() - before,
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

"""What the graphs of an application cost on this board: time per tile, memory, does it keep up with a sensor."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from bindings.stitch import TileGrid
from payload_models.loader import Application
from payload_models.runtime.bench_request import Answer, FormTimes, Request, over_float
from payload_models.runtime.errors import BenchDied
from payload_models.runtime.policy import InferencePolicy

LIMIT_S = 3600.0
MAX_ANSWER_BYTES = 64 << 20
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Frame:
    """What a sensor asks of the board."""

    columns: int  # of a line
    lines_per_s: float

    def tiles_per_s(self, application: Application) -> float:
        """Tiles that must be inferred in a second for every line to be looked at."""
        cut = application.manifest.input
        grid = TileGrid(self.columns, cut.tile, cut.overlap, cut.margin)
        return grid.columns * self.lines_per_s / (cut.tile - cut.overlap)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One form of a variant on tiles of the manifest's size, bound to its buffers."""

    model: str
    variant: int
    precision: str  # float, u8, s8
    providers: tuple[str, ...]
    threads: int
    tile: int
    runs: int
    median_ms: float
    fastest_ms: float
    p10_ms: float
    p90_ms: float
    over_float: float  # median of the rounds' ratios; 1 for float
    tiles_per_s: float  # at the median
    megapixels_per_s: float  # of the pixels that a tile is made of
    load_ms: float  # making the session out of the graph
    peak_rss_mb: float  # of the process, with interpreter and runtime
    added_rss_mb: float  # by which this form raised that


def measure(application: Application, variant: int, policy: InferencePolicy, *, runs: int) -> list[Measurement]:
    """Run every form of one variant `runs` times in turns, in a process of its own. Raises BenchDied."""
    entry = application.manifest.variant[variant]
    request = Request(folder=str(application.folder.resolve()), variant=variant, policy=policy, runs=runs)
    found = _ask(entry.model, request)
    if [form.precision for form in found] != [form.precision for form in entry.forms]:
        raise BenchDied(entry.model, "answered something else")
    tile = application.manifest.input.tile
    return [
        _measurement(form.model, variant, times, found[0], policy, tile)
        for form, times in zip(entry.forms, found, strict=True)
    ]


def utilisation(application: Application, frame: Frame, found: Measurement) -> float:
    """The share of its time that a board is busy with a frame's tiles, at the 90th percentile; above 1 it falls behind.

    Inference alone: cutting and stitching overlap with it where there is a second core.
    """
    return frame.tiles_per_s(application) * found.p90_ms / 1e3


def _ask(model: str, request: Request) -> tuple[FormTimes, ...]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "payload_models.runtime.bench_child"],
            input=msgspec.json.encode(request),
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchDied(model, f"did not answer within {LIMIT_S:g} s") from None
    if done.returncode < 0:
        raise BenchDied(model, f"died with {signal.Signals(-done.returncode).name}")
    try:
        answer = msgspec.json.decode(done.stdout[:MAX_ANSWER_BYTES], type=Answer)
    except msgspec.DecodeError:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise BenchDied(model, f"gave no answer: {' '.join(said[-1:])[:200]}") from None
    if answer.code:
        raise BenchDied(model, f"was refused: {answer.message}")
    return answer.forms


def _measurement(
    model: str, variant: int, times: FormTimes, reference: FormTimes, policy: InferencePolicy, tile: int
) -> Measurement:
    took_ms = [1e3 * took_s for took_s in times.took_s]
    low, high = np.quantile(took_ms, (0.1, 0.9))
    median = statistics.median(took_ms)
    return Measurement(
        model=model,
        variant=variant,
        precision=times.precision,
        providers=times.providers,
        threads=policy.threads,
        tile=tile,
        runs=len(took_ms),
        median_ms=median,
        fastest_ms=min(took_ms),
        p10_ms=float(low),
        p90_ms=float(high),
        over_float=over_float(times, reference),
        tiles_per_s=1e3 / median if median else float("inf"),
        megapixels_per_s=tile * tile / 1e3 / median if median else float("inf"),
        load_ms=1e3 * times.load_s,
        peak_rss_mb=times.peak_mb,
        added_rss_mb=times.added_mb,
    )

"""The engine over a scene that is made while it is read; run as a program: the memory that a scene takes."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindings.stitch import TileGrid
from bindings.tiles import Normalisation
from flight.pipeline.engine import Engine, EngineSetup, Step
from flight.pipeline.engine_session import RunningSession
from flight.pipeline.flow import ONE_CORE, Flow
from flight.pipeline.session import OnnxSession
from payload_models.loader import load_application

TILE = 256
STRIP_ROWS = 256


class MadeScene:
    """A LineSource without a file: two rows of pixels, repeated in turns of 64, so that it holds next to nothing."""

    def __init__(self, width: int, height: int, bands: int) -> None:
        self._kinds = np.full((2, width, bands), 3000, np.uint16)
        wet = np.cos(np.arange(width) / 90.0) > 0.4
        self._kinds[0, wet] = self._kinds[1, ~wet] = 300
        self._height = height

    columns = property(lambda self: self._kinds.shape[1])
    bands = property(lambda self: self._kinds.shape[2])
    dtype = "uint16"
    lines = property(lambda self: self._height)
    available = property(lambda self: self._height)

    def read_into(self, first: int, out: NDArray[Any]) -> None:
        np.take(self._kinds, np.arange(first, first + len(out)) // 64 % 2, axis=0, out=out, mode="clip")

    def release(self, before: int) -> None:
        """Nothing is held."""

    def lost_ranges(self) -> tuple[tuple[int, int], ...]:
        return ()


class SpinSession:
    """Stands for a fast accelerator: every tile takes so long of a core, without the interpreter's lock."""

    def __init__(self, seconds: float) -> None:
        octets = memoryview(bytes(1 << 20))
        took = sorted(self._timed(octets) for _ in range(9))[4]
        self._work = memoryview(bytes(round(len(octets) * seconds / took)))

    @staticmethod
    def _timed(octets: memoryview) -> float:
        began = time.perf_counter()
        hashlib.sha256(octets)
        return time.perf_counter() - began

    def bind(self, pixels: NDArray[Any], scores: NDArray[np.float32]) -> _Spin:
        scores.fill(0.7)
        return _Spin(self._work)


class _Spin:
    def __init__(self, work: memoryview) -> None:
        self._work = work

    def run(self) -> None:
        hashlib.sha256(self._work)


def graph_session(application: str) -> OnnxSession:
    """The first graph of an application, as the pipeline runs it."""
    app = load_application(application, check_graphs=False)
    entry = app.manifest.variant[0]
    return OnnxSession(app.model_bytes(0), bands=len(entry.bands), classes=app.manifest.planes)


class EndToEnd:
    """One scene through the engine. shares: of every run, its wall time over the wall time inside the session."""

    def __init__(
        self, side: int, session: RunningSession, *, overlap: int, bands: int = 4, flow: Flow = ONE_CORE
    ) -> None:
        self._scene, self._session, self._flow = MadeScene(side, side, bands), session, flow
        self._setup = setup_of(side, bands, overlap)
        self.shares: list[float] = []

    def run(self) -> None:
        engine = Engine(self._setup, self._scene, self._session, lambda *_: None, time.perf_counter, flow=self._flow)
        began = time.perf_counter()
        while engine.step() != Step.FINISHED:
            pass
        self.shares.append((time.perf_counter() - began) / engine.progress.inference_s)


def as_it_flies() -> Flow:
    """The flow that `swath run` and the payload process take: all cores of this process, whichever form is faster."""
    return Flow(cores=len(os.sched_getaffinity(0)))


def setup_of(width: int, bands: int, overlap: int) -> EngineSetup:
    return EngineSetup(
        grid=TileGrid(width, TILE, overlap, 0),
        band_indices=tuple(range(bands)),
        norm=Normalisation((1e-4,) * bands, (0.0,) * bands, 0.0, 1.0),
        planes=1,
        threshold=0.5,
        nodata=None,
        area=None,
        model_sha256=bytes(32),
    )


def main() -> int:
    """WIDTH HEIGHT: four u16 bands through `water`'s graph of two, into encoded strips."""
    from flight.pipeline.peak_memory import peak_rss_mb
    from flight.product.mask import StripEncoder

    width, height = int(sys.argv[1]), int(sys.argv[2])
    app = load_application("water", check_graphs=False)
    variant = next(index for index, entry in enumerate(app.manifest.variant) if len(entry.bands) == 2)
    session = OnnxSession(app.model_bytes(variant), bands=2, classes=1)
    kept: list[bytes] = []
    encoder = StripEncoder(width, STRIP_ROWS)

    def take(_first_row: int, rows: NDArray[np.uint8]) -> None:
        while len(rows):
            count = min(STRIP_ROWS - encoder.rows, len(rows))
            encoder.feed(rows[:count])
            rows = rows[count:]
            if encoder.rows == STRIP_ROWS:
                kept.append(encoder.end()[1])

    plan = setup_of(width, 2, 0)
    engine = Engine(plan, MadeScene(width, height, 4), session, take, time.perf_counter)
    while engine.step() != Step.FINISHED:
        pass
    kept.append(encoder.end()[1])
    print(json.dumps({"peak_rss_mb": peak_rss_mb(), "product_bytes": sum(map(len, kept))}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

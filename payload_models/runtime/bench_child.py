"""The process in which a graph is measured: what a provider or a wheel does to it harms nobody else.

`python -m payload_models.runtime.bench_child` reads one request in JSON from standard input and answers one line. Every
form of a variant is loaded and run in turns, so that whatever else the computer does meets them alike.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import msgspec
import numpy as np

from hal.clock import SystemClock
from payload_models.loader import Application, load_application
from payload_models.runtime.bench_request import WARM_UP, Answer, FormTimes, Request
from payload_models.runtime.errors import InferenceError
from payload_models.runtime.session import OnnxSession


def examine(request: Request) -> Answer:
    """Measure. Raises InferenceError and the errors of loading an application."""
    application = load_application(Path(request.folder), check_graphs=False)
    clock = SystemClock()
    entry = application.manifest.variant[request.variant]
    tile, planes = application.manifest.input.tile, application.manifest.planes
    bound, loads, peaks, added, providers = [], [], [], [], []
    for form in range(len(entry.forms)):
        before_mb = _restart_peak()
        began_s = clock.host_s()
        session = _session(application, request, form, tile)
        loads.append(clock.host_s() - began_s)
        pixels = _pixels(session, tile)
        slot = session.bind(pixels, np.zeros((1, planes, tile, tile), np.float32))
        for _ in range(WARM_UP):
            slot.run()
        peaks.append(_peak_mb())
        added.append(max(0.0, peaks[-1] - before_mb))
        providers.append(session.providers)
        bound.append(slot)
    took: list[list[float]] = [[] for _ in bound]
    for number in range(request.runs):
        for index in range(len(bound)):
            which = (index + number) % len(bound)
            began_s = clock.host_s()
            bound[which].run()
            took[which].append(clock.host_s() - began_s)
    return Answer(
        forms=tuple(
            FormTimes(
                precision=form.precision,
                providers=providers[index],
                took_s=tuple(took[index]),
                load_s=loads[index],
                peak_mb=peaks[index],
                added_mb=added[index],
            )
            for index, form in enumerate(entry.forms)
        )
    )


def _session(application: Application, request: Request, form: int, tile: int) -> OnnxSession:
    entry = application.manifest.variant[request.variant]
    return OnnxSession(
        application.model_bytes(request.variant, form),
        bands=len(entry.bands),
        classes=application.manifest.planes,
        side=tile,
        policy=request.policy,
        quantisation=entry.forms[form].quantisation,
    )


def _pixels(session: OnnxSession, tile: int) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """Seeded pixels of the session's type."""
    rng, shape = np.random.default_rng(1), (1, session.bands, tile, tile)
    if session.quantisation is None:
        return rng.random(shape, np.float32)
    return rng.integers(0, 250, shape).astype(np.uint8).astype(session.input_dtype)


def _restart_peak() -> float:
    """Let the kernel count the peak of resident memory anew, where it can; the peak from which it counts."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak_mb()  # the peak only ever rises here
    return _peak_mb()


def _peak_mb() -> float:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except (OSError, ValueError, IndexError):
        pass  # not Linux, or no proc: the other count has no restart
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Read a request, answer it."""
    request = msgspec.json.decode(sys.stdin.buffer.read(1 << 16), type=Request)
    try:
        answer = examine(request)
    except InferenceError as error:
        answer = Answer(code=error.code, message=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

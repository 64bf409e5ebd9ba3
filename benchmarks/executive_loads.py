"""What the executive is measured under: nothing, inference in its own process, a Python hog, the lock held in C.

`python -m benchmarks.executive_loads` is the process that infers until its input ends.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.executive_witness import keep_interpreter

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "payload_models" / "cloud" / "cloud.onnx"
HELD_NS = 25_000_000  # the interpreter's lock, in one C call
NICE = 19
READY = "ready"


class LoadMissing(RuntimeError):
    """A load that cannot be had here; the message says why."""


@contextlib.contextmanager
def none(_: Path) -> Iterator[None]:
    """No load of ours; what else the machine does is not ours to say."""
    yield


@contextlib.contextmanager
def inference(_: Path) -> Iterator[None]:
    """ONNX Runtime in a process of its own, nice 19, over and over. Raises LoadMissing."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.executive_loads"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        try:
            if process.stdout.readline().strip() != READY:
                raise LoadMissing(f"no inference: {(process.stderr.read().strip().splitlines() or ['it ended'])[-1]}")
            yield
        finally:
            process.stdin.close()
            process.terminate()


@contextlib.contextmanager
def hog(_: Path) -> Iterator[None]:
    """A thread of the same interpreter that computes in Python and gives way only when its time slice is over."""

    def compute(ended: threading.Event) -> None:
        number = 0
        while not ended.is_set():
            for _ in range(1_000):
                number = (number * 31 + 7) & 0xFFFF

    with _thread(compute):
        yield


@contextlib.contextmanager
def gil(library: Path) -> Iterator[None]:
    """A thread of the same interpreter in C calls of 25 ms each that do not give its lock back."""

    def hold(ended: threading.Event) -> None:
        while not ended.is_set():
            keep_interpreter(library, HELD_NS)

    with _thread(hold):
        yield


LOADS = {"none": none, "inference": inference, "hog": hog, "gil": gil}
IN_OTHER_PROCESSES = ("none", "inference")  # loads under which the release of Python's slots is judged


@contextlib.contextmanager
def _thread(target: Callable[[threading.Event], None]) -> Iterator[None]:
    """Begun before the caller asks for real time, which a thread would inherit."""
    ended = threading.Event()
    thread = threading.Thread(target=target, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def infer() -> None:
    """Until the input ends: the parent closes it, also by dying."""
    import numpy as np
    import onnxruntime

    os.nice(NICE)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
    wanted = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 if at == 0 else 256 for at, size in enumerate(wanted.shape)]
    pixels = {wanted.name: np.zeros(shape, np.float32)}
    session.run(None, pixels)
    print(READY, flush=True)
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    while not ended.is_set():
        session.run(None, pixels)


if __name__ == "__main__":
    infer()

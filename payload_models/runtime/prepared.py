"""Graphs made ready on the computer that runs them: optimised by ONNX Runtime, or built into an engine by TensorRT.

Either is good for one graph, one runtime, one processor or GPU and one size of tile: that is its key. It is made in
commissioning alone, never in a pass, and read back as octets whose hash the commissioning record vouches for.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import onnxruntime

from payload_models.runtime.commissioning import PreparedKey
from payload_models.runtime.errors import GraphRejected
from payload_models.runtime.policy import InferencePolicy, Provider
from payload_models.runtime.providers import requested
from payload_models.runtime.session import fix_shape, make_session, session_options

MAX_PREPARED_BYTES = 256 << 20
_PROCESSOR_LINES = ("model name", "flags", "Features", "CPU implementer", "CPU part", "CPU variant")


def key_of(model_sha256: str, provider: Provider, side: int, root: Path = Path("/")) -> PreparedKey:
    """The key of a graph on this computer."""
    return PreparedKey(
        model_sha256=model_sha256,
        runtime=f"onnxruntime {onnxruntime.__version__}",
        processor=processor_digest(root),
        device=device_identity(root) if provider in ("cuda", "tensorrt") else "",
        provider=provider,
        side=side,
    )


def processor_digest(root: Path = Path("/")) -> str:
    """Names the processor's kind and instructions, not this one of its kind."""
    try:
        text = (root / "proc" / "cpuinfo").read_text(errors="replace")
    except OSError:
        text = ""
    first = text.split("\n\n", 1)[0].splitlines()
    said = [" ".join(line.split()) for line in first if line.split(":")[0].strip() in _PROCESSOR_LINES]
    return hashlib.sha256("\n".join([platform.machine(), *sorted(said)]).encode()).hexdigest()[:32]


def device_identity(root: Path = Path("/"), tensorrt: Callable[[], str] | None = None) -> str:
    """GPU, driver and TensorRT in words; what cannot be found is left out."""
    gpus = sorted((root / "proc" / "driver" / "nvidia" / "gpus").glob("*/information"))
    lines = [line for path in gpus[:1] for line in path.read_text(errors="replace").splitlines()]
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model:")]
    try:
        driver = (root / "proc" / "driver" / "nvidia" / "version").read_text(errors="replace").splitlines()[0]
    except (OSError, IndexError):
        driver = ""
    try:
        board = (root / "proc" / "device-tree" / "model").read_text(errors="replace").rstrip("\0\n")
    except OSError:
        board = ""
    parts = [*names, board, " ".join(driver.split()), (tensorrt or _tensorrt_version)()]
    return "; ".join(part for part in parts if part)[:200]


def optimise(model: bytes, policy: InferencePolicy, side: int) -> bytes:
    """The graph as ONNX Runtime would run it on this processor, in its own format. Raises GraphRejected."""
    options = session_options(policy)
    fix_shape(options, model, side)
    options.add_session_config_entry("session.save_model_format", "ORT")
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        path = Path(folder) / "optimised.ort"
        options.optimized_model_filepath = str(path)
        make_session(model, options, requested(replace(policy, providers=("cpu",)), _available()))
        return _made(path)


def build_engine(model: bytes, policy: InferencePolicy, side: int, available: Sequence[str] | None = None) -> bytes:
    """The graph with TensorRT's engine inside, an EPContext node: minutes of work.

    Raises ProviderMissing, GraphRejected.
    """
    wanted = requested(replace(policy, providers=("tensorrt",)), _available() if available is None else available)
    options = session_options(policy)
    fix_shape(options, model, side)
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        path = Path(folder) / "engine.onnx"
        for name, value in (("enable", "1"), ("embed_mode", "1"), ("file_path", str(path))):
            options.add_session_config_entry(f"ep.context_{name}", value)
        make_session(model, options, wanted)
        return _made(path)


def _made(path: Path) -> bytes:
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise GraphRejected("ONNX Runtime wrote no prepared graph") from error
    if not 0 < len(octets) <= MAX_PREPARED_BYTES:
        raise GraphRejected(f"a prepared graph of {len(octets)} bytes")
    return octets


def _available() -> list[str]:
    return list(onnxruntime.get_available_providers())


def _tensorrt_version() -> str:
    for major in (10, 9, 8):
        try:
            library = ctypes.CDLL(f"libnvinfer.so.{major}")
        except OSError:
            continue
        library.getInferLibVersion.restype = ctypes.c_int
        return f"TensorRT {library.getInferLibVersion()}"
    return ""

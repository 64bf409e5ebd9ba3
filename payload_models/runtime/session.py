"""One ONNX graph ready to run on tiles (ONNX Runtime)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bindings.tiles import Quantisation
from payload_models.errors import GraphRefused
from payload_models.onnx_format import MODEL
from payload_models.protobuf_wire import Reader
from payload_models.runtime.deadline import RunDeadline
from payload_models.runtime.errors import (
    GraphRejected,
    InferenceFailed,
    InferenceTimedOut,
    ModelOutputInvalid,
    TileMismatch,
)
from payload_models.runtime.policy import DEFAULT_POLICY, InferencePolicy
from payload_models.runtime.providers import HOST_MEMORY, check_in_force, requested

INPUT_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int8)": np.dtype(np.int8),
}


class BoundTile(Protocol):
    """A graph with its input and output bound to two buffers."""

    def run(self) -> None:
        """Read the pixels, write the scores. Raises InferenceFailed, InferenceTimedOut. Releases the GIL."""


class Session(Protocol):
    """What runs an application's graph on tiles."""

    bands: int
    classes: int
    input_dtype: np.dtype[Any]  # float32, or uint8 or int8 with a quantisation
    quantisation: Quantisation | None

    def run(self, tile: NDArray[Any]) -> NDArray[np.float32]:
        """Scores (1, classes, H, W), checked, of one tile (1, bands, H, W)."""

    def bind(self, pixels: NDArray[Any], scores: NDArray[np.float32]) -> BoundTile:
        """Bind two buffers for good. What a bound run writes is not checked."""


class OnnxSession:
    """A graph `pixels` (1, bands, H, W) -> `scores` float32 (1, classes, H, W).

    One thread by default, spinning off, so that inference never takes a core from the executive.
    """

    def __init__(
        self,
        model: bytes,
        *,
        bands: int,
        classes: int,
        side: int | None = None,
        policy: InferencePolicy = DEFAULT_POLICY,
        quantisation: Quantisation | None = None,
        optimised: bool = False,
        host_s: Callable[[], float] | None = None,
        available: Sequence[str] | None = None,
    ) -> None:
        """model: bytes whose hash was checked; `optimised` says that payload_models.runtime.optimised made them.

        side: of every tile; None takes any, slower to start. quantisation: of a graph whose input is not float32.
        host_s: with it, the watchdog ends a run that takes longer than the policy's `tile_limit_s`. available: the
        providers of this build. Raises GraphRejected, ProviderMissing.
        """
        wanted = requested(policy, onnxruntime.get_available_providers() if available is None else available)
        options = session_options(policy)
        if optimised:
            # The octets are copied. Not copying them (`session.use_ort_model_bytes_for_initializers`) computes with
            # freed memory: the Python module drops what it was given once the session is made.
            options.add_session_config_entry("session.load_model_format", "ORT")
        elif side is not None:
            fix_shape(options, model, side)
        self._session = make_session(model, options, wanted)
        check_in_force(policy, self._session.get_providers())
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [item.name for item in inputs] != ["pixels"] or [item.name for item in outputs] != ["scores"]:
            raise GraphRejected("it must have the one input `pixels` and the one output `scores`")
        declared = inputs[0].shape
        if len(declared) != 4 or (isinstance(declared[1], int) and declared[1] != bands):
            raise GraphRejected(f"input `pixels` is {declared}, the manifest gives {bands} bands")
        if side is not None and declared != [1, bands, side, side]:
            raise GraphRejected(f"input `pixels` is {declared}, tiles are {[1, bands, side, side]}")
        if inputs[0].type not in INPUT_TYPES or (inputs[0].type != "tensor(float)") != (quantisation is not None):
            said = "a quantisation" if quantisation is not None else "no quantisation"
            raise GraphRejected(f"input `pixels` is {inputs[0].type}, the manifest gives {said}")
        self.bands, self.classes, self.side = bands, classes, side
        self.input_dtype = INPUT_TYPES[inputs[0].type]
        self.quantisation = quantisation
        self._run_options = onnxruntime.RunOptions()
        self._run_options.log_severity_level = 4
        self._deadline = None
        if host_s is not None:
            self._deadline = RunDeadline(policy.tile_limit_s, host_s, self._run_options)

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers in force, in order of preference, by ONNX Runtime's names."""
        return tuple(self._session.get_providers())

    def run(self, tile: NDArray[Any]) -> NDArray[np.float32]:
        """Scores (1, classes, H, W) of one tile. Raises InferenceFailed, InferenceTimedOut, ModelOutputInvalid."""
        (scores,) = self._timed(lambda: self._session.run(["scores"], {"pixels": tile}, self._run_options))
        expected = (1, self.classes, *tile.shape[2:])
        if not isinstance(scores, np.ndarray) or scores.shape != expected or scores.dtype != np.float32:
            raise ModelOutputInvalid(f"expected float32 {expected}, got {getattr(scores, 'shape', None)}")
        low, high = float(scores.min()), float(scores.max())
        if not (low >= -1e-4 and high <= 1 + 1e-4):  # a NaN fails both
            raise ModelOutputInvalid(f"scores run from {low} to {high}, outside 0 ... 1")
        return scores

    def bind(self, pixels: NDArray[Any], scores: NDArray[np.float32]) -> BoundTile:
        """Bind a ring slot: pixels (1, bands, H, W) of `input_dtype`, scores (1, classes, H, W) float32.

        Both C-contiguous, aligned, kept by what is returned, and not moved while it is used. Raises TileMismatch.
        """
        rows, cols = pixels.shape[2:] if pixels.ndim == 4 else (0, 0)
        if self.side is not None:
            rows = cols = self.side
        _fits("pixels", pixels, (1, self.bands, rows, cols), self.input_dtype)
        _fits("scores", scores, (1, self.classes, rows, cols), np.dtype(np.float32))
        if not scores.flags.writeable or np.may_share_memory(pixels, scores):
            raise TileMismatch("scores", "writable and apart from `pixels`", "memory that is not")
        return _OnnxTile(self, pixels, scores)

    def close(self) -> None:
        """End the watchdog's thread; the session may not be run any more."""
        if self._deadline is not None:
            self._deadline.close()

    def _timed(self, work: Callable[[], Any]) -> Any:
        """One run under the deadline, its errors by name."""
        if self._deadline is not None:
            self._deadline.begin()
        failure: Exception | None = None
        answer: Any = None
        try:
            answer = work()
        except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
            failure = error
        stopped_s = self._deadline.end() if self._deadline is not None else None
        if failure is None:
            return answer  # it may have ended just before it was told to stop
        if stopped_s is not None and self._deadline is not None:
            raise InferenceTimedOut(self._deadline.limit_s, stopped_s) from failure
        raise InferenceFailed(one_line(failure)) from failure


class _OnnxTile:
    """An IOBinding: made once, no array is allocated or copied per run."""

    def __init__(self, session: OnnxSession, pixels: NDArray[Any], scores: NDArray[np.float32]) -> None:
        self._owner, self._pixels, self._scores = session, pixels, scores
        self._binding = session._session.io_binding()
        # a device of its own gets the pixels when they are bound, so they are bound for every run
        self._rebinds = not HOST_MEMORY.issuperset(session.providers)
        self._bind_pixels()
        self._binding.bind_output("scores", "cpu", 0, np.float32, scores.shape, scores.ctypes.data)

    def run(self) -> None:
        """As BoundTile.run."""
        self._owner._timed(self._once)

    def _once(self) -> None:
        if self._rebinds:
            self._bind_pixels()
        self._owner._session.run_with_iobinding(self._binding, self._owner._run_options)

    def _bind_pixels(self) -> None:
        pixels = self._pixels
        self._binding.bind_input("pixels", "cpu", 0, pixels.dtype.type, pixels.shape, pixels.ctypes.data)


def session_options(policy: InferencePolicy) -> Any:
    """onnxruntime.SessionOptions of a policy."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = policy.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = policy.arena
    options.log_severity_level = 4
    options.use_deterministic_compute = policy.deterministic
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if policy.flush_denormals:
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if not policy.kleidiai:
        options.add_session_config_entry("mlas.disable_kleidiai", "1")
    if "cpu" not in policy.providers:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


def fix_shape(options: Any, model: bytes, side: int) -> None:
    """Give the free dimensions of `pixels` the size of a tile. Raises GraphRejected for what is no ONNX file."""
    try:
        graph = Reader().read(memoryview(model), MODEL).get("graph") or {}
    except GraphRefused as error:
        raise GraphRejected(f"{error.reason}: {error.detail}") from error
    for item in graph.get("input", []):
        dimensions = item.get("type", {}).get("tensor_type", {}).get("shape", {}).get("dim", [])
        for dimension in dimensions[2:4]:
            if dimension.get("dim_param"):
                options.add_free_dimension_override_by_name(dimension["dim_param"], side)


def make_session(model: bytes, options: Any, wanted: Sequence[tuple[str, dict[str, str]]]) -> Any:
    """An onnxruntime.InferenceSession that never changes its providers. Raises GraphRejected."""
    names, settings = [name for name, _ in wanted], [values for _, values in wanted]
    try:
        return onnxruntime.InferenceSession(
            model, options, providers=names, provider_options=settings, enable_fallback=0
        )
    except Exception as error:
        # ONNX Runtime's exceptions share no base below Exception
        raise GraphRejected(one_line(error)) from error


def _fits(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if array.shape != shape or array.dtype != dtype or 0 in shape:
        raise TileMismatch(name, f"{dtype} {shape}", f"{array.dtype} {array.shape}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise TileMismatch(name, "C-contiguous and aligned", "other strides or alignment")


def one_line(error: Exception) -> str:
    """An error's text without line breaks, bounded."""
    return " ".join(str(error).split())[:300] or type(error).__name__

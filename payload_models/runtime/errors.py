"""What can go wrong between a graph and its scores."""

from __future__ import annotations

from collections.abc import Sequence

from payload_models.errors import ModelError
from payload_models.runtime.codes import RecordRefusal


class InferenceError(ModelError):
    """Base of every error of loading and running a graph."""

    code = "inference_error"


class GraphRejected(InferenceError, ValueError):
    """ONNX Runtime cannot load the graph, or its inputs and outputs are not those of an application."""

    code = "graph_rejected"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the graph cannot be run: {reason}")
        self.reason = reason


class InferenceFailed(InferenceError, RuntimeError):
    """A run of the graph ended with an error."""

    code = "inference_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"inference failed: {reason}")
        self.reason = reason


class InferenceTimedOut(InferenceError, TimeoutError):
    """A run was stopped because it took longer than a tile may. The session can be used again."""

    code = "inference_timed_out"

    def __init__(self, limit_s: float, took_s: float) -> None:
        super().__init__(f"a tile may take {limit_s:g} s; its run was stopped after {took_s:.3f} s")
        self.limit_s, self.took_s = limit_s, took_s


class ModelOutputInvalid(InferenceError, ValueError):
    """Scores of the wrong shape, not finite, or outside 0 ... 1."""

    code = "model_output_invalid"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the model's output is invalid: {reason}")
        self.reason = reason


class TileMismatch(InferenceError, ValueError):
    """A buffer that cannot be a session's input or output: wrong shape, type, or layout in memory."""

    code = "tile_mismatch"

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(f"`{name}` must be {expected}, got {found}")
        self.name, self.expected, self.found = name, expected, found


class ProviderMissing(InferenceError, LookupError):
    """A configured execution provider that this build of ONNX Runtime does not have, or could not start."""

    code = "provider_missing"
    exit_status = 2

    def __init__(self, provider: str, have: Sequence[str], reason: str) -> None:
        super().__init__(f"execution provider `{provider}` is configured: {reason}; here: {', '.join(have) or 'none'}")
        self.provider, self.have, self.reason = provider, tuple(have), reason

    def __str__(self) -> str:  # LookupError's kin would show the repr
        return str(self.args[0])


class RuntimeUnusable(InferenceError, ImportError):
    """ONNX Runtime cannot be imported here: it is missing, broken, or made for another processor."""

    code = "runtime_unusable"
    exit_status = 2

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}; {advice}")
        self.reason, self.advice = reason, advice


class BenchDied(InferenceError, ChildProcessError):
    """The process that measured a graph ended without an answer."""

    code = "bench_died"

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"{model}: the measuring process {reason}")
        self.model, self.reason = model, reason


class CommissioningInvalid(InferenceError, ValueError):
    """What commissioning recorded cannot be read, or is not what its seal says."""

    code = "commissioning_invalid"
    exit_status = 2

    def __init__(self, path: str, reason: str, refusal: RecordRefusal) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason, self.refusal = path, reason, refusal

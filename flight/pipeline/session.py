"""One ONNX graph ready to run on tiles (ONNX Runtime, CPU)."""

from __future__ import annotations

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from flight.pipeline.errors import PipelineError


class GraphRejected(PipelineError, ValueError):
    """ONNX Runtime cannot load the graph, or its inputs and outputs are not those of an application."""

    code = "graph_rejected"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the graph cannot be run: {reason}")
        self.reason = reason


class InferenceFailed(PipelineError, RuntimeError):
    """A run of the graph ended with an error."""

    code = "inference_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"inference failed: {reason}")
        self.reason = reason


class ModelOutputInvalid(PipelineError, ValueError):
    """Scores of the wrong shape, not finite, or outside 0 ... 1."""

    code = "model_output_invalid"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the model's output is invalid: {reason}")
        self.reason = reason


class OnnxSession:
    """A graph `pixels` float32 (1, bands, H, W) -> `scores` float32 (1, classes, H, W).

    One thread by default, spinning off, so that inference never takes a core from the executive.
    """

    def __init__(self, model: bytes, *, bands: int, classes: int, threads: int = 1, arena: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.enable_cpu_mem_arena = arena
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.use_deterministic_compute = True
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # ONNX Runtime's exceptions share no base below Exception
            raise GraphRejected(_one_line(error)) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [item.name for item in inputs] != ["pixels"] or [item.name for item in outputs] != ["scores"]:
            raise GraphRejected("it must have the one input `pixels` and the one output `scores`")
        declared = inputs[0].shape
        if len(declared) != 4 or (isinstance(declared[1], int) and declared[1] != bands):
            raise GraphRejected(f"input `pixels` is {declared}, the manifest gives {bands} bands")
        self._bands, self._classes = bands, classes

    def run(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (1, classes, H, W) of one tile (1, bands, H, W). Raises InferenceFailed or ModelOutputInvalid."""
        try:
            scores = self._session.run(["scores"], {"pixels": tile})[0]
        except Exception as error:
            raise InferenceFailed(_one_line(error)) from error
        expected = (1, self._classes, *tile.shape[2:])
        if not isinstance(scores, np.ndarray) or scores.shape != expected or scores.dtype != np.float32:
            raise ModelOutputInvalid(f"expected float32 {expected}, got {getattr(scores, 'shape', None)}")
        low, high = float(scores.min()), float(scores.max())
        if not (low >= -1e-4 and high <= 1 + 1e-4):  # a NaN fails both
            raise ModelOutputInvalid(f"scores run from {low} to {high}, outside 0 ... 1")
        return scores


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__

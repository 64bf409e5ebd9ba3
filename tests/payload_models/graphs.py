"""Small ONNX graphs for the tests, good ones and broken ones, made with the onnx package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper


def model(
    nodes: list[NodeProto],
    constants: dict[str, np.ndarray] | None = None,
    *,
    bands: int = 3,
    planes: int = 1,
    opset: int = 17,
    ir: int = 8,
    change: Callable[[ModelProto], Any] = lambda _: None,
) -> bytes:
    """An application-shaped model: `pixels` (1, bands, rows, cols) to `scores` (1, planes, rows, cols)."""
    graph: GraphProto = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, bands, "rows", "cols"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, planes, "rows", "cols"])],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="test")
    made.ir_version = ir
    change(made)
    return made.SerializeToString(deterministic=True)


def conv(constants: dict[str, np.ndarray] | None = None, **attributes: Any) -> tuple[list[NodeProto], dict[str, Any]]:
    """One convolution of three bands to one plane, and a sigmoid."""
    nodes = [
        helper.make_node("Conv", ["pixels", "w", "b"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], **attributes),
        helper.make_node("Sigmoid", ["c"], ["scores"]),
    ]
    weights = {"w": np.full((1, 3, 3, 3), 0.1, np.float32), "b": np.zeros(1, np.float32), **(constants or {})}
    return nodes, weights


def good(**options: Any) -> bytes:
    """A graph that may fly."""
    nodes, constants = conv()
    return model(nodes, constants, **options)

"""What of quantised graphs reaches ONNX Runtime: scales, zero points, weights and biases that belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from payload_models.errors import GraphRefused
from payload_models.graph_guard import check_graph
from payload_models.graph_rules import GraphLimits, GraphSpec, examine
from tests.payload_models.graphs import good, model


def refusal(octets: bytes, spec: GraphSpec) -> str:
    with pytest.raises(GraphRefused) as caught:
        examine(octets, spec, GraphLimits())
    return caught.value.reason


def octets(*, kind: int = TensorProto.UINT8, drop: int = 0, **changes: Any) -> bytes:
    """A quantised convolution of three planes of octets; what a keyword names is exchanged."""
    constants: dict[str, np.ndarray] = {
        "s": np.array(1, np.float32), "z": np.array(0, np.uint8), "w": np.ones((2, 3, 3, 3), np.int8),
        "ws": np.array([0.5, 0.25], np.float32), "wz": np.array(0, np.int8), "b": np.zeros(2, np.int32),
        "ss": np.array(1 / 256, np.float32), **changes,
    }  # fmt: skip
    inputs = ["pixels", "s", "z", "w", "ws", "wz", "s", "z", "b"]
    nodes = [
        helper.make_node("QLinearConv", inputs[: len(inputs) - drop], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("DequantizeLinear", ["c", "ss", "z"], ["scores"]),
    ]

    def retype(made: ModelProto) -> None:
        made.graph.input[0].type.tensor_type.elem_type = kind

    return model(nodes, constants, planes=2, change=retype)


OCTETS = GraphSpec(bands=3, planes=2, tile=64, input="u8")


def test_a_graph_of_octets_passes_and_is_counted_in_octets() -> None:
    facts = check_graph(octets(), OCTETS)
    assert facts.operators == ("DequantizeLinear", "QLinearConv")
    assert facts.operations >= 64 * 64 * 2 * 27
    assert facts.peak_bytes < 64 * 64 * (3 + 2 + 2 * 4 + 2 * 5) + 10_000


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": TensorProto.FLOAT}, "interface"),
        ({"kind": TensorProto.INT8}, "interface"),
        ({"drop": 2}, "operator_use"),
        ({"s": np.array(0, np.float32)}, "operator_use"),
        ({"s": np.array(-1, np.float32)}, "operator_use"),
        ({"s": np.array(np.nan, np.float32)}, "not_finite"),
        ({"s": np.array([1, 1], np.float32)}, "operator_use"),
        ({"ws": np.array([1, 0], np.float32)}, "operator_use"),
        ({"ws": np.ones(3, np.float32)}, "operator_use"),
        ({"wz": np.zeros(3, np.int8)}, "operator_use"),
        ({"w": np.ones((2, 4, 3, 3), np.int8)}, "operator_use"),
        ({"b": np.zeros(1, np.int32)}, "operator_use"),
        ({"ss": np.zeros((), np.float32)}, "operator_use"),
    ],
    ids=str,
)
def test_a_graph_of_octets_that_does_not_fit_is_refused(changes: dict[str, Any], reason: str) -> None:
    assert refusal(octets(**changes), spec=OCTETS) == reason


def test_a_float_graph_is_not_taken_for_one_of_octets() -> None:
    assert refusal(good(), spec=GraphSpec(3, 1, 64, "u8")) == "interface"

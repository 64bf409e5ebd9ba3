"""What reaches ONNX Runtime: every way we know to smuggle something into a graph, and random damage."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from payload_models import graph_guard
from payload_models.errors import GraphRefused
from payload_models.graph_guard import check_graph, check_graphs
from payload_models.graph_rules import GraphLimits, GraphSpec, examine
from payload_models.graph_shapes import OPERATORS
from tests.payload_models.graphs import conv, good, model

SPEC = GraphSpec(bands=3, planes=1, tile=64)
LIMITS = GraphLimits()


def refusal(octets: bytes, limits: GraphLimits = LIMITS, spec: GraphSpec = SPEC) -> str:
    with pytest.raises(GraphRefused) as caught:
        examine(octets, spec, limits)
    return caught.value.reason


def with_node(operator: str, inputs: list[str], **attributes: object) -> bytes:
    """The good graph, its result passed through one more node."""
    nodes, constants = conv()
    nodes[-1].output[0] = "before"
    constants["ones"] = np.ones(4, np.int64)
    return model([*nodes, helper.make_node(operator, inputs, ["scores"], **attributes)], constants)


def changed(change: Callable[[ModelProto], object]) -> bytes:
    return good(change=change)


def test_a_good_graph_passes_the_child_process_and_says_what_it_is() -> None:
    facts = check_graph(good(), SPEC)
    assert facts.operators == ("Conv", "Sigmoid")
    assert facts.initialiser_bytes == 28 * 4
    assert facts.operations >= 64 * 64 * 27


@pytest.mark.parametrize("ir", [4, 7, 10])
def test_the_ir_versions_of_the_contract_are_taken(ir: int) -> None:
    assert examine(good(ir=ir), SPEC, LIMITS).ir_version == ir


@pytest.mark.parametrize(("ir", "opset", "reason"), [(11, 17, "ir_version"), (3, 17, "ir_version"), (8, 18, "opset")])
def test_other_versions_are_refused(ir: int, opset: int, reason: str) -> None:
    assert refusal(good(ir=ir, opset=opset)) == reason


def _add_function(made: ModelProto) -> None:
    body = helper.make_node("Relu", ["x"], ["y"])
    made.functions.append(helper.make_function("", "Mine", ["x"], ["y"], [body], [helper.make_opsetid("", 17)]))


def _external(made: ModelProto) -> None:
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _external_location_only(made: ModelProto) -> None:
    made.graph.initializer[0].data_location = TensorProto.EXTERNAL


def _training(made: ModelProto) -> None:
    made.training_info.add()


def _sparse(made: ModelProto) -> None:
    made.graph.sparse_initializer.add()


def _nan(made: ModelProto) -> None:
    weights = np.full((1, 3, 3, 3), np.nan, np.float32)
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))


def _infinite_list(made: ModelProto) -> None:
    made.graph.initializer[1].ClearField("raw_data")
    made.graph.initializer[1].float_data.append(float("inf"))


def _short_data(made: ModelProto) -> None:
    made.graph.initializer[0].raw_data = made.graph.initializer[0].raw_data[:-4]


def _huge_dims(made: ModelProto) -> None:
    made.graph.initializer[0].dims[0] = 1 << 40


def _negative_dims(made: ModelProto) -> None:
    made.graph.initializer[0].dims[0] = -1


def _strings(made: ModelProto) -> None:
    tensor = made.graph.initializer[1]
    tensor.data_type = TensorProto.STRING


def _two_inputs(made: ModelProto) -> None:
    made.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def _renamed_output(made: ModelProto) -> None:
    made.graph.output[0].name = "c"


def _double_input(made: ModelProto) -> None:
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def _long_name(made: ModelProto) -> None:
    made.graph.node[0].output[0] = made.graph.node[1].input[0] = "n" * 5000


def _name_with_line_break(made: ModelProto) -> None:
    made.graph.node[0].output[0] = made.graph.node[1].input[0] = "a\nb"


def _second_domain(made: ModelProto) -> None:
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _same_output_twice(made: ModelProto) -> None:
    made.graph.node[1].output[0] = "c"


def _hidden_initialiser(made: ModelProto) -> None:
    made.graph.initializer[0].name = "pixels"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_add_function, "local_functions"),
        (_external, "external_data"),
        (_external_location_only, "external_data"),
        (_training, "training_info"),
        (_sparse, "sparse_tensor"),
        (_nan, "not_finite"),
        (_infinite_list, "not_finite"),
        (_short_data, "tensor_data"),
        (_huge_dims, "tensor_size"),
        (_negative_dims, "tensor_size"),
        (_strings, "tensor_type"),
        (_two_inputs, "interface"),
        (_renamed_output, "interface"),
        (_double_input, "interface"),
        (_long_name, "name"),
        (_name_with_line_break, "name"),
        (_second_domain, "custom_domain"),
        (_same_output_twice, "name_twice"),
        (_hidden_initialiser, "name_twice"),
    ],
)
def test_what_does_not_belong_into_a_graph_is_refused_by_name(
    change: Callable[[ModelProto], object], reason: str
) -> None:
    assert refusal(changed(change)) == reason


def test_a_loop_a_branch_and_a_scan_are_refused() -> None:
    body = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "body", [], [])
    for operator, attributes in (
        ("Loop", {"body": body}),
        ("If", {"then_branch": body, "else_branch": body}),
        ("Scan", {"body": body, "num_scan_inputs": 1}),
    ):
        assert refusal(with_node(operator, ["before"], **attributes)) == "subgraph"


@pytest.mark.parametrize(
    "operator",
    ["Loop", "Expand", "Tile", "NonZero", "Range", "RandomNormal", "ConstantOfShape", "LSTM", "Einsum", "x" * 999],
)
def test_operators_that_are_not_on_the_list_are_refused(operator: str) -> None:
    assert refusal(with_node(operator, ["before"])) == "operator"


def test_an_operator_of_another_domain_is_refused() -> None:
    assert refusal(with_node("Relu", ["before"], domain="ai.onnx.contrib")) == "custom_domain"


def test_a_value_that_nothing_made_before_is_refused() -> None:
    assert refusal(with_node("Relu", ["later"])) == "undefined_value"


def test_a_graph_that_grows_without_bound_is_refused_for_its_memory() -> None:
    nodes = [helper.make_node("Sigmoid", ["pixels"], ["v0"])]
    for step in range(12):
        nodes.append(helper.make_node("Concat", [f"v{step}", f"v{step}"], [f"v{step + 1}"], axis=1))
    nodes.append(helper.make_node("ReduceMean", ["v12"], ["scores"], axes=[1]))
    assert refusal(model(nodes), GraphLimits(peak_bytes=64 << 20)) == "peak_memory"
    nodes[12:13] = [helper.make_node("Resize", ["v11", "", "k"], ["v12"])]
    scales = {"k": np.array([1, 1, 16, 16], np.float32)}
    assert refusal(model(nodes, scales)) in ("tensor_size", "peak_memory")


def test_work_beyond_the_limit_is_refused() -> None:
    assert refusal(good(), GraphLimits(operations=1000)) == "operations"


def test_more_nodes_or_constants_than_the_limit_are_refused() -> None:
    assert refusal(good(), GraphLimits(nodes=1)) == "node_count"
    assert refusal(good(), GraphLimits(initialiser_bytes=100)) == "initialiser_bytes"


def test_constants_inside_nodes_count_as_constants() -> None:
    weights = numpy_helper.from_array(np.ones(100_000, np.float32), "w")
    nodes = [
        helper.make_node("Constant", [], ["w"], value=weights),
        helper.make_node("ReduceMean", ["pixels"], ["scores"], axes=[1]),
    ]
    assert examine(model(nodes), SPEC, LIMITS).initialiser_bytes == 400_000
    assert refusal(model(nodes), GraphLimits(initialiser_bytes=399_999)) == "initialiser_bytes"


def test_a_large_attribute_is_refused() -> None:
    assert refusal(with_node("Relu", ["before"], junk=b"x" * 70_000)) == "attribute_size"
    assert refusal(with_node("Relu", ["before"], junk=list(range(10_000)))) == "attribute_size"


def test_a_graph_that_gives_another_size_than_the_tile_is_refused() -> None:
    assert refusal(with_node("MaxPool", ["before"], kernel_shape=[2, 2], strides=[2, 2])) == "interface"


@pytest.mark.parametrize(("spec", "why"), [(GraphSpec(4, 1, 64), "bands"), (GraphSpec(3, 2, 64), "planes")])
def test_a_graph_for_other_bands_or_classes_is_refused(spec: GraphSpec, why: str) -> None:
    assert refusal(good(), spec=spec) == "interface", why


def test_a_field_that_appears_twice_is_refused_because_readers_differ_on_which_counts() -> None:
    assert refusal(good() + b"\x08\x08") == "duplicate_field"  # a second ir_version


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "ir_version"),
        (b"\x08", "truncated"),
        (b"\x08" + b"\xff" * 9 + b"\x7f", "malformed"),
        (b"\x08" + b"\xff" * 20, "malformed"),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "truncated"),
        (b"\x0b\x0c", "malformed"),  # groups
        (b"\xfa\xff\x01\x00", "unknown_field"),
        (b"\x12\x02\xff\xfe", "malformed"),  # producer name, not UTF-8
        (b"PK\x03\x04 not a graph", "unknown_field"),
        (b"\x42\x00" * 500_000, "too_many_fields"),
    ],
)
def test_files_that_are_not_graphs_are_refused(octets: bytes, reason: str) -> None:
    assert refusal(octets) == reason


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_anywhere_ends_in_a_verdict_and_never_in_another_error(data: st.DataObject) -> None:
    octets = bytearray(good())
    for _ in range(data.draw(st.integers(1, 6), label="changes")):
        at = data.draw(st.integers(0, len(octets) - 1), label="at")
        match data.draw(st.integers(0, 3), label="kind"):
            case 0:
                octets[at] = data.draw(st.integers(0, 255))
            case 1:
                del octets[at : at + data.draw(st.integers(1, 20))]
            case 2:
                octets[at:at] = data.draw(st.binary(max_size=12))
            case _:
                octets[at:at] = octets[at : at + data.draw(st.integers(1, 40))]
        if not octets:
            break
    try:
        examine(bytes(octets), SPEC, LIMITS)
    except GraphRefused as error:
        assert error.reason and error.detail


@settings(max_examples=60, deadline=None)
@given(octets=st.binary(max_size=300))
def test_random_octets_are_refused(octets: bytes) -> None:
    with pytest.raises(GraphRefused):
        examine(octets, SPEC, LIMITS)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 100_000))
def test_a_truncated_file_is_refused_wherever_it_ends(cut: int) -> None:
    octets = good()
    with pytest.raises(GraphRefused):
        examine(octets[: cut % len(octets)], SPEC, LIMITS)


SHAPE_CASES = [
    ("Conv", ["pixels", "w"], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("Conv", ["pixels", "w"], {"dilations": [2, 2]}),
    ("Conv", ["pixels", "w"], {"auto_pad": "SAME_UPPER", "strides": [3, 3]}),
    ("ConvTranspose", ["pixels", "t"], {"strides": [2, 2]}),
    ("ConvTranspose", ["pixels", "t"], {"strides": [2, 2], "pads": [0, 1, 1, 0], "output_padding": [1, 1]}),
    ("MaxPool", ["pixels"], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("AveragePool", ["pixels"], {"kernel_shape": [2, 2], "pads": [1, 0, 0, 1]}),
    ("GlobalAveragePool", ["pixels"], {}),
    ("Resize", ["pixels", "", "scales"], {"mode": "nearest"}),
    ("DepthToSpace", ["twelve"], {"blocksize": 2}),
    ("SpaceToDepth", ["pixels"], {"blocksize": 4}),
    ("Concat", ["pixels", "pixels"], {"axis": -1}),
    ("Slice", ["pixels", "starts", "ends", "axes"], {}),
    ("Transpose", ["pixels"], {"perm": [0, 2, 3, 1]}),
    ("Reshape", ["pixels", "flat"], {}),
    ("Pad", ["pixels", "pads"], {"mode": "reflect"}),
    ("ReduceMean", ["pixels"], {"axes": [1], "keepdims": 0}),
    ("ReduceSum", ["pixels", "axes"], {}),
    ("ArgMax", ["pixels"], {"axis": 1}),
    ("MatMul", ["pixels", "square"], {}),
    ("Add", ["pixels", "column"], {}),
    ("Where", ["flag", "pixels", "column"], {}),
    ("Softmax", ["pixels"], {"axis": 1}),
]
CONSTANTS = {
    "w": np.zeros((5, 3, 3, 3), np.float32),
    "t": np.zeros((3, 5, 2, 2), np.float32),
    "scales": np.array([1, 1, 2, 1.5], np.float32),
    "twelve": np.zeros((1, 12, 8, 8), np.float32),
    "starts": np.array([1, -9], np.int64),
    "ends": np.array([40, 1 << 40], np.int64),
    "axes": np.array([2, 3], np.int64),
    "flat": np.array([0, -1, 16], np.int64),
    "pads": np.array([0, 0, 1, 2, 0, 0, 3, 4], np.int64),
    "square": np.zeros((64, 7), np.float32),
    "column": np.zeros((3, 1, 1), np.float32),
    "flag": np.ones((1, 1, 64, 1), bool),
}


@pytest.mark.parametrize(("operator", "inputs", "attributes"), SHAPE_CASES)
def test_our_shapes_are_those_of_the_onnx_package(
    operator: str, inputs: list[str], attributes: dict[str, object]
) -> None:
    """An independent reference for the estimate of memory."""
    from payload_models.graph_shapes import Call, shapes_of

    node = helper.make_node(operator, inputs, ["out"], **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 64, 64])],
        [onnx.ValueInfoProto(name="out")],
        [numpy_helper.from_array(value, name) for name, value in CONSTANTS.items()],
    )
    inferred = onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), strict_mode=True, data_prop=True
    )
    wanted = tuple(dim.dim_value for dim in inferred.graph.output[0].type.tensor_type.shape.dim)
    shapes = tuple((1, 3, 64, 64) if name == "pixels" else (CONSTANTS[name].shape if name else None) for name in inputs)
    values = tuple(tuple(CONSTANTS[name].ravel().tolist()) if name in CONSTANTS else None for name in inputs)
    plain = {
        key: value.encode() if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
        for key, value in attributes.items()
    }
    assert shapes_of(Call(operator, shapes, values, plain, 1)).shapes == (wanted,)


def test_every_operator_on_the_list_exists_in_the_operator_set() -> None:
    for operator in OPERATORS:
        onnx.defs.get_schema(operator, 17)


def test_the_checking_process_imports_neither_onnx_nor_the_runtime() -> None:
    program = (
        "import sys, payload_models.graph_guard\n"
        "print([name for name in ('onnx', 'onnxruntime', 'numpy') if name in sys.modules])"
    )
    root = str(Path(graph_guard.__file__).resolve().parents[1])
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    assert found.stdout.strip() == "[]"


def test_the_checking_process_can_open_nothing_and_use_little_memory() -> None:
    program = (
        "import io, sys, socket, payload_models.graph_guard as g\n"
        "class Stream:\n"
        "    buffer = io.BytesIO(b'{}')\n"
        "sys.stdin = Stream()\n"
        "def probe(_):\n"
        "    found = []\n"
        "    for attempt in (lambda: open('/etc/hostname'), lambda: socket.socket(), lambda: bytearray(2 << 30)):\n"
        "        try:\n"
        "            attempt(); found.append('allowed')\n"
        "        except (OSError, MemoryError) as error:\n"
        "            found.append(type(error).__name__)\n"
        "    return {'facts': found}\n"
        "g._answer = probe\n"
        "g.main()\n"
    )
    root = str(Path(graph_guard.__file__).resolve().parents[1])
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    assert found.stdout.strip() == '{"facts": ["OSError", "OSError", "MemoryError"]}'


def test_a_checking_process_that_dies_or_hangs_refuses_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GraphRefused) as caught:
        check_graphs([(good(), SPEC)], wall_s=0.001)
    assert caught.value.reason == "checker_died"
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(GraphRefused) as caught:
        check_graph(good(), SPEC)
    assert caught.value.reason == "checker_died"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"facts": []}',
        b'{"facts": [{"nodes": 1}]}',
        b'{"facts": 3}',
        (
            b'{"facts": [{"ir_version": 8, "nodes": "many", "operators": [], "initialiser_bytes": 0, "peak_bytes": 0,'
            b' "operations": 0}]}'
        ),
        b"x" * 70_000,
        b"\xff\xfe",
    ],
)
def test_a_strange_answer_of_the_checking_process_refuses_the_graph(answer: bytes) -> None:
    with pytest.raises(GraphRefused) as caught:
        graph_guard._believed(answer, 0, 1)
    assert caught.value.reason == "checker_died"


def test_a_file_beyond_the_limit_is_refused_before_a_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_guard, "MAX_GRAPH_BYTES", 10)
    with pytest.raises(GraphRefused) as caught:
        check_graph(good(), SPEC)
    assert caught.value.reason == "file_size"

"""What a graph must obey before ONNX Runtime sees it: format, operators, names, sizes, peak memory, work per tile."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from payload_models.errors import GraphRefused, nearest
from payload_models.graph_shapes import OPERATORS, Call, Shape, shapes_of
from payload_models.onnx_format import (
    ATTRIBUTE_VALUES,
    DOUBLE64,
    ELEMENT_SIZE,
    FLOAT32,
    INT8,
    INT32,
    INT64,
    MODEL,
    TYPED_LISTS,
    UINT8,
)
from payload_models.protobuf_wire import Reader

INPUT_TYPES = {"float": FLOAT32, "u8": UINT8, "s8": INT8}


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """What the manifest says that the graph is: planes in and out, the tile on which it runs, its input's type."""

    bands: int
    planes: int
    tile: int
    input: str = "float"  # or u8, s8


@dataclass(frozen=True, slots=True)
class GraphLimits:
    """Bounds of a graph on board."""

    nodes: int = 1024
    initialiser_bytes: int = 48 << 20
    attribute_bytes: int = 1 << 16
    peak_bytes: int = 512 << 20
    operations: int = 50_000_000_000  # multiply-adds per tile

    NAME: ClassVar[re.Pattern[str]] = re.compile(r"[ -~]{1,200}")
    LOWEST_IR: ClassVar[int] = 4
    HIGHEST_IR: ClassVar[int] = 10
    OPSET: ClassVar[int] = 17


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """What the check found about a graph that may fly. peak_bytes and operations: estimates for one tile."""

    ir_version: int
    nodes: int
    operators: tuple[str, ...]
    initialiser_bytes: int
    peak_bytes: int
    operations: int


@dataclass(slots=True)
class _Tensor:
    """A value of the graph. values: the numbers of a small constant."""

    shape: Shape
    size: int  # octets per element
    values: tuple[float, ...] | None = None

    @property
    def octets(self) -> int:
        return math.prod(self.shape) * self.size


@dataclass(slots=True)
class _State:
    limits: GraphLimits
    tensors: dict[str, _Tensor] = field(default_factory=dict)
    constant_bytes: int = 0


def examine(octets: bytes, spec: GraphSpec, limits: GraphLimits) -> GraphFacts:
    """Check one ONNX file. Raises GraphRefused with the first rule that it breaks."""
    model = Reader().read(memoryview(octets), MODEL)
    ir_version = model.get("ir_version", 0)
    if not limits.LOWEST_IR <= ir_version <= limits.HIGHEST_IR:
        raise GraphRefused("ir_version", f"IR version {ir_version}, {limits.LOWEST_IR} to {limits.HIGHEST_IR} may fly")
    sets = [(entry.get("domain", ""), entry.get("version", 0)) for entry in model.get("opset_import", [])]
    if any(domain for domain, _ in sets):
        raise GraphRefused("custom_domain", f"operator set `{next(domain for domain, _ in sets if domain)[:64]}`")
    if sets != [("", limits.OPSET)]:
        raise GraphRefused("opset", f"operator sets {sets[:4]}, only {limits.OPSET} may fly")
    graph = model.get("graph")
    if graph is None:
        raise GraphRefused("malformed", "there is no graph")
    nodes = graph.get("node", [])
    if not 1 <= len(nodes) <= limits.nodes:
        raise GraphRefused("node_count", f"{len(nodes)} nodes, at most {limits.nodes}")
    state = _State(limits)
    _declare_input(graph, spec, state)
    for tensor in graph.get("initializer", []):
        name = _name(tensor.get("name", ""), limits)
        if name in state.tensors:
            raise GraphRefused("name_twice", f"`{name}`")
        state.tensors[name] = _constant(tensor, state)
    peak, operations, operators = _walk(nodes, spec, state)
    _check_output(graph, spec, state)
    # ONNX Runtime keeps a reordered copy of the weights beside the file's own
    peak += 2 * state.constant_bytes + len(octets)
    if peak > limits.peak_bytes:
        raise GraphRefused("peak_memory", f"about {peak >> 20} MiB for a tile, at most {limits.peak_bytes >> 20}")
    if operations > limits.operations:
        raise GraphRefused("operations", f"{operations} multiply-adds for a tile, at most {limits.operations}")
    return GraphFacts(ir_version, len(nodes), operators, state.constant_bytes, peak, operations)


def _walk(nodes: list[dict[str, Any]], spec: GraphSpec, state: _State) -> tuple[int, int, tuple[str, ...]]:
    """Shapes of everything in order; peak of what is alive at once. Returns peak octets, operations, operators."""
    last_use = {name: index for index, node in enumerate(nodes) for name in node.get("input", [])}
    alive = {"pixels": state.tensors["pixels"].octets}
    peak = operations = 0
    operators: set[str] = set()
    for index, node in enumerate(nodes):
        operator = node.get("op_type", "")
        operators.add(operator)
        made, work = _node(node, state)
        operations += work
        for name, tensor in made.items():
            if name in state.tensors:
                raise GraphRefused("name_twice", f"`{name}`")
            state.tensors[name] = tensor
            alive[name] = tensor.octets
        # a convolution may hold reordered copies of what it reads and writes
        workspace = 0
        if operator in ("Conv", "ConvTranspose", "MatMul", "QLinearConv"):
            inputs = (state.tensors[name].octets for name in node["input"][:1])
            copies = 5 if operator == "QLinearConv" else 1  # sums have 32 bits before they become octets
            workspace = sum(inputs) + copies * sum(tensor.octets for tensor in made.values())
        peak = max(peak, sum(alive.values()) + workspace)
        for name in [name for name in alive if last_use.get(name, -1) <= index and name != "scores"]:
            del alive[name]
    return peak, operations, tuple(sorted(operators))


def _node(node: dict[str, Any], state: _State) -> tuple[dict[str, _Tensor], int]:
    limits = state.limits
    operator, inputs, outputs = node.get("op_type", ""), node.get("input", []), node.get("output", [])
    if node.get("domain", ""):
        raise GraphRefused("custom_domain", f"operator `{operator[:64]}` of `{node['domain'][:64]}`")
    if len(inputs) > 64 or not 1 <= len(outputs) <= 64 or len(node.get("name", "")) > 200:
        raise GraphRefused("node_size", f"{operator[:64]} has {len(inputs)} inputs, {len(outputs)} outputs")
    attributes = _attributes(operator, node.get("attribute", []), state)
    for name in outputs:
        _name(name, limits)
    if operator == "Constant":
        return {outputs[0]: _constant_node(attributes, len(outputs), state)}, 0
    if operator not in OPERATORS:
        close = nearest(operator, tuple(OPERATORS))
        raise GraphRefused("operator", f"`{operator[:64]}` may not fly" + (f"; nearest: {close}" if close else ""))
    found: list[_Tensor | None] = []
    for name in inputs:
        if name and name not in state.tensors:
            raise GraphRefused("undefined_value", f"{operator} reads `{name[:64]}`, which nothing made before it")
        found.append(state.tensors[name] if name else None)
    call = Call(
        operator,
        tuple(tensor.shape if tensor else None for tensor in found),
        tuple(tensor.values if tensor else None for tensor in found),
        attributes,
        len(outputs),
    )
    made = shapes_of(call)
    size = _element_size(operator, attributes, [tensor.size for tensor in found if tensor])
    if len(set(outputs)) != len(outputs):
        raise GraphRefused("name_twice", f"outputs of {operator}")
    return {name: _Tensor(shape, size) for name, shape in zip(outputs, made.shapes, strict=True)}, made.operations


def _element_size(operator: str, attributes: Mapping[str, Any], sizes: list[int]) -> int:
    """Octets per element of what an operator makes, not less than they will be."""
    match operator:
        case "ArgMax" | "ArgMin":
            return 8
        case "Cast":
            return max(4, ELEMENT_SIZE.get(attributes.get("to", FLOAT32), 8))
        case "DequantizeLinear":
            return 4
        case "QuantizeLinear" | "QLinearConv":
            return 1
        case "Resize":  # its other inputs say where to, not what
            return sizes[0] if sizes else 4
    return max(sizes, default=4)


def _attributes(operator: str, listed: list[dict[str, Any]], state: _State) -> dict[str, Any]:
    """Attribute values by name; lists as tuples. Bounded."""
    if len(listed) > 32:
        raise GraphRefused("attribute_size", f"{operator[:64]} has {len(listed)} attributes")
    values: dict[str, Any] = {}
    for attribute in listed:
        name = _name(attribute.get("name", ""), state.limits)
        key = ATTRIBUTE_VALUES.get(attribute.get("type", 0))
        if key is None:
            raise GraphRefused("attribute_type", f"{operator[:64]}.{name[:64]}")
        if set(attribute) - {"name", "type", "doc_string", key} or name in values:
            raise GraphRefused("attribute_type", f"{operator[:64]}.{name[:64]} holds more than its type says")
        value = attribute.get(key, {"f": 0.0, "i": 0, "s": b"", "t": {}}.get(key, []))
        size = 8 * len(value) if key in ("floats", "ints") else 0
        if key in ("s", "strings"):
            size = len(value) if key == "s" else sum(map(len, value))
            value = bytes(value) if key == "s" else tuple(map(bytes, value))
        if size > state.limits.attribute_bytes:
            raise GraphRefused("attribute_size", f"{operator[:64]}.{name[:64]} has {size} octets")
        values[name] = tuple(value) if isinstance(value, list) else value
    return values


def _constant_node(attributes: Mapping[str, Any], outputs: int, state: _State) -> _Tensor:
    if outputs != 1 or len(attributes) != 1:
        raise GraphRefused("operator_use", "Constant: needs one attribute and one output")
    ((name, value),) = attributes.items()
    if name == "value" and isinstance(value, dict):
        return _constant(value, state)
    if name in ("value_float", "value_int") and isinstance(value, (int, float)):
        return _Tensor((), 8, (value,))
    if name in ("value_floats", "value_ints") and isinstance(value, tuple):
        return _Tensor((len(value),), 8, value)
    raise GraphRefused("operator_use", f"Constant: attribute `{name[:64]}`")


def _constant(tensor: dict[str, Any], state: _State) -> _Tensor:
    """A tensor stored in the file: its size is what it says, its numbers are finite."""
    name = tensor.get("name", "")[:64]
    data_type = tensor.get("data_type", 0)
    if data_type not in ELEMENT_SIZE:
        raise GraphRefused("tensor_type", f"`{name}` has element type {data_type}")
    if tensor.get("data_location", 0) != 0:
        raise GraphRefused("external_data", f"`{name}`")
    shape = tuple(tensor.get("dims", []))
    if len(shape) > 8 or any(not 0 <= size <= 1 << 24 for size in shape):
        raise GraphRefused("tensor_size", f"`{name}` has dimensions {shape[:9]}")
    size = ELEMENT_SIZE[data_type]
    octets = math.prod(shape) * size
    state.constant_bytes += octets
    if state.constant_bytes > state.limits.initialiser_bytes:
        raise GraphRefused("initialiser_bytes", f"more than {state.limits.initialiser_bytes} octets of constants")
    stored = [key for key in ("raw_data", *TYPED_LISTS) if key in tensor]
    if len(stored) > 1 or (stored and stored[0] != "raw_data" and data_type not in TYPED_LISTS[stored[0]]):
        raise GraphRefused("tensor_data", f"`{name}` stores its numbers in {', '.join(stored)}")
    data = tensor[stored[0]] if stored else b""
    count = len(data) if not stored or stored[0] != "raw_data" else len(data) / size
    if count != math.prod(shape):
        raise GraphRefused("tensor_data", f"`{name}` announces {math.prod(shape)} numbers and has {count:g}")
    return _Tensor(shape, size, _numbers(name, data_type, data, math.prod(shape)))


def _numbers(name: str, data_type: int, data: Any, count: int) -> tuple[float, ...] | None:
    """The numbers of a small constant; of every one of floats it is known that they are finite."""
    codes = {FLOAT32: "f", DOUBLE64: "d", INT64: "q", INT32: "i"}
    numbers: Any = data
    if isinstance(data, (memoryview, bytes)):
        if data_type not in codes:
            return None
        numbers = array(codes[data_type], bytes(data))
    if data_type in (FLOAT32, DOUBLE64) and not all(map(math.isfinite, numbers)):
        raise GraphRefused("not_finite", f"`{name}` holds a NaN or an infinity")
    return tuple(numbers) if count <= 64 else None


def _declare_input(graph: dict[str, Any], spec: GraphSpec, state: _State) -> None:
    inputs = graph.get("input", [])
    if [item.get("name") for item in inputs] != ["pixels"]:
        raise GraphRefused("interface", "it must have the one input `pixels`")
    shape = (1, spec.bands, spec.tile, spec.tile)
    kind = INPUT_TYPES[spec.input]
    _fits("pixels", inputs[0], shape, kind)
    state.tensors["pixels"] = _Tensor(shape, ELEMENT_SIZE[kind])


def _check_output(graph: dict[str, Any], spec: GraphSpec, state: _State) -> None:
    outputs = graph.get("output", [])
    if [item.get("name") for item in outputs] != ["scores"]:
        raise GraphRefused("interface", "it must have the one output `scores`")
    shape = (1, spec.planes, spec.tile, spec.tile)
    _fits("scores", outputs[0], shape, FLOAT32)
    made = state.tensors.get("scores")
    if made is None or made.shape != shape:
        raise GraphRefused("interface", f"`scores` is {made.shape if made else 'never made'}, it must be {shape}")


def _fits(name: str, declared: dict[str, Any], shape: Shape, element: int) -> None:
    """A declared tensor type agrees with `shape` and `element`; named dimensions agree with anything."""
    kind = declared.get("type", {}).get("tensor_type", {})
    if kind.get("elem_type") != element:
        wanted = {FLOAT32: "float32", UINT8: "uint8", INT8: "int8"}[element]
        raise GraphRefused("interface", f"`{name}` must be {wanted}")
    sizes = [dimension.get("dim_value") for dimension in kind.get("shape", {}).get("dim", [])]
    if len(sizes) != 4 or any(size not in (None, want) for size, want in zip(sizes, shape, strict=True)):
        raise GraphRefused("interface", f"`{name}` is declared as {sizes}, the manifest needs {list(shape)}")


def _name(name: str, limits: GraphLimits) -> str:
    if not limits.NAME.fullmatch(name):
        raise GraphRefused("name", f"{name[:64]!r} is not a name of 1 to 200 printable characters")
    return name

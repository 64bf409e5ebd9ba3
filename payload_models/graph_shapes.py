"""The operators that may fly, and the shape of what each makes: an operator without a function here is refused.

Shapes must be known for the tile of the manifest without running anything, so operators whose result depends on
computed values (Expand, Tile, NonZero, Range, Loop, ...) have no place here. That is what bounds memory and time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from payload_models.errors import GraphRefused

Shape: TypeAlias = "tuple[int, ...]"
MAX_RANK, MAX_DIMENSION, MAX_ELEMENTS = 8, 1 << 20, 1 << 28


@dataclass(frozen=True, slots=True)
class Call:
    """One node with what is known about its inputs. values: of small constant inputs, else None."""

    operator: str
    shapes: tuple[Shape | None, ...]  # None: the optional input is left out
    values: tuple[tuple[float, ...] | None, ...]
    attributes: Mapping[str, Any]
    outputs: int

    def shape(self, index: int = 0) -> Shape:
        found = self.shapes[index] if index < len(self.shapes) else None
        if found is None:
            raise self.refusal(f"input {index} is missing")
        return found

    def constant(self, index: int) -> tuple[int, ...] | None:
        """Integers of a constant input; None where the input is left out."""
        if index >= len(self.shapes) or self.shapes[index] is None:
            return None
        found = self.values[index]
        if found is None:
            raise self.refusal(f"input {index} is not a constant")
        return tuple(int(value) for value in found)

    def ints(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        found = self.attributes.get(name, default)
        if not isinstance(found, tuple) or not all(isinstance(item, int) for item in found):
            raise self.refusal(f"attribute `{name}` is not a list of integers")
        return found

    def integer(self, name: str, default: int) -> int:
        found = self.attributes.get(name, default)
        if not isinstance(found, int):
            raise self.refusal(f"attribute `{name}` is not an integer")
        return found

    def axis(self, value: int, rank: int) -> int:
        if not -rank <= value < rank:
            raise self.refusal(f"axis {value} of {rank}")
        return value % rank

    def refusal(self, what: str) -> GraphRefused:
        return GraphRefused("operator_use", f"{self.operator}: {what}")


@dataclass(frozen=True, slots=True)
class Made:
    """Shapes of the outputs, and multiply-adds needed for them."""

    shapes: tuple[Shape, ...]
    operations: int = field(default=0)


def _same(call: Call) -> Made:
    return Made((call.shape(),), math.prod(call.shape()))


def _broadcast(call: Call) -> Made:
    shapes = [shape for shape in call.shapes if shape is not None]
    if not shapes:
        raise call.refusal("no input")
    out: list[int] = []
    for index in range(max(map(len, shapes))):
        sizes = {shape[-1 - index] for shape in shapes if index < len(shape)} - {1}
        if len(sizes) > 1:
            raise call.refusal(f"shapes {shapes} do not fit each other")
        out.append(next(iter(sizes), 1))
    return Made((tuple(reversed(out)),), math.prod(out) * len(shapes))


def _window(call: Call, kernel: Shape) -> Shape:
    """Rows and columns after a sliding window."""
    spatial = call.shape()[2:]
    if len(spatial) != 2 or len(kernel) != 2:
        raise call.refusal("only two spatial axes are supported")
    strides, dilations = call.ints("strides", (1, 1)), call.ints("dilations", (1, 1))
    pads, auto = call.ints("pads", (0, 0, 0, 0)), call.attributes.get("auto_pad", b"NOTSET")
    if not (len(strides) == len(dilations) == 2 and len(pads) == 4):
        raise call.refusal("strides, dilations or pads have the wrong length")
    if not all(1 <= value <= 64 for value in (*kernel, *strides, *dilations)) or not all(0 <= p <= 256 for p in pads):
        raise call.refusal("kernel, strides, dilations or pads out of bounds")
    out = []
    for axis in (0, 1):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        if auto in (b"SAME_UPPER", b"SAME_LOWER"):
            out.append(-(-spatial[axis] // strides[axis]))
            continue
        room = spatial[axis] + (pads[axis] + pads[axis + 2] if auto == b"NOTSET" else 0) - reach
        if auto not in (b"NOTSET", b"VALID") or room < 0:
            raise call.refusal("the window does not fit")
        rounded_up = call.integer("ceil_mode", 0) and room % strides[axis]
        out.append(room // strides[axis] + 1 + bool(rounded_up))
    return tuple(out)


def _conv(call: Call) -> Made:
    shape, weight, groups = call.shape(0), call.shape(1), call.integer("group", 1)
    if len(shape) != 4 or len(weight) != 4 or groups < 1 or weight[0] % groups or weight[1] * groups != shape[1]:
        raise call.refusal(f"weights {weight} do not fit input {shape}")
    kernel = call.ints("kernel_shape", weight[2:])
    if kernel != weight[2:]:
        raise call.refusal("kernel_shape is not that of the weights")
    out = (shape[0], weight[0], *_window(call, kernel))
    return Made((out,), math.prod(out) * math.prod(weight[1:]))


def _scales(call: Call, index: int, channels: int) -> None:
    """A scale and the zero point after it: one for all or one a channel, finite and positive where they are known."""
    shape = call.shape(index)
    if shape not in ((), (1,), (channels,)):
        raise call.refusal(f"input {index}: scales {shape} for {channels} channels")
    values = call.values[index]
    if values is not None and not all(0 < value < math.inf for value in values):
        raise call.refusal(f"input {index}: a scale is not positive")
    zero = call.shapes[index + 1] if index + 1 < len(call.shapes) else None
    if zero is not None and zero not in ((), (1,), shape):
        raise call.refusal(f"input {index + 1}: zero points {zero} for scales {shape}")


def _quantise(call: Call) -> Made:
    """QuantizeLinear, DequantizeLinear: a value, its scale, its zero point."""
    shape = call.shape()
    if not 2 <= len(call.shapes) <= 3:
        raise call.refusal("needs a value, a scale and at most a zero point")
    axis = call.integer("axis", 1)
    _scales(call, 1, shape[call.axis(axis, len(shape))] if call.shape(1) not in ((), (1,)) else 1)
    return Made((shape,), math.prod(shape))


def _qlinear_conv(call: Call) -> Made:
    """x, its scale and zero point; the weights, theirs; the answer's scale and zero point; a bias of 32 bits."""
    if not 8 <= len(call.shapes) <= 9:
        raise call.refusal("needs eight or nine inputs")
    made = _conv(Call(call.operator, (call.shape(0), call.shape(3)), (None, None), call.attributes, 1))
    channels = made.shapes[0][1]
    _scales(call, 1, 1)
    _scales(call, 4, channels)
    _scales(call, 6, 1)
    if len(call.shapes) == 9 and call.shapes[8] not in (None, (channels,)):
        raise call.refusal(f"bias {call.shapes[8]} for {channels} channels")
    return made


def _conv_transpose(call: Call) -> Made:
    shape, weight, groups = call.shape(0), call.shape(1), call.integer("group", 1)
    strides, pads = call.ints("strides", (1, 1)), call.ints("pads", (0, 0, 0, 0))
    extra, dilations = call.ints("output_padding", (0, 0)), call.ints("dilations", (1, 1))
    unusual = {"auto_pad", "output_shape"} & set(call.attributes)
    if unusual or len(shape) != 4 or len(weight) != 4 or weight[0] != shape[1] or not 1 <= groups <= shape[1]:
        raise call.refusal(f"weights {weight} do not fit input {shape}, or {sorted(unusual)} is used")
    if len(strides) != 2 or len(pads) != 4 or len(extra) != 2 or len(dilations) != 2:
        raise call.refusal("strides, pads or dilations have the wrong length")
    if not all(1 <= value <= 16 for value in (*strides, *dilations, *weight[2:])) or not all(
        0 <= value <= 64 for value in (*pads, *extra)
    ):
        raise call.refusal("kernel, strides, dilations or pads out of bounds")
    size = [
        (shape[2 + axis] - 1) * strides[axis]
        + (weight[2 + axis] - 1) * dilations[axis]
        + 1
        + extra[axis]
        - pads[axis]
        - pads[axis + 2]
        for axis in (0, 1)
    ]
    out = (shape[0], weight[1] * groups, *size)
    return Made((out,), math.prod(shape) * math.prod(weight[1:]))


def _pool(call: Call) -> Made:
    shape, kernel = call.shape(), call.ints("kernel_shape", ())
    if len(shape) != 4 or call.outputs != 1:
        raise call.refusal("needs a 4-dimensional input and one output")
    out = (*shape[:2], *_window(call, kernel))
    return Made((out,), math.prod(out) * math.prod(kernel))


def _global_pool(call: Call) -> Made:
    shape = call.shape()
    if len(shape) != 4:
        raise call.refusal("needs a 4-dimensional input")
    return Made(((*shape[:2], 1, 1),), math.prod(shape))


def _resize(call: Call) -> Made:
    shape = call.shape()
    scales = call.values[2] if len(call.shapes) > 2 and call.shapes[2] not in (None, (0,)) else None
    sizes = call.constant(3)
    if sizes is not None and scales is None:
        out = sizes
    elif scales is not None and sizes is None and all(0 < scale <= 16 for scale in scales):
        out = tuple(math.floor(size * scale) for size, scale in zip(shape, scales, strict=False))
    else:
        raise call.refusal("needs constant scales up to 16, or constant sizes")
    if len(out) != len(shape) or out[:2] != shape[:2]:
        raise call.refusal("changes batch or channels")
    return Made((out,), math.prod(out) * 4)


def _depth_to_space(call: Call) -> Made:
    shape, block = call.shape(), call.integer("blocksize", 0)
    if len(shape) != 4 or not 1 <= block <= 16 or shape[1] % (block * block):
        raise call.refusal("channels do not fit the block size")
    return Made(((shape[0], shape[1] // block**2, shape[2] * block, shape[3] * block),))


def _space_to_depth(call: Call) -> Made:
    shape, block = call.shape(), call.integer("blocksize", 0)
    if len(shape) != 4 or not 1 <= block <= 16 or shape[2] % block or shape[3] % block:
        raise call.refusal("rows or columns do not fit the block size")
    return Made(((shape[0], shape[1] * block**2, shape[2] // block, shape[3] // block),))


def _concat(call: Call) -> Made:
    shapes = [call.shape(index) for index in range(len(call.shapes))]
    if not shapes:
        raise call.refusal("no input")
    axis = call.axis(call.integer("axis", 0), len(shapes[0]))
    rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    if len(rest) != 1 or len({len(shape) for shape in shapes}) != 1:
        raise call.refusal(f"shapes {shapes} do not fit each other")
    return Made(((*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :]),))


def _split(call: Call) -> Made:
    shape = call.shape()
    axis = call.axis(call.integer("axis", 0), len(shape))
    parts = call.constant(1)
    if parts is None:
        if shape[axis] % call.outputs:
            raise call.refusal("the axis does not divide evenly")
        parts = (shape[axis] // call.outputs,) * call.outputs
    if len(parts) != call.outputs or sum(parts) != shape[axis] or min(parts) < 0:
        raise call.refusal("the parts do not add up")
    return Made(tuple((*shape[:axis], part, *shape[axis + 1 :]) for part in parts))


def _slice(call: Call) -> Made:
    shape = list(call.shape())
    starts, ends = call.constant(1), call.constant(2)
    if starts is None or ends is None:
        raise call.refusal("starts and ends must be given")
    axes = call.constant(3) or tuple(range(len(starts)))
    steps = call.constant(4) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise call.refusal("starts, ends, axes and steps do not belong together")
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        at = call.axis(axis, len(shape))
        shape[at] = len(range(*slice(start, end, step).indices(shape[at])))
    return Made((tuple(shape),))


def _transpose(call: Call) -> Made:
    shape = call.shape()
    order = call.ints("perm", tuple(reversed(range(len(shape)))))
    if sorted(order) != list(range(len(shape))):
        raise call.refusal("perm is not an order of the axes")
    return Made((tuple(shape[axis] for axis in order),))


def _reshape(call: Call) -> Made:
    shape, wanted = call.shape(), call.constant(1)
    if wanted is None or len(wanted) > MAX_RANK or call.integer("allowzero", 0):
        raise call.refusal("needs a constant shape")
    out = [shape[axis] if size == 0 and axis < len(shape) else size for axis, size in enumerate(wanted)]
    if out.count(-1) == 1:
        known = -math.prod(out)
        out[out.index(-1)] = math.prod(shape) // known if known else 0
    if math.prod(out) != math.prod(shape) or min(out, default=1) < 0:
        raise call.refusal(f"{shape} cannot become {wanted}")
    return Made((tuple(out),))


def _pad(call: Call) -> Made:
    shape, pads = call.shape(), call.constant(1)
    if pads is None or len(pads) != 2 * len(shape) or not all(0 <= pad <= 256 for pad in pads):
        raise call.refusal("needs constant pads of 0 to 256")
    rank = len(shape)
    return Made((tuple(size + pads[axis] + pads[axis + rank] for axis, size in enumerate(shape)),))


def _reduce(call: Call) -> Made:
    shape = call.shape()
    axes = call.constant(1) if call.operator == "ReduceSum" else call.ints("axes", ())
    chosen = {call.axis(axis, len(shape)) for axis in (axes or tuple(range(len(shape))))}
    keep = call.integer("keepdims", 1)
    out = tuple(1 if axis in chosen else size for axis, size in enumerate(shape) if keep or axis not in chosen)
    return Made((out,), math.prod(shape))


def _arg(call: Call) -> Made:
    shape = call.shape()
    chosen = call.axis(call.integer("axis", 0), len(shape))
    keep = call.integer("keepdims", 1)
    out = tuple(1 if axis == chosen else size for axis, size in enumerate(shape) if keep or axis != chosen)
    return Made((out,), math.prod(shape))


def _matmul(call: Call) -> Made:
    first, second = call.shape(0), call.shape(1)
    if min(len(first), len(second)) < 2 or first[-1] != second[-2]:
        raise call.refusal(f"{first} and {second} cannot be multiplied")
    batch = _broadcast(Call(call.operator, (first[:-2], second[:-2]), (None, None), {}, 1)).shapes[0]
    out = (*batch, first[-2], second[-1])
    return Made((out,), math.prod(out) * first[-1])


ELEMENTWISE = (
    "Abs", "BatchNormalization", "Cast", "Ceil", "Clip", "Elu", "Erf", "Exp", "Floor",
    "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LeakyRelu", "Log", "LogSoftmax", "Neg", "Not",
    "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Softmax", "Softplus", "Sqrt", "Tanh",
)  # fmt: skip
BROADCASTING = (
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mul",
    "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor",
)  # fmt: skip

OPERATORS: dict[str, Callable[[Call], Made]] = {
    **dict.fromkeys(ELEMENTWISE, _same),
    **dict.fromkeys(BROADCASTING, _broadcast),
    **dict.fromkeys(("AveragePool", "MaxPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"), _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "MatMul": _matmul,
    "DequantizeLinear": _quantise,
    "Pad": _pad,
    "QLinearConv": _qlinear_conv,
    "QuantizeLinear": _quantise,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Transpose": _transpose,
}


def shapes_of(call: Call) -> Made:
    """Shapes of a node's outputs, bounded. Raises GraphRefused."""
    made = OPERATORS[call.operator](call)
    if len(made.shapes) != call.outputs:
        raise call.refusal(f"{call.outputs} outputs are used, it has {len(made.shapes)}")
    for shape in made.shapes:
        if len(shape) > MAX_RANK or any(not 0 < size <= MAX_DIMENSION for size in shape):
            raise GraphRefused("tensor_size", f"{call.operator} makes {shape}")
        if math.prod(shape) > MAX_ELEMENTS:
            raise GraphRefused("tensor_size", f"{call.operator} makes {shape}, {math.prod(shape)} elements")
    return made

"""Makes the int8 forms of `cloud` from its float graph: cloud_u8.onnx and cloud_s8.onnx.

    python payload_models/cloud/int8/recipe.py --data DIR --out DIR

DIR of the data as in `../recipe.py`, whose training scenes and augmentation say here how large activations become:
nothing that was held out. Needs the extra `train`. Seeded: the same graphs again, in half a minute.

The answers are equal to the bit on every machine, at every optimisation level:
* every value between input and score is an integer; sums of products are exact in 32 bits;
* weights have 7 bits: two products of 8 and 7 bits fit 16 bits, so the AVX2 instruction that saturates there
  (VPMADDUBSW) never does, and gives what VNNI and ARM's dot products give;
* a sum becomes an activation by a factor of 4 significant bits, so the product is exact in float32, and it does not
  matter whether a kernel adds the zero point before or after it rounds: zero points are even;
* activations have units of their own, in which every scale is 1, so that joining two needs no rounding;
* the input counts 1/250 of reflectance, so that the mean of 0.3 is the whole number 75: normalising costs nothing;
* the score is a multiple of 1/256 out of a table of the sigmoid, none of whose entries is near to being another.
The two forms differ by 128 in every activation and in nothing else: which is faster depends on the processor.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

SEED, CROPS = 21, 256
LEVELS, MEAN_LEVEL, STEP = 250, 75, 0.016  # (level - 75) * 0.016 = (reflectance - 0.3) / 0.25
LOGIT_STEP = 1 / 16  # +-8: beyond, a score is as sure as 256 levels can say
SCORE_STEP = 1 / 256
WEIGHT_MAX, ACTIVATION_MAX = 64, 255
OPSET, IR = 17, 8
HERE = Path(__file__).resolve().parent


def float_recipe() -> ModuleType:
    """The recipe of the float graph: its scenes and its augmentation."""
    spec = importlib.util.spec_from_file_location("cloud_recipe", HERE.parent / "recipe.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def calibration_crops(data: Path) -> np.ndarray:
    """Augmented crops (CROPS, 3, side, side) of the training scenes, as the network was trained on them."""
    recipe, rng = float_recipe(), np.random.default_rng(SEED)
    scenes = recipe.sources(data)
    chance = np.array([scene.weight for scene in scenes])
    picks = rng.choice(len(scenes), CROPS, p=chance / chance.sum())
    return np.stack([recipe.sample(rng, scenes[index])[0] for index in picks])


def largest(model: onnx.ModelProto, crops: np.ndarray) -> dict[str, float]:
    """The largest value of every ReLU's output over all crops."""
    names = [node.output[0] for node in model.graph.node if node.op_type == "Relu"]
    seen = onnx.ModelProto.FromString(model.SerializeToString())
    seen.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(seen.SerializeToString(), providers=["CPUExecutionProvider"])
    found = dict.fromkeys(names, 0.0)
    for crop in crops:
        for name, values in zip(names, session.run(names, {"pixels": crop[None]}), strict=True):
            found[name] = max(found[name], float(values.max()))
    return found


def units(model: onnx.ModelProto, maxima: dict[str, float]) -> dict[str, float]:
    """What one level of every activation stands for. What is joined, pooled or enlarged has one unit."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for node in model.graph.node:
        if node.op_type in ("Concat", "MaxPool", "Resize"):
            for name in [name for name in node.input if name and name != "twice"]:
                parent[root(name)] = root(node.output[0])
    top: dict[str, float] = {}
    for name, value in maxima.items():
        top[root(name)] = max(top.get(root(name), 0.0), value)
    return {name: top[root(name)] / ACTIVATION_MAX for name in [*maxima, *parent] if root(name) in top}


def exact_factor(least: float) -> float:
    """The smallest number of 4 significant bits that is not below `least`."""
    mantissa, exponent = math.frexp(least)  # 0.5 <= mantissa < 1
    return math.ldexp(math.ceil(mantissa * 16), exponent - 4)


def quantised(octets: bytes, crops: np.ndarray, *, signed: bool) -> bytes:
    """The graph with activations u8, or s8 where `signed`; `pixels` in levels of 1/250, `scores` float32."""
    model = onnx.load_from_string(octets)
    weights = {item.name: numpy_helper.to_array(item).astype(np.float64) for item in model.graph.initializer}
    unit = {**units(model, largest(model, crops)), "scaled": STEP, "answer": LOGIT_STEP}
    kind, shift = (np.int8, 128) if signed else (np.uint8, 0)
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = {
        "one": np.array(1, np.float32),
        "floor": np.array(-shift, kind),  # of what a ReLU made
        "mean_level": np.array(MEAN_LEVEL - shift, kind),
        "middle_level": np.array(128 - shift, kind),
        "logit_step": np.array(LOGIT_STEP, np.float32),
        "score_step": np.array(SCORE_STEP, np.float32),
        "no_shift": np.array(0, np.uint8),
        "weight_zero": np.array(0, np.int8),
        "twice": weights["twice"].astype(np.float32),
    }

    def convolution(node: onnx.NodeProto, result: str) -> onnx.NodeProto:
        source, weight, bias = node.input
        last = result == "answer"
        effective = weights[weight] * unit[source] / unit[result]
        factor = np.array([exact_factor(np.abs(row).max() / WEIGHT_MAX) for row in effective])
        constants[weight] = np.rint(effective / factor[:, None, None, None]).astype(np.int8)
        constants[bias] = np.rint(weights[bias] / unit[result] / factor).astype(np.int32)
        constants[f"{result}_factor"] = (factor * (LOGIT_STEP if last else 1)).astype(np.float32)
        zero = "mean_level" if source == "scaled" else "floor"
        scale, middle = ("logit_step", "middle_level") if last else ("one", "floor")
        inputs = ["pixels" if source == "scaled" else source, "one", zero]
        inputs += [weight, f"{result}_factor", "weight_zero", scale, middle, bias]
        made = helper.make_node("QLinearConv", inputs, [result], name=result)
        made.attribute.extend(node.attribute)
        return made

    relu_of = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "Relu"}
    for node in model.graph.node:
        if node.op_type == "Conv":
            nodes.append(convolution(node, relu_of.get(node.output[0], node.output[0])))
        elif node.op_type in ("Concat", "MaxPool", "Resize"):
            nodes.append(node)
    nodes += [
        helper.make_node("DequantizeLinear", ["answer", "logit_step", "middle_level"], ["logit"], name="logit"),
        helper.make_node("Sigmoid", ["logit"], ["chance"], name="chance"),
        helper.make_node("QuantizeLinear", ["chance", "score_step", "no_shift"], ["score_level"], name="score_level"),
        helper.make_node("DequantizeLinear", ["score_level", "score_step", "no_shift"], ["scores"], name="scores"),
    ]
    graph = helper.make_graph(
        nodes,
        "cloud",
        [
            helper.make_tensor_value_info(
                "pixels", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), [1, 3, "rows", "cols"]
            )
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1, "rows", "cols"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="swath")
    made.ir_version = IR
    checker.check_model(made, full_check=True)
    written: bytes = made.SerializeToString(deterministic=True)
    return written


def main() -> None:
    """Quantise and write cloud_u8.onnx and cloud_s8.onnx into the folder given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    octets, crops = (HERE.parent / "cloud.onnx").read_bytes(), calibration_crops(arguments.data)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, signed in (("cloud_u8.onnx", False), ("cloud_s8.onnx", True)):
        (arguments.out / name).write_bytes(quantised(octets, crops, signed=signed))


if __name__ == "__main__":
    main()

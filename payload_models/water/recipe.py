"""Makes the graphs of `water`: spectral indices joined by fuzzy logic, per pixel, from exact operations only.

    python payload_models/water/recipe.py --out DIR

Each condition is a ramp from 0 to 1 that crosses 0.5 at its threshold; the score is the smallest of them. Only Split,
Sub, Add, Mul, Div, Min, Max and Clip are used: they are correctly rounded, so that a tile gives the same bits as the
whole scene, and every machine the same class map. Needs the onnx package (extra `train`).

Sources: NDWI McFeeters 1996 (green, NIR); MNDWI Xu 2006 (green, SWIR).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

OPSET, IR = 17, 8
SMALLEST_SUM = 1e-3  # reflectance: below it an index is noise, and 0/0 must be finite


class Graph:
    """A graph under construction: each method adds nodes and returns the name of its result."""

    def __init__(self, bands: tuple[str, ...]) -> None:
        self.nodes, self.constants = [], {}
        self.bands = bands
        if len(bands) > 1:
            self.nodes.append(helper.make_node("Split", ["pixels"], list(bands), name="bands", axis=1))

    def plane(self, band: str) -> str:
        return band if len(self.bands) > 1 else "pixels"

    def constant(self, value: float) -> str:
        name = f"k{np.float32(value):.8g}"
        self.constants[name] = numpy_helper.from_array(np.asarray(value, np.float32), name)
        return name

    def node(self, operator: str, result: str, *inputs: str) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [result], name=result))
        return result

    def index(self, result: str, first: str, second: str) -> str:
        """Normalised difference (first - second) / (first + second)."""
        difference = self.node("Sub", f"{result}_difference", self.plane(first), self.plane(second))
        total = self.node("Add", f"{result}_sum", self.plane(first), self.plane(second))
        bounded = self.node("Max", f"{result}_bounded", total, self.constant(SMALLEST_SUM))
        return self.node("Div", result, difference, bounded)

    def above(self, result: str, value: str, threshold: float, half_width: float) -> str:
        """0 at threshold - half_width, 0.5 at threshold, 1 at threshold + half_width."""
        scaled = self.node("Mul", f"{result}_scaled", value, self.constant(0.5 / half_width))
        moved = self.node("Add", f"{result}_moved", scaled, self.constant(0.5 - 0.5 * threshold / half_width))
        return self.node("Clip", result, moved, self.constant(0.0), self.constant(1.0))

    def below(self, result: str, value: str, threshold: float, half_width: float) -> str:
        """1 at threshold - half_width, 0.5 at threshold, 0 at threshold + half_width."""
        scaled = self.node("Mul", f"{result}_scaled", value, self.constant(-0.5 / half_width))
        moved = self.node("Add", f"{result}_moved", scaled, self.constant(0.5 + 0.5 * threshold / half_width))
        return self.node("Clip", result, moved, self.constant(0.0), self.constant(1.0))

    def finish(self, name: str, conditions: list[str]) -> bytes:
        if len(conditions) > 1:
            self.node("Min", "scores", *conditions)
        else:
            self.nodes[-1].output[0] = "scores"
        shape = ["rows", "cols"]
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, len(self.bands), *shape])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1, *shape])],
            list(self.constants.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="swath")
        model.ir_version = IR
        checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


def green_nir_swir16() -> bytes:
    """MNDWI finds water and brine over bright salt floors; NDWI keeps shaded vegetation out, dark SWIR and NIR keep
    crust, ice and cloud out."""
    graph = Graph(("green", "nir", "swir16"))
    conditions = [
        graph.above("wet", graph.index("mndwi", "green", "swir16"), 0.15, 0.15),
        graph.above("open", graph.index("ndwi", "green", "nir"), -0.03, 0.10),
        graph.below("dark_swir", "swir16", 0.11, 0.05),
        graph.below("dark_nir", "nir", 0.30, 0.05),
    ]
    return graph.finish("water_green_nir_swir16", conditions)


def green_nir() -> bytes:
    """NDWI, and dark in the near infrared: bright roofs, salt, sand and cloud have an NDWI near zero too."""
    graph = Graph(("green", "nir"))
    conditions = [
        graph.above("open", graph.index("ndwi", "green", "nir"), 0.0, 0.10),
        graph.below("dark_nir", "nir", 0.18, 0.05),
    ]
    return graph.finish("water_green_nir", conditions)


def green_swir16() -> bytes:
    """MNDWI, and dark in the short-wave infrared. Cannot tell water from deep shade on vegetation."""
    graph = Graph(("green", "swir16"))
    conditions = [
        graph.above("wet", graph.index("mndwi", "green", "swir16"), 0.25, 0.15),
        graph.below("dark_swir", "swir16", 0.10, 0.04),
    ]
    return graph.finish("water_green_swir16", conditions)


def nir() -> bytes:
    """Darkness in the near infrared alone: misses sediment and shallow water, takes shade and ash for water."""
    graph = Graph(("nir",))
    return graph.finish("water_nir", [graph.below("dark_nir", "pixels", 0.09, 0.04)])


def swir16() -> bytes:
    """Darkness in the short-wave infrared alone: takes shade for water."""
    graph = Graph(("swir16",))
    return graph.finish("water_swir16", [graph.below("dark_swir", "pixels", 0.05, 0.03)])


GRAPHS = {
    "green_nir_swir16.onnx": green_nir_swir16,
    "green_nir.onnx": green_nir,
    "green_swir16.onnx": green_swir16,
    "nir.onnx": nir,
    "swir16.onnx": swir16,
}


def main() -> None:
    """Write every graph into the folder given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, make in GRAPHS.items():
        (out / name).write_bytes(make())


if __name__ == "__main__":
    main()

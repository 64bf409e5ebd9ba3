"""One graph in ONNX Runtime: what is not an application's graph, or not an answer, is refused by name."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from flight.pipeline.session import GraphRejected, InferenceFailed, ModelOutputInvalid, OnnxSession

TILE = np.random.default_rng(1).random((1, 2, 16, 16), dtype=np.float32)


def graph(
    nodes: list[onnx.NodeProto], *, inputs: str = "pixels", outputs: str = "scores", bands: int | str = 2,
    constants: dict[str, list[float]] | None = None, kind: int = TensorProto.FLOAT,
) -> bytes:  # fmt: skip
    """A graph from two planes to whatever its nodes make."""
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info(inputs, TensorProto.FLOAT, [1, bands, "h", "w"])],
            [helper.make_tensor_value_info(outputs, kind, None)],
            [
                helper.make_tensor(name, TensorProto.FLOAT, [len(values)], values)
                for name, values in (constants or {}).items()
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    return bytes(model.SerializeToString())


MEAN = [helper.make_node("ReduceMean", ["pixels"], ["scores"], axes=[1], keepdims=1)]


def test_scores_are_those_of_the_graph() -> None:
    session = OnnxSession(graph(MEAN), bands=2, classes=1)
    np.testing.assert_allclose(session.run(TILE), TILE.mean(axis=1, keepdims=True), rtol=1e-6)


def test_one_thread_and_two_give_the_same_bits() -> None:
    one, two = (OnnxSession(graph(MEAN), bands=2, classes=1, threads=threads).run(TILE) for threads in (1, 2))
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"", "cannot be run"),
        (b"\xff" * 100, "cannot be run"),
        (graph(MEAN)[:60], "cannot be run"),
        (graph([helper.make_node("Nonsense", ["pixels"], ["scores"])]), "Nonsense"),
        (graph([helper.make_node("Identity", ["image"], ["scores"])], inputs="image"), "one input `pixels`"),
        (graph([helper.make_node("Identity", ["pixels"], ["y"])], outputs="y"), "one output `scores`"),
        (graph(MEAN, bands=3), "the manifest gives 2 bands"),
    ],
    ids=["empty", "noise", "cut short", "unknown operator", "other input", "other output", "other bands"],
)
def test_what_is_no_graph_of_an_application_is_refused_before_it_runs(octets: bytes, says: str) -> None:
    with pytest.raises(GraphRejected) as refused:
        OnnxSession(octets, bands=2, classes=1)
    assert says in str(refused.value) and "\n" not in str(refused.value)
    assert (refused.value.code, len(str(refused.value)) < 400) == ("graph_rejected", True)


@pytest.mark.parametrize(
    ("nodes", "constants", "says"),
    [
        ([helper.make_node("Identity", ["pixels"], ["scores"])], {}, "expected float32 (1, 1, 16, 16)"),
        ([helper.make_node("ReduceMean", ["pixels"], ["scores"], keepdims=0)], {}, "expected float32"),
        ([*MEAN[:0], helper.make_node("ReduceMean", ["pixels"], ["m"], axes=[1]),
          helper.make_node("Mul", ["m", "k"], ["scores"])], {"k": [3.0]}, "outside 0 ... 1"),
        ([helper.make_node("ReduceMean", ["pixels"], ["m"], axes=[1]),
          helper.make_node("Mul", ["m", "k"], ["scores"])], {"k": [-1.0]}, "outside 0 ... 1"),
        ([helper.make_node("ReduceMean", ["pixels"], ["m"], axes=[1]),
          helper.make_node("Mul", ["m", "k"], ["scores"])], {"k": [float("nan")]}, "nan"),
        ([helper.make_node("ReduceMean", ["pixels"], ["m"], axes=[1]),
          helper.make_node("Mul", ["m", "k"], ["scores"])], {"k": [float("inf")]}, "inf"),
    ],
    ids=["two planes", "no planes", "above one", "below zero", "not a number", "infinite"],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused(
    nodes: list[onnx.NodeProto], constants: dict[str, list[float]], says: str
) -> None:
    session = OnnxSession(graph(nodes, constants=constants), bands=2, classes=1)
    with pytest.raises(ModelOutputInvalid) as refused:
        session.run(TILE)
    assert says in str(refused.value) and refused.value.code == "model_output_invalid"


def test_whole_numbers_are_no_scores() -> None:
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["m"], axes=[1], keepdims=1),
        helper.make_node("Cast", ["m"], ["scores"], to=TensorProto.UINT8),
    ]
    with pytest.raises(ModelOutputInvalid, match="float32"):
        OnnxSession(graph(nodes, kind=TensorProto.UINT8), bands=2, classes=1).run(TILE)


def test_a_run_that_fails_is_named() -> None:
    session = OnnxSession(graph(MEAN), bands=2, classes=1)
    with pytest.raises(InferenceFailed) as failed:
        session.run(TILE[:, :1])
    assert failed.value.code == "inference_failed" and "\n" not in str(failed.value)

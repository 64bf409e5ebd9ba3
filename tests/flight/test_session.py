"""One graph in ONNX Runtime: what is not an application's graph, or not an answer, is refused by name."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bindings.tiles import Quantisation
from flight.pipeline.session import (
    GraphRejected,
    InferenceFailed,
    InferenceTimedOut,
    ModelOutputInvalid,
    OnnxSession,
    TileMismatch,
)
from payload_models.runtime.deadline import RunDeadline
from payload_models.runtime.policy import DEFAULT_POLICY

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
    policies = [replace(DEFAULT_POLICY, threads=threads) for threads in (1, 2)]
    one, two = (OnnxSession(graph(MEAN), bands=2, classes=1, policy=policy).run(TILE) for policy in policies)
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


# --- bound to buffers


def test_a_bound_tile_reads_and_writes_its_buffers_at_every_run() -> None:
    session = OnnxSession(graph(MEAN), bands=2, classes=1)
    pixels, scores = np.zeros_like(TILE), np.full((1, 1, 16, 16), 7, np.float32)
    tile = session.bind(pixels, scores)
    for number in range(3):
        pixels[:] = TILE * np.float32(number / 2)
        tile.run()
        assert scores.tobytes() == session.run(pixels).tobytes()


def test_many_slots_of_a_ring_are_bound_to_one_session() -> None:
    session = OnnxSession(graph(MEAN), bands=2, classes=1)
    ring = [(np.full_like(TILE, k / 8), np.zeros((1, 1, 16, 16), np.float32)) for k in range(4)]
    tiles = [session.bind(*slot) for slot in ring]
    for tile in reversed(tiles):
        tile.run()
    for k, (_, scores) in enumerate(ring):
        np.testing.assert_array_equal(scores, np.float32(k / 8))


@pytest.mark.parametrize(
    ("pixels", "scores", "name"),
    [
        (TILE[:, :1], np.zeros((1, 1, 16, 16), np.float32), "pixels"),
        (TILE.astype(np.float64), np.zeros((1, 1, 16, 16), np.float32), "pixels"),
        (TILE[0], np.zeros((1, 1, 16, 16), np.float32), "pixels"),
        (TILE[:, :, ::2, ::2], np.zeros((1, 1, 8, 8), np.float32), "pixels"),
        (TILE[:, :, :0], np.zeros((1, 1, 0, 16), np.float32), "pixels"),
        (TILE, np.zeros((1, 2, 16, 16), np.float32), "scores"),
        (TILE, np.zeros((1, 1, 16, 15), np.float32), "scores"),
        (TILE, np.zeros((1, 1, 16, 16), np.float16), "scores"),
        (TILE, np.zeros((1, 1, 16, 32), np.float32)[..., ::2], "scores"),
        (TILE, TILE[:, :1], "scores"),
    ],
)
def test_a_buffer_that_does_not_fit_is_refused(pixels: np.ndarray, scores: np.ndarray, name: str) -> None:
    session = OnnxSession(graph(MEAN), bands=2, classes=1)
    with pytest.raises(TileMismatch) as refused:
        session.bind(pixels, scores)
    assert (refused.value.name, refused.value.code) == (name, "tile_mismatch")


def test_scores_that_may_not_be_written_are_refused() -> None:
    scores = np.zeros((1, 1, 16, 16), np.float32)
    scores.flags.writeable = False
    with pytest.raises(TileMismatch, match="writable"):
        OnnxSession(graph(MEAN), bands=2, classes=1).bind(TILE.copy(), scores)


def test_a_graph_whose_answer_does_not_fit_the_buffer_writes_nothing_beyond_it() -> None:
    identity = graph([helper.make_node("Identity", ["pixels"], ["scores"])])
    guarded = np.full((1, 2, 16, 16), 7, np.float32)
    tile = OnnxSession(identity, bands=2, classes=1).bind(TILE.copy(), guarded[:, :1])
    with pytest.raises(InferenceFailed):
        tile.run()
    np.testing.assert_array_equal(guarded[:, 1], 7)


# --- the watchdog


def slow_graph() -> bytes:
    """Two hundred convolutions: seconds on a large tile, next to nothing on a small one."""
    nodes = [helper.make_node("Conv", ["pixels" if k == 0 else f"v{k - 1}", "w"], [f"v{k}"], pads=[1, 1, 1, 1])
             for k in range(200)]  # fmt: skip
    nodes += [helper.make_node("ReduceMean", ["v199"], ["m"], axes=[1], keepdims=1)]
    nodes += [helper.make_node("Clip", ["m", "low", "high"], ["scores"])]
    weights = np.full((2, 2, 3, 3), 1 / 18, np.float32)
    model = onnx.load_from_string(graph(nodes))
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    for name, value in (("low", 0.0), ("high", 1.0)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(value), name))
    return bytes(model.SerializeToString())


SWIFT = replace(DEFAULT_POLICY, tile_limit_s=0.05)


def test_a_run_that_takes_too_long_is_stopped_with_its_numbers_and_the_session_lives_on() -> None:
    session = OnnxSession(slow_graph(), bands=2, classes=1, policy=SWIFT, host_s=time.monotonic)
    large = np.full((1, 2, 1024, 1024), 0.5, np.float32)
    scores = np.zeros((1, 1, 1024, 1024), np.float32)
    small = TILE.copy(), np.zeros((1, 1, 16, 16), np.float32)
    bound, swift = session.bind(large, scores), session.bind(*small)
    for work in (bound.run, lambda: session.run(large), bound.run):
        with pytest.raises(InferenceTimedOut) as stopped:
            work()
        assert (stopped.value.code, stopped.value.limit_s) == ("inference_timed_out", 0.05)
        assert stopped.value.took_s >= 0.05 and isinstance(stopped.value, TimeoutError)
        swift.run()
        assert small[1].any()
        small[1][:] = 0
    session.close()


def test_an_ordinary_failure_is_not_taken_for_a_timeout() -> None:
    session = OnnxSession(graph(MEAN), bands=2, classes=1, host_s=time.monotonic)
    with pytest.raises(InferenceFailed):
        session.run(TILE[:, :1])
    session.close()


class Stopped:
    """What ONNX Runtime's run options are to the watchdog."""

    terminate = False


def test_a_run_within_its_time_is_not_stopped_for_the_time_of_earlier_ones() -> None:
    options, now_s = Stopped(), [0.0]
    deadline = RunDeadline(0.02, lambda: now_s[0], options)
    for pause_s in (0.0, 0.0, 0.03, 0.0, 0.001):  # the watching thread sleeps in some of them, and looks in others
        deadline.begin()
        now_s[0] += 0.015
        time.sleep(0.012)
        assert not options.terminate and deadline.end() is None
        now_s[0] += 10
        time.sleep(pause_s)
    deadline.close()


def test_the_watchdog_reads_the_clock_that_it_is_given() -> None:
    options, now_s = Stopped(), [0.0]
    deadline = RunDeadline(0.02, lambda: now_s[0], options)
    deadline.begin()
    time.sleep(0.06)  # long for this computer, nothing by the clock given
    assert not options.terminate
    now_s[0] = 0.5
    for _ in range(200):
        if options.terminate:
            break
        time.sleep(0.01)
    assert deadline.end() == 0.5
    assert not options.terminate
    deadline.begin()
    assert deadline.end() is None
    deadline.close()


@pytest.mark.parametrize("limit_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit_s: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        RunDeadline(limit_s, time.monotonic, Stopped())


# --- graphs of octets, fixed shapes


def octets_graph() -> bytes:
    """Two planes of octets to their mean, in 1/256."""
    nodes = [
        helper.make_node("DequantizeLinear", ["pixels", "k"], ["f"]),
        helper.make_node("ReduceMean", ["f"], ["scores"], axes=[1], keepdims=1),
    ]
    model = onnx.load_from_string(graph(nodes))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1 / 256), "k"))
    return bytes(model.SerializeToString())


def test_a_graph_of_octets_takes_octets() -> None:
    session = OnnxSession(octets_graph(), bands=2, classes=1, quantisation=Quantisation(1 / 255, 0))
    assert session.input_dtype == np.uint8 and session.quantisation == Quantisation(1 / 255, 0)
    pixels, scores = (TILE * 255).astype(np.uint8), np.zeros((1, 1, 16, 16), np.float32)
    session.bind(pixels, scores).run()
    np.testing.assert_array_equal(scores[0, 0], pixels[0].astype(np.float32).mean(0) / 256)
    with pytest.raises(TileMismatch):
        session.bind(TILE.copy(), scores)


@pytest.mark.parametrize(
    ("octets", "quantisation"), [(octets_graph(), None), (graph(MEAN), Quantisation(0.1, 0))], ids=["none", "needless"]
)
def test_input_type_and_quantisation_belong_together(octets: bytes, quantisation: Quantisation | None) -> None:
    with pytest.raises(GraphRejected, match="quantisation"):
        OnnxSession(octets, bands=2, classes=1, quantisation=quantisation)


def test_a_session_of_fixed_tiles_takes_no_other() -> None:
    session = OnnxSession(graph(MEAN), bands=2, classes=1, side=16)
    np.testing.assert_allclose(session.run(TILE), TILE.mean(axis=1, keepdims=True), rtol=1e-6)
    with pytest.raises(InferenceFailed):
        session.run(TILE[:, :, :8, :8].copy())
    with pytest.raises(TileMismatch):
        session.bind(TILE[:, :, :8, :8].copy(), np.zeros((1, 1, 8, 8), np.float32))


def test_a_graph_made_for_other_tiles_is_refused() -> None:
    model = onnx.load_from_string(graph(MEAN))
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 8
    with pytest.raises(GraphRejected, match="tiles are"):
        OnnxSession(bytes(model.SerializeToString()), bands=2, classes=1, side=16)

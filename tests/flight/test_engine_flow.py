"""Stages that overlap give what stages in a row give: pixels, counters, checkpoints, errors; and leave no thread."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.tiles import Normalisation, Quantisation
from flight.pipeline.area import PixelArea
from flight.pipeline.checkpoint import Checkpoint
from flight.pipeline.engine import NO_ANSWER, Engine, EngineClosed, EngineSetup, Step
from flight.pipeline.flow import Flow, FlowMode
from flight.pipeline.flow_runner import THREAD_NAME
from flight.pipeline.ring import RingUnavailable
from payload_models.runtime.errors import InferenceFailed, ModelOutputInvalid
from tests.flight.test_engine import ArraySource, class_map, fly, setup_of

SERIAL = Flow(mode=FlowMode.SERIAL)
OVERLAPPED = Flow(cores=2, mode=FlowMode.OVERLAPPED)
FLOWS = (SERIAL, OVERLAPPED, replace(OVERLAPPED, slots=2), replace(OVERLAPPED, slots=5))


def graph_threads() -> int:
    return sum(thread.name == THREAD_NAME for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    before = graph_threads()
    yield
    assert graph_threads() == before


class Classes:
    """Three score planes that depend on the pixel and its left and right neighbours; bound to buffers, and wary.

    A run spoils the scores first, so that whoever reads them too early, or reads another tile's, sees no scores; and
    looks whether its pixels stay as they were while it runs.
    """

    def __init__(self, fails_at: int | None = None, pause: Callable[[], None] = lambda: None) -> None:
        self.runs, self.fails_at, self.pause = 0, fails_at, pause
        self.in_run = threading.Lock()

    @staticmethod
    def scores_of(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        first, second = pixels[0, 0], pixels[0, 1]
        blurred = (np.roll(first, 1, axis=1) + first + np.roll(first, -1, axis=1)) / np.float32(3)
        scores: NDArray[np.float32] = np.stack([blurred, second, 1 - first])[None].clip(0, 1)
        return scores

    def run(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        raise AssertionError("a session that binds is not run unbound")

    def bind(self, pixels: NDArray[np.float32], scores: NDArray[np.float32]) -> Classes._Bound:
        assert pixels.ctypes.data % 64 == 0 and scores.ctypes.data % 64 == 0
        return Classes._Bound(self, pixels, scores)

    class _Bound:
        def __init__(self, owner: Classes, pixels: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
            self.owner, self.pixels, self.scores = owner, pixels, scores

        def run(self) -> None:
            owner = self.owner
            assert owner.in_run.acquire(blocking=False), "two runs at once"
            owner.runs += 1
            if owner.runs == owner.fails_at:
                owner.in_run.release()
                raise InferenceFailed("a node said no")
            seen = self.pixels.copy()
            self.scores.fill(np.nan)
            owner.pause()
            assert np.array_equal(self.pixels, seen), "the pixels changed during the run"
            self.scores[...] = owner.scores_of(self.pixels)
            owner.in_run.release()


def three_classes(scene: NDArray[Any], tile: int, overlap: int, margin: int, **changes: Any) -> EngineSetup:
    setup = setup_of(scene, tile, overlap, margin, band_indices=(0, 1), planes=3, **changes)
    return replace(setup, norm=Normalisation((1 / 255,) * 2, (0.0,) * 2, 0.0, 1.0))


def reference(scene: NDArray[np.uint8], setup: EngineSetup) -> tuple[NDArray[np.uint8], float]:
    """Plain NumPy: every tile from the reflected scene, scores argmax; the mean margin.

    Of tiles that meet without a seam (overlap == 2 * margin), so that nothing is blended.
    """
    grid, (rows, width) = setup.grid, scene.shape[:2]
    assert grid.seam == 0
    labels = np.zeros((rows, width), np.uint8)
    margins = np.zeros((rows, width))
    scaled = (scene.astype(np.float32) * np.float32(1 / 255)).clip(0, 1)

    def folded(first: int, length: int) -> NDArray[np.int64]:
        at = np.arange(first, first + grid.tile)
        if length == 1:
            return np.zeros_like(at)
        at = np.abs(at) % (2 * (length - 1))
        return np.where(at < length, at, 2 * (length - 1) - at)

    for row in range(grid.rows_of(rows)):
        for column in range(grid.columns):
            top, left = row * grid.stride, column * grid.stride
            tile = scaled[np.ix_(folded(top - grid.margin, rows), folded(left - grid.margin, width))]
            scores = Classes.scores_of(tile.transpose(2, 0, 1)[None])[0]
            bottom = rows if row == grid.rows_of(rows) - 1 else top + grid.stride
            right = width if column == grid.columns - 1 else left + grid.stride
            inner = scores[:, grid.margin : grid.margin + bottom - top, grid.margin : grid.margin + right - left]
            labels[top:bottom, left:right] = inner.argmax(axis=0)
            ranked = np.sort(inner, axis=0)
            margins[top:bottom, left:right] = ranked[2] - ranked[1]
    return labels, float(margins.mean())


@settings(max_examples=40, deadline=None)
@given(
    rows=st.sampled_from([1, 2, 15, 16, 17, 31, 50, 77]),
    columns=st.sampled_from([1, 2, 15, 16, 17, 31, 50, 77]),
    tile=st.sampled_from([16, 20, 32]),
    margin=st.sampled_from([0, 1, 3]),
    burst=st.integers(1, 90),
    seed=st.integers(0, 2**32 - 1),
)
def test_overlapped_and_serial_are_the_numpy_reference(
    rows: int, columns: int, tile: int, margin: int, burst: int, seed: int
) -> None:
    scene = np.random.default_rng(seed).integers(0, 256, (rows, columns, 2)).astype(np.uint8)
    setup = three_classes(scene, tile, 2 * margin, margin)
    expected, confidence = reference(scene, setup)
    seen = set()
    for flow in FLOWS:
        found, engine = class_map(setup, ArraySource(scene, burst), Classes(), flow)
        assert np.array_equal(found, expected), flow
        seen.add(engine.progress)
    assert len(seen) == 1, "the counters depend on the flow"
    assert seen.pop().confidence == pytest.approx(confidence, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 90),
    columns=st.integers(1, 90),
    overlap=st.sampled_from([0, 4, 10]),
    burst=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_blended_masked_and_lost_pixels_are_the_same_overlapped_and_serial(
    rows: int, columns: int, overlap: int, burst: int, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    scene = rng.integers(0, 256, (rows, columns, 2)).astype(np.uint8)
    scene[:, : columns // 3, : 1 + seed % 2] = 7  # nodata, often under whole tiles, or one band of it
    scene[: rows // 2, columns // 2 :] = 7
    first = data.draw(st.integers(0, rows - 1))
    lost = ((first, data.draw(st.integers(1, rows - first))),)
    area = PixelArea((tuple((float(x), float(y)) for x, y in rng.uniform(-20, 110, (4, 2))),))
    setup = three_classes(scene, 24, overlap, overlap // 4, nodata=7.0, area=area if seed % 2 else None)
    maps, progress = [], set()
    for flow in FLOWS[:3]:
        found, engine = class_map(setup, ArraySource(scene, burst, lost), Classes(), flow)
        maps.append(found)
        progress.add(engine.progress)
    assert np.array_equal(maps[0], maps[1]) and np.array_equal(maps[0], maps[2])
    assert len(progress) == 1
    closed = (scene == 7).all(axis=2)
    closed[first : first + lost[0][1]] = True
    if setup.area is not None:
        closed |= ~setup.area.mask(0, rows, columns)
    assert np.array_equal(maps[0] == NO_ANSWER, closed)
    measured = (scene != 7).any(axis=2)
    measured[first : first + lost[0][1]] = False
    asked = setup.area.mask(0, rows, columns) if setup.area is not None else np.ones((rows, columns), np.bool_)
    grid, screened = setup.grid, 0
    for row in range(grid.rows_of(rows)):
        for column in range(grid.columns):
            top, left = row * grid.stride - grid.margin, column * grid.stride - grid.margin
            under = np.s_[max(top, 0) : top + grid.tile, max(left, 0) : left + grid.tile]
            screened += not (measured[under].any() and asked[under].any())
    assert progress.pop().tiles_screened == screened


class Quantised:
    """Takes octets and gives the share of the first band: one score plane."""

    def __init__(self, dtype: type[np.integer[Any]], quantisation: Quantisation) -> None:
        self.input_dtype, self.quantisation = np.dtype(dtype), quantisation

    def run(self, tile: NDArray[Any]) -> NDArray[np.float32]:
        assert tile.dtype == self.input_dtype and tile.shape[:2] == (1, 1)
        shifted = tile.astype(np.float32) - np.float32(self.quantisation.zero_point)
        scores: NDArray[np.float32] = (shifted * np.float32(self.quantisation.scale)).clip(0, 1)
        return scores


@settings(max_examples=30, deadline=None)
@given(
    rows=st.sampled_from([1, 15, 16, 33, 60]),
    columns=st.sampled_from([1, 15, 16, 33, 60]),
    kind=st.sampled_from([(np.uint8, 0), (np.uint8, 9), (np.int8, -128), (np.int8, 5)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_graph_of_octets_gets_them_quantised_as_onnx_says(
    rows: int, columns: int, kind: tuple[type[np.integer[Any]], int], seed: int
) -> None:
    dtype, zero_point = kind
    scene = np.random.default_rng(seed).integers(0, 1000, (rows, columns, 1)).astype(np.uint16)
    quantisation = Quantisation(scale=1 / 120, zero_point=zero_point)
    setup = replace(setup_of(scene, 16, 0, 0), norm=Normalisation((1e-3,), (0.0,), 0.0, 1.0), threshold=0.5)
    share = (scene[:, :, 0].astype(np.float32) * np.float32(1e-3)).clip(0, 1)
    limits = np.iinfo(dtype)
    steps = np.rint(share / np.float32(1 / 120)) + zero_point
    found_share = (steps.clip(limits.min, limits.max).astype(np.float32) - np.float32(zero_point)) * np.float32(1 / 120)
    for flow in FLOWS[:2]:
        found, _ = class_map(setup, ArraySource(scene, 99), Quantised(dtype, quantisation), flow)
        assert np.array_equal(found, found_share.clip(0, 1) >= np.float32(0.5))


def test_the_stages_do_overlap_and_keep_their_order() -> None:
    """While the graph is held in one tile, later ones are cut; nothing is stitched before its scores are there."""
    scene = np.random.default_rng(3).integers(0, 256, (64, 96, 2)).astype(np.uint8)
    gate = threading.Event()
    entered = threading.Semaphore(0)

    def hold() -> None:
        entered.release()
        assert gate.wait(20)

    source = ArraySource(scene, 1000)
    source.came = 64
    engine = Engine(
        three_classes(scene, 16, 0, 0), source, Classes(pause=hold), lambda *_: None, lambda: 0.0, flow=OVERLAPPED
    )
    assert [engine.step() for _ in range(3)] == [Step.TILE] * 3  # three buffers
    assert entered.acquire(timeout=20)
    assert engine.progress.tiles_done == 0 and graph_threads() == 1
    gate.set()
    fly(engine, source)
    assert engine.progress.tiles_done == 24


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("fails_at", [1, 2, 7, 24])
def test_a_graph_that_fails_ends_everything_with_its_own_error(flow: Flow, fails_at: int) -> None:
    scene = np.random.default_rng(3).integers(0, 256, (64, 96, 2)).astype(np.uint8)
    session = Classes(fails_at)
    engine = Engine(
        three_classes(scene, 16, 0, 0),
        source := ArraySource(scene, 99),
        session,
        lambda *_: None,
        lambda: 0.0,
        flow=flow,
    )
    with pytest.raises(InferenceFailed, match="a node said no"):
        fly(engine, source)
    assert session.runs == fails_at, "tiles behind the failed one were run"
    assert graph_threads() == 0
    assert engine.progress.tiles_done == fails_at - 1
    with pytest.raises(EngineClosed):
        engine.step()


@pytest.mark.parametrize("flow", FLOWS[:2])
def test_scores_that_are_none_are_refused_whoever_wrote_them(flow: Flow) -> None:
    scene = np.full((32, 32, 1), 200, np.uint8)

    class Wrong:
        def run(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
            scores = np.full((1, 1, 16, 16), 0.5, np.float32)
            scores[0, 0, 15, 15] = np.nan
            return scores

    source = ArraySource(scene, 99)
    with pytest.raises(ModelOutputInvalid, match="nan"):
        fly(Engine(setup_of(scene, 16, 0, 0), source, Wrong(), lambda *_: None, lambda: 0.0, flow=flow), source)

    class WrongShape:
        def run(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.zeros((1, 1, 8, 16), np.float32)

    source = ArraySource(scene, 99)
    with pytest.raises(ModelOutputInvalid, match="expected"):
        fly(Engine(setup_of(scene, 16, 0, 0), source, WrongShape(), lambda *_: None, lambda: 0.0, flow=flow), source)


@pytest.mark.parametrize("flow", FLOWS[:2])
def test_an_error_of_the_sink_or_of_the_lines_comes_out_as_it_was_and_ends_the_thread(flow: Flow) -> None:
    scene = np.random.default_rng(3).integers(0, 256, (64, 96, 2)).astype(np.uint8)

    class Full(OSError):
        pass

    def sink(first: int, rows: NDArray[np.uint8]) -> None:
        if first >= 16:
            raise Full

    source = ArraySource(scene, 99)
    with pytest.raises(Full):
        fly(Engine(three_classes(scene, 16, 0, 0), source, Classes(), sink, lambda: 0.0, flow=flow), source)
    assert graph_threads() == 0

    class Unreadable(ArraySource):
        def read_into(self, first: int, out: NDArray[Any]) -> None:
            if first >= 32:
                raise Full
            super().read_into(first, out)

    source = Unreadable(scene, 99)
    with pytest.raises(Full):
        fly(Engine(three_classes(scene, 16, 0, 0), source, Classes(), lambda *_: None, lambda: 0.0, flow=flow), source)
    assert graph_threads() == 0


def test_an_engine_closed_in_the_middle_waits_for_its_run_and_leaves_nothing() -> None:
    scene = np.random.default_rng(3).integers(0, 256, (64, 96, 2)).astype(np.uint8)
    source = ArraySource(scene, 99)
    source.came = 99
    session = Classes()
    with Engine(
        three_classes(scene, 16, 0, 0), source, session, lambda *_: None, lambda: 0.0, flow=OVERLAPPED
    ) as engine:
        for _ in range(5):
            engine.step()
        assert graph_threads() == 1
    assert graph_threads() == 0
    done = session.runs
    engine.close()
    with pytest.raises(EngineClosed):
        engine.step()
    assert session.runs == done


def test_an_engine_that_is_forgotten_takes_its_thread_along() -> None:
    scene = np.random.default_rng(3).integers(0, 256, (64, 96, 2)).astype(np.uint8)
    source = ArraySource(scene, 99)
    source.came = 99
    engine = Engine(three_classes(scene, 16, 0, 0), source, Classes(), lambda *_: None, lambda: 0.0, flow=OVERLAPPED)
    engine.step()
    (thread,) = (thread for thread in threading.enumerate() if thread.name == THREAD_NAME)
    del engine
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("kill_flow", [OVERLAPPED, SERIAL])
@pytest.mark.parametrize("overlap", [0, 8])
def test_killed_with_tiles_in_flight_and_resumed_in_the_other_form(
    tmp_path: Path, overlap: int, kill_flow: Flow
) -> None:
    """At most the tiles in flight are run again; pixels, counters and confidence are those of an undisturbed run."""
    scene = np.random.default_rng(9).integers(0, 256, (70, 75, 2)).astype(np.uint8)
    scene[:33, :33] = 0
    setup = three_classes(scene, 32, overlap, overlap // 4, nodata=0.0)
    undisturbed, engine = class_map(setup, ArraySource(scene, 1000), Classes(), SERIAL)
    other = SERIAL if kill_flow is OVERLAPPED else OVERLAPPED
    total = engine.progress.tiles_total
    assert total is not None
    for killed_at in range(total + 5):
        folder = tmp_path / str(killed_at)
        session = Classes()
        source = ArraySource(scene, 1000)
        source.came = scene.shape[0]
        first = Engine(
            setup, source, session, lambda *_: None, lambda: 0.0, Checkpoint(folder, setup.digest(), 75), kill_flow
        )
        for _ in range(killed_at):
            first.step()
        first.close()  # ends the thread alone: nothing more is stitched or written
        checkpoint = Checkpoint(folder, setup.digest(), 75)
        source = ArraySource(scene, 1000)
        second = Engine(setup, source, session, lambda *_: None, lambda: 0.0, checkpoint, other)
        fly(second, source)
        assert np.array_equal(checkpoint.class_rows(0, 70), undisturbed), killed_at
        assert second.progress == engine.progress, killed_at
        assert session.runs <= engine.progress.tiles_inferred + OVERLAPPED.slots, killed_at


def test_a_strip_that_comes_line_by_line_waits_and_goes_on(tmp_path: Path) -> None:
    """Tiles in flight are stitched while lines are awaited: what has come is answered before WAITING is said."""
    scene = np.random.default_rng(5).integers(0, 256, (60, 40, 2)).astype(np.uint8)
    setup = three_classes(scene, 16, 0, 0)
    source = ArraySource(scene, 1)
    source.came = 40  # two rows of tiles can be told from the last one
    engine = Engine(setup, source, Classes(), lambda *_: None, lambda: 0.0, flow=OVERLAPPED)
    while engine.step() is Step.TILE:
        pass
    assert engine.progress.tiles_done == 6 and engine.progress.rows_final == 32
    source.came = 60
    fly(engine, source)
    assert engine.progress.rows_final == 60


def test_no_memory_for_the_buffers_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    scene = np.zeros((40, 40, 2), np.uint8)
    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(RingUnavailable, match="Cannot allocate memory") as refused:
        Engine(three_classes(scene, 16, 0, 0), ArraySource(scene, 9), Classes(), lambda *_: None, lambda: 0.0)
    assert refused.value.code == "ring_unavailable" and isinstance(refused.value, MemoryError)

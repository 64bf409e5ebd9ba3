"""The tile engine against the same graph run directly on the whole scene, in one go and killed at every tile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.stitch import TileGrid
from bindings.tiles import Normalisation
from flight.pipeline.area import PixelArea
from flight.pipeline.checkpoint import Checkpoint
from flight.pipeline.engine import NO_ANSWER, Engine, EngineSetup, Step
from flight.pipeline.flow import ONE_CORE, Flow


class ArraySource:
    """A strip whose lines come in bursts; forgets what was released, as a ring does."""

    def __init__(self, scene: NDArray[Any], burst: int, lost: tuple[tuple[int, int], ...] = ()) -> None:
        self.scene, self.burst, self.came, self.lost, self.released = scene.copy(), burst, 0, lost, 0
        for first, count in lost:
            self.scene[first : first + count] = 0

    columns = property(lambda self: self.scene.shape[1])
    bands = property(lambda self: self.scene.shape[2])
    dtype = property(lambda self: str(self.scene.dtype))

    @property
    def lines(self) -> int | None:
        return len(self.scene) if self.came >= len(self.scene) else None

    @property
    def available(self) -> int:
        return min(self.came, len(self.scene))

    def read_into(self, first: int, out: NDArray[Any]) -> None:
        assert self.released <= first and first + len(out) <= self.available, "a released or future line was read"
        out[...] = self.scene[first : first + len(out)]

    def release(self, before: int) -> None:
        assert before >= self.released
        self.released = before

    def lost_ranges(self) -> tuple[tuple[int, int], ...]:
        return self.lost


class PerPixel:
    """A graph that looks at single pixels: probability = first band."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        self.runs += 1
        return np.clip(tile[:, :1], 0, 1)


class Neighbourhood:
    """A 3 x 3 mean with zero padding: its border is wrong by one pixel, which a margin must hide."""

    def run(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        padded = np.pad(tile[0, 0], 1)
        side = tile.shape[2]
        total = sum(padded[i : i + side, j : j + side] for i in range(3) for j in range(3))
        return np.clip(total / 9, 0, 1)[None, None].astype(np.float32)


def setup_of(scene: NDArray[Any], tile: int, overlap: int, margin: int, **changes: Any) -> EngineSetup:
    fields: dict[str, Any] = {
        "grid": TileGrid(scene.shape[1], tile, overlap, margin),
        "band_indices": (0,),
        "norm": Normalisation((1 / 255,), (0.0,), 0.0, 1.0),
        "planes": 1,
        "threshold": 0.5,
        "nodata": None,
        "area": None,
        "model_sha256": bytes(32),
    }
    return EngineSetup(**{**fields, **changes})


def fly(engine: Engine, source: ArraySource) -> None:
    for _ in range(100_000):
        step = engine.step()
        if step == Step.FINISHED:
            return
        if step == Step.WAITING:
            assert source.came < source.scene.shape[0], "waits for lines although the strip has ended"
            source.came += source.burst
    raise AssertionError("the engine does not finish")


def class_map(
    setup: EngineSetup, source: ArraySource, session: Any, flow: Flow = ONE_CORE
) -> tuple[NDArray[np.uint8], Engine]:
    rows: list[NDArray[np.uint8]] = []
    expected_first = [0]

    def sink(first: int, block: NDArray[np.uint8]) -> None:
        assert first == expected_first[0]
        expected_first[0] += block.shape[0]
        rows.append(block.copy())

    engine = Engine(setup, source, session, sink, lambda: 0.0, flow=flow)
    fly(engine, source)
    return (np.concatenate(rows) if rows else np.zeros((0, setup.grid.width), np.uint8)), engine


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 90),
    columns=st.integers(1, 90),
    tile=st.sampled_from([16, 24, 32]),
    overlap=st.sampled_from([0, 4, 8]),
    margin=st.sampled_from([0, 2]),
    burst=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_pixelwise_graph_gives_the_map_of_the_whole_scene(
    rows: int, columns: int, tile: int, overlap: int, margin: int, burst: int, seed: int
) -> None:
    scene = np.random.default_rng(seed).integers(0, 256, (rows, columns, 2)).astype(np.uint8)
    setup = setup_of(scene, tile, overlap, min(margin, overlap // 2))
    found, engine = class_map(setup, ArraySource(scene, burst), PerPixel())
    whole = np.clip(scene[:, :, 0].astype(np.float32) * np.float32(1 / 255), 0, 1) >= np.float32(0.5)
    assert np.array_equal(found, whole.astype(np.uint8))
    assert engine.progress.tiles_done == engine.progress.tiles_total == engine.progress.tiles_inferred


def test_a_margin_of_the_receptive_field_hides_the_border_of_every_tile() -> None:
    scene = np.random.default_rng(5).integers(0, 256, (100, 130, 1)).astype(np.uint8)
    found, _ = class_map(setup_of(scene, 32, 8, 1), ArraySource(scene, 1000), Neighbourhood())
    padded = np.pad(scene[:, :, 0].astype(np.float32) * np.float32(1 / 255), 1, mode="reflect")
    mean = sum(padded[i : i + 100, j : j + 130] for i in range(3) for j in range(3)) / np.float32(9)
    assert np.count_nonzero(found != (mean >= 0.5)) == 0


def test_nodata_lost_lines_and_pixels_outside_the_area_get_no_answer() -> None:
    scene = np.full((64, 64, 1), 200, dtype=np.uint8)
    scene[:, :20] = 7
    area = PixelArea((((0.0, 0.0), (64.0, 0.0), (64.0, 50.0), (0.0, 50.0)),))
    setup = setup_of(scene, 16, 0, 0, nodata=7.0, area=area)
    found, engine = class_map(setup, ArraySource(scene, 5, lost=((30, 3),)), PerPixel())
    expected = np.ones((64, 64), dtype=np.uint8)
    expected[:, :20] = expected[50:] = expected[30:33] = NO_ANSWER
    assert np.array_equal(found, expected)
    assert engine.progress.no_answer_pixels == np.count_nonzero(expected == NO_ANSWER)
    assert engine.progress.tiles_screened == 4  # the first tile column holds nodata alone


@pytest.mark.parametrize("overlap", [0, 8])
def test_a_kill_at_any_tile_changes_no_pixel_and_runs_no_tile_twice(tmp_path: Path, overlap: int) -> None:
    scene = np.random.default_rng(9).integers(0, 256, (70, 75, 1)).astype(np.uint8)
    setup = setup_of(scene, 32, overlap, overlap // 4)
    undisturbed, engine = class_map(setup, ArraySource(scene, 1000), PerPixel())
    tiles = engine.progress.tiles_total
    assert tiles is not None
    for killed_at in range(tiles + 1):
        folder = tmp_path / str(killed_at)
        session = PerPixel()
        checkpoint = Checkpoint(folder, setup.digest(), scene.shape[1])
        source = ArraySource(scene, 1000)
        first = Engine(setup, source, session, lambda *_: None, lambda: 0.0, checkpoint)
        source.came = scene.shape[0]
        for _ in range(killed_at):
            first.step()
        # the process is gone: nothing is closed or flushed; a torn tail stands for the write it was in
        with (folder / "row.bin").open("ab") as stream:
            stream.write(b"SWT1torn")
        checkpoint = Checkpoint(folder, setup.digest(), scene.shape[1])
        second = Engine(setup, source, session, lambda *_: None, lambda: 0.0, checkpoint)
        fly(second, source)
        assert np.array_equal(checkpoint.class_rows(0, scene.shape[0]), undisturbed), killed_at
        assert session.runs == tiles, f"killed at {killed_at}: {session.runs} runs for {tiles} tiles"
        assert second.progress == engine.progress, killed_at


def test_a_checkpoint_of_another_setup_is_not_used(tmp_path: Path) -> None:
    scene = np.full((40, 40, 1), 200, dtype=np.uint8)
    setup = setup_of(scene, 16, 0, 0)
    Engine(setup, (source := ArraySource(scene, 99)), PerPixel(), lambda *_: None, lambda: 0.0)
    checkpoint = Checkpoint(tmp_path, setup.digest(), 40)
    engine = Engine(setup, source, PerPixel(), lambda *_: None, lambda: 0.0, checkpoint)
    fly(engine, source)
    other = setup_of(scene, 16, 0, 0, threshold=0.9)
    assert Checkpoint(tmp_path, other.digest(), 40).engine_state is None

"""Strip -> tiles -> inference -> stitch -> class rows. One step is one tile; memory does not grow with the strip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bindings.stitch import Stitcher, TileGrid
from bindings.tiles import Layout, Normalisation, tile_f32
from flight.pipeline.area import PixelArea
from flight.pipeline.checkpoint import Checkpoint
from flight.pipeline.lines import LineSource

NO_ANSWER = 255  # nodata, outside the area, or a line the sensor lost
ENDLESS = 1 << 30  # stands for the number of lines of a strip that has not ended


class Step(IntEnum):
    """What one call of Engine.step() did."""

    TILE = 1
    WAITING = 2  # for lines; nothing was done
    FINISHED = 3


class Session(Protocol):
    """What runs the graph: (1, bands, side, side) float32 -> (1, classes, side, side) float32 in 0 ... 1."""

    def run(self, tile: NDArray[np.float32]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class EngineSetup:
    """All that decides a class map, beside the pixels and the graph."""

    grid: TileGrid
    band_indices: tuple[int, ...]
    norm: Normalisation
    planes: int  # score planes of the graph: 1 = probability of class 1
    threshold: float  # of a probability plane
    nodata: float | None
    area: PixelArea | None
    model_sha256: bytes

    def digest(self) -> bytes:
        """SHA-256 that names this setup in a checkpoint."""
        return sha256(repr(self).encode()).digest()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an engine is. tiles_total is None until the strip has ended."""

    tiles_total: int | None
    tiles_done: int
    tiles_screened: int
    tiles_inferred: int
    rows_final: int
    no_answer_pixels: int
    inference_s: float  # host time spent in the graph by this process
    confidence: float  # mean margin of the answered pixels, 0 ... 1


@dataclass(slots=True)
class _Counts:
    """Counters that travel in the checkpoint."""

    screened: int = 0
    inferred: int = 0
    no_answer: int = 0
    margin_total: float = 0.0
    margin_pixels: int = 0


class Engine:
    """One strip through one graph.

    sink(first_row, rows): called with final class rows (count, width) uint8 in order, before step() returns; after
    a restart it begins with the rows that were not final yet, earlier ones are in the checkpoint.
    """

    def __init__(
        self,
        setup: EngineSetup,
        source: LineSource,
        session: Session,
        sink: Callable[[int, NDArray[np.uint8]], None],
        host_s: Callable[[], float],
        checkpoint: Checkpoint | None = None,
    ) -> None:
        grid = setup.grid
        self._setup, self._grid, self._source, self._session = setup, grid, source, session
        self._sink, self._host_s, self._checkpoint = sink, host_s, checkpoint
        self._stitcher = Stitcher(grid, setup.planes, setup.threshold)
        self._pixels = np.zeros((1, len(setup.band_indices), grid.tile, grid.tile), dtype=np.float32)
        self._valid = np.zeros((grid.tile, grid.tile), dtype=np.uint8)
        self._blank = np.zeros((setup.planes, grid.tile, grid.tile), dtype=np.float32)
        self._row = self._column = 0
        self._rows_final = 0
        self._finished = False
        self._inference_s = 0.0
        self._counts = _Counts()
        self._window: NDArray[Any] | None = None
        self._window_first = 0
        self._open = np.zeros((0, grid.width), dtype=np.bool_)  # pixels of the row in work that get an answer
        self._asked: NDArray[np.bool_] | None = None  # where the tile row's pixels lie in the area
        self._out = np.zeros((0, grid.width), dtype=np.uint8)
        self._kept: dict[int, NDArray[np.float32]] = {}
        if checkpoint is not None and checkpoint.engine_state is not None:
            self._restore(checkpoint.engine_state)

    @property
    def progress(self) -> Progress:
        """Counters so far."""
        counts, lines = self._counts, self._source.lines
        total = None if lines is None else self._grid.rows_of(lines) * self._grid.columns
        return Progress(
            tiles_total=total,
            tiles_done=counts.screened + counts.inferred,
            tiles_screened=counts.screened,
            tiles_inferred=counts.inferred,
            rows_final=self._rows_final,
            no_answer_pixels=counts.no_answer,
            inference_s=self._inference_s,
            confidence=counts.margin_total / counts.margin_pixels if counts.margin_pixels else 0.0,
        )

    def step(self) -> Step:
        """Do one tile of work. Never waits: WAITING when the lines of the next tile have not come."""
        if self._finished or self._nothing_to_see():
            self._finished = True
            return Step.FINISHED
        if self._window is None and not self._enter_row():
            return Step.WAITING
        self._do_tile()
        self._column += 1
        if self._column == self._grid.columns:
            self._leave_row()
        return Step.TILE

    def _nothing_to_see(self) -> bool:
        """A strip that ended without a line, or whose rows are all final."""
        lines = self._source.lines
        return lines is not None and self._rows_final >= lines

    def _enter_row(self) -> bool:
        grid, lines, available = self._grid, self._source.lines, self._source.available
        origin = self._row * (grid.tile - grid.overlap) - grid.margin
        end = origin + grid.tile
        ended = lines is not None and available >= lines
        if not ended and (end > available or grid.rows_of(available) <= self._row + 1):
            return False
        scene_rows = lines if lines is not None and ended else ENDLESS
        last = min(end, scene_rows)
        # rows past the end are reflections of rows above it, which may lie before this tile row
        first = max(0, min(origin, 2 * (scene_rows - 1) - (end - 1)) if end > scene_rows else origin)
        self._window = self._source.rows(first, last - first)
        self._window_first = first
        start, stop = grid.final_rows(self._row, None if scene_rows == ENDLESS else scene_rows)
        self._out = np.full((stop - start, grid.width), NO_ANSWER, dtype=np.uint8)
        self._open = np.ones((stop - start, grid.width), dtype=np.bool_)
        if self._setup.area is not None:
            top = max(origin, 0)
            self._asked = self._setup.area.mask(top, last - top, grid.width)
            self._open = self._asked[start - top : stop - top].copy()
        self._scene_rows, self._final = scene_rows, (start, stop)
        if self._checkpoint is not None:
            self._kept = self._checkpoint.tiles(self._row, self._setup.planes, grid.tile)
        return True

    def _do_tile(self) -> None:
        grid, setup = self._grid, self._setup
        stride = grid.tile - grid.overlap
        row, column = self._row * stride - grid.margin, self._column * stride - grid.margin
        assert self._window is not None
        tile_f32(
            self._window,
            Layout.HWC,
            first_row=self._window_first,
            scene_rows=self._scene_rows,
            row=row,
            col=column,
            bands=setup.band_indices,
            norm=setup.norm,
            nodata=setup.nodata,
            out=self._pixels[0],
            valid=self._valid,
        )
        for lost, count in self._source.lost_ranges():
            self._valid[max(lost - row, 0) : max(lost + count - row, 0)] = 0
        start, stop = self._final
        left = self._column * stride
        right = grid.width if self._column == grid.columns - 1 else left + stride
        # what this tile alone decides, and what it may still lend to its neighbours by blending
        own = self._open[:, left:right]
        own &= self._valid[start - row : stop - row, left - column : right - column] != 0
        scores = self._scores(self._worth_a_look(column))
        inside = scores[:, start - row : stop - row, left - column : right - column]
        self._measure(inside, own)
        last_row = self._scene_rows != ENDLESS and self._row == grid.rows_of(self._scene_rows) - 1
        self._stitcher.put(
            scores,
            self._row,
            self._column,
            last_row=last_row,
            scene_rows=self._scene_rows,
            out=self._out,
            out_first_row=start,
        )

    def _worth_a_look(self, column: int) -> bool:
        """False when no pixel that this tile has a say in can get an answer."""
        if not self._valid.any():
            return False
        if self._asked is None:
            return True
        grid = self._grid
        left, right = max(column, 0), min(column + grid.tile, grid.width)
        return bool(self._asked[:, left:right].any())

    def _scores(self, wanted: bool) -> NDArray[np.float32]:
        """The tile's score planes: kept ones, none for a screened tile, or fresh from the graph."""
        if not wanted:
            self._counts.screened += 1
            return self._blank
        self._counts.inferred += 1
        kept = self._kept.get(self._column)
        if kept is not None:
            return kept
        began_s = self._host_s()
        scores: NDArray[np.float32] = self._session.run(self._pixels)[0]
        self._inference_s += self._host_s() - began_s
        if self._checkpoint is not None:
            self._checkpoint.save_tile(self._row, self._column, scores)
        return scores

    def _measure(self, scores: NDArray[np.float32], answered: NDArray[np.bool_]) -> None:
        """Margin of the decision over the pixels this tile decides: |2p - 1|, or best minus second."""
        count = int(np.count_nonzero(answered))
        if count == 0:
            return
        if scores.shape[0] == 1:
            margin = np.abs(scores[0][answered].astype(np.float64) * 2 - 1)
        else:
            ranked = np.partition(scores, -2, axis=0)
            margin = (ranked[-1] - ranked[-2])[answered].astype(np.float64)
        self._counts.margin_total += float(margin.sum())
        self._counts.margin_pixels += count

    def _leave_row(self) -> None:
        start, stop = self._final
        self._out[~self._open] = NO_ANSWER
        self._counts.no_answer += int(np.count_nonzero(~self._open))
        self._rows_final = stop
        self._row, self._column, self._window, self._kept = self._row + 1, 0, None, {}
        if self._checkpoint is not None:
            self._checkpoint.save_row(self._state(), self._out)
        self._sink(start, self._out)
        self._finished = self._nothing_to_see()
        # the next row may be the last, and reflect up to a tile's height of rows before it
        self._source.release(max(0, self._row * (self._grid.tile - self._grid.overlap) - 2 * self._grid.tile))

    def _state(self) -> dict[str, object]:
        counts = self._counts
        return {
            "row": self._row,
            "rows_final": self._rows_final,
            "stitcher": self._stitcher.state(),
            "counts": [counts.screened, counts.inferred, counts.no_answer, counts.margin_pixels],
            "margin": counts.margin_total,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._row, self._rows_final = state["row"], state["rows_final"]
        self._stitcher.restore(state["stitcher"])
        screened, inferred, no_answer, margin_pixels = state["counts"]
        self._counts = _Counts(screened, inferred, no_answer, state["margin"], margin_pixels)

"""Strip -> tiles -> inference -> stitch -> class rows. One step is one tile; memory does not grow with the strip.

The caller's thread cuts tiles and stitches their scores; the graph runs there too, or in a thread of its own, so that
tiles are cut ahead of it and stitched behind it meanwhile. The answer is the same: tiles pass each stage in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindings.answer import MARGIN_ONE, Plane
from bindings.stitch import Stitcher
from flight.pipeline.checkpoint import Checkpoint
from flight.pipeline.engine_cut import CutTile, EngineSetup, TileCutting
from flight.pipeline.engine_rows import TileRow
from flight.pipeline.engine_session import RunningSession, bind_tile, input_of
from flight.pipeline.errors import PipelineError
from flight.pipeline.flow import ONE_CORE, Flow, Governor
from flight.pipeline.flow_runner import GraphThread, Slot
from flight.pipeline.lines import LineSource
from flight.pipeline.ring import pages_for
from payload_models.runtime.errors import ModelOutputInvalid

__all__ = ["NO_ANSWER", "Engine", "EngineClosed", "EngineSetup", "Flow", "Progress", "Step"]

NO_ANSWER = 255  # nodata, outside the area, or a line the sensor lost
SCORE_SLACK = 1e-4  # by which scores may leave 0 ... 1: what rounding does to a sigmoid or softmax
TILES_AHEAD = 16  # cut and not stitched yet, those included that need no run of the graph


class EngineClosed(PipelineError, RuntimeError):
    """The engine was closed, or ended with an error, before its strip was done."""

    code = "engine_closed"

    def __init__(self) -> None:
        super().__init__("the engine was closed before its strip was done")


class Step(IntEnum):
    """What one call of Engine.step() did."""

    TILE = 1
    WAITING = 2  # for lines; nothing was done
    FINISHED = 3


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
    margin_units: int = 0
    margin_pixels: int = 0


@dataclass(slots=True, eq=False)
class _InFlight:
    """A tile between its cut and its stitch."""

    tile: CutTile
    scores: Plane  # (planes, side, side) float32
    slot: Slot | None  # None: no run of the graph is needed
    cut_s: float


class Engine:
    """One strip through one graph.

    sink(first_row, rows): called with final class rows (count, width) uint8 in order, before step() returns; they are
    the caller's until sink returns. After a restart it begins with the rows that were not final yet, earlier ones are
    in the checkpoint. An error of any stage leaves step() as it was raised, and closes the engine.
    """

    def __init__(
        self,
        setup: EngineSetup,
        source: LineSource,
        session: RunningSession,
        sink: Callable[[int, NDArray[np.uint8]], None],
        host_s: Callable[[], float],
        checkpoint: Checkpoint | None = None,
        flow: Flow = ONE_CORE,
    ) -> None:
        grid = setup.grid
        self._setup, self._grid, self._source = setup, grid, source
        self._sink, self._host_s, self._checkpoint = sink, host_s, checkpoint
        self._stitcher = Stitcher(grid, setup.planes, setup.threshold)
        self._rows_final = 0
        self._finished = self._closed = False
        self._inference_s = 0.0
        self._counts = _Counts()
        self._first_row = 0  # of tiles; the one in which a process before this one may have left some
        if checkpoint is not None and checkpoint.engine_state is not None:
            self._first_row = self._restore(checkpoint.engine_state)
        self._governor = Governor(flow)
        self._thread = GraphThread(host_s)
        self._flight: deque[_InFlight] = deque()
        input_shape = (1, len(setup.band_indices), grid.tile, grid.tile)
        score_shape = (1, setup.planes, grid.tile, grid.tile)
        slots = flow.slots if self._governor.may_overlap else 1
        input_dtype, quantisation = input_of(session)
        buffers = ((input_shape, input_dtype), (score_shape, np.dtype(np.float32)))
        valid = ((grid.tile, grid.tile), np.uint8)
        self._pages = pages_for(*buffers * slots, buffers[1], valid)
        self._free: list[Slot] = []
        try:
            for _ in range(slots):
                pixels, scores = (self._pages.take(*buffer) for buffer in buffers)
                self._free.append(Slot(pixels, Plane(scores[0]), bind_tile(session, pixels, scores)))
            self._blank = Plane(self._pages.take(*buffers[1])[0])
            self._cutting = TileCutting(
                setup, source, self._first_row, self._pages.take(*valid), input_dtype, quantisation
            )
        except BaseException:
            self._free.clear()
            self._pages.close()
            raise

    @property
    def progress(self) -> Progress:
        """Counters so far."""
        counts, lines = self._counts, self._source.lines
        total = None if lines is None else self._grid.rows_of(lines) * self._grid.columns
        mean = counts.margin_units / (MARGIN_ONE * counts.margin_pixels) if counts.margin_pixels else 0.0
        return Progress(
            tiles_total=total,
            tiles_done=counts.screened + counts.inferred,
            tiles_screened=counts.screened,
            tiles_inferred=counts.inferred,
            rows_final=self._rows_final,
            no_answer_pixels=counts.no_answer,
            inference_s=self._inference_s,
            confidence=mean,
        )

    @property
    def overlapped(self) -> bool:
        """Whether the next tile's graph runs beside the other stages."""
        return self._governor.overlapped

    def step(self) -> Step:
        """Do one tile of work. Never waits for lines: WAITING when those of the next tile have not come.

        Raises what a stage raised, EngineClosed after that.
        """
        if self._finished:
            return Step.FINISHED
        if self._closed:
            raise EngineClosed
        try:
            step = self._overlapped_step() if self._governor.overlapped or self._flight else self._serial_step()
        except BaseException:
            self.close()
            raise
        if step is Step.FINISHED:
            self._finished = True
            self.close()
        return step

    def close(self) -> None:
        """End the thread and give the buffers back. What was not stitched is dropped, a checkpoint keeps the rest."""
        if self._closed:
            return
        self._closed = True
        self._thread.close()
        self._flight.clear()
        self._free.clear()
        self._cutting.close()
        self._pages.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serial_step(self) -> Step:
        ready = self._cut_next()
        if not isinstance(ready, _InFlight):
            return ready
        if ready.slot is not None:
            ready.slot.run(self._host_s)
        self._pass_on(ready)
        return Step.TILE

    def _overlapped_step(self) -> Step:
        """Stitch the oldest tile if no buffer is free, then cut one more; if none can be cut, stitch what is left."""
        if not self._governor.overlapped:  # the form changes once all have landed
            self._collect()
            return Step.TILE
        while not self._free or len(self._flight) >= TILES_AHEAD:
            self._collect()
        ready = self._cut_next()
        if isinstance(ready, _InFlight):
            self._flight.append(ready)
            if ready.slot is not None:
                self._thread.submit(ready.slot)
            return Step.TILE
        if not self._flight:
            return ready
        self._collect()
        return Step.TILE

    def _cut_next(self) -> _InFlight | Step:
        """The next tile, or why there is none."""
        cutting, began_s = self._cutting, self._host_s()
        if cutting.enters_row:
            if cutting.at_end:
                return Step.FINISHED
            row = cutting.enter_row()
            if row is None:
                self._governor.interrupted()
                return Step.WAITING
            if self._checkpoint is not None and row.number == self._first_row:
                row.kept = self._checkpoint.tiles(row.number, self._setup.planes, self._grid.tile)
        slot = self._free[-1]
        tile = cutting.cut(slot.pixels[0])
        if not tile.wanted:
            return _InFlight(tile, self._blank, None, 0.0)
        kept = tile.row.kept.pop(tile.column, None)
        if kept is not None:
            return _InFlight(tile, Plane(kept), None, 0.0)
        self._free.pop()
        return _InFlight(tile, slot.scores, slot, self._host_s() - began_s)

    def _collect(self) -> None:
        """Wait for the oldest tile in flight, and stitch it."""
        ready = self._flight.popleft()
        if ready.slot is not None:
            taken = self._thread.take()
            assert taken is ready.slot, "the graph's thread keeps the order"
        self._pass_on(ready)

    def _pass_on(self, ready: _InFlight) -> None:
        """The last stage: check and measure the scores, keep them, stitch, and finish the row after its last tile."""
        tile, slot, counts, began_s = ready.tile, ready.slot, self._counts, self._host_s()
        row, scores = tile.row, ready.scores.array
        if slot is not None:
            if slot.error is not None:
                raise slot.error
            self._inference_s += slot.run_s
        if tile.wanted:
            found = row.answers.measure(ready.scores, tile.own, tile.left, -SCORE_SLACK, 1 + SCORE_SLACK)
            if found.outside:
                low, high = float(scores.min()), float(scores.max())
                raise ModelOutputInvalid(f"scores run from {low} to {high}, outside 0 ... 1")
            counts.inferred += 1
            counts.margin_units += found.margin_units
            counts.margin_pixels += found.pixels
        else:
            counts.screened += 1
        if slot is not None and self._checkpoint is not None:
            self._checkpoint.save_tile(row.number, tile.column, scores)
        self._stitcher.put(
            scores,
            row.number,
            tile.column,
            last_row=row.last,
            scene_rows=row.scene_rows,
            out=row.answers.labels,
            out_first_row=row.start,
        )
        if tile.last:
            self._leave_row(row)
        if slot is None:
            self._governor.interrupted()
        else:
            self._free.append(slot)
            now_s = self._host_s()
            self._governor.tile(now_s, ready.cut_s + now_s - began_s, slot.run_s)

    def _leave_row(self, row: TileRow) -> None:
        labels = row.answers.labels
        self._counts.no_answer += row.answers.blank(NO_ANSWER)
        self._rows_final = row.stop
        following = row.number + 1
        if self._checkpoint is not None:
            self._checkpoint.save_row(self._state(following), labels)
        self._sink(row.start, labels)
        self._cutting.leave(row)
        # the next row may be the last, and reflect up to a tile's height of rows before it
        self._source.release(max(0, following * self._grid.stride - 2 * self._grid.tile))

    def _state(self, next_row: int) -> dict[str, object]:
        counts = self._counts
        return {
            "row": next_row,
            "rows_final": self._rows_final,
            "stitcher": self._stitcher.state(),
            "counts": [counts.screened, counts.inferred, counts.no_answer, counts.margin_pixels, counts.margin_units],
        }

    def _restore(self, state: dict[str, Any]) -> int:
        """Go on where _state() was taken; the row of tiles to begin with."""
        self._rows_final = state["rows_final"]
        self._stitcher.restore(state["stitcher"])
        screened, inferred, no_answer, margin_pixels, margin_units = state["counts"]
        self._counts = _Counts(screened, inferred, no_answer, margin_units, margin_pixels)
        return int(state["row"])

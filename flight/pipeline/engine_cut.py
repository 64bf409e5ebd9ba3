"""The first stage: lines of the strip become the model's input, row of tiles by row of tiles."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindings.answer import AnswerRows, Own, Plane, holds_only
from bindings.stitch import TileGrid
from bindings.tiles import Layout, Normalisation, Quantisation, TileCutter
from flight.pipeline.area import PixelArea
from flight.pipeline.engine_rows import LineWindow, TileRow
from flight.pipeline.lines import LineSource

ENDLESS = 1 << 30  # stands for the number of lines of a strip that has not ended


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


@dataclass(slots=True, eq=False)
class CutTile:
    """One tile after the first stage."""

    row: TileRow
    column: int
    own: Own
    left: int  # first column of the own pixels in the strip
    wanted: bool  # some pixel of it in the scene is measured, and some lies in the area
    last: bool  # in its row


class TileCutting:
    """Cuts the tiles of a strip in reading order, as far as its lines have come."""

    def __init__(
        self,
        setup: EngineSetup,
        source: LineSource,
        first_row: int,
        valid: NDArray[np.uint8],
        input_dtype: np.dtype[Any],
        quantisation: Quantisation | None,
    ) -> None:
        """first_row: of tiles, to begin with; valid: (side, side) to work in. Raises RingUnavailable."""
        grid = setup.grid
        self._setup, self._grid, self._source = setup, grid, source
        self._lines = LineWindow(source, grid.tile)
        self._answers: list[AnswerRows] = []  # not in use
        self._valid = Plane(valid)
        self._nodata = _sample_of(setup.nodata, np.dtype(source.dtype))
        self._cutter = TileCutter(
            layout=Layout.HWC,
            columns=source.columns,
            planes=source.bands,
            dtype=source.dtype,
            bands=setup.band_indices,
            norm=setup.norm,
            nodata=setup.nodata,
            side=grid.tile,
            out_dtype=input_dtype,
            quantisation=quantisation,
            statistics=False,
        )
        self._number, self._column = first_row, 0
        self._row: TileRow | None = None

    @property
    def at_end(self) -> bool:
        """The strip has ended, and its last tile was cut."""
        lines = self._source.lines
        return self._row is None and lines is not None and (not lines or self._number >= self._grid.rows_of(lines))

    @property
    def enters_row(self) -> bool:
        """The next tile is the first of its row."""
        return self._row is None

    def enter_row(self) -> TileRow | None:
        """The next row of tiles, its lines read; None when they have not all come."""
        grid, lines, available = self._grid, self._source.lines, self._source.available
        origin = self._number * grid.stride - grid.margin
        end = origin + grid.tile
        ended = lines is not None and available >= lines
        if not ended and (end > available or grid.rows_of(available) <= self._number + 1):
            return None
        scene_rows = lines if lines is not None and ended else ENDLESS
        stop = min(end, scene_rows)
        # rows past the end are reflections of rows above it, which may lie before this tile row
        first = max(0, min(origin, 2 * (scene_rows - 1) - (end - 1)) if end > scene_rows else origin)
        window = self._lines.show(first, stop - first)
        last = scene_rows != ENDLESS and self._number == grid.rows_of(scene_rows) - 1
        final = grid.final_rows(self._number, scene_rows if last else None)
        answers = self._answers.pop() if self._answers else AnswerRows(grid.tile, grid.width)
        answers.begin(final[1] - final[0])
        lost = tuple(
            (max(begin - origin, 0), min(begin + count - origin, grid.tile))
            for begin, count in self._source.lost_ranges()
            if begin < end and begin + count > origin
        )
        self._row = TileRow(
            number=self._number,
            origin=origin,
            scene_rows=scene_rows,
            last=last,
            start=final[0],
            stop=final[1],
            window=window,
            window_first=first,
            lost=lost,
            asked=self._ask(max(origin, 0), stop, final, answers),
            answers=answers,
            kept={},
        )
        self._column = 0
        return self._row

    def cut(self, pixels: NDArray[Any]) -> CutTile:
        """The next tile of the row, into `pixels` (bands, side, side) if it is wanted."""
        row, grid = self._row, self._grid
        assert row is not None
        number, column = self._column, self._column * grid.stride - grid.margin
        last = number == grid.columns - 1
        left = number * grid.stride
        right = grid.width if last else left + grid.stride
        own = Own(row.start - row.origin, row.stop - row.origin, left - column, right - column)
        tile = CutTile(row, number, own, left, wanted=self._asked(row, column), last=last)
        if tile.wanted and self._is_empty(row, column):
            row.answers.open_[:, left:right] = 0
            tile.wanted = False
        if tile.wanted:
            valid, across = self._valid.array, self._in_scene(column, grid.width)
            self._cutter.cut(
                row.window,
                first_row=row.window_first,
                scene_rows=row.scene_rows,
                row=row.origin,
                col=column,
                out=pixels,
                valid=valid,
            )
            tile.wanted = self._cutter.nodata_pixels < self._cutter.pixels
            if row.lost:
                for begin, end in row.lost:
                    valid[begin:end] = 0
                tile.wanted = bool(valid[self._in_scene(row.origin, row.scene_rows)][:, across].any())
            row.answers.close_invalid(self._valid, own, left)
        self._column += 1
        if last:
            self._row, self._number = None, self._number + 1
        return tile

    def leave(self, row: TileRow) -> None:
        """All tiles of this row have passed all stages; its buffers may be used again."""
        self._answers.append(row.answers)

    def close(self) -> None:
        """Give the line buffer back."""
        self._lines.close()

    def _ask(self, top: int, bottom: int, final: tuple[int, int], answers: AnswerRows) -> NDArray[np.bool_] | None:
        """Close the final rows outside the area; which columns hold any pixel of it in rows top ... bottom."""
        if self._setup.area is None:
            return None
        inside = self._setup.area.mask(top, bottom - top, self._grid.width)
        answers.open_[...] = inside[final[0] - top : final[1] - top]
        columns: NDArray[np.bool_] = np.logical_or.reduce(inside, axis=0)
        return columns

    def _in_scene(self, origin: int, length: int) -> slice:
        """The rows or columns of a tile that lie in the scene; the others are reflections of them."""
        return slice(max(0, -origin), min(self._grid.tile, length - origin))

    def _is_empty(self, row: TileRow, column: int) -> bool:
        """Whether all samples of the tile that lie in the scene are nodata, in the bands that are not cut too."""
        if self._nodata is None:
            return False
        first, end = max(row.origin, 0), min(row.origin + self._grid.tile, row.scene_rows)
        across = slice(max(column, 0), min(column + self._grid.tile, self._grid.width))
        return holds_only(row.window[first - row.window_first : end - row.window_first, across], self._nodata)

    def _asked(self, row: TileRow, column: int) -> bool:
        """Whether the tile from this column on holds a pixel of the area. If not, its own pixels are closed already."""
        if row.asked is None:
            return True
        return bool(row.asked[max(column, 0) : min(column + self._grid.tile, self._grid.width)].any())


def _sample_of(nodata: float | None, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """nodata as a sample; None when there is none, or no sample can be it."""
    if nodata is None or not (np.isfinite(nodata) and abs(nodata) <= np.finfo(np.float32).max):
        return None
    if dtype.kind == "f":
        return np.array(nodata, dtype)
    limits = np.iinfo(dtype)
    return np.array(int(nodata), dtype) if nodata == int(nodata) and limits.min <= nodata <= limits.max else None

"""Lines whose bands were moved onto each other, block by block: a LineSource round another.

A band is moved by its whole pixels and interpolated by what is left, with Keys' cubic kernel (1981, a = -1/2) along and
across. The operations are float32 in a fixed order, so that every machine makes the same lines. Where a band has no
pixel (beyond the edges, or beside one that is nodata in all bands) the pixel is nodata in all bands; without a nodata
value the edge repeats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flight.pipeline.control import Unregistered
from flight.pipeline.lines import LineSource
from flight.pipeline.registration import BandShift, NoTexture, measure_shifts

MEASURED_LINES, LEAST_MEASURED_LINES = 512, 128
MEASURED_BYTES = 32 << 20  # of the lines that shifts are measured on, above LEAST_MEASURED_LINES
BLOCK_LINES = 64  # moved at once; bounds the memory of one call
_BEFORE, _AFTER = 1, 2  # lines that the kernel needs on each side


class RegisteredLines:
    """The LineSource protocol over another one, with one shift a band."""

    def __init__(self, source: LineSource, shifts: Sequence[BandShift], nodata: float | None) -> None:
        """nodata: of the samples; None where every sample is a measurement."""
        if len(shifts) != source.bands:
            raise ValueError(f"{len(shifts)} shifts for {source.bands} bands")
        self._source, self._nodata = source, nodata
        self._shifts = tuple(shifts)
        whole = [math.floor(shift.along_px) for shift in shifts]
        self._low, self._high = min(0, min(whole) - _BEFORE), max(0, max(whole) + _AFTER)
        self._kept: NDArray[Any] = np.zeros((0, source.columns, source.bands), np.dtype(source.dtype))
        self._kept_first = 0

    def digest(self) -> bytes:
        """Names the shifts in a checkpoint."""
        return repr([(shift.across_px, shift.along_px) for shift in self._shifts]).encode()

    @property
    def columns(self) -> int:
        return self._source.columns

    @property
    def bands(self) -> int:
        return self._source.bands

    @property
    def dtype(self) -> str:
        return self._source.dtype

    @property
    def lines(self) -> int | None:
        return self._source.lines

    @property
    def available(self) -> int:
        available, lines = self._source.available, self._source.lines
        return available if lines is not None and available >= lines else max(0, available - self._high)

    def read_into(self, first: int, out: NDArray[Any]) -> None:
        """See LineSource."""
        for begin in range(0, len(out), BLOCK_LINES):
            block = out[begin : begin + BLOCK_LINES]
            self._move(first + begin, block)

    def release(self, before: int) -> None:
        """See LineSource; the lines that others are still made from are kept."""
        self._source.release(max(0, before + self._low))

    def lost_ranges(self) -> tuple[tuple[int, int], ...]:
        """Lines of which any band was lost."""
        lines = self._source.lines
        merged: list[tuple[int, int]] = []
        for first, count in self._source.lost_ranges():
            begin, end = max(0, first - self._high), first + count - self._low
            end = end if lines is None else min(end, lines)
            if merged and begin <= sum(merged[-1]):
                begin, end = merged[-1][0], max(end, sum(merged.pop()))
            if end > begin:
                merged.append((begin, end - begin))
        return tuple(merged)

    def _move(self, first: int, out: NDArray[Any]) -> None:
        begin, end = first + self._low, first + len(out) + self._high
        lines = self._source.available
        held_first, held_end = max(0, begin), min(lines, end)
        held = self._held(held_first, held_end)
        rows = np.arange(begin, end)
        window = held[np.clip(rows, held_first, held_end - 1) - held_first]  # beyond the strip its edge repeats
        outside = np.zeros(out.shape[:2], dtype=np.bool_)
        empty = np.zeros(window.shape[:2], dtype=np.bool_) if self._nodata is None else (window == self._nodata).all(2)
        for band, shift in enumerate(self._shifts):
            along, across = math.floor(shift.along_px), math.floor(shift.across_px)
            taps = window[along - self._low - _BEFORE :, :, band][: len(out) + _BEFORE + _AFTER]
            columns = np.arange(-_BEFORE, out.shape[1] + _AFTER) + across
            taps = taps[:, np.clip(columns, 0, out.shape[1] - 1)]
            out[:, :, band] = _moved(taps, shift.along_px - along, shift.across_px - across, out.dtype)
            if self._nodata is not None:
                missing = empty[along - self._low - _BEFORE :][: len(out) + _BEFORE + _AFTER]
                missing = missing[:, np.clip(columns, 0, out.shape[1] - 1)]
                source_rows = np.arange(-_BEFORE, len(out) + _AFTER) + first + along
                missing |= ((source_rows < 0) | (source_rows >= lines))[:, None]
                missing |= ((columns < 0) | (columns >= out.shape[1]))[None, :]
                outside |= _near(missing, shift.along_px != along, shift.across_px != across)
        if self._nodata is not None:
            out[outside] = self._nodata

    def _held(self, first: int, end: int) -> NDArray[Any]:
        """Lines first ... end - 1, those of the last call not read again: a source may only go forward."""
        again = self._kept_first + len(self._kept) - first
        lines = np.empty((end - first, self.columns, self.bands), np.dtype(self.dtype))
        known = min(again, len(lines)) if 0 < again <= len(self._kept) else 0
        if known:
            lines[:known] = self._kept[first - self._kept_first :][:known]
        if known < len(lines):
            self._source.read_into(first + known, lines[known:])
        self._kept, self._kept_first = lines, first
        return lines


@dataclass(frozen=True, slots=True)
class Registration:
    """What came of moving the bands of a source onto each other."""

    lines: LineSource
    unregistered: Unregistered | None = None  # why these are the lines as they came, though a reference was given


def registered(source: LineSource, reference: int | None, nodata: float | None) -> Registration | None:
    """The lines with their bands moved onto band `reference`, as measured on the first of them.

    The lines themselves where there is no reference, and, with the reason, where they have no texture to measure on.
    None while too few lines have come. Raises ShiftTooLarge.
    """
    if reference is None:
        return Registration(source)
    line_bytes = source.columns * source.bands * np.dtype(source.dtype).itemsize
    wanted = max(LEAST_MEASURED_LINES, min(MEASURED_LINES, MEASURED_BYTES // line_bytes))
    if source.lines is None and source.available < wanted:
        return None
    first = np.empty((min(wanted, source.available), source.columns, source.bands), np.dtype(source.dtype))
    if not len(first):
        return Registration(source)
    source.read_into(0, first)
    try:
        return Registration(RegisteredLines(source, measure_shifts(first, reference, nodata=nodata), nodata))
    except NoTexture:
        return Registration(source, Unregistered.NO_TEXTURE)


def _moved(taps: NDArray[Any], along: float, across: float, dtype: np.dtype[Any]) -> NDArray[Any]:
    """(rows + 3, columns + 3) samples interpolated at the fractions `along`, `across` past their second ones."""
    if along == 0.0 and across == 0.0:
        return taps[_BEFORE:-_AFTER, _BEFORE:-_AFTER]
    values = taps.astype(np.float32)
    rows = len(values) - _BEFORE - _AFTER
    columns = values.shape[1] - _BEFORE - _AFTER
    down = _sum_of([values[tap : tap + rows] * weight for tap, weight in enumerate(_kernel(along))])
    moved = _sum_of([down[:, tap : tap + columns] * weight for tap, weight in enumerate(_kernel(across))])
    if dtype.kind == "f":
        return moved
    limits = np.iinfo(dtype)
    return np.clip(np.rint(moved), limits.min, limits.max).astype(dtype)


def _sum_of(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """In the order given, whatever the machine."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _kernel(t: float) -> tuple[np.float32, ...]:
    """Keys' weights of the samples at -1, 0, 1, 2 for a point at t, 0 <= t < 1; they add up to one."""
    weights = (
        -0.5 * t**3 + t**2 - 0.5 * t,
        1.5 * t**3 - 2.5 * t**2 + 1.0,
        -1.5 * t**3 + 2.0 * t**2 + 0.5 * t,
        0.5 * t**3 - 0.5 * t**2,
    )
    return tuple(np.float32(weight) for weight in weights)


def _near(missing: NDArray[np.bool_], along: bool, across: bool) -> NDArray[np.bool_]:
    """Where a sample that counts is missing: the four taps of an axis that is interpolated, else the one."""
    rows, columns = missing.shape[0] - _BEFORE - _AFTER, missing.shape[1] - _BEFORE - _AFTER
    down = [missing[tap : tap + rows] for tap in (range(4) if along else (_BEFORE,))]
    whole = np.logical_or.reduce(down)
    found: NDArray[np.bool_] = np.logical_or.reduce(
        [whole[:, tap : tap + columns] for tap in (range(4) if across else (_BEFORE,))]
    )
    return found

"""Band to band registration: how far each band lies off a reference band, measured on the lines themselves.

Bands of a line camera look at slightly different times and angles. The shift is measured on windows with texture: phase
correlation of gradient magnitudes (a coast is dark to bright in one band and bright to dark in another) finds it and
says how clearly, the enhanced correlation coefficient (Evangelidis and Psarakis 2008) refines it, and the median over
the clearest windows is taken. flight/pipeline/registered_lines.py applies it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from flight.pipeline.errors import PipelineError

Floats: TypeAlias = "NDArray[np.float32]"

SIDES = (128, 64)  # of a window, the largest of which several fit; powers of two, for phase correlation
MAX_WINDOWS = 24
LEAST_WINDOWS = 3
LEAST_RESPONSE = 0.35  # of phase correlation: noise gives at most 0.3 in the smaller window
CLEAREST = 0.6  # windows whose response is less than this share of the best are left out
UNIT_PX = 1 / 64  # shifts are rounded to it, far below what is measured: last bits differ between machines
_MOST_SPREAD_PX = 0.5  # median deviation of windows that agree
_ECC = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)


class NoTexture(PipelineError, ValueError):
    """Too few windows show the same ground in both bands: nothing to measure a shift on."""

    code = "no_texture"

    def __init__(self, band: int, windows: int, tried: int) -> None:
        super().__init__(f"band {band}: {windows} of {tried} windows agree on a shift, {LEAST_WINDOWS} are needed")
        self.band, self.windows, self.tried = band, windows, tried


class ShiftTooLarge(PipelineError, ValueError):
    """A band lies farther off than it may."""

    code = "shift_too_large"

    def __init__(self, band: int, across_px: float, along_px: float, limit_px: float) -> None:
        super().__init__(f"band {band} lies {across_px:.2f}, {along_px:.2f} pixels off, at most {limit_px:g} are taken")
        self.band, self.across_px, self.along_px, self.limit_px = band, across_px, along_px, limit_px


@dataclass(frozen=True, slots=True)
class BandShift:
    """What lies at (row, column) in the reference lies at (row + along_px, column + across_px) in the band."""

    across_px: float
    along_px: float
    sigma_px: float = 0.0  # one standard deviation, from the spread over the windows
    windows: int = 0  # that agreed


def measure_shifts(
    lines: NDArray[Any], reference: int, *, nodata: float | None = None, limit_px: float = 16.0
) -> tuple[BandShift, ...]:
    """The shift of each band of lines (rows, columns, bands) against band `reference`, whose own is zero.

    Raises NoTexture, ShiftTooLarge; ValueError for a reference that is not there.
    """
    rows, columns, bands = lines.shape
    if not 0 <= reference < bands:
        raise ValueError(f"band {reference} of {bands} as the reference")
    side = next((side for side in SIDES if rows // side and (rows // side) * (columns // side) >= 6), 0)
    if not side:
        raise NoTexture(reference, 0, 0)
    windows = _windows(lines, reference, side, nodata)
    found = []
    for band in range(bands):
        if band == reference:
            found.append(BandShift(0.0, 0.0))
            continue
        shift = _agreed(
            band, [_shift(lines[row : row + side, column : column + side], reference, band) for row, column in windows]
        )
        if max(abs(shift.across_px), abs(shift.along_px)) > limit_px:
            raise ShiftTooLarge(band, shift.across_px, shift.along_px, limit_px)
        found.append(shift)
    return tuple(found)


def _windows(lines: NDArray[Any], reference: int, side: int, nodata: float | None) -> list[tuple[int, int]]:
    """Corners of the windows with most texture, without nodata in them, spread over the lines."""
    ranked = []
    for row in range(0, lines.shape[0] - side + 1, side):
        for column in range(0, lines.shape[1] - side + 1, side):
            pixels = lines[row : row + side, column : column + side, reference].astype(np.float32)
            if not np.isfinite(pixels).all() or (nodata is not None and (pixels == nodata).any()):
                continue
            texture = float(_gradients(pixels).std())
            if texture > 0.0:
                ranked.append((-texture, row, column))
    return [(row, column) for _, row, column in sorted(ranked)[:MAX_WINDOWS]]


def _shift(window: NDArray[Any], reference: int, band: int) -> tuple[float, float, float] | None:
    """Response, across and along of one window; None where the bands do not show the same."""
    fixed, moved = (_gradients(window[:, :, index].astype(np.float32)) for index in (reference, band))
    if not np.isfinite(moved).all() or float(moved.std()) == 0.0:
        return None
    hanning = cv2.createHanningWindow((fixed.shape[1], fixed.shape[0]), cv2.CV_32F)
    (across, along), response = cv2.phaseCorrelate(fixed, moved, hanning)
    if max(abs(across), abs(along)) > fixed.shape[0] / 4 or response < LEAST_RESPONSE:
        return None
    begun = np.array([[1, 0, across], [0, 1, along]], np.float32)
    try:
        _, warp = cv2.findTransformECC(fixed, moved, begun, cv2.MOTION_TRANSLATION, _ECC)
    except cv2.error:  # it did not converge
        return None
    refined = float(warp[0, 2]), float(warp[1, 2])
    return (float(response), *refined) if math.dist(refined, (across, along)) < 1.5 else None


def _gradients(pixels: Floats) -> Floats:
    """Magnitude of the gradient."""
    across, along = cv2.Sobel(pixels, cv2.CV_32F, 1, 0), cv2.Sobel(pixels, cv2.CV_32F, 0, 1)
    return np.asarray(cv2.magnitude(across, along), np.float32)


def _agreed(band: int, shifts: list[tuple[float, float, float] | None]) -> BandShift:
    seen = np.array([shift for shift in shifts if shift is not None], dtype=np.float64).reshape(-1, 3)
    clear = seen[seen[:, 0] >= CLEAREST * seen[:, 0].max(initial=0.0), 1:]
    if len(clear) < LEAST_WINDOWS:
        raise NoTexture(band, len(clear), len(shifts))
    off = np.abs(clear - np.median(clear, axis=0)).max(axis=1)
    agreeing = clear[off <= max(0.1, 3 * 1.4826 * float(np.median(off)))]
    across, along = np.median(agreeing, axis=0)
    spread = float(np.median(np.abs(agreeing - (across, along)).max(axis=1)))
    if len(agreeing) < LEAST_WINDOWS or spread > _MOST_SPREAD_PX:
        raise NoTexture(band, len(agreeing), len(shifts))
    sigma = 1.2533 * 1.4826 * spread / math.sqrt(len(agreeing))  # of a median of normal deviates
    return BandShift(_rounded(across), _rounded(along), math.ceil(sigma / UNIT_PX) * UNIT_PX, len(agreeing))


def _rounded(pixels: float) -> float:
    return round(float(pixels) / UNIT_PX) * UNIT_PX

"""A schedule as a picture: what each frame of one major frame holds, and the fullest frame large."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flight.errors import FlightError
from flight.executive.modes import Mode
from flight.executive.schedule import Analysis, Entry, ScheduleTable, modes_of

WIDTH = 1400
LEFT = 220  # for the names
ROW = 22
ZOOM = 46
MAX_FRAMES = 200  # drawn; a longer table shows its first ones
_PALETTE = (
    (180, 119, 31),
    (14, 127, 255),
    (44, 160, 44),
    (40, 39, 214),
    (189, 103, 148),
    (75, 86, 140),
    (194, 119, 227),
    (127, 127, 127),
    (34, 189, 188),
    (207, 190, 23),
)  # blue, green, red
_INK, _GRID, _RED, _WINDOW = (40, 40, 40), (225, 225, 225), (40, 39, 214), (160, 160, 160)


class PictureNotWritten(FlightError, OSError):
    """The PNG could not be written."""

    code = "picture_not_written"


def draw(table: ScheduleTable, analysis: Analysis, path: Path) -> None:
    """Write the Gantt chart of the busiest mode as a PNG. Raises PictureNotWritten."""
    import cv2  # only who asks for a picture pays for OpenCV

    mode = Mode[analysis.worst_frame.mode.upper()] if analysis.worst_frame.mode else Mode.NOMINAL
    entries = sorted((entry for entry in table.entries if mode in modes_of(entry)), key=lambda entry: entry.slot)
    frames = min(max(analysis.hyperperiod, 1), MAX_FRAMES)
    rows = len(entries) + len(table.windows)
    height = 70 + ROW * rows + 120 + ZOOM + 70
    canvas = np.full((height, WIDTH, 3), 255, np.uint8)

    def text(words: str, x: int, y: int, colour: tuple[int, int, int] = _INK) -> None:
        cv2.putText(canvas, words, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)

    def box(x0: float, y0: float, x1: float, y1: float, colour: tuple[int, int, int]) -> None:
        cv2.rectangle(canvas, (round(x0), round(y0)), (max(round(x0), round(x1) - 1), round(y1)), colour, -1)

    verdict = "fits" if analysis.ok else "does not fit"
    text(
        f"{Path(table.name).name}   {verdict}   mode {mode.name.lower()}   {analysis.hyperperiod} frames of"
        f" {table.minor_us / 1000:g} ms   utilisation {analysis.utilisation:.0%}   {analysis.hash[:12]}",
        12,
        26,
    )
    _rows(table, entries, frames, text, box)
    _windows(table, 50 + ROW * len(entries), frames, text, box)
    base = 50 + ROW * rows + 100
    _load(table, entries, frames, base, text, box)
    _fullest(table, analysis, entries, base + 50, text, box)
    done, octets = cv2.imencode(".png", canvas)
    try:
        if not done:
            raise PictureNotWritten(f"{path}: OpenCV could not encode it")
        path.write_bytes(octets.tobytes())
    except OSError as error:
        raise PictureNotWritten(f"{path}: {error.strerror or error}") from error


def _colour(entry: Entry, entries: list[Entry]) -> tuple[int, int, int]:
    return _PALETTE[entries.index(entry) % len(_PALETTE)]


def _due(entry: Entry, frame: int) -> bool:
    return frame >= entry.phase and (frame - entry.phase) % entry.period == 0


def _rows(table: ScheduleTable, entries: list[Entry], frames: int, text: Any, box: Any) -> None:
    """One row per activity: where in each frame it may run when all take their worst case."""
    scale = (WIDTH - LEFT - 20) / frames
    for row, entry in enumerate(entries):
        y = 50 + row * ROW
        text(f"{entry.slot:3} {entry.activity}", 12, y + 14)
        box(LEFT, y + ROW - 2, WIDTH - 20, y + ROW - 2, _GRID)
        for frame in range(frames):
            if _due(entry, frame):
                before = sum(
                    other.wcet_us + table.dispatch_us
                    for other in entries
                    if other.slot < entry.slot and _due(other, frame)
                )
                x = LEFT + (frame + min(before / table.minor_us, 1)) * scale
                box(
                    x, y + 2, x + max(1.0, entry.wcet_us / table.minor_us * scale), y + ROW - 5, _colour(entry, entries)
                )


def _windows(table: ScheduleTable, y: int, frames: int, text: Any, box: Any) -> None:
    """One row per window of another process, below the activities."""
    scale = (WIDTH - LEFT - 20) / frames
    for window in table.windows:
        text(f"core {window.core} {window.partition}", 12, y + 14)
        box(LEFT, y + ROW - 2, WIDTH - 20, y + ROW - 2, _GRID)
        for frame in range(window.phase, frames, window.period):
            x = LEFT + (frame + window.start_us / table.minor_us) * scale
            end = min(x + max(1.0, window.length_us / table.minor_us * scale), WIDTH - 20)
            box(x, y + 2, end, y + ROW - 5, _WINDOW)
        y += ROW


def _load(table: ScheduleTable, entries: list[Entry], frames: int, base: int, text: Any, box: Any) -> None:
    """How full each frame is, 80 pixels for a whole one; red when over."""
    scale = (WIDTH - LEFT - 20) / frames
    text("frame load", 12, base - 34)
    for frame in range(frames):
        used = table.reserve_us + sum(entry.wcet_us + table.dispatch_us for entry in entries if _due(entry, frame))
        share = used / table.minor_us
        x = LEFT + frame * scale
        box(x, base - 80 * min(share, 1.2), x + scale - 1, base, _RED if share > 1 else _PALETTE[0])
    box(LEFT, base - 80, WIDTH - 20, base - 80, _INK)


def _fullest(table: ScheduleTable, analysis: Analysis, entries: list[Entry], y: int, text: Any, box: Any) -> None:
    """The fullest frame, left to right in slot order."""
    worst = analysis.worst_frame
    scale = (WIDTH - LEFT - 20) / max(table.minor_us, worst.used_us)
    text(f"frame {worst.index}", 12, y + 20)
    text(f"{worst.used_us / 1000:.1f} of {worst.budget_us / 1000:g} ms", 12, y + 40)
    x = float(LEFT)
    for entry in entries:
        if _due(entry, worst.index):
            wide = (entry.wcet_us + table.dispatch_us) * scale
            box(x, y, x + wide, y + ZOOM, _colour(entry, entries))
            if wide > 9 * len(entry.activity):
                text(entry.activity, round(x) + 4, y + 28, (255, 255, 255))
            x += wide
    box(LEFT + table.minor_us * scale - 2, y - 6, LEFT + table.minor_us * scale, y + ZOOM + 6, _INK)

"""Two properties of single parts: what a frame of the loop leaves allocated, and what a durable commit costs."""

from __future__ import annotations

import gc
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bindings.frame_clock import FrameClock
from flight.executive.frame_context import FrameContext
from flight.executive.health import HealthGate
from flight.executive.loop import FrameLoop
from flight.executive.modes import Mode, ModeManager
from flight.executive.schedule_table import load
from flight.services.events import EventRing
from flight.services.journal import FileJournal
from flight.services.records import RecordKind
from hal.clock import SystemClock

RECORD_OCTETS = 188
WARM_FRAMES = 600  # counters pass 256, the numbers that Python keeps ready


def allocations_per_frame(table_file: Path, frames: int) -> float:
    """Blocks that tracemalloc finds more after so many frames in steady state, per frame; activities do nothing.

    A block for each frame would be 1. frames: >= 1000 says something.
    """
    table, clock = load(table_file), SystemClock()
    events = EventRing(1, clock)  # full at once: an event that is told replaces one
    source = FrameClock(table.minor_us, realtime=False, lock_memory=False)
    newest = [0]

    def note(context: FrameContext) -> None:
        newest[0] = context.frame

    activities = {entry.activity: note for entry in table.entries}
    loop = FrameLoop(table, activities, source, clock, events, ModeManager(events, Mode.NOMINAL), HealthGate(events))
    blocks: list[int] = []
    marks = [WARM_FRAMES, WARM_FRAMES + frames]

    def keep_on() -> bool:
        if newest[0] >= marks[len(blocks)]:
            blocks.append(_blocks())
        return len(blocks) < len(marks)

    tracemalloc.start()
    try:
        loop.run(keep_on)
    finally:
        tracemalloc.stop()
    return max(0, blocks[1] - blocks[0]) / frames


def _blocks() -> int:
    gc.collect()
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, tracemalloc.__file__)])
    return sum(statistic.count for statistic in snapshot.statistics("filename") if "benchmarks" not in str(statistic))


def commit_p99_over_fdatasync(commits: int, folder: Path) -> float:
    """p99 of a durable record of 188 octets over p99 of as many octets appended and synced, in turns on one disk."""
    payload = bytes(RECORD_OCTETS)
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        journal = FileJournal.open(Path(inside) / "journal")
        plain = os.open(Path(inside) / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def ours() -> None:
            journal.append(RecordKind.BOOT, payload)

        def theirs() -> None:
            os.write(plain, payload)
            os.fdatasync(plain)

        took: tuple[list[int], list[int]] = ([], [])
        try:
            for number in range(commits + 20):
                first = number % 2
                for at in (first, 1 - first):
                    elapsed = _timed((ours, theirs)[at])
                    if number >= 20:
                        took[at].append(elapsed)
        finally:
            journal.close()
            os.close(plain)
    p99 = [float(np.percentile(one, 99, method="inverted_cdf")) for one in took]
    return p99[0] / p99[1]


def _timed(once: Callable[[], None]) -> int:
    began = time.perf_counter_ns()
    once()
    return time.perf_counter_ns() - began

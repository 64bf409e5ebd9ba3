"""From the start of an interpreter to the first frame that the executive runs, and what was imported until then.

`python -m benchmarks.executive_cold` is the process that is timed: it imports all that the flight process imports.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("numpy", "cv2", "onnxruntime")  # what has no business before the first frame


@dataclass(frozen=True, slots=True)
class ColdStart:
    """One start."""

    first_frame_ms: float  # from before the interpreter is started to the first activity of the first frame
    imports_ms: float  # of that, the flight process's modules
    heavy: tuple[str, ...]  # of HEAVY, what was imported by then
    modules: int


def cold_start() -> ColdStart:
    """Raises RuntimeError where the process fails."""
    began_ns = time.monotonic_ns()
    command = [sys.executable, "-m", "benchmarks.executive_cold"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(f"the start failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    said: dict[str, Any] = json.loads(done.stdout)
    first_ms = (said["first_ns"] - began_ns) / 1e6
    return ColdStart(round(first_ms, 1), round(said["imports_ns"] / 1e6, 1), tuple(said["heavy"]), said["modules"])


def main() -> None:
    """The first frame of the table that flies, with activities that do nothing: what they do is not the start."""
    began_ns = time.monotonic_ns()
    from bindings.frame_clock import FrameClock
    from flight.executive.frame_context import FrameContext
    from flight.executive.health import HealthGate
    from flight.executive.loop import FrameLoop
    from flight.executive.modes import Mode, ModeManager
    from flight.executive.schedule_table import load
    from flight.flight_process import NOMINAL_TABLE
    from flight.services.events import EventRing
    from hal.clock import SystemClock

    imports_ns = time.monotonic_ns() - began_ns
    first: list[int] = []

    def note(_: FrameContext) -> None:
        first.append(time.monotonic_ns())

    table, clock = load(NOMINAL_TABLE), SystemClock()
    events = EventRing(64, clock)
    frames = FrameClock(table.minor_us, realtime=False, lock_memory=False)
    activities = {entry.activity: note for entry in table.entries}
    loop = FrameLoop(table, activities, frames, clock, events, ModeManager(events, Mode.NOMINAL), HealthGate(events))
    loop.run(lambda: not first)
    heavy = [name for name in HEAVY if name in sys.modules]
    print(json.dumps({"first_ns": first[0], "imports_ns": imports_ns, "heavy": heavy, "modules": len(sys.modules)}))


if __name__ == "__main__":
    main()

"""What the first frame waits for: the frame loop and its clock begin without NumPy, OpenCV and ONNX Runtime."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.shared_data import ROOT

HEAVY = ("numpy", "cv2", "onnxruntime")
FIRST_FRAME = """
import json
import sys
from pathlib import Path

from bindings.frame_clock import FrameClock
from flight.executive.health import HealthGate
from flight.executive.loop import FrameLoop
from flight.executive.modes import Mode, ModeManager
from flight.executive.schedule_table import load
from flight.services.events import EventRing
from hal.clock import SystemClock

ran = []
table, clock = load(Path("flight/executive/nominal.toml")), SystemClock()
events = EventRing(64, clock)
frames = FrameClock(table.minor_us, realtime=False, lock_memory=False)
activities = {entry.activity: ran.append for entry in table.entries}
modes = ModeManager(events, Mode.NOMINAL)
FrameLoop(table, activities, frames, clock, events, modes, HealthGate(events)).run(lambda: not ran)
before = sorted(sys.modules)
said = {"ran": len(ran), "modules": before, "records": len(frames.history(4)), "after": "numpy" in sys.modules}
print(json.dumps(said))
"""


def test_the_first_frame_runs_before_arrays_are_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_FRAME], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["ran"] > 0
    assert not {name for name in said["modules"] if name.split(".")[0] in HEAVY}
    assert said["records"] > 0 and said["after"], "who looks back at the frames has them as an array"

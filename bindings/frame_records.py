"""The records of frames that the clock keeps, as a NumPy type: apart from the clock, which begins without NumPy."""

from __future__ import annotations

from typing import Final

import numpy as np

# as sw_frame in csrc/decl/frame_clock.h; times in ns of CLOCK_MONOTONIC, 0 until they happen
FRAME: Final = np.dtype(
    {
        "names": ["frame", "release_late_ns", "taken_ns", "done_ns", "expected", "done", "state"],
        "formats": [np.int64, np.int64, np.int64, np.int64, np.uint64, np.uint64, np.int32],
        "offsets": [0, 8, 16, 24, 32, 40, 48],
        "itemsize": 56,
    }
)

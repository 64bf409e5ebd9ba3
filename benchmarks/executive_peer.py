"""The usual way to do something every 2 ms in Python: a loop on asyncio.sleep, on absolute times."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from benchmarks.executive_gaps import Times


def asyncio_late_ns(frames: int, minor_us: int) -> Times:
    """How late each frame began. One that is missed is gone: the next is awaited, as the frame loop does."""

    async def loop() -> list[int]:
        late, period = [], minor_us * 1000
        nominal = time.monotonic_ns() + period
        for _ in range(frames):
            await asyncio.sleep(max(0, nominal - time.monotonic_ns()) / 1e9)
            now = time.monotonic_ns()
            late.append(now - nominal)
            nominal += max(1, (now - nominal) // period + 1) * period
        return late

    return np.array(asyncio.run(loop()), np.int64)

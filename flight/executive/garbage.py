"""Python's cycle collector, kept out of the frames: frozen and off in flight, run by an idle slot's activity."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

from flight.executive.frame_context import FrameContext

_FIRST_GUESS_US = (100, 300, 1_000)  # per generation, until it has been measured


@contextlib.contextmanager
def frozen_garbage() -> Iterator[None]:
    """Everything made so far is set aside for good and automatic collection is off; restored at the end."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


class IdleCollector:
    """The activity `garbage.collect`: the oldest generation whose turn it is and that fits the time left."""

    def __init__(self) -> None:
        self._calls = 0
        self.worst_us = list(_FIRST_GUESS_US)
        self.runs = [0, 0, 0]
        self.put_off = 0  # turns of an older generation that did not fit
        self._owed = 0  # the oldest generation put off

    def __call__(self, context: FrameContext) -> None:
        self._calls += 1
        turn = 2 if self._calls % 64 == 0 else 1 if self._calls % 8 == 0 else 0
        wanted = max(turn, self._owed)
        left_us = context.remaining_us()
        chosen = wanted
        while chosen >= 0 and 2 * self.worst_us[chosen] > left_us:
            chosen -= 1
        self._owed = wanted if chosen < wanted else 0
        if chosen < wanted:
            self.put_off += 1
        if chosen < 0:
            return
        before_us = context.remaining_us()
        gc.collect(chosen)
        took_us = before_us - context.remaining_us()
        # Half of the old worst is kept, so that one preempted collection does not put a generation off for ever.
        self.worst_us[chosen] = max(took_us, self.worst_us[chosen] // 2, 20)
        self.runs[chosen] += 1

"""The inference watchdog: a thread that stops a run of ONNX Runtime that takes longer than a tile may.

A run ends at the next node of its graph, so the longest node is what the limit can be exceeded by. A node that never
returns is not stopped here; the supervisor kills a payload process that falls silent.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Protocol

TICKS = 4  # looks in the time of one limit: a run is stopped between 1 and 1 + 1/TICKS limits


class Stoppable(Protocol):
    """onnxruntime.RunOptions: what is told to end its run."""

    terminate: bool


class RunDeadline:
    """One limit for every run of one session. The watching thread starts with the first run and sleeps between runs."""

    def __init__(self, limit_s: float, host_s: Callable[[], float], options: Stoppable) -> None:
        if not 0 < limit_s < math.inf:
            raise ValueError(f"a limit is a positive number of seconds, got {limit_s}")
        self.limit_s = limit_s
        self._host_s, self._options = host_s, options
        self._changed = threading.Condition()
        self._began_s: float | None = None  # of the run under way
        self._watching = False  # the thread looks every tick; when not, begin() wakes it
        self._thread: threading.Thread | None = None
        self._closed = False

    def begin(self) -> None:
        """A run begins now, in this thread."""
        with self._changed:
            self._options.terminate = False
            self._began_s = self._host_s()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="inference-deadline", daemon=True)
                self._thread.start()
            elif not self._watching:
                self._changed.notify()

    def end(self) -> float | None:
        """The run is over. How long it took, in seconds, where it had been told to stop; else None."""
        with self._changed:
            began_s, self._began_s = self._began_s, None
            if not self._options.terminate or began_s is None:
                return None
            self._options.terminate = False
            return self._host_s() - began_s

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                if self._began_s is None:
                    # one tick more before it sleeps: runs follow each other, and waking a thread costs both
                    self._watching = True
                    self._changed.wait(self.limit_s / TICKS)
                    self._watching = False
                    if self._began_s is None and not self._closed:
                        self._changed.wait()
                    continue
                if self._host_s() - self._began_s >= self.limit_s:
                    self._options.terminate = True
                self._watching = True
                self._changed.wait(self.limit_s / TICKS)
                self._watching = False

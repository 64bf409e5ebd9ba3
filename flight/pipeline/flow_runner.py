"""The graph in a thread of its own: tiles go in, and come back in the same order."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from bindings.answer import Plane

if TYPE_CHECKING:
    from flight.pipeline.session import BoundTile

THREAD_NAME = "swath-graph"


@dataclass(slots=True, eq=False)
class Slot:
    """The buffers of one tile in flight, and what came of its run."""

    pixels: NDArray[Any]  # (1, bands, side, side), as the graph takes them
    scores: Plane  # (planes, side, side) float32, which the graph writes
    bound: BoundTile
    run_s: float = 0.0
    error: BaseException | None = None

    def run(self, host_s: Callable[[], float]) -> None:
        """Run the graph once; an error is kept for whoever waits for this tile."""
        began_s = host_s()
        try:
            self.bound.run()
        except BaseException as error:
            self.error = error
        self.run_s = host_s() - began_s


class _Line:
    """What the thread and its owner share; the thread never holds the owner."""

    def __init__(self, host_s: Callable[[], float]) -> None:
        self.host_s = host_s
        self.asked: SimpleQueue[Slot | None] = SimpleQueue()
        self.done: SimpleQueue[Slot] = SimpleQueue()
        self.stopped = False

    def work(self) -> None:
        while (slot := self.asked.get()) is not None:
            if not self.stopped:
                slot.run(self.host_s)
                # what follows a failed tile is not wanted any more
                self.stopped = slot.error is not None
            self.done.put(slot)

    def stop(self) -> None:
        self.stopped = True
        self.asked.put(None)


class GraphThread:
    """Starts with the first tile, ends with close() (or when it is forgotten)."""

    def __init__(self, host_s: Callable[[], float]) -> None:
        self._line = _Line(host_s)
        self._thread: threading.Thread | None = None

    def submit(self, slot: Slot) -> None:
        """Run this tile after those before it. Its buffers are the thread's until take() gives it back."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._line.work, name=THREAD_NAME, daemon=True)
            self._thread.start()
            weakref.finalize(self, self._line.stop)
        self._line.asked.put(slot)

    def take(self) -> Slot:
        """The tile that was submitted first of those not taken; waits for it."""
        return self._line.done.get()

    def close(self) -> None:
        """Wait for the run that is going on, drop the others, and end the thread. More than once is once."""
        if self._thread is not None:
            self._line.stop()
            self._thread.join()
            self._thread = None

"""A deterministic event kernel: virtual time, one queue, random streams that a seed and a name give.

Equal seed and equal calls give equal runs, to the event: events of one instant run in the order in which they were
asked for, and a random stream depends on the seed and its own name only, never on who else draws.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable

from ground_test.errors import GroundError
from hal.clock import SimulatedClock


class KernelError(GroundError, ValueError):
    """An event in the past, or a run that does not end."""

    code = "kernel_error"


class EventKernel:
    """seed: whole number; clock: advanced by run() and by nothing else."""

    def __init__(self, seed: int, clock: SimulatedClock) -> None:
        self.seed, self.clock = seed, clock
        self.events_run = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._asked = 0
        self._streams: dict[str, random.Random] = {}

    @property
    def now_s(self) -> float:
        return self.clock.mission_s()

    @property
    def pending(self) -> int:
        """Events that wait."""
        return len(self._queue)

    def stream(self, name: str) -> random.Random:
        """The random numbers of `name`; the same object at every call."""
        if name not in self._streams:
            digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
            self._streams[name] = random.Random(int.from_bytes(digest[:16], "big"))  # noqa: S311 - not for secrets
        return self._streams[name]

    def at(self, mission_s: float, event: Callable[[], None]) -> None:
        """Run `event` at `mission_s`. Raises KernelError when that has passed."""
        if not mission_s >= self.now_s:
            raise KernelError(f"an event at {mission_s} s, it is {self.now_s} s already")
        heapq.heappush(self._queue, (mission_s, self._asked, event))
        self._asked += 1

    def after(self, delay_s: float, event: Callable[[], None]) -> None:
        """Run `event` in `delay_s` seconds."""
        self.at(self.now_s + delay_s, event)

    def every(self, period_s: float, event: Callable[[], None]) -> None:
        """Run `event` now and every `period_s` seconds."""
        if period_s <= 0:
            raise KernelError(f"a period of {period_s} s")

        def again() -> None:
            event()
            self.after(period_s, again)

        self.after(0.0, again)

    def run(self, until_s: float, *, stop: Callable[[], bool] | None = None, max_events: int = 10_000_000) -> None:
        """Run events up to and at `until_s`, then stand at `until_s`; `stop` ends the run behind the event it sees.

        Raises KernelError after `max_events` in one call.
        """
        last = self.events_run + max_events
        while self._queue and self._queue[0][0] <= until_s:
            if self.events_run == last:
                raise KernelError(f"{max_events} events and the run has not ended")
            mission_s, _, event = heapq.heappop(self._queue)
            self.clock.advance_to(mission_s)
            self.events_run += 1
            event()
            if stop is not None and stop():
                return
        self.clock.advance_to(max(until_s, self.now_s))

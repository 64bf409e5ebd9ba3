"""A flight that is measured: frame loop and frame clock as they fly, a small table, and the witness beside them."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.executive_gaps import Ticks, Times
from benchmarks.executive_witness import Witness
from bindings.bus import Bus, Message, PipeDeclaration, Route
from bindings.crc import crc32c
from bindings.frame_clock import ClockGrant, FrameClock, FrameCounters, FrameState, Slot
from flight.executive.frame_context import FrameContext
from flight.executive.garbage import IdleCollector
from flight.executive.health import HealthGate
from flight.executive.loop import Activity, FrameLoop
from flight.executive.modes import Mode, ModeManager
from flight.executive.schedule_table import load
from flight.services.events import EventRing
from hal.clock import SystemClock

TABLE = Path(__file__).with_name("executive.toml")
CLOCK_PRIORITY = 80
DISPATCHER_PRIORITY = 50  # below the clock
MEMORY_OCTETS = 1 << 20
BLOCK_OCTETS = 16_384
MESSAGE = 7


class PairedClock(FrameClock):
    """The frame clock, which starts a witness half a frame beside itself and looks for missing frames at the end."""

    def __init__(self, minor_us: int, witness: Witness, *, realtime: bool, history: int) -> None:
        super().__init__(minor_us, realtime=realtime, priority=CLOCK_PRIORITY, lock_memory=realtime, history=history)
        self.witness = witness
        self.start_ns = 0
        self.lost = 0  # frames that should have been released by the monotonic clock and are not counted
        self.grant = ClockGrant(False, False, ())

    def start(self) -> ClockGrant:
        self.grant = super().start()
        return self.grant

    def wait(self, timeout_us: int) -> Slot | None:
        slot = super().wait(timeout_us)
        if slot is not None:
            minor_ns = self.minor_us * 1000
            self.start_ns = slot.release_ns - slot.frame * minor_ns
            ahead = (time.monotonic_ns() - slot.release_ns) // minor_ns + 2
            self.witness.start(slot.release_ns + ahead * minor_ns + minor_ns // 2)
            self.wait = super().wait  # type: ignore[method-assign]  # from now on as it flies
        return slot

    def stop(self) -> None:
        """The thread may be late at this very instant, so a frame is lost only if it stays away."""
        for _ in range(100):
            due = (time.monotonic_ns() - self.start_ns) // (self.minor_us * 1000) + 1
            self.lost = max(0, due - self.counters().released) if self.start_ns else 0
            if not self.lost:
                break
            time.sleep(0.01)
        super().stop()


@dataclass(frozen=True, slots=True)
class Flown:
    """What a flight left behind; times in nanoseconds of CLOCK_MONOTONIC, frames in their order."""

    counters: FrameCounters
    unaccounted: int  # frames
    dispatched: int  # frames that the loop ran, by its own count
    minor_us: int
    clock: Ticks  # every frame: when it was released
    release: Ticks  # those that the dispatcher took: when it had them
    witness: Ticks
    grant: ClockGrant
    refused: str  # why the measurement is not one of real time; empty: it is

    @property
    def frames(self) -> int:
        return self.counters.released


def unaccounted(counters: FrameCounters, history: Any, lost: int) -> int:
    """Frames that are not accounted for: by the counters' sum, record by record, and by the monotonic clock.

    history: all frames, as FrameClock.history gives them.
    """
    counted = {
        FrameState.RUN: counters.run,
        FrameState.LATE: counters.late,
        FrameState.SKIPPED: counters.skipped,
        FrameState.OPEN: counters.open,
    }
    by_state = sum(abs(int(np.sum(history["state"] == state)) - count) for state, count in counted.items())
    in_order = np.arange(counters.released)
    frames = history["frame"]
    missing = abs(len(frames) - len(in_order)) or int(np.sum(frames != in_order))
    return abs(counters.released - sum(counted.values())) + by_state + missing + lost


@contextlib.contextmanager
def dispatcher_priority(realtime: bool) -> Iterator[str]:
    """This thread under SCHED_FIFO, as far as the system grants it; gives the reason why not."""
    if not realtime:
        yield "not asked for"
        return
    before, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(DISPATCHER_PRIORITY))
    except OSError as error:
        yield f"SCHED_FIFO priority {DISPATCHER_PRIORITY}: {error.strerror}"
        return
    try:
        yield ""
    finally:
        os.sched_setscheduler(0, before, parameters)


class Work:
    """The activities of the table, on content that the seed gives."""

    def __init__(self, events: EventRing, seed: int) -> None:
        self.events = events
        self.frames = 0  # that `count` ran in
        self.newest = -1
        self.memory = memoryview(random.Random(seed).randbytes(MEMORY_OCTETS))
        self._at = 0
        bus = Bus([Message(MESSAGE, "measured", 256)], [PipeDeclaration("reader", 8)], [Route(MESSAGE, "reader")])
        self._publish, self._pipe = bus.publish, bus.pipe("reader")
        self._message, self._buffer = bytes(self.memory[:200]), bytearray(256)

    def activities(self) -> dict[str, Activity]:
        return {
            "count": self._count,
            "bus": self._bus,
            "scrub": self._scrub,
            "events": self._drain,
            "garbage": IdleCollector(),
        }

    def _count(self, context: FrameContext) -> None:
        self.frames += 1
        self.newest = context.frame

    def _bus(self, _: FrameContext) -> None:
        self._publish(MESSAGE, self._message)
        self._pipe.receive_into(self._buffer)

    def _scrub(self, _: FrameContext) -> None:
        crc32c(self.memory[self._at : self._at + BLOCK_OCTETS])
        self._at = (self._at + BLOCK_OCTETS) % MEMORY_OCTETS

    def _drain(self, _: FrameContext) -> None:
        self.events.drain(32)


def fly(
    frames: int,
    library: Path,
    *,
    seed: int,
    realtime: bool = True,
    keep_on: Callable[[], bool] = lambda: True,
) -> Flown:
    """So many frames (or until `keep_on` says no) of the table, 1 to 1,000,000. library: the witness's.

    Raises WitnessMissing.
    """
    table, clock = load(TABLE), SystemClock()
    events = EventRing(512, clock)
    witness = Witness(library, period_ns=table.minor_us * 1000, room=frames + 4096, realtime=realtime)
    source = PairedClock(table.minor_us, witness, realtime=realtime, history=frames + 4096)
    work = Work(events, seed)
    loop = FrameLoop(
        table, work.activities(), source, clock, events, ModeManager(events, Mode.NOMINAL), HealthGate(events)
    )
    with dispatcher_priority(realtime) as refused:
        loop.run(lambda: work.newest < frames - 1 and keep_on())
    late_ns = witness.stop()
    history = source.history(frames + 4096)
    counters = source.counters()
    minor_ns = table.minor_us * 1000
    nominal: Times = source.start_ns + history["frame"] * minor_ns
    taken = history["taken_ns"] > 0
    reasons = [refused, witness.refused, *(() if source.grant.realtime else source.grant.reasons[:1])]
    return Flown(
        counters,
        unaccounted(counters, history, source.lost),
        work.frames,
        table.minor_us,
        Ticks(nominal, history["release_late_ns"].copy()),
        Ticks(nominal[taken], (history["taken_ns"] - nominal)[taken]),
        Ticks(witness.first_ns + np.arange(len(late_ns)) * minor_ns, late_ns.copy()),
        source.grant,
        "; ".join(reason for reason in reasons if reason),
    )

"""Where frames come from: the C frame clock in flight (bindings.frame_clock.FrameClock), virtual time in simulations.

Both keep the same account: released == run + late + skipped + open, always.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from hal.clock import SimulatedClock


class Slot(Protocol):
    """One minor frame, handed to the dispatcher."""

    @property
    def frame(self) -> int:
        """Count of minor frames from 0."""
        ...

    @property
    def release_ns(self) -> int:
        """When it was to begin, on the host's monotonic clock."""
        ...

    @property
    def lateness_us(self) -> int:
        """How much later it was handed out."""
        ...


class FrameCounters(Protocol):
    """The account of every frame since start()."""

    @property
    def released(self) -> int: ...
    @property
    def run(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def open(self) -> int: ...
    @property
    def worst_release_us(self) -> int: ...
    @property
    def worst_done_us(self) -> int: ...
    @property
    def missed_check_ins(self) -> int: ...
    @property
    def pets(self) -> int: ...
    @property
    def withheld(self) -> int: ...
    @property
    def watchdog_errors(self) -> int: ...
    @property
    def watchdog_errno(self) -> int: ...
    @property
    def frames_incomplete(self) -> int: ...
    @property
    def silences(self) -> int: ...
    @property
    def silence_frames(self) -> int: ...
    @property
    def silence_duties(self) -> int: ...
    @property
    def duties_run(self) -> int: ...


class FrameSource(Protocol):
    """Opens slots at absolute times and owns the count and the watchdog decision."""

    def start(self) -> Any: ...

    def wait(self, timeout_us: int) -> Slot | None:
        """The newest released frame not yet handed out; older ones are skipped. None after `timeout_us`."""
        ...

    def done(self, frame: int) -> bool:
        """The frame's work has ended; True when before the next release."""
        ...

    def expect(self, frame: int, bits: int) -> None:
        """These bits are to be marked before `frame`, the one taken, is done; else it counts as incomplete."""
        ...

    def mark(self, frame: int, bits: int) -> None:
        """What these bits stand for has ended."""
        ...

    def check_in(self, healthy: bool) -> int:
        """The dispatcher lives, and says whether the satellite is healthy: at most one pet for each such word.

        The answer is the bits of bindings.frame_clock.Notice.
        """
        ...

    def counters(self) -> FrameCounters: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SimulatedSlot:
    """A slot in virtual time."""

    frame: int
    release_ns: int
    lateness_us: int


@dataclass(frozen=True, slots=True)
class SimulatedCounters:
    """The account in virtual time."""

    released: int
    run: int
    late: int
    skipped: int
    open: int
    worst_release_us: int
    worst_done_us: int
    missed_check_ins: int
    pets: int
    withheld: int
    frames_incomplete: int = 0
    watchdog_errors: int = 0  # in virtual time no device goes away, and nobody is silent unseen: none of these
    watchdog_errno: int = 0
    silences: int = 0
    silence_frames: int = 0
    silence_duties: int = 0
    duties_run: int = 0


class SimulatedFrames:
    """Frames on a SimulatedClock. wait() advances the clock, done() and activities do not unless they say so.

    A simulation of many satellites calls wait(0) when the shared clock stands at a release.
    """

    def __init__(
        self, clock: SimulatedClock, minor_us: int, *, pet_every_frames: int = 100, max_missed: int = 50
    ) -> None:
        self._clock = clock
        self._minor_us = minor_us
        self._pet_every, self._max_missed = pet_every_frames, max_missed
        self._start_us = 0
        self._start_mission_s = 0.0
        self._released = 0
        self._taken = -1
        self._open = 0
        self._run = self._late = self._skipped = 0
        self._worst_release_us = self._worst_done_us = 0
        self._check_in_frame = 0
        self._well = self._ill = False  # said since the watchdog was decided on last
        self._missed = self._pets = self._withheld = 0
        self._expected = self._marked = self._incomplete = 0

    def start(self) -> None:
        """Frame 0 is released now."""
        self._start_us = self._now_us()
        self._start_mission_s = self._clock.mission_s()
        self._release_until_now()

    def wait(self, timeout_us: int) -> SimulatedSlot | None:
        """Advance to the next release if it lies within `timeout_us`, and hand it out."""
        self._release_until_now()
        if self._taken == self._released - 1:
            next_us = self._start_us + self._released * self._minor_us
            target_us = min(next_us, self._now_us() + timeout_us)
            target_s = self._start_mission_s + (target_us - self._start_us) / 1e6
            self._clock.advance_to(max(target_s, self._clock.mission_s()))
            self._release_until_now()
            if self._taken == self._released - 1:
                return None
        frame = self._released - 1
        self._skipped += frame - self._taken - 1
        self._taken = frame
        self._expected = self._marked = 0
        self._open += 1
        release_us = self._start_us + frame * self._minor_us
        lateness_us = self._now_us() - release_us
        self._worst_release_us = max(self._worst_release_us, lateness_us)
        return SimulatedSlot(frame, release_us * 1000, lateness_us)

    def done(self, frame: int) -> bool:
        self._release_until_now()
        took_us = self._now_us() - self._start_us - frame * self._minor_us
        self._worst_done_us = max(self._worst_done_us, took_us)
        in_time = took_us < self._minor_us
        self._open -= 1
        self._incomplete += (self._expected & ~self._marked) != 0
        if in_time:
            self._run += 1
        else:
            self._late += 1
        return in_time

    def expect(self, frame: int, bits: int) -> None:
        self._expected |= bits

    def mark(self, frame: int, bits: int) -> None:
        self._marked |= bits

    def check_in(self, healthy: bool) -> int:
        self._release_until_now()
        self._check_in_frame = self._released - 1
        if healthy:
            self._well = True
        else:
            self._ill = True
        return 0

    def counters(self) -> SimulatedCounters:
        self._release_until_now()
        waiting = self._released - 1 - self._taken
        return SimulatedCounters(
            self._released,
            self._run,
            self._late,
            self._skipped,
            self._open + waiting,
            self._worst_release_us,
            self._worst_done_us,
            self._missed,
            self._pets,
            self._withheld,
            self._incomplete,
        )

    def stop(self) -> None:
        """Nothing runs by itself in virtual time."""

    def _now_us(self) -> int:
        return round(self._clock.host_s() * 1e6)

    def _release_until_now(self) -> None:
        newest = (self._now_us() - self._start_us) // self._minor_us
        for frame in range(self._released, newest + 1):
            if frame - self._check_in_frame > 1:
                self._missed += 1
            if frame and frame % self._pet_every == 0:
                if self._well and not self._ill and frame - self._check_in_frame <= self._max_missed:
                    self._pets += 1
                else:
                    self._withheld += 1
                self._well = self._ill = False
        self._released = max(self._released, newest + 1)

"""The frame clock: a C thread releases frames on absolute deadlines and accounts for every one of them.

The thread keeps time whether or not Python runs: a frame nobody took in time is counted as skipped,
one that ended after the next release as late. A late wake-up is absorbed within its frame, then caught up
frame by frame within a bound, then jumped over, each counted apart. It also decides on the watchdog: it pets only
for a healthy check-in since the last decision, never for a dead Python. While Python is silent it does its duties:
declared small things in C that tell others that the clock lives.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from mmap import mmap
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from bindings.faults import BufferMismatch, GeometryRefused, OrderMismatch
from bindings.ffi import check, ffi, lib

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FrameState(IntEnum):
    """What became of a released frame."""

    OPEN = 0  # not taken yet, or taken and not done
    RUN = 1  # done before the next release
    LATE = 2  # done after it, or given up for a newer one
    SKIPPED = 3  # jumped over: never taken


class Notice(IntFlag):
    """What the clock answers to a check-in."""

    WATCHDOG_GONE = 1  # the last pet failed, for the device is not there
    DUTIES = 2  # this check-in ended a silence in which the clock did its duties


DUTIES_MOST: Final = int(lib.SW_DUTIES_MOST)


@dataclass(frozen=True, slots=True)
class ClockGrant:
    """What the system allowed. `reasons` says why not, a line for each thing not had."""

    realtime: bool
    memory_locked: bool
    reasons: tuple[str, ...]
    pinned: bool | None = None  # to the core asked for; None: none was


@dataclass(frozen=True, slots=True)
class Slot:
    """A frame handed out."""

    frame: int  # minor frames, from 0
    release_ns: int  # nominal release, CLOCK_MONOTONIC (time.monotonic_ns)
    lateness_us: int  # from then to the hand-over
    behind: int = 0  # newer frames that are released already: more than 0 while catching up


@dataclass(frozen=True, slots=True)
class FrameCounters:
    """Since the start; released == run + late + skipped + open in every reading."""

    released: int
    run: int
    late: int
    skipped: int
    open: int
    worst_release_us: int  # latest wake-up of the thread, from the nominal release
    worst_done_us: int  # longest time from the nominal release to done()
    wakes_on_time: int  # of the thread; the four together are all its wake-ups
    wakes_absorbed: int  # beyond the tolerance, but in the frame meant: nothing is lost
    wakes_caught_up: int  # whole frames late, few enough to be handed out one after the other
    wakes_jumped: int  # more: the newest is handed out, the others are skipped
    caught_up: int  # frames handed out when a newer one was released already
    jumps: int  # times that the frames not yet taken were given up, whoever was late
    missed_check_ins: int  # frames without a check-in
    pets: int
    withheld: int  # pets that were due and not given: no check-in since the last, a stale or an unhealthy one
    unwritable: int  # pets that the watchdog had no room for
    watchdog_errors: int = 0  # pets that failed: the device is not there, or broken
    watchdog_errno: int = 0  # of the newest of these, 0: none
    watchdog_gone: bool = False  # from such a failure until a pet gets through
    frames_incomplete: int = 0  # run or late, with a bit expected and not marked
    silences: int = 0  # times that the clock began with its duties
    silence_frames: int = 0  # frames without a check-in in the newest of these, so far
    silence_duties: int = 0  # duties done in it
    duties_run: int = 0  # in all
    duties_failed: int = 0  # signals that nobody had room for, or whose reader is gone


class FrameClock:
    """Minor frames of `minor_us`, from frame 0 at start. For one consumer; started once."""

    def __init__(
        self,
        minor_us: int,
        *,
        realtime: bool,
        priority: int = 80,
        lock_memory: bool,
        history: int = 4096,
        watchdog_fd: int = -1,
        pet_every_frames: int = 100,
        max_missed: int = 50,
        tolerance_us: int | None = None,
        catch_up_frames: int = 0,
        core: int = -1,
        duties_after_missed: int = 0,
        duty_period: int = 1,
    ) -> None:
        """minor_us: 100..1000000; realtime: ask for SCHED_FIFO at `priority`; lock_memory: ask that what
        is mapped at the start stays in memory; history: records kept; watchdog_fd: gets one octet per
        pet, stays the caller's, and is not written to once it stands for something else; max_missed: frames
        since the last check-in after which none is given;
        tolerance_us: a wake-up later than this within its frame counts as absorbed (a tenth of a frame);
        catch_up_frames: so many frames missed are handed out one after the other, below `history`;
        core: the thread runs there alone (-1: anywhere); duties_after_missed: frames without a check-in after
        which the clock does its duties (0: never), again every `duty_period` frames. Raises GeometryRefused.
        """
        tolerance_us = minor_us // 10 if tolerance_us is None else tolerance_us
        bounds = (
            ("minor_us", minor_us, 100, 1_000_000),
            ("priority", priority, 1, 99),
            ("history", history, 1, 1 << 20),
            ("watchdog_fd", watchdog_fd, -1, 1 << 30),
            ("pet_every_frames", pet_every_frames, 1, 1 << 40),
            ("max_missed", max_missed, 0, 1 << 40),
            ("tolerance_us", tolerance_us, 0, minor_us),
            ("catch_up_frames", catch_up_frames, 0, min(1000, history - 1)),
            ("core", core, -1, 1023),
            ("duties_after_missed", duties_after_missed, 0, 1 << 40),
            ("duty_period", duty_period, 1, 1 << 40),
        )
        for name, number, low, high in bounds:
            if not low <= number <= high:
                raise GeometryRefused(f"{name} is {low} to {high}, got {number}")
        self.minor_us, self._priority, self._history, self._core = minor_us, priority, history, core
        self._pages: list[Any] = []  # C writes to them for as long as the clock is there
        setup = ffi.new(
            "sw_clock_setup *",
            {
                "minor_us": minor_us,
                "history": history,
                "pet_every_frames": pet_every_frames,
                "max_missed": max_missed,
                "watchdog_fd": watchdog_fd,
                "realtime": realtime,
                "priority": priority,
                "lock_memory": lock_memory,
                "tolerance_us": tolerance_us,
                "catch_up_frames": catch_up_frames,
                "core": core,
                "duties_after": duties_after_missed,
                "duty_period": duty_period,
            },
        )
        clock = lib.sw_clock_new(setup)
        if clock == ffi.NULL:
            raise MemoryError("no memory for the frame clock")
        self._clock = ffi.gc(clock, lib.sw_clock_free)

    def duty_beat(self, page: bytearray | memoryview | mmap) -> None:
        """A duty: leave a record in `page`, memory that another process may share (bindings.clock_beat reads it).

        Before the start; at most DUTIES_MOST duties, done in the order in which they were added.
        Raises BufferMismatch, OrderMismatch, GeometryRefused.
        """
        try:
            held = ffi.from_buffer("uint8_t[]", page, require_writable=True)
        except (TypeError, ValueError, BufferError) as error:
            raise BufferMismatch("page", str(error)) from error
        if len(held) < lib.SW_BEAT_OCTETS:
            raise BufferMismatch("page", f"{lib.SW_BEAT_OCTETS} octets are needed, got {len(held)}")
        self._added(lib.sw_clock_duty_beat(self._clock, held))
        self._pages.append(held)

    def duty_signal(self, fd: int, *, octets: int = 1) -> None:
        """A duty: write to `fd` without waiting, one octet, or 8 that are the number 1 for an eventfd.

        fd: pipe, socket or eventfd, stays the caller's. Order and errors as of duty_beat().
        """
        if fd < 0 or octets not in (1, 8):
            raise GeometryRefused(f"a signal is 1 or 8 octets to a descriptor, got {octets} to {fd}")
        self._added(lib.sw_clock_duty_signal(self._clock, fd, octets))

    def _added(self, code: int) -> None:
        if code == lib.SW_E_ORDER:
            raise OrderMismatch("duties are declared before the frame clock is started")
        if code == lib.SW_E_SPACE:
            raise GeometryRefused(f"more than {DUTIES_MOST} duties")
        check(code)

    def start(self) -> ClockGrant:
        """Start the thread; frame 0 is released one minor frame later. Raises SystemRefused, OrderMismatch."""
        grant = ffi.new("sw_clock_grant *")
        code = lib.sw_clock_start(self._clock, grant)
        if code == lib.SW_E_ORDER:
            raise OrderMismatch("a frame clock is started once, by the process that made it")
        check(code)
        reasons: tuple[str, ...] = (
            _reason(grant.realtime, f"SCHED_FIFO priority {self._priority}", "CAP_SYS_NICE or RLIMIT_RTPRIO"),
            _reason(grant.lock_memory, "locking memory", "CAP_IPC_LOCK or RLIMIT_MEMLOCK"),
        )
        pinned = None if self._core < 0 else grant.core == 0
        if pinned is False:
            reasons += (_reason(grant.core, f"core {self._core}", "a core that is there and allowed"),)
        told = tuple(line for line in reasons if line)
        return ClockGrant(grant.realtime == 0, grant.lock_memory == 0, told, pinned)

    def wait(self, timeout_us: int) -> Slot | None:
        """Wait, without the interpreter's lock, for a frame newer than the last taken; None: time is up.

        The oldest of at most `catch_up_frames` + 1 not yet taken is handed out; were there more, the newest, and
        the others are skipped. One taken and not done is late. Raises ClockStopped.
        """
        slot = ffi.new("sw_slot *")
        if not check(lib.sw_clock_wait(self._clock, min(max(timeout_us, 0), 3_600_000_000), slot)):
            return None
        return Slot(slot.frame, slot.release_ns, slot.lateness_ns // 1000, slot.behind)

    def done(self, frame: int) -> bool:
        """The frame's work has ended. True: before the next release (run); False: late.

        Raises OrderMismatch for another frame than the one taken last and not done.
        """
        code = lib.sw_clock_done(self._clock, frame)
        if code == lib.SW_E_ORDER:
            raise OrderMismatch(f"frame {frame} is not the one that was taken")
        return bool(check(code))

    def expect(self, frame: int, bits: int) -> None:
        """So many of 64 bits more are to be marked in `frame` before it is done. OrderMismatch as of done()."""
        check(lib.sw_clock_expect(self._clock, frame, bits))

    def mark(self, frame: int, bits: int) -> None:
        """What these bits stand for has ended in `frame`. OrderMismatch as of done()."""
        check(lib.sw_clock_mark(self._clock, frame, bits))

    def check_in(self, healthy: bool) -> int:
        """Python is alive, and well or not: what the watchdog is petted for. The answer is the bits of Notice."""
        return check(lib.sw_clock_check_in(self._clock, healthy))

    def counters(self) -> FrameCounters:
        """All counters of one instant; also after stop()."""
        c = ffi.new("sw_counters *")
        check(lib.sw_clock_counters(self._clock, c))
        return FrameCounters(
            released=c.released,
            run=c.run,
            late=c.late,
            skipped=c.skipped,
            open=c.open,
            worst_release_us=c.worst_release_ns // 1000,
            worst_done_us=c.worst_done_ns // 1000,
            wakes_on_time=c.wakes_on_time,
            wakes_absorbed=c.wakes_absorbed,
            wakes_caught_up=c.wakes_caught_up,
            wakes_jumped=c.wakes_jumped,
            caught_up=c.caught_up,
            jumps=c.jumps,
            missed_check_ins=c.missed_check_ins,
            pets=c.pets,
            withheld=c.withheld,
            unwritable=c.unwritable,
            watchdog_errors=c.watchdog_errors,
            watchdog_errno=c.watchdog_errno,
            watchdog_gone=bool(c.watchdog_gone),
            frames_incomplete=c.frames_incomplete,
            silences=c.silences,
            silence_frames=c.silence_frames,
            silence_duties=c.silence_duties,
            duties_run=c.duties_run,
            duties_failed=c.duties_failed,
        )

    def history(self, count: int) -> NDArray[Any]:
        """The newest `count` frames (at most as many as are kept), oldest first.

        They are an array of type bindings.frame_records.FRAME.
        """
        import numpy as np  # not what frames wait for: only who looks back needs arrays

        from bindings.frame_records import FRAME

        frames = np.zeros(min(max(count, 0), self._history), FRAME)
        address = ffi.cast("sw_frame *", frames.__array_interface__["data"][0])
        return frames[: check(lib.sw_clock_history(self._clock, address, len(frames)))]

    def stop(self) -> None:
        """Stop and join the thread, within about one minor frame. Again is harmless."""
        check(lib.sw_clock_stop(self._clock))

    def __enter__(self) -> FrameClock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _reason(errno: int, what: str, needs: str) -> str:
    if errno == 0:
        return ""
    return f"{what}: not asked for" if errno < 0 else f"{what}: {os.strerror(errno)} (needs {needs})"

"""The frame loop: what is due is started if it fits what is left of the frame, and every decision is counted."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping

from bindings.activity_account import ActivityTimes
from flight.executive.activity_meter import meter_for
from flight.executive.activity_task import NEVER, Activity, ActivityCounters, Task
from flight.executive.clock_notices import ClockNotices
from flight.executive.component import (
    CLOCK_GRANT,
    CLOCK_PINNED,
    COMPETING_THREADS,
    DEADLINE_MISSED,
    DISABLED,
    DISPATCHER_GRANT,
    FRAME_LATE,
    FRAMES_SKIPPED,
    NOT_STARTED,
    OVERRAN,
    RAISED,
)
from flight.executive.demoter import Demoter
from flight.executive.demotion import DemotionRule
from flight.executive.dispatcher_thread import DispatcherSetup, real_time_thread
from flight.executive.errors import ModeRefused
from flight.executive.frame_context import FrameContext
from flight.executive.frame_source import FrameSource, Slot
from flight.executive.garbage import frozen_garbage
from flight.executive.health import HealthGate
from flight.executive.modes import Cause, Mode, ModeManager
from flight.executive.schedule import Overrun, ScheduleTable
from flight.executive.table_set import RAISES_TO_DISABLE, TableSet
from flight.executive.table_swap import Probation
from flight.services.events import EventRing
from hal.clock import Clock

__all__ = ["Activity", "ActivityCounters", "FrameLoop"]

_PROBATION = Probation()


class FrameLoop:
    """Runs the activities of one table in the slots of one frame source. One thread; nothing here waits or does I/O."""

    def __init__(
        self,
        table: ScheduleTable,
        activities: Mapping[str, Activity],
        frames: FrameSource,
        clock: Clock,
        events: EventRing,
        modes: ModeManager,
        health: HealthGate,
        *,
        demotion: DemotionRule | None = None,
        probation: Probation = _PROBATION,
        dispatcher: DispatcherSetup | None = None,
    ) -> None:
        """`clock` also says who measures: C in real time, itself in virtual time. demotion: what becomes of
        activities that take longer than declared too often; None: they are counted and told.
        probation: what a table that is staged in flight has to pass. dispatcher: the priority of the thread that
        calls run(), where the frame clock got its own; None: as it is.

        Raises ScheduleRefused for a table that does not fit, ActivityUnknown.
        """
        self.frames = frames
        self.modes = modes
        self.health = health
        self.events = events
        self._meter = meter_for(clock, max(1, len(activities)))
        self._demoter = Demoter(demotion, events) if demotion is not None else None
        self._dispatcher = dispatcher
        self._notices = ClockNotices(frames, events)
        self._context = FrameContext(clock)
        self._minor_ns = table.minor_us * 1000
        self._last_frame = -1
        self._failures: deque[tuple[str, Exception]] = deque(maxlen=16)
        self.tables = TableSet(table, activities, self._meter, events, health, self._demoter, probation)
        self._tasks = self.tables.tasks
        self._critical_missed = False  # in this frame, or in those that were skipped before it
        self._overran = 0

    @property
    def table(self) -> ScheduleTable:
        """The table that flies."""
        return self.tables.table

    def run(self, keep_on: Callable[[], bool], *, timeout_us: int = 100_000) -> None:
        """Start the frames and run them until `keep_on` says no. Collection of cycles is off meanwhile.

        Another thread of this interpreter would hold its lock when a frame begins: if there is one, that is told.
        """
        if others := len(sys._current_frames()) - 1:  # also those that `threading` does not know
            self.events.emit(COMPETING_THREADS, threads=others)
        with frozen_garbage():
            grant = self.frames.start()
            realtime, locked = getattr(grant, "realtime", False), getattr(grant, "memory_locked", False)
            self.events.emit(CLOCK_GRANT, realtime=int(realtime), locked=int(locked))
            if (pinned := getattr(grant, "pinned", None)) is not None:
                self.events.emit(CLOCK_PINNED, granted=int(pinned))
            try:
                with real_time_thread(self._dispatcher, below_clock=realtime) as granted:
                    if (asked := self._dispatcher) is not None:
                        priority, runaway_ms = asked.priority, asked.runaway_ms
                        self.events.emit(
                            DISPATCHER_GRANT, priority=priority, runaway_ms=runaway_ms, granted=int(granted.realtime)
                        )
                    while keep_on():
                        slot = self.frames.wait(timeout_us)
                        if slot is not None:
                            self.run_frame(slot)
            finally:
                self.frames.stop()

    def run_frame(self, slot: Slot) -> None:
        """One minor frame."""
        frame = slot.frame
        self.modes.apply(frame)
        mode = self.modes.mode
        if frame > self._last_frame + 1:
            self._account_skipped(self._last_frame + 1, frame, mode)
        self._last_frame = frame
        if self.tables.boundary(frame):
            self._tasks = self.tables.tasks
            self._critical_missed, self._overran = False, 0
        end_ns = slot.release_ns + self._minor_ns
        self._context.begin(frame, mode, end_ns)
        self._announce(frame, mode)
        tasks, position = self._tasks, 0
        while position < len(tasks):  # an iterator would be an object of its own in every frame
            task = tasks[position]
            if mode in task.flown_modes:
                if task.is_due(frame):
                    task.counters.due += 1
                    task.drop_pending()
                    task.pending = frame
                if task.pending != NEVER:
                    self._start_or_not(position, task, frame, slot.release_ns, end_ns)
                task.counters.waiting = int(task.pending != NEVER)
            else:
                task.drop_pending()
                if task.critical:
                    self.health.check_in(task.entry.activity, frame)
            position += 1
        self._notices.hear(self.frames.check_in(self.health.judge(frame)))
        self.tables.ended(frame, self._critical_missed, self._overran)
        self._critical_missed, self._overran = False, 0
        if not self.frames.done(frame):
            self.events.emit(FRAME_LATE, frame=frame)

    def _announce(self, frame: int, mode: Mode) -> None:
        """Which critical activities this frame is to end: the frame clock is to know it if the loop does not."""
        tasks, position, bits = self._tasks, 0, 0
        while position < len(tasks):
            task = tasks[position]
            if task.bit and mode in task.flown_modes and (task.pending != NEVER or task.is_due(frame)):
                bits |= task.bit
            position += 1
        if bits:
            self.frames.expect(frame, bits)

    def counters(self) -> dict[str, ActivityCounters]:
        """The account of each activity that ever flew."""
        return {task.entry.activity: task.counters for task in self.tables.every_task}

    def times(self) -> dict[str, ActivityTimes]:
        """How long each activity took."""
        return {task.entry.activity: self._meter.times(task.number) for task in self.tables.every_task}

    def busiest(self) -> tuple[int, int]:
        """The number of the activity with the longest run, and that run in microseconds."""
        worst_us, number = max((self._meter.worst_us(task.number), -task.number) for task in self.tables.every_task)
        return -number, worst_us

    def numbers(self) -> dict[str, int]:
        """How events name the activities."""
        return self.tables.numbers

    def demoted(self) -> dict[str, int]:
        """Activities that take longer than declared too often, and the steps they were taken down."""
        return {
            task.entry.activity: task.offender.level
            for task in self._tasks
            if task.offender is not None and task.offender.level
        }

    def disabled(self) -> tuple[str, ...]:
        """Activities that were disabled because they kept raising, or as the last step of demotion."""
        return tuple(task.entry.activity for task in self._tasks if task.disabled)

    def enable(self, activity: str) -> None:
        """By command: give an activity that was disabled or demoted another try, as it is declared."""
        for task in self._tasks:
            if task.entry.activity == activity:
                task.disabled, task.raises_in_a_row = False, 0
                if self._demoter is not None:
                    self._demoter.restore(task)

    def take_failures(self) -> list[tuple[str, Exception]]:
        """The newest exceptions of activities, for a log outside the frames; at most 16 are kept."""
        taken = list(self._failures)
        self._failures.clear()
        return taken

    def _start_or_not(self, position: int, task: Task, frame: int, release_ns: int, end_ns: int) -> None:
        if task.disabled:
            task.pending = NEVER
            task.counters.disabled += 1
            return
        now_ns = self._meter.now_ns()
        deadline_ns = release_ns - (frame - task.pending) * self._minor_ns + task.deadline_ns
        if now_ns + task.cost_ns > end_ns:
            self._no_room(task, frame, end_ns - now_ns, end_ns, deadline_ns)
        elif task.pending < frame and now_ns + task.wcet_ns > deadline_ns:
            task.drop_pending()
            self._critical_missed |= task.critical
        elif task.sheds and now_ns + task.cost_ns + self._owed(position, frame) > end_ns:
            task.pending = NEVER
            task.counters.shed += 1
            self._emit_not_started(task, end_ns - now_ns)
        else:
            task.pending = NEVER
            self._start(task, frame, deadline_ns)

    def _no_room(self, task: Task, frame: int, left_ns: int, end_ns: int, deadline_ns: int) -> None:
        """The policy decides. An instance that could not end by its deadline in the next frame is dropped now."""
        if task.entry.overrun is Overrun.NEXT and end_ns + task.wcet_ns <= deadline_ns:
            task.counters.deferred += 1
        else:
            task.pending = NEVER
            self._critical_missed |= task.critical
            if task.sheds:
                task.counters.shed += 1
            else:
                task.counters.skipped += 1
            if task.entry.overrun is Overrun.SAFE:
                self._request_safe(Cause.OVERRUN)
        self._emit_not_started(task, left_ns)

    def _start(self, task: Task, frame: int, deadline_ns: int) -> None:
        counters = task.counters
        counters.run += 1
        start_ns = self._meter.begin(task.number)
        try:
            task.activity(self._context)
        except Exception as error:  # whatever it is: the activity is at fault, the cycle goes on
            self._account_raised(task, error)
        else:
            task.raises_in_a_row = 0
            if task.critical:
                self.health.check_in(task.entry.activity, frame)
                self.frames.mark(frame, task.bit)
        end_ns = self._meter.end(task.number)
        took_us = (end_ns - start_ns) // 1000
        if took_us > task.entry.wcet_us:
            counters.overran += 1
            self._overran += 1
            self.events.emit(OVERRAN, activity=task.number, took_us=took_us, over_us=took_us - task.entry.wcet_us)
            if task.entry.overrun is Overrun.SAFE:
                self._request_safe(Cause.OVERRUN)
        if self._demoter is not None and task.offender is not None:
            held_us = self._meter.last_cpu_us(task.number) if self._demoter.by_processor else took_us
            if self._demoter.ended(task, task.offender, held_us > task.entry.wcet_us):
                self._request_safe(Cause.OVERRUN)
        if end_ns > deadline_ns:
            counters.late += 1
            self._critical_missed |= task.critical
            self.events.emit(DEADLINE_MISSED, activity=task.number, over_us=(end_ns - deadline_ns) // 1000)

    def _account_raised(self, task: Task, error: Exception) -> None:
        task.counters.raised += 1
        task.raises_in_a_row += 1
        self._failures.append((task.entry.activity, error))
        self.events.emit(RAISED, activity=task.number, in_a_row=task.raises_in_a_row)
        if task.raises_in_a_row < RAISES_TO_DISABLE:
            return
        if task.critical:
            self._request_safe(Cause.RAISED)
        else:
            task.disabled = True
            self.events.emit(DISABLED, activity=task.number, in_a_row=task.raises_in_a_row)

    def _account_skipped(self, first: int, frame: int, mode: Mode) -> None:
        """Frames first..frame-1 had no slot: what was due in them is dropped, put off or a cause for safe mode."""
        self.events.emit(FRAMES_SKIPPED, skipped=frame - first, frame=frame)
        for task in self._tasks:
            entry = task.entry
            newest = frame - 1 - (frame - 1 - entry.phase) % task.period
            if mode not in task.flown_modes or newest < max(first, entry.phase):
                continue
            oldest = max(first, entry.phase)
            missed = (newest - entry.phase) // task.period - (oldest - 1 - entry.phase) // task.period
            task.counters.due += missed
            task.counters.skipped += missed - 1 + int(task.pending != NEVER)
            task.pending = NEVER
            self._critical_missed |= task.critical and missed > 1
            if entry.overrun is Overrun.NEXT:
                task.pending = newest
                task.counters.deferred += 1
            else:
                task.counters.skipped += 1
                self._critical_missed |= task.critical
                if entry.overrun is Overrun.SAFE:
                    self._request_safe(Cause.OVERRUN)

    def _owed(self, position: int, frame: int) -> int:
        """Nanoseconds that more critical activities later in this frame still need."""
        tasks, mode, owed = self._tasks, self.modes.mode, 0
        mine = tasks[position].criticality
        while (position := position + 1) < len(tasks):
            task = tasks[position]
            if task.criticality <= mine or task.disabled or mode not in task.flown_modes:
                continue
            if task.pending != NEVER or task.is_due(frame):
                owed += task.cost_ns
        return owed

    def _request_safe(self, cause: Cause) -> None:
        try:
            self.modes.request(Mode.SAFE, cause)
        except ModeRefused:  # counted and told by the mode manager
            return

    def _emit_not_started(self, task: Task, left_ns: int) -> None:
        self.events.emit(NOT_STARTED, activity=task.number, left_us=max(0, left_ns // 1000), policy=task.entry.overrun)

"""The tables that the frame loop holds: the one that flies, one that stands by, and the last good one.

Staging makes all that a table needs away from the boundary; at the boundary tasks change hands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flight.executive.activity_meter import ActivityMeter
from flight.executive.activity_task import NO_MODES, Activity, Task, make_tasks
from flight.executive.component import (
    GROUP_SWITCHED,
    TABLE_ACTIVATED,
    TABLE_KEPT,
    TABLE_MENDED,
    TABLE_REFUSED,
    TABLE_RETURNED,
    TABLE_STAGED,
)
from flight.executive.demoter import Demoter
from flight.executive.errors import ActivityUnknown, ExecutiveError, ScheduleRefused
from flight.executive.health import HealthGate
from flight.executive.schedule import Analysis, ScheduleTable, analyse
from flight.executive.table_guard import Finding, TableGuard
from flight.executive.table_swap import Move, Outcome, Probation, Refusal, TableSwap
from flight.services.events import EventRing

RAISES_TO_DISABLE = 3  # in a row
MIN_SILENCE_FRAMES = 20  # a critical activity may be silent this long, or three periods if that is longer


class StagingRefused(ExecutiveError, ValueError):
    """A table that fits and still may not stand by."""

    code = "staging_refused"

    def __init__(self, table: str, reason: Refusal) -> None:
        super().__init__(f"{table} is not staged: {reason.name.lower()}")
        self.table, self.reason = table, reason


@dataclass(frozen=True, slots=True)
class PreparedTable:
    """A table with its tasks, in the order in which a frame starts them."""

    table: ScheduleTable
    tasks: tuple[Task, ...]
    guard: TableGuard


class TableSet:
    """Double buffer of tables. One thread; only stage() takes longer than a frame may, and only without a verdict."""

    def __init__(
        self,
        table: ScheduleTable,
        activities: Mapping[str, Activity],
        meter: ActivityMeter,
        events: EventRing,
        health: HealthGate,
        demoter: Demoter | None,
        probation: Probation,
    ) -> None:
        """`table` flies from the first frame on. Raises ScheduleRefused for one that does not fit, ActivityUnknown."""
        _judge(table, activities, None)
        self._activities, self._meter, self._events = activities, meter, events
        self._health, self._demoter = health, demoter
        self._numbers: dict[str, int] = {}
        self._groups: list[str] = []  # in the order of their numbers
        self._off: set[str] = set()
        self._scrub_position = 0
        self.mended = 0
        self.swap = TableSwap(table.hash, probation)
        self._active = self._good = self._prepare(table)
        self._standby: PreparedTable | None = None
        self._every: dict[str, Task] = {}  # of each activity that ever flew, the newest
        self._frame = -1
        self._take_over(self._active, 0)

    @property
    def table(self) -> ScheduleTable:
        """The one that flies."""
        return self._active.table

    @property
    def good(self) -> ScheduleTable:
        """The last one that is known to be good: what to begin with after a restart."""
        return self._good.table

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Of the table that flies."""
        return self._active.tasks

    @property
    def every_task(self) -> tuple[Task, ...]:
        """Of each activity that ever flew, the newest."""
        return tuple(self._every.values())

    @property
    def numbers(self) -> dict[str, int]:
        """How events name the activities. A number is never given anew."""
        return dict(self._numbers)

    @property
    def groups(self) -> tuple[str, ...]:
        """How commands name the groups: by place. A number is never given anew."""
        return tuple(self._groups)

    def switch(self, group: int, on: bool) -> bool:
        """By command: the activities of a group run or do not, in every table, until the next start. False: unknown."""
        if not 0 <= group < len(self._groups):
            return False
        name = self._groups[group]
        (self._off.discard if on else self._off.add)(name)
        for task in self._active.tasks:
            self._stand(task)
        self._events.emit(GROUP_SWITCHED, group=group, on=int(on))
        return True

    def scrub(self) -> Finding:
        """Check the next entry of the table that flies. Mended is told; what is lost is not started any more."""
        tasks = self._active.tasks
        position = self._scrub_position = (self._scrub_position + 1) % len(tasks)
        task, finding = tasks[position], self._active.guard.check(position)
        if finding is Finding.LOST:
            if task.disabled:
                return Finding.SOUND  # told already
            task.disabled = True
        elif finding is not Finding.SOUND:
            self.mended += 1
            self._events.emit(
                TABLE_MENDED, table=short_hash(self.table), activity=task.number, finding=finding, times=self.mended
            )
        self._stand(task)
        return finding

    def stage(self, table: ScheduleTable, verdict: Analysis | None = None) -> None:
        """Let `table` fly from the next major frame on, in place of what was staged before. Each refusal is an event.

        verdict: its analysis, where that was made in another process; else it is made here, which may take longer
        than a frame. Raises ActivityUnknown, ScheduleRefused, StagingRefused.
        """
        refusal = self.swap.may_stage(table.hash)
        if refusal is None and table.minor_us != self.table.minor_us:
            refusal = Refusal.MINOR_FRAME
        if refusal is None and verdict is not None and verdict.hash != table.hash:
            refusal = Refusal.OTHER_ANALYSIS
        if refusal is not None:
            self._tell_refused(table, refusal, 0)
            raise StagingRefused(table.name, refusal)
        try:
            _judge(table, self._activities, verdict)
        except ActivityUnknown:
            self._tell_refused(table, Refusal.ACTIVITY_UNKNOWN, 1)
            raise
        except ScheduleRefused as error:
            self._tell_refused(table, Refusal.UNFIT, len(error.problems))
            raise
        self._standby = self._prepare(table)
        self.swap.stage(table.hash)
        self._events.emit(TABLE_STAGED, table=short_hash(table))

    def unstage(self) -> bool:
        """By command: nothing stands by any more. False when nothing did."""
        self._standby = None
        return self.swap.unstage()

    def boundary(self, frame: int) -> bool:
        """`frame` begins. True when another table flies from it on."""
        frames = self._active.table.frames
        major = frame // frames != self._frame // frames
        self._frame = frame
        move = self.swap.boundary(frame, major, self._health.healthy)
        if not move:
            return False
        before = self._active
        if move is Move.ACTIVATE and self._standby is not None:
            self._active, self._standby = self._standby, None
            self._events.emit(TABLE_ACTIVATED, table=short_hash(self.table), frame=frame)
        else:
            self._active = self._good
        self._take_over(before, frame)
        return True

    def ended(self, frame: int, critical_missed: bool, overruns: int) -> None:
        """`frame` has ended; its health is judged. overruns: runs in it that took longer than declared."""
        outcome = self.swap.ended(frame, critical_missed, overruns, self._health.healthy)
        if not outcome:
            return
        if outcome is Outcome.KEPT:
            self._good = self._active
            self._events.emit(TABLE_KEPT, table=short_hash(self.table))
        else:
            reason = self.swap.misbehaviour
            assert reason is not None
            self._tell_returned(reason)

    def give_up(self) -> bool:
        """By command: the last good table from the next frame on. False when it flies already."""
        if not self.swap.give_up():
            return False
        assert self.swap.misbehaviour is not None
        self._tell_returned(self.swap.misbehaviour)
        return True

    def _prepare(self, table: ScheduleTable) -> PreparedTable:
        for entry in table.entries:
            self._numbers.setdefault(entry.activity, len(self._numbers))
            if entry.group and entry.group not in self._groups:
                self._groups.append(entry.group)
        tasks = make_tasks(table, self._activities, self._numbers)
        return PreparedTable(table, tasks, TableGuard(tasks, self._activities))

    def _stand(self, task: Task) -> None:
        """What is derived from the entry: with its group, and with what a rule of demotion made of it."""
        task.flown_modes = NO_MODES if task.entry.group in self._off else task.modes
        if task.offender is None:
            task.period, task.criticality = task.entry.period, task.entry.criticality
        else:
            standing = task.offender.standing()
            task.period, task.criticality = standing.period, standing.criticality

    def _take_over(self, before: PreparedTable, frame: int) -> None:
        """The active table's tasks go on with what their activities are; those that left it end."""
        staying = {task.entry.activity for task in self._active.tasks}
        critical = {task.entry.activity for task in self._active.tasks if task.critical}
        for task in before.tasks:
            if task.entry.activity not in staying:
                task.drop_pending()
            if task.critical and task.entry.activity not in critical:
                self._health.unwatch(task.entry.activity)
        for task in self._active.tasks:
            name = task.entry.activity
            task.take_over(self._every.get(name), RAISES_TO_DISABLE)
            self._every[name] = task
            self._stand(task)
            self._meter.declare(task.number, task.entry.wcet_us)
            if self._demoter is not None:
                self._demoter.enrol(task)
            if task.critical:
                limit = max(3 * task.entry.period, MIN_SILENCE_FRAMES)
                self._health.watch(name, limit, number=task.number, from_frame=frame)

    def _tell_refused(self, table: ScheduleTable, reason: Refusal, problems: int) -> None:
        self._events.emit(TABLE_REFUSED, table=short_hash(table), reason=reason, problems=problems)

    def _tell_returned(self, reason: int) -> None:
        self._events.emit(TABLE_RETURNED, table=short_hash(self.table), good=short_hash(self.good), reason=reason)


def short_hash(table: ScheduleTable) -> int:
    """The first eight octets of a table's hash, as events name it."""
    return int(table.hash[:16], 16)


def _judge(table: ScheduleTable, activities: Mapping[str, Activity], verdict: Analysis | None) -> None:
    for entry in table.entries:
        if entry.activity not in activities:
            known = tuple(sorted(activities))
            raise ActivityUnknown(entry.activity, table.name, entry.line_of("activity"), known)
    analysis = analyse(table, activities.keys()) if verdict is None else verdict
    if not analysis.ok:
        raise ScheduleRefused(table.name, tuple((problem.line, problem.reason) for problem in analysis.problems))

"""What the verdicts on repeat offenders do to the tasks of a flown table, and to the ground: an event each."""

from __future__ import annotations

from flight.executive.activity_task import Task
from flight.executive.component import CRITICAL_OVERRUNS, DEMOTED, RESTORED
from flight.executive.demotion import DemotionRule, Offender, Restored, TimeOf, Verdict
from flight.services.events import EventRing


class Demoter:
    """Follows one rule. It only acts on tasks that it enrolled."""

    def __init__(self, rule: DemotionRule, events: EventRing) -> None:
        self.rule = rule
        self.by_processor = rule.time_of is TimeOf.PROCESSOR
        self._events = events

    def enrol(self, task: Task) -> None:
        """A clean record: a table that begins to fly declares anew."""
        task.offender = Offender(self.rule, task.entry.criticality, task.entry.period)

    def ended(self, task: Task, offender: Offender, over: bool) -> bool:
        """A run of `task` ended; `over`: longer than declared. True: safe mode is to be asked for."""
        verdict = offender.ended(over)
        if not verdict:
            return False
        rule = self.rule
        if verdict is Verdict.SAFE:
            self._events.emit(CRITICAL_OVERRUNS, activity=task.number, overruns=rule.overruns, runs=rule.window_runs)
            return True
        if verdict is Verdict.DEMOTE:
            step = offender.steps[offender.level - 1]
            self._events.emit(
                DEMOTED,
                activity=task.number,
                overruns=rule.overruns,
                runs=rule.window_runs,
                level=offender.level,
                step=step,
            )
        else:
            self._tell_restored(task, offender, Restored.CLEAN_RUNS)
        _stand(task, offender)
        return False

    def restore(self, task: Task) -> None:
        """By command: as declared."""
        if task.offender is not None and task.offender.restore():
            _stand(task, task.offender)
            self._tell_restored(task, task.offender, Restored.COMMAND)

    def _tell_restored(self, task: Task, offender: Offender, cause: Restored) -> None:
        self._events.emit(RESTORED, activity=task.number, level=offender.level, cause=cause)


def _stand(task: Task, offender: Offender) -> None:
    standing = offender.standing()
    task.criticality, task.period = standing.criticality, standing.period
    if not standing.enabled:
        task.disabled = True

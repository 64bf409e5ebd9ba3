"""The ladders of everything that must count, wired: totals are read, what is decided is told and done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from flight.executive.errors import ExecutiveError
from flight.executive.health_component import (
    ACTION_FAILED,
    ACTION_TAKEN,
    ACTIONS_SPENT,
    COUNT_MISSING,
    COUNT_RESTORED,
)
from flight.executive.health_ladder import Decision, Ladder, Verdict
from flight.executive.health_table import ActionName, CountTable, Step, Watched
from flight.executive.modes import Mode
from flight.services.events import EventRing

_U32 = 0xFFFF_FFFF


class CountUnknown(ExecutiveError, KeyError):
    """The table watches what has no count."""

    code = "count_unknown"
    exit_status = 2

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"nothing counts `{name}`; known: {', '.join(known)}")
        self.name, self.known = name, known

    def __str__(self) -> str:
        return str(self.args[0])


class Reactions(Protocol):
    """What the composition can do. Each may raise; False: it could not be done."""

    def restart_activity(self, name: str) -> bool: ...

    def restart_process(self, name: str) -> bool: ...

    def start_sequence(self, number: int) -> bool: ...

    def reset(self) -> bool: ...


class CountWatch:
    """Call step() once a frame. Bounded by the table; totals are read at the ends of windows only."""

    def __init__(
        self,
        table: CountTable,
        totals: Mapping[str, Callable[[], int | None]],
        reactions: Reactions,
        events: EventRing,
    ) -> None:
        """totals: how often each ran since it was started; None while it is not asked to. Raises CountUnknown."""
        for watched in table.watched:
            if watched.name not in totals:
                raise CountUnknown(watched.name, tuple(sorted(totals)))
        self._ladders = tuple((Ladder(watched), totals[watched.name]) for watched in table.watched)
        self._reactions, self._events = reactions, events
        self.missed = self.taken = self.failed = 0

    def step(self, frame: int, mode: Mode) -> None:
        """Judge the windows that end in this frame."""
        for ladder, total in self._ladders:
            if ladder.is_due(frame, mode):
                counted = total()
                if counted is None:
                    ladder.drop()
                    continue
                decision = ladder.judge(frame, mode, counted)
                if decision is not None and decision.verdict is not Verdict.WELL:
                    self._follow(ladder.watched, decision)

    def _follow(self, watched: Watched, decision: Decision) -> None:
        if decision.verdict is Verdict.RESTORED:
            self._events.emit(COUNT_RESTORED, watched=watched.number)
            return
        self.missed += 1
        self._events.emit(
            COUNT_MISSING, watched=watched.number, counted=min(decision.counted, _U32), expected=watched.expected
        )
        if decision.verdict is Verdict.SPENT:
            self._events.emit(ACTIONS_SPENT, watched=watched.number)
        if decision.step is None:
            return
        self.taken += 1
        action = decision.step.do.action
        self._events.emit(ACTION_TAKEN, watched=watched.number, action=action, times=decision.times)
        try:
            done = self._do(watched, decision.step)
        except Exception:  # whatever it is: the next rung is still to be reached
            done = False
        if not done:
            self.failed += 1
            self._events.emit(ACTION_FAILED, watched=watched.number, action=action)

    def _do(self, watched: Watched, step: Step) -> bool:
        match step.do:
            case ActionName.EVENT:
                return True
            case ActionName.RESTART_ACTIVITY:
                return self._reactions.restart_activity(watched.name)
            case ActionName.RESTART_PROCESS:
                return self._reactions.restart_process(step.process or watched.name)
            case ActionName.SEQUENCE:
                return self._reactions.start_sequence(step.sequence)
            case ActionName.RESET:
                return self._reactions.reset()

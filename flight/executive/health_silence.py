"""When a process that is alive but says nothing is made to end: the decision, without processes and without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

MAX_STEP_S = 2.0  # what was not watched does not count: a watcher that was itself held up accuses nobody


@dataclass(frozen=True, slots=True)
class Liveness:
    """What is declared of one process, in seconds of host time."""

    silent_s: float  # longer than its longest step
    begin_s: float  # to the first sign of life: imports and the opening of devices
    end_s: float  # between the request to end and the kill

    def __post_init__(self) -> None:
        if not (self.silent_s > 0 and self.begin_s > 0 and self.end_s > 0):
            raise ValueError(f"each limit of {self} is above zero")


class Reaction(IntEnum):
    """What is done to a silent process."""

    NONE = 0
    TERMINATE = 1
    KILL = 2


class SilenceWatch:
    """One process from its start to its end."""

    def __init__(self, liveness: Liveness, now_s: float) -> None:
        self._liveness, self._judged_s = liveness, now_s
        self._limit_s = liveness.begin_s
        self._terminated = self._killed = False
        self._since_s = 0.0  # watched time since the request to end
        self.silent_s = 0.0  # watched time since it was heard

    def judge(self, now_s: float, *, heard: bool) -> Reaction:
        """`heard`: it gave a sign of life since the last call. Each reaction comes once; what was begun is ended."""
        passed_s = min(max(now_s - self._judged_s, 0.0), MAX_STEP_S)
        self._judged_s = now_s
        if self._terminated:
            self._since_s += passed_s
            if self._killed or self._since_s < self._liveness.end_s:
                return Reaction.NONE
            self._killed = True
            return Reaction.KILL
        if heard:
            self.silent_s, self._limit_s = 0.0, self._liveness.silent_s
            return Reaction.NONE
        self.silent_s += passed_s
        return self.end() if self.silent_s > self._limit_s else Reaction.NONE

    def end(self) -> Reaction:
        """It is made to end for a reason of the caller's. TERMINATE, or NONE where that was asked already."""
        if self._terminated:
            return Reaction.NONE
        self._terminated = True
        return Reaction.TERMINATE

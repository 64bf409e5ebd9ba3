"""Counts that are missing lead up a ladder of actions, each bounded in number and followed by a pause: the decision."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from flight.executive.health_table import Action, Step, Watched
from flight.executive.modes import Mode


class Verdict(IntEnum):
    """What the end of a window says."""

    WELL = 0
    MISSING = 1  # too few, and nothing is done: the last action has its pause
    ACT = 2
    SPENT = 3  # every action was taken its number of times: told once
    RESTORED = 4  # as declared for `clean_windows` windows after an action


@dataclass(frozen=True, slots=True)
class Decision:
    """Of one window."""

    verdict: Verdict
    counted: int = 0
    step: Step | None = None  # of ACT
    times: int = 0  # how often this action was taken, with this one

    @property
    def action(self) -> Action | None:
        return None if self.step is None else self.step.do.action


class Ladder:
    """One watched: windows of frames one after another, only in the modes in which it must count."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self._modes = watched.flown_modes
        self._began: int | None = None  # the first frame of the window
        self._total = 0  # at that frame
        self._step = self._taken = self._clean = 0
        self._quiet_until = 0
        self._spent = False

    @property
    def climbed(self) -> bool:
        """Whether some action was taken since it counted as declared."""
        return self._step > 0 or self._taken > 0

    def is_due(self, frame: int, mode: Mode) -> bool:
        """Whether judge() has something to do: the window ends, begins or is given up."""
        if mode not in self._modes:
            return self._began is not None
        return self._began is None or frame - self._began >= self.watched.window_frames

    def judge(self, frame: int, mode: Mode, total: int) -> Decision | None:
        """At `frame`; total: how often it ran since it was first started. None: no window ended.

        A total that is smaller than before is that of a new start. A window that frames were skipped in is longer
        than declared, and holds for its longer time what is declared for the shorter one.
        """
        if mode not in self._modes:
            self._began = None
            return None
        if self._began is None:
            self._began, self._total = frame, total
            return None
        if frame - self._began < self.watched.window_frames:
            return None
        counted = total - self._total if total >= self._total else total
        self._began, self._total = frame, total
        return self._well(counted) if counted >= self.watched.expected else self._missing(frame, counted)

    def drop(self) -> None:
        """It is not asked to run now: the window is given up, and another begins when it is."""
        self._began = None

    def _well(self, counted: int) -> Decision:
        self._clean += 1
        if self.climbed and self._clean >= self.watched.clean_windows:
            self._step = self._taken = self._quiet_until = 0
            self._spent = False
            return Decision(Verdict.RESTORED, counted)
        return Decision(Verdict.WELL, counted)

    def _missing(self, frame: int, counted: int) -> Decision:
        self._clean = 0
        if frame < self._quiet_until:
            return Decision(Verdict.MISSING, counted)
        if self._step < len(self.watched.action) and self._taken >= self.watched.action[self._step].times:
            self._step, self._taken = self._step + 1, 0
        if self._step >= len(self.watched.action):
            verdict = Verdict.MISSING if self._spent else Verdict.SPENT
            self._spent = True
            return Decision(verdict, counted)
        step = self.watched.action[self._step]
        self._taken += 1
        self._quiet_until = frame + step.cooldown_frames
        return Decision(Verdict.ACT, counted, step, self._taken)

"""Which schedule table flies: one is active, one may stand by, and the last good one is returned to by itself.

Pure: tables are their hashes. A staged table becomes active at the start of a major frame and is on probation for some
frames; then it is the last good one. If it misbehaves before, the last good one flies again from the next frame on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from flight.executive.errors import ExecutiveError


class ProbationInvalid(ExecutiveError, ValueError):
    """A probation that ends before it begins."""

    code = "probation_invalid"
    exit_status = 2


class Refusal(IntEnum):
    """Why a table is not staged; goes down with the event."""

    UNFIT = 0  # the analysis finds problems
    ACTIVITY_UNKNOWN = 1
    MINOR_FRAME = 2  # another length than that of the frame clock
    SAME = 3  # it flies already
    PROBATION = 4  # the one that flies is not known to be good yet
    OTHER_ANALYSIS = 5  # the verdict that came with it is that of another table


class Misbehaviour(IntEnum):
    """Why a table is given up; goes down with the event."""

    CRITICAL_MISSED = 0  # a critical activity ended late or was not started
    OVERRUNS = 1  # too many runs took longer than it declares
    UNHEALTHY = 2  # who must live fell silent under it
    COMMAND = 3


class Outcome(IntEnum):
    """What a frame under a table leads to."""

    NOTHING = 0
    KEPT = 1  # the probation is passed: it is the last good one now
    GIVEN_UP = 2  # the last good one flies from the next frame on


class Move(IntEnum):
    """What happens at the start of a frame."""

    STAY = 0
    ACTIVATE = 1
    RETURN = 2


_NOTHING = Outcome.NOTHING  # these two are named in every frame: a member looked up in its enumeration makes an object
_STAY = Move.STAY


@dataclass(frozen=True, slots=True)
class Probation:
    """A new table is kept after `frames` frames; before, `overruns` runs longer than declared are too many."""

    frames: int = 6000
    overruns: int = 20

    def __post_init__(self) -> None:
        """Raises ProbationInvalid."""
        if self.frames < 1 or self.overruns < 1:
            raise ProbationInvalid(f"a probation of {self.frames} frames and {self.overruns} overruns")


class TableSwap:
    """The decisions, by hash."""

    __slots__ = ("_healthy", "_overruns", "_until", "active", "good", "misbehaviour", "probation", "staged")

    def __init__(self, active: str, probation: Probation) -> None:
        """`active` is taken to be good: the caller flies at its start what it knows to be so."""
        self.probation = probation
        self.active = self.good = active
        self.staged = ""  # none
        self.misbehaviour: Misbehaviour | None = None  # of the active one, which the next frame will not have
        self._until = 0  # the first frame after the probation
        self._overruns = 0
        self._healthy = True  # has been, under the active table

    @property
    def on_probation(self) -> bool:
        """Whether the active table is not known to be good yet."""
        return self.active != self.good

    def may_stage(self, table: str) -> Refusal | None:
        """Why a table that fits may not stand by now."""
        if self.on_probation:
            return Refusal.PROBATION
        return Refusal.SAME if table == self.active else None

    def stage(self, table: str) -> None:
        """Stands by for the next major frame, in place of what stood by. Raises ValueError where it may not."""
        if self.may_stage(table) is not None:
            raise ValueError(f"{table} may not be staged")
        self.staged = table

    def unstage(self) -> bool:
        """Nothing stands by any more. False when nothing did."""
        was, self.staged = self.staged, ""
        return was != ""

    def give_up(self) -> bool:
        """By command: back to the last good table. False when it flies already, or will with the next frame."""
        if not self.on_probation or self.misbehaviour is not None:
            return False
        self.misbehaviour = Misbehaviour.COMMAND
        return True

    def boundary(self, frame: int, major: bool, healthy: bool) -> Move:
        """`frame` begins; `major`: it is the first of a major frame, or those since the last one were skipped."""
        if self.misbehaviour is not None:
            self.misbehaviour = None
            self.active = self.good
            return Move.RETURN
        if not major or not self.staged:
            return _STAY
        self.active, self.staged = self.staged, ""
        self._until = frame + self.probation.frames
        self._overruns, self._healthy = 0, healthy
        return Move.ACTIVATE

    def ended(self, frame: int, critical_missed: bool, overruns: int, healthy: bool) -> Outcome:
        """`frame` has ended. overruns: runs in it that took longer than declared.

        A table that began to fly unhealthy may be the cure: silence counts against it once health was there.
        """
        if self.active == self.good or self.misbehaviour is not None:
            return _NOTHING
        self._overruns += overruns
        if critical_missed:
            self.misbehaviour = Misbehaviour.CRITICAL_MISSED
        elif self._overruns >= self.probation.overruns:
            self.misbehaviour = Misbehaviour.OVERRUNS
        elif self._healthy and not healthy:
            self.misbehaviour = Misbehaviour.UNHEALTHY
        self._healthy = self._healthy or healthy
        if self.misbehaviour is not None:
            return Outcome.GIVEN_UP
        if frame + 1 < self._until:
            return _NOTHING
        self.good = self.active
        return Outcome.KEPT

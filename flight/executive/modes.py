"""The mode that the satellite is in, moved along a declared machine. A change takes effect at a frame boundary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from flight.executive.component import (
    MODE_ACTION_RAISED,
    MODE_CHANGED,
    MODE_GUARD_RAISED,
    MODE_HELD,
    MODE_REFUSED,
    MODE_TIMED_OUT,
)
from flight.executive.errors import ModeRefused
from flight.executive.mode_machine import MACHINE, Mode, ModeMachine, ModeMachineInvalid
from flight.services.events import EventRing

__all__ = ["MACHINE", "Cause", "Mode", "ModeManager", "Refusal"]

Guard = Callable[[], bool]
Action = Callable[[], None]
_NONE: Final[Mapping[str, Callable[[], bool]]] = MappingProxyType({})
_NOTHING: Final[Mapping[str, Callable[[], None]]] = MappingProxyType({})


class Cause(IntEnum):
    """Why a mode was asked for; goes down with the event."""

    PLAN = 0  # the agent's plan, or a contact
    COMMAND = 1
    OVERRUN = 2  # an activity whose policy is `safe` did not fit or took too long
    RAISED = 3  # a critical activity, or what is done on entering a mode, raises
    PLATFORM = 4  # the spacecraft bus asks for it
    TIMER = 5  # the mode lasted longer than is declared
    MEMORY = 6  # what is flown is damaged beyond repair
    RECOVERY = 7  # flight processes ended again and again


class Refusal(IntEnum):
    """Why a mode was refused; goes down with the event."""

    TRANSITION = 0  # the machine does not have it
    SAFE_WANTED = 1  # safe mode was asked for in the same frame
    GUARD = 2  # its condition does not hold
    HELD = 3  # a command keeps the present mode


class ModeManager:
    """Holds the mode. request() judges at once; the frame loop applies the change before its next frame.

    Safe mode is reachable from everywhere and, once asked for, is not replaced by another request in the same frame.
    A condition is judged when a mode is asked for and again at the boundary. What is done on leaving and on entering
    is done at the boundary; what raises there does not stop the change, but leads to safe mode.
    """

    def __init__(
        self,
        events: EventRing,
        mode: Mode = Mode.BOOT,
        machine: ModeMachine = MACHINE,
        guards: Mapping[str, Guard] = _NONE,
        actions: Mapping[str, Action] = _NOTHING,
    ) -> None:
        """Raises ModeMachineInvalid where the machine names a guard or an action that is not given."""
        missing = (machine.guards - guards.keys()) | (set(machine.actions) - actions.keys())
        if missing:
            raise ModeMachineInvalid(f"named and not given: {', '.join(sorted(missing))}")
        self.machine = machine
        self._stays = {each: machine.stay(each) for each in Mode}  # looked up in every frame
        self._events, self._guards, self._actions = events, guards, actions
        self._mode = mode
        self._wanted: tuple[Mode, Cause] | None = None
        self._entered: int | None = None  # the first frame in the mode
        self._last_frame: int | None = None
        self._hold_frames = 0  # how long a plan may not end the mode that is wanted or held
        self.changes = 0
        self.refused = 0
        self.timed_out = 0
        self.raised = 0

    @property
    def mode(self) -> Mode:
        """The mode of the frame that runs."""
        return self._mode

    @property
    def wanted(self) -> Mode:
        """The mode that the next frame will have."""
        return self._wanted[0] if self._wanted else self._mode

    @property
    def held_frames(self) -> int:
        """For how many more frames a command keeps the mode."""
        return self._hold_frames

    def may(self, mode: Mode, cause: Cause = Cause.PLAN) -> Refusal | None:
        """Why a request would be refused now; None: it would not."""
        if mode == self.wanted:
            return None
        if self._wanted is not None and self.wanted is Mode.SAFE:
            return Refusal.SAFE_WANTED
        if self._hold_frames and cause is Cause.PLAN and mode is not Mode.SAFE:
            return Refusal.HELD
        if mode is self._mode:
            return None
        guard = self.machine.guard(self._mode, mode)
        if guard is None:
            return Refusal.TRANSITION
        return None if self._holds(guard) else Refusal.GUARD

    def request(self, mode: Mode, cause: Cause = Cause.PLAN) -> None:
        """Ask for `mode` from the next frame on. Raises ModeRefused, with an event."""
        refusal = self.may(mode, cause)
        if refusal is not None:
            self._refuse(mode, cause, refusal)
        if mode is self.wanted:
            return
        self._hold_frames = 0
        self._wanted = None if mode is self._mode else (mode, cause)

    def hold(self, mode: Mode, frames: int) -> None:
        """By command: `mode` from the next frame on, and for `frames` frames no plan ends it; what is unsafe does.

        Raises ModeRefused, and ValueError for a number of frames below 1.
        """
        if frames < 1:
            raise ValueError(f"a mode is held for at least one frame, not {frames}")
        self.request(mode, Cause.COMMAND)
        self._hold_frames = frames

    def apply(self, frame: int) -> bool:
        """At the boundary before `frame`: make the requested mode the mode. True when it changed."""
        entered, last = self._entered, self._last_frame
        if entered is None or last is None:
            entered = self._entered = last = frame
        self._last_frame = frame
        if self._wanted is None:
            self._time_out(frame - entered)
        elif not self._holds(self.machine.guard(self._mode, self.wanted) or ""):
            mode, cause = self._wanted
            self._wanted, self._hold_frames = None, 0
            self._tell_refused(mode, cause, Refusal.GUARD)
        if self._wanted is None:
            if self._hold_frames:
                self._hold_frames = max(0, self._hold_frames - max(1, frame - last))  # skipped frames count
            return False
        mode, cause = self._wanted
        self._wanted = None
        before = self._mode
        self._events.emit(MODE_CHANGED, before=before, after=mode, cause=cause)
        left_well = self._do(self.machine.exit.get(before, ()), before)
        self._mode, self._entered = mode, frame
        self.changes += 1
        entered_well = self._do(self.machine.entry.get(mode, ()), mode)
        if not (left_well and entered_well) and mode is not Mode.SAFE and self.wanted is not Mode.SAFE:
            self.request(Mode.SAFE, Cause.RAISED)
        return True

    def _time_out(self, since: int) -> None:
        stay = self._stays[self._mode]
        if stay is None or since < stay.frames:
            return
        self.timed_out += 1
        self._events.emit(MODE_TIMED_OUT, mode=self._mode, frames=min(since, 0xFFFF_FFFF))
        self._hold_frames = 0
        self._wanted = (stay.then, Cause.TIMER)

    def _holds(self, guard: str) -> bool:
        """A condition that raises does not hold."""
        if not guard:
            return True
        try:
            return self._guards[guard]()
        except Exception:  # whatever it is: a guard that cannot tell keeps the present mode
            self.raised += 1
            self._events.emit(MODE_GUARD_RAISED, mode=self._mode)
            return False

    def _do(self, names: tuple[str, ...], mode: Mode) -> bool:
        """All actions, each whatever became of the one before. False where one raised."""
        well = True
        for name in names:
            try:
                self._actions[name]()
            except Exception:  # whatever it is: the change of the mode is not the action's to stop
                self.raised += 1
                self._events.emit(MODE_ACTION_RAISED, mode=mode, action=self.machine.actions.index(name))
                well = False
        return well

    def _refuse(self, mode: Mode, cause: Cause, refusal: Refusal) -> None:
        self._tell_refused(mode, cause, refusal)
        allowed = tuple(option.name for option in self.machine.following(self._mode))
        raise ModeRefused(self._mode.name, mode.name, allowed, refusal)

    def _tell_refused(self, mode: Mode, cause: Cause, refusal: Refusal) -> None:
        self.refused += 1
        if refusal in (Refusal.GUARD, Refusal.HELD):
            self._events.emit(MODE_HELD, before=self._mode, after=mode, cause=cause, reason=refusal)
        else:
            self._events.emit(MODE_REFUSED, before=self._mode, after=mode, cause=cause)

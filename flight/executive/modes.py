"""The satellite's modes, and which may follow which. A change takes effect at a frame boundary."""

from __future__ import annotations

from enum import IntEnum

from flight.executive.component import MODE_CHANGED, MODE_REFUSED
from flight.executive.errors import ModeRefused
from flight.services.events import EventRing


class Mode(IntEnum):
    """What the satellite is about. Activities name the modes in which they run."""

    BOOT = 0  # replaying the journal, nothing decided yet
    SAFE = 1  # alive and commandable, nothing else
    NOMINAL = 2
    IMAGING = 3  # lines are coming in
    DOWNLINK = 4  # in contact with a ground station


class Cause(IntEnum):
    """Why a mode was asked for; goes down with the event."""

    PLAN = 0  # the agent's plan, or a contact
    COMMAND = 1
    OVERRUN = 2  # an activity whose policy is `safe` did not fit or took too long
    RAISED = 3  # a critical activity keeps raising
    PLATFORM = 4  # the spacecraft bus asks for it


TRANSITIONS: dict[Mode, tuple[Mode, ...]] = {
    Mode.BOOT: (Mode.SAFE, Mode.NOMINAL),
    Mode.SAFE: (Mode.NOMINAL,),
    Mode.NOMINAL: (Mode.SAFE, Mode.IMAGING, Mode.DOWNLINK),
    Mode.IMAGING: (Mode.SAFE, Mode.NOMINAL, Mode.DOWNLINK),
    Mode.DOWNLINK: (Mode.SAFE, Mode.NOMINAL, Mode.IMAGING),
}


class ModeManager:
    """Holds the mode. request() judges at once; the frame loop applies the change before its next frame.

    Safe mode is reachable from everywhere and, once asked for, is not replaced by another request in the same frame.
    """

    def __init__(self, events: EventRing, mode: Mode = Mode.BOOT) -> None:
        self._events = events
        self._mode = mode
        self._wanted: tuple[Mode, Cause] | None = None
        self.changes = 0
        self.refused = 0

    @property
    def mode(self) -> Mode:
        """The mode of the frame that runs."""
        return self._mode

    @property
    def wanted(self) -> Mode:
        """The mode that the next frame will have."""
        return self._wanted[0] if self._wanted else self._mode

    def request(self, mode: Mode, cause: Cause = Cause.PLAN) -> None:
        """Ask for `mode` from the next frame on. Raises ModeRefused, with an event, for what TRANSITIONS lacks."""
        if mode == self.wanted:
            return
        allowed = () if self.wanted is Mode.SAFE and self._wanted else (self._mode, *TRANSITIONS[self._mode])
        if mode not in allowed:
            self.refused += 1
            self._events.emit(MODE_REFUSED, before=self._mode, after=mode, cause=cause)
            raise ModeRefused(self._mode.name, mode.name, tuple(option.name for option in TRANSITIONS[self._mode]))
        self._wanted = None if mode == self._mode else (mode, cause)

    def apply(self) -> bool:
        """At a frame boundary: make the requested mode the mode. True when it changed."""
        if self._wanted is None:
            return False
        mode, cause = self._wanted
        self._wanted = None
        self._events.emit(MODE_CHANGED, before=self._mode, after=mode, cause=cause)
        self._mode = mode
        self.changes += 1
        return True

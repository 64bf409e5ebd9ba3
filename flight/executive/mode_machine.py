"""The modes of the satellite as a declared state machine: transitions, guards, actions, the longest stay in a mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from flight.executive.errors import ExecutiveError

MAX_STAY_FRAMES = 1 << 40


class Mode(IntEnum):
    """What the satellite is about. Activities name the modes in which they run."""

    BOOT = 0  # replaying the journal, nothing decided yet
    SAFE = 1  # alive and commandable, nothing else
    NOMINAL = 2
    IMAGING = 3  # lines are coming in
    DOWNLINK = 4  # in contact with a ground station


class ModeMachineInvalid(ExecutiveError, ValueError):
    """A declaration that could leave the satellite stuck, or names what there is not."""

    code = "mode_machine_invalid"
    exit_status = 2


@dataclass(frozen=True, slots=True)
class Transition:
    """`after` may follow `before`; guard: the name of a condition that has to hold for it, empty for none."""

    before: Mode
    after: Mode
    guard: str = ""


@dataclass(frozen=True, slots=True)
class LongestStay:
    """After `frames` minor frames in `mode` the satellite goes to `then` by itself."""

    mode: Mode
    frames: int
    then: Mode


@dataclass(frozen=True, slots=True)
class ModeMachine:
    """Transitions, what is done on entering and leaving a mode, and forced ends. Raises ModeMachineInvalid.

    Held to: every mode is reached from BOOT, none leads back to it; SAFE follows every other mode without a guard and
    has no longest stay; a forced end is a transition without a guard.
    """

    transitions: tuple[Transition, ...]
    entry: Mapping[Mode, tuple[str, ...]] = field(default_factory=dict)
    exit: Mapping[Mode, tuple[str, ...]] = field(default_factory=dict)
    stays: tuple[LongestStay, ...] = ()

    def __post_init__(self) -> None:
        for transition in self.transitions:
            self._judge_transition(transition)
        if twice := len(self.transitions) - len({(each.before, each.after) for each in self.transitions}):
            raise ModeMachineInvalid(f"{twice} transitions are declared twice")
        for mode in Mode:
            if mode is not Mode.SAFE and not self._is_free(mode, Mode.SAFE):
                raise ModeMachineInvalid(f"{mode.name} does not lead to SAFE without a condition")
        if missing := set(Mode) - self._reached():
            raise ModeMachineInvalid(f"never reached: {', '.join(sorted(mode.name for mode in missing))}")
        for stay in self.stays:
            self._judge_stay(stay)
        if len({stay.mode for stay in self.stays}) != len(self.stays):
            raise ModeMachineInvalid("a mode has two longest stays")

    def following(self, mode: Mode) -> tuple[Mode, ...]:
        """What may follow `mode`, conditions aside."""
        return tuple(each.after for each in self.transitions if each.before is mode)

    def guard(self, before: Mode, after: Mode) -> str | None:
        """The condition's name, empty for none; None: there is no such transition."""
        return next((each.guard for each in self.transitions if (each.before, each.after) == (before, after)), None)

    def stay(self, mode: Mode) -> LongestStay | None:
        """The forced end of a mode."""
        return next((stay for stay in self.stays if stay.mode is mode), None)

    @property
    def guards(self) -> frozenset[str]:
        """The names of all conditions."""
        return frozenset(each.guard for each in self.transitions if each.guard)

    @property
    def actions(self) -> tuple[str, ...]:
        """The names of all actions, sorted: an event tells one by its place here."""
        named = {name for actions in (self.entry, self.exit) for names in actions.values() for name in names}
        return tuple(sorted(named))

    def _judge_transition(self, transition: Transition) -> None:
        before, after = transition.before, transition.after
        if before is after:
            raise ModeMachineInvalid(f"{before.name} follows itself")
        if after is Mode.BOOT:
            raise ModeMachineInvalid(f"{before.name} leads back to BOOT")

    def _judge_stay(self, stay: LongestStay) -> None:
        if stay.mode is Mode.SAFE:
            raise ModeMachineInvalid("SAFE does not end by itself")
        if not 1 <= stay.frames <= MAX_STAY_FRAMES:
            raise ModeMachineInvalid(f"a longest stay of {stay.frames} frames in {stay.mode.name}")
        if not self._is_free(stay.mode, stay.then):
            raise ModeMachineInvalid(f"{stay.mode.name} does not lead to {stay.then.name} without a condition")

    def _is_free(self, before: Mode, after: Mode) -> bool:
        return self.guard(before, after) == ""

    def _reached(self) -> set[Mode]:
        reached, frontier = {Mode.BOOT}, [Mode.BOOT]
        while frontier:
            new = set(self.following(frontier.pop())) - reached
            reached |= new
            frontier += new
        return reached


_FOLLOWING = {
    Mode.BOOT: (Mode.SAFE, Mode.NOMINAL),
    Mode.SAFE: (Mode.NOMINAL,),
    Mode.NOMINAL: (Mode.SAFE, Mode.IMAGING, Mode.DOWNLINK),
    Mode.IMAGING: (Mode.SAFE, Mode.NOMINAL, Mode.DOWNLINK),
    Mode.DOWNLINK: (Mode.SAFE, Mode.NOMINAL, Mode.IMAGING),
}
MACHINE = ModeMachine(tuple(Transition(before, after) for before, every in _FOLLOWING.items() for after in every))

HEALTHY_GUARD = "healthy"  # whoever must live has been heard in time
BOOT_LIMIT_S = 120  # a start that takes longer will not end
IMAGING_LIMIT_S = 1800  # no capture is that long: its end was not heard
DOWNLINK_LIMIT_S = 3600  # no pass of a low orbit is that long


def flight_machine(minor_us: int) -> ModeMachine:
    """The machine that flies, for frames of `minor_us`: out of SAFE only in health, and out of what lasts too long."""

    def stay(mode: Mode, limit_s: int, then: Mode) -> LongestStay:
        return LongestStay(mode, limit_s * 1_000_000 // minor_us, then)

    guarded = Transition(Mode.SAFE, Mode.NOMINAL, HEALTHY_GUARD)
    transitions = tuple(guarded if each.before is Mode.SAFE else each for each in MACHINE.transitions)
    stays = (
        stay(Mode.BOOT, BOOT_LIMIT_S, Mode.SAFE),
        stay(Mode.IMAGING, IMAGING_LIMIT_S, Mode.NOMINAL),
        stay(Mode.DOWNLINK, DOWNLINK_LIMIT_S, Mode.NOMINAL),
    )
    return ModeMachine(transitions, stays=stays)

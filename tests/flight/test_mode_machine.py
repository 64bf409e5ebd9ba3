"""A machine of modes that could leave the satellite stuck is refused where it is declared."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flight.executive.mode_machine import (
    MACHINE,
    LongestStay,
    Mode,
    ModeMachine,
    ModeMachineInvalid,
    Transition,
    flight_machine,
)
from flight.executive.modes import ModeManager
from flight.services.events import EventRing
from hal.clock import SimulatedClock


def without(*left_out: tuple[Mode, Mode]) -> tuple[Transition, ...]:
    return tuple(each for each in MACHINE.transitions if (each.before, each.after) not in left_out)


TRAPPED = (*without((Mode.IMAGING, Mode.SAFE)), Transition(Mode.IMAGING, Mode.SAFE, "healthy"))
GUARDED_END = (*without((Mode.IMAGING, Mode.NOMINAL)), Transition(Mode.IMAGING, Mode.NOMINAL, "healthy"))


@pytest.mark.parametrize(
    ("transitions", "stays", "said"),
    [
        (without((Mode.IMAGING, Mode.SAFE)), (), "IMAGING does not lead to SAFE without a condition"),
        (TRAPPED, (), "IMAGING does not lead to SAFE without a condition"),
        (without((Mode.NOMINAL, Mode.IMAGING), (Mode.DOWNLINK, Mode.IMAGING)), (), "never reached: IMAGING"),
        ((*MACHINE.transitions, Transition(Mode.SAFE, Mode.BOOT)), (), "SAFE leads back to BOOT"),
        ((*MACHINE.transitions, Transition(Mode.SAFE, Mode.SAFE)), (), "SAFE follows itself"),
        ((*MACHINE.transitions, Transition(Mode.SAFE, Mode.NOMINAL, "healthy")), (), "declared twice"),
        (MACHINE.transitions, (LongestStay(Mode.SAFE, 10, Mode.NOMINAL),), "SAFE does not end by itself"),
        (MACHINE.transitions, (LongestStay(Mode.IMAGING, 0, Mode.NOMINAL),), "a longest stay of 0 frames"),
        (MACHINE.transitions, (LongestStay(Mode.BOOT, 10, Mode.IMAGING),), "BOOT does not lead to IMAGING"),
        (GUARDED_END, (LongestStay(Mode.IMAGING, 10, Mode.NOMINAL),), "IMAGING does not lead to NOMINAL"),
        (
            MACHINE.transitions,
            (LongestStay(Mode.BOOT, 1, Mode.SAFE), LongestStay(Mode.BOOT, 2, Mode.SAFE)),
            "two longest",
        ),
    ],
)
def test_a_machine_is_refused(transitions: Sequence[Transition], stays: Sequence[LongestStay], said: str) -> None:
    with pytest.raises(ModeMachineInvalid, match=said):
        ModeMachine(tuple(transitions), stays=tuple(stays))


def test_names_that_nobody_gives_are_refused_at_the_start() -> None:
    events = EventRing(10, SimulatedClock())
    with pytest.raises(ModeMachineInvalid, match="named and not given: healthy"):
        ModeManager(events, machine=flight_machine(10_000))
    doing = ModeMachine(MACHINE.transitions, entry={Mode.SAFE: ("park", "tell")})
    with pytest.raises(ModeMachineInvalid, match="named and not given: park"):
        ModeManager(events, machine=doing, actions={"tell": lambda: None})
    assert doing.actions == ("park", "tell")


@pytest.mark.parametrize("minor_us", [100, 2_000, 10_000, 1_000_000])
def test_the_machine_that_flies_is_sound_for_every_frame_length(minor_us: int) -> None:
    machine = flight_machine(minor_us)
    assert all(Mode.SAFE in machine.following(mode) for mode in Mode if mode is not Mode.SAFE)
    stay = machine.stay(Mode.BOOT)
    assert stay is not None
    assert stay.frames * minor_us == 120_000_000
    assert machine.stay(Mode.SAFE) is machine.stay(Mode.NOMINAL) is None

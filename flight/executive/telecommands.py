"""What the ground may ask of the executive, by opcode: modes, and another try for an activity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from flight.executive.modes import Cause, Mode, ModeManager
from flight.services.command_set import CommandDefinition
from flight.services.command_slot import Handler
from flight.services.declare import Field

MODE_REQUEST = CommandDefinition(0x0101, "mode_request", (Field("mode", "u8"),), repeatable=True)
MODE_HOLD = CommandDefinition(0x0102, "mode_hold", (Field("mode", "u8"), Field("frames", "u32")))
ACTIVITY_ENABLE = CommandDefinition(0x0103, "activity_enable", (Field("activity", "u8"),), repeatable=True)
EXECUTIVE_COMMANDS = (MODE_REQUEST, MODE_HOLD, ACTIVITY_ENABLE)


class Activities(Protocol):
    """What is needed of a frame loop."""

    def numbers(self) -> dict[str, int]: ...
    def enable(self, activity: str) -> None: ...


def executive_handlers(modes: ModeManager, activities: Activities) -> Mapping[int, Handler]:
    """Opcode -> what does it. A refused mode goes up as ModeRefused: the slot tells that the command failed."""

    def request(values: Mapping[str, int | float]) -> bool:
        mode = int(values["mode"])
        if mode not in tuple(Mode):
            return False
        modes.request(Mode(mode), Cause.COMMAND)
        return True

    def hold(values: Mapping[str, int | float]) -> bool:
        mode, frames = int(values["mode"]), int(values["frames"])
        if mode not in tuple(Mode) or frames < 1:
            return False
        modes.hold(Mode(mode), frames)
        return True

    def enable(values: Mapping[str, int | float]) -> bool:
        for name, number in activities.numbers().items():
            if number == int(values["activity"]):
                activities.enable(name)
                return True
        return False

    return {MODE_REQUEST.opcode: request, MODE_HOLD.opcode: hold, ACTIVITY_ENABLE.opcode: enable}

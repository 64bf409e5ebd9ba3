"""Commands and stored sequences for the tests of the services on board."""

from __future__ import annotations

from bindings.crc import crc32c
from flight.services.command_set import Command, CommandDefinition, CommandSet
from flight.services.declare import Field
from flight.services.sequence_format import Sequence, SequenceKind, SequenceStep, StepFlag

NOTE = CommandDefinition(0x0A01, "note", (Field("value", "u32"),))
POINT = CommandDefinition(0x0A02, "point", (Field("roll", "f32", "deg"),), repeatable=True)
DEPLOY = CommandDefinition(0x0A03, "deploy", (Field("panel", "u8"),), dangerous=True)
START = CommandDefinition(0x0A04, "start", (Field("number", "u8"),))
GROUND_ONLY = CommandDefinition(0x0A05, "ground_only", storable=False)
COMMANDS = CommandSet((NOTE, POINT, DEPLOY, START, GROUND_ONLY))
STARTS = frozenset({START.opcode})


def note(value: int = 7) -> Command:
    return COMMANDS.command(NOTE.opcode, value=value)


def step(frames: int, command: Command | None = None, *, timeout: int = 50, flags: int = 0) -> SequenceStep:
    return SequenceStep(frames, command or note(), timeout, StepFlag(flags))


def relative(number: int, *steps: SequenceStep) -> Sequence:
    return Sequence(SequenceKind.RELATIVE, number, steps)


def absolute(number: int, *steps: SequenceStep) -> Sequence:
    return Sequence(SequenceKind.ABSOLUTE, number, steps)


def resealed(octets: bytes) -> bytes:
    """The same octets with a CRC that is right: what a wrong tool on the ground would send."""
    return octets[:-4] + crc32c(octets[:-4]).to_bytes(4, "big")

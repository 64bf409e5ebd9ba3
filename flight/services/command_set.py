"""Commands by opcode: what may be asked for, with which numbers. What is not declared cannot be dispatched.

>>> HEATER = CommandDefinition(0x3C01, "set_heater", (Field("watt", "f32", "W"),), repeatable=True)
>>> commands = CommandSet((HEATER,))
>>> commands.values(commands.command(0x3C01, watt=2.5))
{'watt': 2.5}

Arguments are numbers of fixed size, as those of events are: no text and no octets, so a command cannot name a file, an
address, a strip, a key or an area.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from flight.services.declare import MAX_ARGUMENTS, DeclarationInvalid, Field, ServicesError, in_order

MAX_ARGUMENT_OCTETS = MAX_ARGUMENTS * 8


class CommandReason(IntEnum):
    """Why octets are no command. Numbers are never reused."""

    OPCODE_UNKNOWN = 1
    ARGUMENT_SIZE = 2  # not the octets that the declared arguments take
    NOT_A_NUMBER = 3  # a NaN: nobody can mean it
    TOO_SHORT = 4  # no room for the head


class CommandInvalid(ServicesError, ValueError):
    """Octets that are none of the declared commands."""

    code = "command_invalid"

    def __init__(self, reason: CommandReason, opcode: int, expected_octets: int = 0, got_octets: int = 0) -> None:
        super().__init__(
            f"opcode 0x{opcode:04x}: {reason.name.lower()}"
            + (f", expected {expected_octets} octets, got {got_octets}" if expected_octets != got_octets else "")
        )
        self.reason, self.opcode = reason, opcode
        self.expected_octets, self.got_octets = expected_octets, got_octets


@dataclass(frozen=True, slots=True)
class CommandDefinition:
    """One command there is. Opcodes are never reused; the upper octet is the number of the component that takes it."""

    opcode: int  # 1..65535
    name: str
    arguments: tuple[Field, ...] = ()
    dangerous: bool = False  # only by arming it and executing it within a window (flight/services/arming.py)
    repeatable: bool = False  # done twice is as good as done once: a stored sequence may repeat it after a restart
    storable: bool = True  # whether a stored sequence may hold it; a dangerous one never is

    def __post_init__(self) -> None:
        if not 1 <= self.opcode <= 0xFFFF or not self.name:
            raise DeclarationInvalid(f"command `{self.name}`: opcode {self.opcode} or name cannot be used")
        names = {argument.name for argument in self.arguments}
        if len(names) != len(self.arguments) or len(names) > MAX_ARGUMENTS:
            raise DeclarationInvalid(f"command `{self.name}`: argument names repeat or are more than {MAX_ARGUMENTS}")
        if self.dangerous and self.repeatable:
            raise DeclarationInvalid(f"command `{self.name}`: what is dangerous is not repeated by itself")

    @property
    def layout(self) -> struct.Struct:
        """The arguments on the wire, big-endian, in declared order."""
        return struct.Struct(">" + "".join(argument.number.format for argument in self.arguments))


@dataclass(frozen=True, slots=True)
class Command:
    """One command that was checked against its definition.

    On the wire, big-endian: opcode u16, then the arguments in declared order.
    """

    opcode: int
    arguments: bytes  # packed numbers

    HEAD: ClassVar[struct.Struct] = struct.Struct(">H")

    def pack(self) -> bytes:
        """The command's octets."""
        return self.HEAD.pack(self.opcode) + self.arguments


class CommandSet:
    """Every command that a command slot can dispatch."""

    def __init__(self, definitions: Iterable[CommandDefinition]) -> None:
        """Raises DeclarationInvalid when an opcode or a name is used twice."""
        listed = tuple(definitions)
        self._definitions = {definition.opcode: definition for definition in listed}
        if len(self._definitions) != len(listed) or len({each.name for each in listed}) != len(listed):
            raise DeclarationInvalid("a command's opcode or name is used twice")

    def __iter__(self) -> Iterator[CommandDefinition]:
        return iter(self._definitions.values())

    def definition(self, opcode: int) -> CommandDefinition:
        """Raises CommandInvalid for an opcode that nobody declared."""
        found = self._definitions.get(opcode)
        if found is None:
            raise CommandInvalid(CommandReason.OPCODE_UNKNOWN, opcode)
        return found

    def check(self, opcode: int, arguments: bytes) -> Command:
        """The command of these octets. Raises CommandInvalid."""
        layout = self.definition(opcode).layout
        if len(arguments) != layout.size:
            raise CommandInvalid(CommandReason.ARGUMENT_SIZE, opcode, layout.size, len(arguments))
        if any(math.isnan(value) for value in layout.unpack(arguments)):
            raise CommandInvalid(CommandReason.NOT_A_NUMBER, opcode)
        return Command(opcode, bytes(arguments))

    def unpack(self, octets: bytes) -> Command:
        """The command of one packet. Raises CommandInvalid, whatever the octets."""
        if len(octets) < Command.HEAD.size:
            raise CommandInvalid(CommandReason.TOO_SHORT, 0, Command.HEAD.size, len(octets))
        return self.check(Command.HEAD.unpack_from(octets)[0], octets[Command.HEAD.size :])

    def command(self, opcode: int, /, **values: int | float) -> Command:
        """A command of these values, saturated to their types. Raises CommandInvalid, ValuesMismatch."""
        definition = self.definition(opcode)
        declared = [(argument.name, argument.number) for argument in definition.arguments]
        return self.check(opcode, definition.layout.pack(*in_order(definition.name, declared, values)))

    def values(self, command: Command) -> dict[str, int | float]:
        """Argument name -> value."""
        definition = self.definition(command.opcode)
        numbers = definition.layout.unpack(command.arguments)
        return dict(zip((argument.name for argument in definition.arguments), numbers, strict=True))

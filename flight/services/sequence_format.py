"""A stored command sequence as octets, and every check that it must pass before it is kept.

Big-endian: magic "SWSQ", format u8 (1), kind u8 (1 absolute, 2 relative), number u8, step count u16; per step: frames
u64, timeout_frames u32, opcode u16, flags u8 (1 continue after failure, 2 repeatable), argument octets u8, arguments;
at the end CRC-32C u32 over all before it. The file is protected as a whole, not step by step.

`frames` of an absolute step is the frame it is due in. Of a relative step it is the frames to wait AFTER THE STEP
BEFORE WAS COMPLETED (not after it was dispatched); of the first relative step, after the start.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from bindings.crc import crc32c
from flight.services.command_set import MAX_ARGUMENT_OCTETS, Command, CommandInvalid, CommandSet
from flight.services.declare import ServicesError

MAGIC = b"SWSQ"
FORMAT = 1
HEAD = struct.Struct(">4sBBBH")
STEP = struct.Struct(">QIHBB")
TAIL = struct.Struct(">I")

MAX_STEPS = 256
MAX_OCTETS = 16_384
MAX_RELATIVE = 64  # relative sequences are 1..64; the lower number is dispatched first
MAX_FRAME = (1 << 63) - 1
MAX_DELAY_FRAMES = (1 << 32) - 1
MAX_TIMEOUT_FRAMES = 8_640_000  # a day of 10 ms
MAX_STARTS = 4  # other sequences that one sequence may start or switch to
ABSOLUTE_A = 201
ABSOLUTE_B = 202
ABSOLUTE = (ABSOLUTE_A, ABSOLUTE_B)


class SequenceKind(IntEnum):
    """What a step's time counts from."""

    ABSOLUTE = 1
    RELATIVE = 2


class StepFlag(IntFlag):
    """How a step is treated when it does not go well."""

    NONE = 0
    CONTINUE = 1  # after a failure the next step is done; otherwise the sequence stops
    REPEATABLE = 2  # may be dispatched once more when a restart left its outcome unknown


class LoadReason(IntEnum):
    """Why octets are not a sequence that is kept. Numbers are never reused."""

    TOO_SHORT = 1
    TOO_LONG = 2
    MAGIC = 3
    FORMAT = 4
    CRC = 5
    KIND = 6
    NUMBER = 7  # no such sequence number, or not one of that kind
    STEP_COUNT = 8
    STEP_CUT_SHORT = 9
    TRAILING_OCTETS = 10
    FLAGS = 11
    OPCODE_UNKNOWN = 12
    ARGUMENTS = 13  # not octets of the declared types
    TIME_NOT_MONOTONIC = 14
    TIME_RANGE = 15
    TIMEOUT_RANGE = 16
    NOT_STORABLE = 17  # a dangerous command, or one that a sequence may not hold
    NOT_REPEATABLE = 18  # flagged repeatable, but its command is not declared so
    TOO_MANY_STARTS = 19
    RUNNING = 20  # that sequence runs: stop it first, or load the idle buffer


class LoadRefused(ServicesError, ValueError):
    """A sequence that is not kept; what was loaded before stays. `step` counts from 0, -1: not about a step."""

    code = "sequence_load_refused"

    def __init__(self, reason: LoadReason, step: int = -1, value: int = 0) -> None:
        where = "" if step < 0 else f"step {step}: "
        super().__init__(f"sequence refused: {where}{reason.name.lower()} ({value})")
        self.reason, self.step, self.value = reason, step, value


@dataclass(frozen=True, slots=True)
class SequenceStep:
    """One command and its time."""

    frames: int  # see the module
    command: Command
    timeout_frames: int  # not completed after so many frames: failed
    flags: StepFlag = StepFlag.NONE

    def pack(self) -> bytes:
        """The step's octets."""
        arguments = self.command.arguments
        head = STEP.pack(self.frames, self.timeout_frames, self.command.opcode, self.flags, len(arguments))
        return head + arguments


@dataclass(frozen=True, slots=True)
class Sequence:
    """Commands in order."""

    kind: SequenceKind
    number: int
    steps: tuple[SequenceStep, ...]

    def pack(self) -> bytes:
        """The sequence's octets, as the ground sends them up."""
        body = HEAD.pack(MAGIC, FORMAT, self.kind, self.number, len(self.steps))
        body += b"".join(step.pack() for step in self.steps)
        return body + TAIL.pack(crc32c(body))


def unpack_sequence(octets: bytes, commands: CommandSet, starts: frozenset[int] = frozenset()) -> Sequence:
    """The sequence of these octets, checked whole. starts: opcodes that start another one. Raises LoadRefused."""
    if len(octets) < HEAD.size + TAIL.size:
        raise LoadRefused(LoadReason.TOO_SHORT, value=len(octets))
    if len(octets) > MAX_OCTETS:
        raise LoadRefused(LoadReason.TOO_LONG, value=len(octets))
    octets = bytes(octets)
    magic, version, kind_number, number, count = HEAD.unpack_from(octets)
    if magic != MAGIC:
        raise LoadRefused(LoadReason.MAGIC)
    if version != FORMAT:
        raise LoadRefused(LoadReason.FORMAT, value=version)
    body, tail = octets[: -TAIL.size], octets[-TAIL.size :]
    if TAIL.unpack(tail)[0] != crc32c(body):
        raise LoadRefused(LoadReason.CRC, value=crc32c(body))
    if kind_number not in tuple(SequenceKind):
        raise LoadRefused(LoadReason.KIND, value=kind_number)
    kind = SequenceKind(kind_number)
    if not is_number(kind, number):
        raise LoadRefused(LoadReason.NUMBER, value=number)
    if not 1 <= count <= MAX_STEPS:
        raise LoadRefused(LoadReason.STEP_COUNT, value=count)
    steps: list[SequenceStep] = []
    offset = HEAD.size
    for index in range(count):
        steps.append(_unpack_step(body, offset, index, commands))
        offset += STEP.size + len(steps[-1].command.arguments)
    if offset != len(body):
        raise LoadRefused(LoadReason.TRAILING_OCTETS, value=len(body) - offset)
    _check_times(kind, steps)
    starters = [index for index, step in enumerate(steps) if step.command.opcode in starts]
    if len(starters) > MAX_STARTS:
        raise LoadRefused(LoadReason.TOO_MANY_STARTS, starters[MAX_STARTS], len(starters))
    return Sequence(kind, number, tuple(steps))


def is_number(kind: SequenceKind, number: int) -> bool:
    """Whether a sequence of that kind may have that number."""
    return number in ABSOLUTE if kind is SequenceKind.ABSOLUTE else 1 <= number <= MAX_RELATIVE


def _unpack_step(body: bytes, offset: int, index: int, commands: CommandSet) -> SequenceStep:
    if offset + STEP.size > len(body):
        raise LoadRefused(LoadReason.STEP_CUT_SHORT, index, len(body) - offset)
    frames, timeout_frames, opcode, flags, length = STEP.unpack_from(body, offset)
    arguments = body[offset + STEP.size : offset + STEP.size + length]
    if len(arguments) != length:
        raise LoadRefused(LoadReason.STEP_CUT_SHORT, index, len(arguments))
    if flags > int(StepFlag.CONTINUE | StepFlag.REPEATABLE):
        raise LoadRefused(LoadReason.FLAGS, index, flags)
    if not 1 <= timeout_frames <= MAX_TIMEOUT_FRAMES:
        raise LoadRefused(LoadReason.TIMEOUT_RANGE, index, timeout_frames)
    try:
        definition = commands.definition(opcode)
    except CommandInvalid as error:
        raise LoadRefused(LoadReason.OPCODE_UNKNOWN, index, opcode) from error
    if definition.dangerous or not definition.storable:
        raise LoadRefused(LoadReason.NOT_STORABLE, index, opcode)
    if flags & StepFlag.REPEATABLE and not definition.repeatable:
        raise LoadRefused(LoadReason.NOT_REPEATABLE, index, opcode)
    if length > MAX_ARGUMENT_OCTETS:
        raise LoadRefused(LoadReason.ARGUMENTS, index, length)
    try:
        command = commands.check(opcode, arguments)
    except CommandInvalid as error:
        raise LoadRefused(LoadReason.ARGUMENTS, index, length) from error
    return SequenceStep(frames, command, timeout_frames, StepFlag(flags))


def _check_times(kind: SequenceKind, steps: list[SequenceStep]) -> None:
    limit = MAX_FRAME if kind is SequenceKind.ABSOLUTE else MAX_DELAY_FRAMES
    before = 0
    for index, step in enumerate(steps):
        if step.frames > limit:
            raise LoadRefused(LoadReason.TIME_RANGE, index, step.frames)
        if kind is SequenceKind.ABSOLUTE:
            if step.frames < before:
                raise LoadRefused(LoadReason.TIME_NOT_MONOTONIC, index, step.frames)
            before = step.frames

"""Where every stored sequence stands, as octets that survive a restart.

Body, big-endian: frame u64, next token u32, slot count u8; per loaded sequence, by number: number u8, CRC-32C of its
octets u32, bits u8 (1 enabled, 2 running, 4 a step is out), step u16, base frame u64, starts above it u8. The
sequences themselves are kept apart, as they were loaded: a step changes at most a kilobyte and a half.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from flight.services.command_set import Command
from flight.services.declare import ServicesError
from flight.services.packed_state import StateReason, StateRefused, open_state, seal_state
from flight.services.sequence_format import ABSOLUTE, MAX_FRAME, MAX_RELATIVE, MAX_STEPS, SequenceKind, is_number

MAGIC = b"SWSS"
FORMAT = 1
HEAD = struct.Struct(">QIB")
SLOT = struct.Struct(">BIBHQB")
MAX_SLOTS = MAX_RELATIVE + len(ABSOLUTE)
MAX_DEPTH = 4  # starts above a sequence: one that the ground started has 0
_ENABLED, _RUNNING, _OUT = 1, 2, 4


class RunReason(IntEnum):
    """Why a sequence is not started, stopped, enabled or switched to. Numbers are never reused."""

    NUMBER = 1
    NOT_LOADED = 2
    DISABLED = 3
    RUNNING = 4  # it runs already
    OTHER_BUFFER_RUNNING = 5  # of the two absolute ones: switch
    ALL_PAST = 6  # every absolute step was due before
    TOO_DEEP = 7  # started by one that was started by one ...
    NOTHING_TO_SWITCH = 8  # no absolute sequence runs
    NOT_RUNNING = 9


class SequenceRefused(ServicesError, ValueError):
    """A sequence to which that cannot be done; nothing has changed."""

    code = "sequence_refused"

    def __init__(self, reason: RunReason, number: int) -> None:
        super().__init__(f"sequence {number}: {reason.name.lower()}")
        self.reason, self.number = reason, number


class FrameWentBack(ServicesError, ValueError):
    """The frame count given is below one that was given before."""

    code = "frame_went_back"

    def __init__(self, frame: int, before: int) -> None:
        super().__init__(f"frame {frame} after frame {before}")
        self.frame, self.before = frame, before


class Happening(IntEnum):
    """What a report is about. Numbers are never reused."""

    ENDED = 1  # every step was done, or failed and let the next go on
    STEP_FAILED = 2
    STEP_TIMED_OUT = 3
    STEP_SKIPPED = 4  # its absolute time had passed when the sequence was started, or while the computer was down
    STEP_LOST = 5  # a restart left its outcome unknown; it is not done again
    STEP_REPEATED = 6  # the same, and it is declared repeatable
    STOPPED_BY_FAILURE = 7
    STATE_OF_ANOTHER = 8  # the state was about other octets than those loaded: left stopped and disabled


@dataclass(frozen=True, slots=True)
class SequenceReport:
    """One thing that happened to a sequence, for an event."""

    happening: Happening
    number: int
    step: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A step's command, to be done once; its outcome is handed back with the token."""

    token: int
    number: int
    step: int
    command: Command


@dataclass(frozen=True, slots=True)
class SlotState:
    """Where one sequence stands."""

    number: int
    crc: int  # of the sequence's octets: the state is of these and of no others
    enabled: bool
    running: bool
    out: bool  # `step` was dispatched and has no outcome yet
    step: int  # the step that is next, or out
    base_frame: int  # of the start or of the completion of the step before
    depth: int


@dataclass(frozen=True, slots=True)
class SequencesState:
    """Where all of them stand."""

    frame: int
    next_token: int
    slots: tuple[SlotState, ...]

    def pack(self) -> bytes:
        """The state's octets."""
        body = HEAD.pack(self.frame, self.next_token, len(self.slots))
        for slot in self.slots:
            bits = slot.enabled * _ENABLED | slot.running * _RUNNING | slot.out * _OUT
            body += SLOT.pack(slot.number, slot.crc, bits, slot.step, slot.base_frame, slot.depth)
        return seal_state(MAGIC, FORMAT, body)

    @classmethod
    def unpack(cls, octets: bytes) -> SequencesState:
        """Raises StateRefused for anything that pack() would not have written."""
        body = open_state(octets, MAGIC, FORMAT, HEAD.size + MAX_SLOTS * SLOT.size)
        if len(body) < HEAD.size:
            raise StateRefused(StateReason.SIZE, value=len(body))
        frame, next_token, count = HEAD.unpack_from(body)
        if len(body) != HEAD.size + count * SLOT.size:
            raise StateRefused(StateReason.SIZE, HEAD.size, len(body))
        if frame > MAX_FRAME or next_token < 1:
            raise StateRefused(StateReason.CONTENT, 0, frame)
        slots: list[SlotState] = []
        for offset in range(HEAD.size, len(body), SLOT.size):
            number, crc, bits, step, base_frame, depth = SLOT.unpack_from(body, offset)
            known = is_number(SequenceKind.RELATIVE, number) or is_number(SequenceKind.ABSOLUTE, number)
            in_order = not slots or number > slots[-1].number
            if not known or not in_order or bits > 7 or (bits & _OUT and not bits & _RUNNING):
                raise StateRefused(StateReason.CONTENT, offset, number)
            if step > MAX_STEPS or base_frame > frame or depth > MAX_DEPTH:
                raise StateRefused(StateReason.CONTENT, offset, step)
            flags = bool(bits & _ENABLED), bool(bits & _RUNNING), bool(bits & _OUT)
            slots.append(SlotState(number, crc, *flags, step, base_frame, depth))
        if sum(slot.running for slot in slots if slot.number in ABSOLUTE) > 1:
            raise StateRefused(StateReason.CONTENT, HEAD.size, ABSOLUTE[0])
        return cls(frame, next_token, tuple(slots))

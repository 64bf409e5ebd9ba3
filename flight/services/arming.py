"""Two-step arming of dangerous commands (docs/onboard-services.md).

ARM names a command by the digest of its opcode and arguments and by a one-time number; EXECUTE brings the command
itself with the same number, from the same source, within a window of frames. The numbers of a source only go up, so
none is used twice, also after a restart. What was armed is not armed after a restart.

Any other command of the source in between disarms what that source has armed; it never disarms what others have armed.
"""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

from flight.services.command_set import Command, CommandInvalid, CommandSet
from flight.services.declare import ServicesError
from flight.services.packed_state import StateReason, StateRefused, open_state, seal_state
from flight.services.sequence_state import FrameWentBack

MAX_ARMED = 4  # over all sources
MAX_ARMED_OF_ONE = 2  # so that no source takes the places of all others
MAX_SOURCES = 8
MAX_NUMBER = 0xFFFF_FFFF
DIGEST_OCTETS = 8
STATE_MAGIC = b"SWAR"
STATE_FORMAT = 1
_ENTRY = struct.Struct(">BI")


class ArmingReason(IntEnum):
    """Why a command is not armed or not executed. Numbers are never reused."""

    OPCODE_UNKNOWN = 1
    NOT_DANGEROUS = 2  # it needs no arming: send it
    NUMBER_USED = 3  # not above the last number of this source
    NUMBER_RANGE = 4
    TOO_MANY_ARMED = 5
    TOO_MANY_SOURCES = 6
    NOT_ARMED = 7  # this source has armed nothing
    WRONG_NUMBER = 8  # it has, under another number
    EXPIRED = 9  # its window is over; it is disarmed
    CHANGED = 10  # the command is not the one that was armed; it is disarmed
    DIGEST_SIZE = 11
    SOURCE_RANGE = 12


class ArmingRefused(ServicesError, ValueError):
    """A step of the two that is refused."""

    code = "arming_refused"

    def __init__(self, reason: ArmingReason, source: int, number: int) -> None:
        super().__init__(f"source {source}, number {number}: {reason.name.lower()}")
        self.reason, self.source, self.number = reason, source, number


@dataclass(frozen=True, slots=True)
class Armed:
    """A command that may be executed up to and with `last_frame`."""

    source: int
    number: int
    opcode: int
    digest: bytes
    last_frame: int


@dataclass(slots=True)
class ArmingCounters:
    """What goes into telemetry; since the boot."""

    armed: int = 0
    executed: int = 0
    refused: int = 0
    expired: int = 0
    disarmed: int = 0  # by another command of the same source, or on request


def digest_of(command: Command) -> bytes:
    """What ARM says of a command: the first 8 octets of SHA-256 over opcode and arguments.

    >>> digest_of(Command(0x0A03, bytes([1]))).hex()
    '662f83433eb54aa9'
    """
    return hashlib.sha256(command.pack()).digest()[:DIGEST_OCTETS]


class Arming:
    """What is armed on one satellite. Pure: frames come in, nothing is dispatched here."""

    def __init__(self, commands: CommandSet, window_frames: int) -> None:
        if window_frames < 1:
            raise ValueError(f"a window of {window_frames} frames")
        self._commands, self._window_frames = commands, window_frames
        self._armed: dict[tuple[int, int], Armed] = {}
        self._last_number: dict[int, int] = {}  # source -> the highest number it has used
        self._over: deque[tuple[int, int]] = deque(maxlen=MAX_ARMED)  # the last that expired, to say so
        self._frame = 0
        self.counters = ArmingCounters()

    def arm(self, source: int, number: int, opcode: int, digest: bytes, frame: int) -> Armed:
        """First step. The number counts as used from now on: make pack_state() durable. Raises ArmingRefused."""
        self.expire(frame)
        if not 0 <= source <= 0xFF:
            raise self._refused(ArmingReason.SOURCE_RANGE, source, number)
        if not 1 <= number <= MAX_NUMBER:
            raise self._refused(ArmingReason.NUMBER_RANGE, source, number)
        if len(digest) != DIGEST_OCTETS:
            raise self._refused(ArmingReason.DIGEST_SIZE, source, number)
        try:
            definition = self._commands.definition(opcode)
        except CommandInvalid as error:
            raise self._refused(ArmingReason.OPCODE_UNKNOWN, source, number) from error
        if not definition.dangerous:
            raise self._refused(ArmingReason.NOT_DANGEROUS, source, number)
        if source not in self._last_number and len(self._last_number) == MAX_SOURCES:
            raise self._refused(ArmingReason.TOO_MANY_SOURCES, source, number)
        if number <= self._last_number.get(source, 0):
            raise self._refused(ArmingReason.NUMBER_USED, source, number)
        if len(self._armed) == MAX_ARMED or len(self.armed_by(source)) == MAX_ARMED_OF_ONE:
            raise self._refused(ArmingReason.TOO_MANY_ARMED, source, number)
        armed = Armed(source, number, opcode, bytes(digest), frame + self._window_frames)
        self._armed[source, number] = armed
        self._last_number[source] = number
        self.counters.armed += 1
        return armed

    def execute(self, source: int, number: int, command: Command, frame: int) -> Armed:
        """Second step: returns, once, when the command may be dispatched now. Raises ArmingRefused.

        A number that arms nothing changes nothing; the right number with another command disarms it.
        """
        self.expire(frame)
        armed = self._armed.pop((source, number), None)
        if armed is None:
            expired = (source, number) in self._over
            wrong = ArmingReason.WRONG_NUMBER if self.armed_by(source) else ArmingReason.NOT_ARMED
            raise self._refused(ArmingReason.EXPIRED if expired else wrong, source, number)
        if command.opcode != armed.opcode or digest_of(command) != armed.digest:
            raise self._refused(ArmingReason.CHANGED, source, number)
        self.counters.executed += 1
        return armed

    def other_command(self, source: int) -> tuple[Armed, ...]:
        """A command of `source` that is neither of the two steps: what it disarms, which is only its own."""
        disarmed = self.armed_by(source)
        for armed in disarmed:
            del self._armed[source, armed.number]
        self.counters.disarmed += len(disarmed)
        return disarmed

    def expire(self, frame: int) -> tuple[Armed, ...]:
        """Disarm what is over at `frame`. Raises FrameWentBack."""
        self._at(frame)
        over = tuple(armed for armed in self._armed.values() if frame > armed.last_frame)
        for armed in over:
            del self._armed[armed.source, armed.number]
            self._over.append((armed.source, armed.number))
        self.counters.expired += len(over)
        return over

    def armed_by(self, source: int) -> tuple[Armed, ...]:
        """What that source has armed, in order."""
        return tuple(armed for armed in self._armed.values() if armed.source == source)

    def pack_state(self) -> bytes:
        """The numbers used, as octets.

        Envelope of flight/services/packed_state.py, magic "SWAR", format 1. Body, big-endian, per source in order:
        source u8, highest number used u32.
        """
        body = b"".join(_ENTRY.pack(source, number) for source, number in sorted(self._last_number.items()))
        return seal_state(STATE_MAGIC, STATE_FORMAT, body)

    def restore(self, octets: bytes) -> None:
        """Go on after a restart: nothing is armed, no number can be used again. Raises StateRefused."""
        body = open_state(octets, STATE_MAGIC, STATE_FORMAT, MAX_SOURCES * _ENTRY.size)
        if len(body) % _ENTRY.size:
            raise StateRefused(StateReason.SIZE, value=len(body))
        used: dict[int, int] = {}
        for index, (source, number) in enumerate(_ENTRY.iter_unpack(body)):
            if number < 1 or source <= max(used, default=-1):
                raise StateRefused(StateReason.CONTENT, index * _ENTRY.size, source)
            used[source] = number
        self._last_number = used
        self._armed.clear()

    def _at(self, frame: int) -> None:
        if frame < self._frame:
            raise FrameWentBack(frame, self._frame)
        self._frame = frame

    def _refused(self, reason: ArmingReason, source: int, number: int) -> ArmingRefused:
        self.counters.refused += 1
        return ArmingRefused(reason, source, number)

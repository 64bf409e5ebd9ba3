"""Last words: why the flight process ended, kept where the next boot finds them.

The file is preallocated, so that neither a full disk nor an allocation stands in the way, and one pwrite puts the whole
record into it. Layout, big-endian, 4096 octets: `SWLW`, version u8, reason u8, mode u8, count u8, frame u64, mission
time in microseconds u64, then `count` events of u16 length each, zeros, and CRC-32C over all octets before it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from bindings.crc import crc32c
from flight.executive.errors import ExecutiveError
from flight.executive.health_component import (
    LAST_WORDS,
    LAST_WORDS_DAMAGED,
    LAST_WORDS_EVENT,
    LAST_WORDS_LOST,
)
from flight.services.declare import OctetsInvalid
from flight.services.events import EventRecord, EventRing

RECORD_OCTETS = 4096  # one page: one write
MAX_EVENTS = 32
VERSION = 1
_HEAD = struct.Struct(">4sBBBBQQ")
_LENGTH = struct.Struct(">H")
_CRC = struct.Struct(">I")
_MAGIC = b"SWLW"
_U64 = 0xFFFF_FFFF_FFFF_FFFF


class EndReason(IntEnum):
    """Why the flight process ended, or was about to. Numbers are never reused."""

    STOPPED = 1  # SIGTERM or SIGINT
    FATAL = 2  # an error that nothing caught
    WATCHDOG = 3  # it is not healthy, and the watchdog is withheld
    ORPHANED = 4  # the supervisor is gone
    RESET = 5  # a reset was asked for


class Damage(IntEnum):
    """Why last words cannot be read. Numbers are never reused."""

    SIZE = 1
    CRC = 2
    CONTENT = 3
    UNREADABLE = 4


class LastWordsInvalid(ExecutiveError, ValueError):
    """Octets that are no last words."""

    code = "last_words_invalid"

    def __init__(self, damage: Damage, what: str) -> None:
        super().__init__(f"last words: {what}")
        self.damage = damage


@dataclass(frozen=True, slots=True)
class LastWords:
    """The record."""

    reason: EndReason
    mode: int
    frame: int
    time_us: int  # mission time
    events: tuple[EventRecord, ...] = ()  # the newest, oldest first

    def pack(self) -> bytes:
        """RECORD_OCTETS octets; the oldest events that do not fit are left out, numbers saturate."""
        kept: list[bytes] = []
        room = RECORD_OCTETS - _HEAD.size - _CRC.size
        for record in reversed(self.events[-MAX_EVENTS:]):
            octets = record.pack()
            room -= _LENGTH.size + len(octets)
            if room < 0:
                break
            kept.append(_LENGTH.pack(len(octets)) + octets)
        frame, time_us = (min(max(0, number), _U64) for number in (self.frame, self.time_us))
        body = _HEAD.pack(_MAGIC, VERSION, self.reason, self.mode, len(kept), frame, time_us)
        body = (body + b"".join(reversed(kept))).ljust(RECORD_OCTETS - _CRC.size, b"\0")
        return body + _CRC.pack(crc32c(body))

    @classmethod
    def unpack(cls, octets: bytes) -> LastWords | None:
        """None for a record of zeros: nothing was said. Raises LastWordsInvalid."""
        if len(octets) != RECORD_OCTETS:
            raise LastWordsInvalid(Damage.SIZE, f"{len(octets)} octets, not {RECORD_OCTETS}")
        if not any(octets):
            return None
        body = octets[: -_CRC.size]
        if crc32c(body) != _CRC.unpack(octets[-_CRC.size :])[0]:
            raise LastWordsInvalid(Damage.CRC, "its check is wrong")
        magic, version, reason, mode, count, frame, time_us = _HEAD.unpack_from(body)
        if (magic, version) != (_MAGIC, VERSION):
            raise LastWordsInvalid(Damage.CONTENT, "of another form")
        events, offset = [], _HEAD.size
        try:
            for _ in range(count):
                (length,) = _LENGTH.unpack_from(body, offset)
                offset += _LENGTH.size
                events.append(EventRecord.unpack(body[offset : offset + length]))
                offset += length
            return cls(EndReason(reason), mode, frame, time_us, tuple(events))
        except (OctetsInvalid, ValueError, struct.error) as error:
            raise LastWordsInvalid(Damage.CONTENT, str(error)) from error


class LastWordsFile:
    """One satellite's file of last words."""

    def __init__(self, path: Path, events: EventRing) -> None:
        """Make the file if there is none, at its full size. One that cannot be opened is told, and nothing is kept."""
        self._events = events
        self._descriptor = -1
        self.said = False  # in this boot; the first words are kept, for what follows is a consequence
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.fstat(self._descriptor).st_size == 0:
                os.pwrite(self._descriptor, bytes(RECORD_OCTETS), 0)
                os.fsync(self._descriptor)
        except OSError as error:
            events.emit(LAST_WORDS_LOST, number=error.errno or 0)

    def tell(self) -> LastWords | None:
        """What the boot before left, as events, then forgotten. None: nothing, or it was damaged, which is told too."""
        if self._descriptor < 0:
            return None
        words: LastWords | None = None
        try:
            words = LastWords.unpack(os.pread(self._descriptor, RECORD_OCTETS + 1, 0))
        except LastWordsInvalid as error:
            self._events.emit(LAST_WORDS_DAMAGED, reason=error.damage)
        except OSError:
            self._events.emit(LAST_WORDS_DAMAGED, reason=Damage.UNREADABLE)
        if words is not None:
            self._events.emit(LAST_WORDS, frame=words.frame, mode=words.mode, reason=words.reason)
            for record in words.events:
                self._events.emit(
                    LAST_WORDS_EVENT, component=record.component, number=record.number, time_us=record.time_us
                )
        self._write(bytes(RECORD_OCTETS))
        return words

    def say(
        self, reason: EndReason, *, mode: int, frame: int, time_us: int, events: Sequence[EventRecord] = ()
    ) -> bool:
        """Write the record with one pwrite. False where it was said before in this boot, or could not be written."""
        if self.said or self._descriptor < 0:
            return False
        self.said = self._write(LastWords(reason, mode, frame, time_us, tuple(events)).pack())
        return self.said

    def take_back(self) -> None:
        """What was said of a withheld watchdog is not true any more: it is healthy again."""
        if self.said:
            self.said = not self._write(bytes(RECORD_OCTETS))

    def close(self) -> None:
        """Harmless when it is closed already."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, octets: bytes) -> bool:
        try:
            written = os.pwrite(self._descriptor, octets, 0)
            os.ftruncate(self._descriptor, RECORD_OCTETS)
        except OSError as error:
            self._events.emit(LAST_WORDS_LOST, number=error.errno or 0)
            return False
        return written == len(octets)

"""What the flight process and the file process say to each other, one packet each, over a socket that keeps packets."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from flight.services.declare import ServicesError
from flight.services.rooted import PathRefused

ANYONE = 0  # a request to whichever file process there is
MAX_PACKET = 2048


class Operation(IntEnum):
    """What is done; the lower octet of its command's opcode. Numbers are never reused."""

    PING = 1  # answered by HELLO; no command
    STAT = 2
    LIST = 3
    CRC = 4
    COPY = 5
    MOVE = 6
    MOVE_OVER = 7
    DELETE = 8
    MAKE = 9
    REMOVE = 10
    SPACE = 11
    CANCEL = 12


class FileReason(IntEnum):
    """Why an operation failed. Numbers are never reused; 1 to 12 are those of PathReason."""

    EXISTS = 32
    NOT_EMPTY = 33
    NO_SPACE = 34  # or less than the reserve would be left
    CHANGED = 35  # the file has another size than at the start, or the path is not the one that was armed
    CANCELLED = 36
    LOST = 37  # the file process ended meanwhile: it was done or not, ask with stat
    SLOT_EMPTY = 38
    TOO_MANY = 39  # entries in the directory
    INTO_ITSELF = 40
    BUSY = 41  # as many jobs wait as may
    NO_PROCESS = 42  # none has said a word yet


class FileRefused(ServicesError, OSError):
    """An operation that failed. `reason` is of FileReason or PathReason; `number` the errno or 0."""

    code = "file_refused"

    def __init__(self, reason: int, number: int = 0) -> None:
        super().__init__(f"file operation refused: reason {reason}, errno {number}")
        self.reason, self.number = reason, number


class ProtocolInvalid(ServicesError, ValueError):
    """Octets that are no packet of this protocol."""

    code = "file_protocol_invalid"


_REASON_OF = {
    errno.EEXIST: FileReason.EXISTS,
    errno.ENOTEMPTY: FileReason.NOT_EMPTY,
    errno.ENOSPC: FileReason.NO_SPACE,
    errno.EDQUOT: FileReason.NO_SPACE,
    errno.EFBIG: FileReason.NO_SPACE,
    errno.EINVAL: FileReason.INTO_ITSELF,  # of a rename
}


def refused_by(error: OSError | PathRefused) -> FileRefused:
    """What the system's refusal, or that of a name, means to the ground."""
    if isinstance(error, FileRefused):
        return error
    if isinstance(error, PathRefused):
        return FileRefused(error.reason, error.errno)
    number = error.errno or 0
    if number in _REASON_OF:
        return FileRefused(_REASON_OF[number], number)
    refusal = PathRefused.by_system(error)
    return FileRefused(refusal.reason, number)


@dataclass(frozen=True, slots=True)
class Request:
    """One operation. Big-endian: process u32, job u32, operation u8, first u16, octets of two paths u16 each, paths."""

    process: int  # which file process is meant: a request that one left unread is not done by the next
    job: int
    operation: Operation
    path: str = ""
    other: str = ""
    first: int = 0  # of a list: the first entry that is told

    HEAD: ClassVar[struct.Struct] = struct.Struct(">IIBHHH")

    def pack(self) -> bytes:
        """The packet."""
        path, other = self.path.encode(), self.other.encode()
        head = self.HEAD.pack(self.process, self.job, self.operation, self.first, len(path), len(other))
        return head + path + other

    @classmethod
    def unpack(cls, octets: bytes) -> Request:
        """Raises ProtocolInvalid, whatever the octets."""
        if not cls.HEAD.size <= len(octets) <= MAX_PACKET:
            raise ProtocolInvalid(f"a request of {len(octets)} octets")
        process, job, operation, first, size, other_size = cls.HEAD.unpack_from(octets)
        end = cls.HEAD.size + size
        if end + other_size != len(octets):
            raise ProtocolInvalid(f"a request of {len(octets)} octets where {end + other_size} are stated")
        try:
            text = octets[cls.HEAD.size : end].decode(), octets[end:].decode()
            return cls(process, job, Operation(operation), *text, first)
        except ValueError as error:
            raise ProtocolInvalid(f"a request of operation {operation}: {error}") from error


class ReplyKind(IntEnum):
    """What a reply is. Numbers are never reused."""

    HELLO = 1  # numbers: the process
    ENTRY = 2  # numbers: index, number of the name, kind in the upper octet and size in the lower seven
    DONE = 3  # numbers: by operation, see docs/files-and-scrubbing.md
    FAILED = 4


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Big-endian: kind u8, operation u8, job u32, reason u8, errno u16, three numbers u64."""

    kind: ReplyKind
    operation: Operation
    job: int
    reason: int = 0
    errno: int = 0
    numbers: tuple[int, int, int] = (0, 0, 0)

    LAYOUT: ClassVar[struct.Struct] = struct.Struct(">BBIBHQQQ")

    def pack(self) -> bytes:
        """The packet."""
        return self.LAYOUT.pack(self.kind, self.operation, self.job, self.reason, self.errno, *self.numbers)

    @classmethod
    def unpack(cls, octets: bytes) -> Reply:
        """Raises ProtocolInvalid, whatever the octets."""
        if len(octets) != cls.LAYOUT.size:
            raise ProtocolInvalid(f"a reply of {len(octets)} octets")
        kind, operation, job, reason, number, *numbers = cls.LAYOUT.unpack(octets)
        try:
            return cls(ReplyKind(kind), Operation(operation), job, reason, number, (numbers[0], numbers[1], numbers[2]))
        except ValueError as error:
            raise ProtocolInvalid(str(error)) from error

"""What the supervisor tells of the processes, and what the flight process asks of it: datagrams over local sockets.

Nothing here waits. A datagram that cannot go is dropped: the counts are totals, and the next one carries them again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import ClassVar

from flight.executive.errors import ExecutiveError
from flight.executive.health_component import PROCESS_HUNG, PROCESS_KILLED, PROCESS_RESTARTED
from flight.services.events import EventRing

MAX_PER_POLL = 16
_U32 = 0xFFFF_FFFF


class NoticeInvalid(ExecutiveError, ValueError):
    """Octets that are no notice."""

    code = "notice_invalid"


class ProcessNumber(IntEnum):
    """How events name the processes. Numbers are never reused."""

    FLIGHT = 1
    CAMERA = 2
    PAYLOAD = 3


class NoticeKind(IntEnum):
    """What a notice says. Numbers are never reused."""

    HUNG = 1  # silent beyond its limit, and asked to end
    KILLED = 2
    RESTARTED = 3
    RESTART = 4  # the flight process asks for it


@dataclass(frozen=True, slots=True)
class Notice:
    """On the wire, big-endian: `SWHN`, kind u8, process u8, total u32, detail u32."""

    kind: NoticeKind
    process: ProcessNumber
    total: int = 0  # how often, since the supervisor began
    detail: int = 0  # HUNG: milliseconds of silence

    LAYOUT: ClassVar[struct.Struct] = struct.Struct(">4sBBII")
    MAGIC: ClassVar[bytes] = b"SWHN"

    def pack(self) -> bytes:
        """The notice's octets; numbers beyond 32 bits stay at the largest."""
        return self.LAYOUT.pack(self.MAGIC, self.kind, self.process, min(self.total, _U32), min(self.detail, _U32))

    @classmethod
    def unpack(cls, octets: bytes) -> Notice:
        """Raises NoticeInvalid."""
        if len(octets) != cls.LAYOUT.size:
            raise NoticeInvalid(f"{len(octets)} octets, not {cls.LAYOUT.size}")
        magic, kind, process, total, detail = cls.LAYOUT.unpack(octets)
        try:
            if magic != cls.MAGIC:
                raise ValueError("not its first octets")
            return cls(NoticeKind(kind), ProcessNumber(process), total, detail)
        except ValueError as error:
            raise NoticeInvalid(str(error)) from error


class NoticeBox:
    """One end that listens: a datagram socket at a path of its owner alone."""

    def __init__(self, path: Path) -> None:
        """Takes over a path that a killed process left behind. Raises OSError."""
        self._path = path
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.bind(str(path))
            path.chmod(0o600)
        except OSError:
            self._socket.close()
            raise
        self.refused = 0  # datagrams that were no notice

    def fileno(self) -> int:
        return self._socket.fileno()

    def take(self) -> list[Notice]:
        """What has come, oldest first, at most MAX_PER_POLL datagrams."""
        taken: list[Notice] = []
        for _ in range(MAX_PER_POLL):
            try:
                octets = self._socket.recv(Notice.LAYOUT.size + 1)
            except BlockingIOError:
                break
            try:
                taken.append(Notice.unpack(octets))
            except NoticeInvalid:
                self.refused += 1
        return taken

    def close(self) -> None:
        """Harmless when it is closed already."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()


class NoticeSender:
    """The other end: sends to a path, where there may be nobody."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.unsent = 0

    def send(self, notice: Notice) -> bool:
        """False, and counted, where nobody listens or its queue is full."""
        try:
            self._socket.sendto(notice.pack(), self._path)
        except OSError:
            self.unsent += 1
            return False
        return True

    def close(self) -> None:
        self._socket.close()


class ProcessWatch:
    """The flight process's side: notices become events and counts, a restart is asked for."""

    def __init__(self, heard_at: Path, asked_at: Path, events: EventRing) -> None:
        """heard_at, asked_at: RunPaths.notices and RunPaths.requests. Raises OSError."""
        self._box, self._sender, self._events = NoticeBox(heard_at), NoticeSender(asked_at), events
        self.hung = self.killed = self.restarted = 0

    @property
    def refused(self) -> int:
        return self._box.refused

    def poll(self) -> None:
        """Take what the supervisor said. Bounded, and never waits."""
        self.hear(self._box.take())

    def hear(self, notices: Iterable[Notice]) -> None:
        """Each notice is one event; a request is none of the supervisor's and is passed over."""
        for notice in notices:
            if notice.kind is NoticeKind.HUNG:
                self.hung += 1
                self._events.emit(PROCESS_HUNG, process=notice.process, silent_ms=notice.detail, times=notice.total)
            elif notice.kind is NoticeKind.KILLED:
                self.killed += 1
                self._events.emit(PROCESS_KILLED, process=notice.process)
            elif notice.kind is NoticeKind.RESTARTED:
                self.restarted += 1
                self._events.emit(PROCESS_RESTARTED, process=notice.process, restarts=notice.total)

    def restart(self, process: ProcessNumber) -> bool:
        """Ask the supervisor to restart it. False where it could not be asked."""
        return self._sender.send(Notice(NoticeKind.RESTART, process))

    def close(self) -> None:
        self._box.close()
        self._sender.close()


class Heartbeats:
    """The supervisor's end of one process's pipe of heartbeats; flight/pipeline/heartbeat.py holds the other."""

    def __init__(self) -> None:
        self._read, self.write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def started(self) -> None:
        """The process has its own copy of the end that is written to."""
        os.close(self.write_fd)
        self.write_fd = -1

    def heard(self) -> bool:
        """Whether there was any since the last call."""
        try:
            return bool(os.read(self._read, 65536))
        except BlockingIOError:
            return False

    def close(self) -> None:
        for descriptor in (self._read, self.write_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._read = self.write_fd = -1

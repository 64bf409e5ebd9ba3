"""The flight process's side of the file manager: commands become jobs for the file process, its replies events.

A step takes and sends a bounded number of packets and touches no file. One job is at work, a few wait. A file process
that ends takes its job with it, which is told; those that wait are done by the next one.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from flight.services import file_component as told
from flight.services.command_slot import Handler, Load
from flight.services.events import EventRing
from flight.services.file_component import FILE_OPERATIONS, FILE_PATHS_LOAD
from flight.services.file_protocol import (
    ANYONE,
    MAX_PACKET,
    FileReason,
    Operation,
    ProtocolInvalid,
    Reply,
    ReplyKind,
    Request,
)
from flight.services.path_table import PathTableRefused, path_crc, unpack_paths

MAX_WAITING = 4
PACKETS_PER_STEP = 4
ROOT_SLOT = 0  # of a list: the root itself
_OF_RUN = 16  # bits of a job's number that count within one run of the software


class Link(Protocol):
    """Packets to and from the file process; neither waits."""

    def send(self, octets: bytes) -> bool:
        """False: there is no room, or nobody."""
        ...

    def receive(self) -> bytes | None:
        """The next packet; None: there is none."""
        ...

    def close(self) -> None: ...


class SocketLink:
    """One end of a socket pair that keeps packets. The other end outlives every file process."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection

    def send(self, octets: bytes) -> bool:
        try:
            self._connection.send(octets, socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def receive(self) -> bytes | None:
        try:
            return self._connection.recv(MAX_PACKET) or None
        except OSError:
            return None

    def close(self) -> None:
        self._connection.close()


class FileDesk:
    """The activity `files.step`, and the commands about files."""

    def __init__(self, link: Link, events: EventRing, run: int) -> None:
        """run: how often the software was begun before; jobs are numbered from it, so that no old reply is believed."""
        self._link, self._events = link, events
        self._run = run
        self._paths: dict[int, str] = {}
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._process = ANYONE
        self._asked = False
        self._count = 0
        self.processes = self.done = self.failed = self.refused = self.packets_refused = 0

    def load(self, octets: bytes) -> None:
        """The path table, from a load or from that of an earlier run. Raises PathTableRefused; the old one stays."""
        try:
            self._paths = unpack_paths(octets)
        except PathTableRefused as refused:
            self._events.emit(told.PATHS_REFUSED, slot=refused.slot, reason=refused.reason)
            raise
        self._events.emit(told.PATHS_LOADED, paths=len(self._paths))

    def loads(self) -> Mapping[int, Load]:
        """Opcode -> what takes the octets behind it."""
        return {FILE_PATHS_LOAD.opcode: self.load}

    def handlers(self) -> Mapping[int, Handler]:
        """Opcode -> what does it. Done means: it waits for the file process. What became of it is told by its job."""
        return {
            definition.opcode: self._cancel
            if definition is told.FILE_CANCEL
            else partial(self._ask, Operation(definition.opcode & 0xFF))
            for definition in FILE_OPERATIONS
        }

    def step(self) -> None:
        """Take what the file process says, and give it the next job."""
        if not self._asked:
            self._asked = self._link.send(Request(ANYONE, 0, Operation.PING).pack())
        for _ in range(PACKETS_PER_STEP):
            octets = self._link.receive()
            if octets is None:
                break
            try:
                self._take(Reply.unpack(octets))
            except ProtocolInvalid:
                self.packets_refused += 1
        if self._current is None and self._waiting and self._process != ANYONE:
            request = replace(self._waiting[0], process=self._process)
            if self._link.send(request.pack()):
                self._current = request
                self._waiting.popleft()

    def close(self) -> None:
        """Let go of the link. A job at work goes on to its end."""
        self._link.close()

    def telemetry(self) -> Mapping[str, int | float]:
        """The values of the component's telemetry packet."""
        return {
            "job": self._current.job if self._current is not None else 0,
            "waiting": len(self._waiting),
            "paths": len(self._paths),
            "done": self.done,
            "failed": self.failed,
            "refused": self.refused,
            "processes": self.processes,
            "packets_refused": self.packets_refused,
        }

    def _ask(self, operation: Operation, values: Mapping[str, int | float]) -> bool:
        named: list[str] = []
        for argument in ("slot", "to"):
            slot = int(values.get(argument, ROOT_SLOT))
            if slot == ROOT_SLOT and (argument not in values or operation is Operation.LIST):
                named.append("")
            elif slot in self._paths:
                named.append(self._paths[slot])
            else:
                return self._refuse(operation, slot, FileReason.SLOT_EMPTY)
        meant = [path for path in named if path]
        if "paths_crc" in values and int(values["paths_crc"]) != path_crc(*meant):
            return self._refuse(operation, int(values["slot"]), FileReason.CHANGED)
        if self._process == ANYONE:
            return self._refuse(operation, 0, FileReason.NO_PROCESS)
        if len(self._waiting) >= MAX_WAITING:
            return self._refuse(operation, 0, FileReason.BUSY)
        self._count = self._count % ((1 << _OF_RUN) - 1) + 1
        job = (self._run << _OF_RUN | self._count) & 0xFFFF_FFFF
        self._waiting.append(Request(ANYONE, job, operation, named[0], named[1], int(values.get("first", 0))))
        self._events.emit(told.JOB_BEGAN, job=job, operation=operation)
        return True

    def _cancel(self, values: Mapping[str, int | float]) -> bool:
        """One job, or all of them (0). False where there is none."""
        job, found = int(values["job"]), False
        for request in [each for each in self._waiting if job in (0, each.job)]:
            self._waiting.remove(request)
            self._fail(request, FileReason.CANCELLED)
            found = True
        current = self._current
        if current is not None and job in (0, current.job):
            return self._link.send(Request(self._process, current.job, Operation.CANCEL).pack())
        return found

    def _refuse(self, operation: Operation, slot: int, reason: FileReason) -> bool:
        self.refused += 1
        self._events.emit(told.REFUSED, operation=operation, slot=slot, reason=reason)
        return False

    def _take(self, reply: Reply) -> None:
        if reply.kind is ReplyKind.HELLO:
            self._hello(reply.numbers[0])
            return
        current = self._current
        if current is None or (reply.job, reply.operation) != (current.job, current.operation):
            return  # of a job that an earlier run of the software asked for
        first, second, third = reply.numbers
        if reply.kind is ReplyKind.ENTRY:
            kind, octets = third >> 56, third & (1 << 56) - 1
            self._events.emit(told.ENTRY, job=reply.job, index=first, name=second, kind=kind, octets=octets)
            return
        self._current = None
        if reply.kind is ReplyKind.FAILED:
            self._fail(current, reply.reason, reply.errno)
            return
        self.done += 1
        match reply.operation:
            case Operation.STAT:
                self._events.emit(told.STATED, job=reply.job, kind=first, octets=second, changed=third)
            case Operation.LIST:
                self._events.emit(told.LISTED, job=reply.job, told=first, entries=second)
            case Operation.CRC:
                self._events.emit(told.SUMMED, job=reply.job, crc=first, octets=second)
            case Operation.COPY:
                self._events.emit(told.COPIED, job=reply.job, crc=first, octets=second)
            case Operation.SPACE:
                self._events.emit(told.SPACE, job=reply.job, free=first, total=second, reserve=third)
            case operation:
                self._events.emit(told.JOB_DONE, job=reply.job, operation=operation)

    def _hello(self, process: int) -> None:
        """A file process says who it is: when it begins, and when it is asked."""
        if process == self._process:
            return
        lost, self._process = self._current, process
        self.processes += 1
        if lost is not None:
            self._current = None
            self._fail(lost, FileReason.LOST)
        if self.processes > 1:
            self._events.emit(told.WORKER_BEGAN, number=self.processes, lost=int(lost is not None))

    def _fail(self, request: Request, reason: int, number: int = 0) -> None:
        self.failed += 1
        self._events.emit(told.JOB_FAILED, job=request.job, operation=request.operation, reason=reason, errno=number)

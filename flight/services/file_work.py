"""The file process's work: one job at a time, in steps of bounded length, over a tree of files.

A copy is written under a name that no path can take, synced, and renamed: at any moment its target is whole or absent.
What a cut left of it is removed at the next start.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, suppress
from itertools import islice

from bindings.crc import crc32c
from flight.errors import FlightError
from flight.services.file_protocol import FileReason, FileRefused, Operation, Reply, ReplyKind, Request, refused_by
from flight.services.file_tree import Kind, Reader, Tree
from flight.services.rooted import PathReason, PathRefused

STEP_OCTETS = 65_536
SYNC_OCTETS = 1 << 20  # no more than this waits to be written: the journal's own sync is behind it
STEP_ENTRIES = 256
PAGE_ENTRIES = 16
MAX_ENTRIES = 4096
RESERVE_OCTETS = 64 << 20  # a copy leaves this free, for the journal

Numbers = tuple[int, int, int]
Job = Generator[Reply | None, None, Numbers]


def name_number(name: str) -> int:
    """What names an entry in events, where only numbers go: the first eight octets of its name's SHA-256.

    >>> hex(name_number("a.toml"))
    '0xd7d42a49ca98c759'
    """
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big")


class FileWork:
    """At most one job. begin() or cancel() when a request comes, step() as long as it is busy."""

    def __init__(self, tree: Tree, reserve_octets: int = RESERVE_OCTETS) -> None:
        """Removes what an earlier run left of a copy. Raises OSError."""
        self._tree, self._reserve = tree, reserve_octets
        self._request: Request | None = None
        self._job: Job | None = None
        tree.drop()
        self._jobs: Mapping[Operation, Callable[[Request], Job]] = {
            Operation.STAT: self._stat,
            Operation.LIST: self._list,
            Operation.CRC: self._crc,
            Operation.COPY: self._copy,
            Operation.MOVE: self._change,
            Operation.MOVE_OVER: self._change,
            Operation.DELETE: self._change,
            Operation.MAKE: self._change,
            Operation.REMOVE: self._change,
            Operation.SPACE: self._space,
        }

    @property
    def busy(self) -> bool:
        """Whether step() has something to do."""
        return self._job is not None

    def begin(self, request: Request) -> list[Reply]:
        """A job, or a reply that says why it is none."""
        if self._job is not None:
            return [_failed(request, FileReason.BUSY)]
        self._request, self._job = request, self._jobs[request.operation](request)
        return []

    def cancel(self, job: int) -> list[Reply]:
        """End a job between two of its steps. One that has ended meanwhile has told so."""
        if self._job is None or self._request is None or self._request.job != job:
            return []
        with suppress(OSError):  # what it left is removed by the next copy, or at the next start
            self._job.close()
        return [self._end(_failed(self._request, FileReason.CANCELLED))]

    def step(self) -> list[Reply]:
        """One step of the job: at most STEP_OCTETS read and written, and one sync."""
        if self._job is None or self._request is None:
            return []
        request = self._request
        try:
            reply = next(self._job)
        except StopIteration as ended:
            return [self._end(Reply(ReplyKind.DONE, request.operation, request.job, numbers=ended.value))]
        except (PathRefused, OSError) as error:
            refused = refused_by(error)
            return [self._end(_failed(request, refused.reason, refused.number))]
        return [reply] if reply is not None else []

    def close(self) -> None:
        """Give up the job; a copy of it is gone."""
        if self._job is not None:
            self._job.close()
            self._job = None

    def _end(self, reply: Reply) -> Reply:
        self._request = self._job = None
        return reply

    def _stat(self, request: Request) -> Job:
        found = self._tree.stat(request.path)
        return found.kind, found.octets, found.changed_s
        yield None

    def _space(self, request: Request) -> Job:
        free, total = self._tree.space()
        return free, total, self._reserve
        yield None

    def _change(self, request: Request) -> Job:
        match request.operation:
            case Operation.DELETE:
                self._tree.delete(request.path)
            case Operation.MAKE:
                self._tree.make(request.path)
            case Operation.REMOVE:
                self._tree.remove(request.path)
            case operation:
                self._tree.move(request.path, request.other, operation is Operation.MOVE_OVER)
        return 0, 0, 0
        yield None

    def _list(self, request: Request) -> Job:
        found: list[str] = []
        with closing(self._tree.names(request.path)) as names:
            while some := list(islice(names, STEP_ENTRIES)):
                found += some
                if len(found) > MAX_ENTRIES:
                    raise FileRefused(FileReason.TOO_MANY)
                yield None
        found.sort(key=os.fsencode)
        page = found[request.first : request.first + PAGE_ENTRIES]
        for index, name in enumerate(page, request.first):
            entry = self._tree.entry(request.path, name)
            packed = entry.kind << 56 | min(entry.octets, (1 << 56) - 1)
            numbers = index, name_number(name), packed
            yield Reply(ReplyKind.ENTRY, request.operation, request.job, numbers=numbers)
        return len(page), len(found), 0

    def _crc(self, request: Request) -> Job:
        with closing(self._tree.open(request.path)) as reader:
            crc = yield from self._read(reader, lambda octets: None)
            return crc, reader.octets, 0

    def _copy(self, request: Request) -> Job:
        with closing(self._tree.open(request.path)) as reader:
            self._check_free(request.other)
            if self._tree.space()[0] - reader.octets < self._reserve:
                raise FileRefused(FileReason.NO_SPACE)
            try:
                self._tree.new()
                unsynced = 0

                def write(octets: bytes) -> None:
                    nonlocal unsynced
                    self._tree.write(octets)
                    unsynced += len(octets)
                    if unsynced >= SYNC_OCTETS:
                        self._tree.sync()
                        unsynced = 0

                crc = yield from self._read(reader, write)
                self._tree.sync()
                self._tree.publish(request.other)
            except (FlightError, OSError, GeneratorExit):
                self._tree.drop()
                raise
            return crc, reader.octets, 0

    def _read(self, reader: Reader, take: Callable[[bytes], None]) -> Generator[Reply | None, None, int]:
        """All of a file, step by step; its CRC-32C."""
        crc = done = 0
        while octets := reader.read(STEP_OCTETS):
            done += len(octets)
            if done > reader.octets:
                break
            crc = crc32c(octets, crc)
            take(octets)
            yield None
        if done != reader.octets:
            raise FileRefused(FileReason.CHANGED)
        return crc

    def _check_free(self, path: str) -> None:
        """Early, so that nothing is read for nothing; publish() looks again."""
        try:
            found = self._tree.stat(path)
        except FileNotFoundError:
            return
        raise FileRefused(FileReason.EXISTS if found.kind is not Kind.OTHER else PathReason.NO_FILE)


def _failed(request: Request, reason: int, number: int = 0) -> Reply:
    return Reply(ReplyKind.FAILED, request.operation, request.job, reason, number)

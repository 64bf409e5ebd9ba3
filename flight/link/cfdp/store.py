"""Where received files lie: the store's protocol, and a folder that keeps its promises over a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from flight.link.cfdp.errors import NameRefused

_HIDDEN = ".reception"
_DATA, _RECORD = ".part", ".record"
_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
MAX_NAME_LETTERS = 64

Key = tuple[int, int]


def confined(name: str) -> str:
    """The name itself when it is one plain file name. Raises NameRefused: no separators, no leading dot, no devices."""
    if not 1 <= len(name) <= MAX_NAME_LETTERS or name[0] == "." or not _NAME_LETTERS.issuperset(name):
        raise NameRefused(name)
    return name


class StoredFile(Protocol):
    """One file that is being received, and the record beside it."""

    @property
    def durable(self) -> int:
        """The newest ticket of commit() that has survived a power cut from now on."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Not yet durable. Writing nothing makes an empty file."""
        ...

    def read(self, offset: int, count: int) -> bytes: ...

    def commit(self, record: bytes) -> int:
        """Make first the data, then the record durable; gives a ticket at once, `durable` tells when it is so."""
        ...

    def publish(self, name: str) -> str:
        """The data gets its final name; harmless when done before, or when the owner took the file. Gives the path."""
        ...

    def discard(self) -> None:
        """The data goes; the record stays until forget()."""
        ...

    def forget(self) -> None:
        """Nothing of this transaction stays but a published file."""
        ...


class ReceiverStore(Protocol):
    """All of them."""

    def create(self, key: Key) -> StoredFile: ...

    def free_name(self, name: str, key: Key) -> str:
        """`name` if no published file has it, else one like it that names the transaction."""
        ...

    def stored(self) -> Iterator[tuple[Key, bytes, StoredFile]]:
        """What was there before this process: key, record, file."""
        ...


class FolderFile:
    """A StoredFile in a folder: `<source>-<sequence>.part` and `.record` in the hidden folder until it is published."""

    def __init__(self, folder: Path, key: Key) -> None:
        self._folder = folder
        stem = f"{key[0]}-{key[1]}"
        self._data, self._record = folder / _HIDDEN / (stem + _DATA), folder / _HIDDEN / (stem + _RECORD)
        self._fd: int | None = None
        self._changed = False
        self.durable = 0

    def _open(self) -> int:
        if self._fd is None:
            self._fd = os.open(self._data, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        return self._fd

    def write(self, offset: int, data: bytes) -> None:
        _write_all(self._open(), data, offset)
        self._changed = True

    def read(self, offset: int, count: int) -> bytes:
        return os.pread(self._open(), count, offset)

    def commit(self, record: bytes) -> int:
        if self._changed:
            os.fdatasync(self._open())
            self._changed = False
        fresh = self._record.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _write_all(fd, record, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        fresh.replace(self._record)
        _sync_folder(self._record.parent)
        self.durable += 1
        return self.durable

    def publish(self, name: str) -> str:
        target = self._folder / confined(name)
        if self._data.exists():
            self._data.replace(target)
            _sync_folder(self._folder)
            _sync_folder(self._data.parent)
        self._close()
        return str(target)

    def discard(self) -> None:
        self._close()
        self._changed = False
        self._data.unlink(missing_ok=True)

    def forget(self) -> None:
        self.discard()
        self._record.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class FolderStore:
    """A ReceiverStore in one folder. Published files lie directly in it and are never overwritten."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / _HIDDEN).mkdir(parents=True, exist_ok=True)

    def create(self, key: Key) -> FolderFile:
        return FolderFile(self._folder, key)

    def free_name(self, name: str, key: Key) -> str:
        if not (self._folder / confined(name)).exists():
            return name
        stem, dot, suffix = name.rpartition(".")
        mark = f"-{key[0]}-{key[1]}"
        stem, suffix = (stem, dot + suffix) if stem else (name, "")
        return stem[: max(1, MAX_NAME_LETTERS - len(mark) - len(suffix))] + mark + suffix[-MAX_NAME_LETTERS // 2 :]

    def stored(self) -> Iterator[tuple[Key, bytes, FolderFile]]:
        hidden = self._folder / _HIDDEN
        records = sorted(hidden.glob("*" + _RECORD))
        known = {record.stem for record in records}
        for leftover in [*hidden.glob("*.new"), *hidden.glob("*" + _DATA)]:
            if leftover.suffix != _DATA or leftover.stem not in known:  # never acknowledged to anyone
                leftover.unlink(missing_ok=True)
        for record in records:
            source, _, sequence = record.stem.partition("-")
            if source.isdigit() and sequence.isdigit():
                key = int(source), int(sequence)
                yield key, record.read_bytes(), FolderFile(self._folder, key)


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        offset, view = offset + written, view[written:]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

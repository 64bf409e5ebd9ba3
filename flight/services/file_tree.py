"""Files and directories beneath one root, as the file process changes them. Small, so that tests can cut the power."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from flight.services.file_protocol import FileReason, FileRefused
from flight.services.rooted import PathReason, PathRefused, Root, plain_components

NEW = "~copy"  # a copy that is not whole yet, in the root; no path can name it, for `~` is in none
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Kind(IntEnum):
    """What lies there. Numbers are never reused."""

    FILE = 1
    DIRECTORY = 2
    OTHER = 3  # a link, a FIFO, a device: it is not read


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of one name."""

    kind: Kind
    octets: int
    changed_s: int  # by the clock of the system


class Reader(Protocol):
    """A file held open."""

    @property
    def octets(self) -> int:
        """Its size when it was opened."""
        ...

    def read(self, count: int) -> bytes:
        """The next octets; none at the end."""
        ...

    def close(self) -> None: ...


class Tree(Protocol):
    """Every change is durable when its call returns. All raise PathRefused or OSError, FileRefused among them."""

    def stat(self, path: str) -> Found:
        """Raises FileNotFoundError where the directory does not have that name."""
        ...

    def names(self, path: str) -> Generator[str, None, None]:
        """The entries of a directory, "" the root, in no order; those that no one may name are left out."""
        ...

    def entry(self, path: str, name: str) -> Found:
        """One entry of a directory, whatever its characters."""
        ...

    def open(self, path: str) -> Reader: ...

    def new(self) -> None:
        """Begin the one new file, without a name of its own yet."""
        ...

    def write(self, octets: bytes) -> None:
        """Behind what is in the new file."""
        ...

    def sync(self) -> None:
        """Return once the new file's octets are on the medium."""
        ...

    def publish(self, path: str) -> None:
        """The new file's name, which nothing may have."""
        ...

    def drop(self) -> None:
        """The new file is gone, also one that an earlier run left; where there is none nothing happens."""
        ...

    def move(self, path: str, to: str, over: bool) -> None:
        """Another name for a file or a directory; `over`: a file may take the place of a file."""
        ...

    def delete(self, path: str) -> None:
        """A file, or a link itself."""
        ...

    def make(self, path: str) -> None:
        """A directory."""
        ...

    def remove(self, path: str) -> None:
        """An empty directory."""
        ...

    def space(self) -> tuple[int, int]:
        """Octets that are free, and in all."""
        ...


class FileReader:
    """A regular file of a FolderTree."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.octets = os.fstat(descriptor).st_size

    def read(self, count: int) -> bytes:
        """What was read is given up from the page cache: the next reading asks the medium."""
        octets = os.read(self._descriptor, count)
        position = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        os.posix_fadvise(self._descriptor, 0, position, os.POSIX_FADV_DONTNEED)
        return octets

    def close(self) -> None:
        os.close(self._descriptor)


class FolderTree:
    """A folder of a file system: every directory on the way is opened from the one before, and no link is followed.

    Nobody else gives names beneath the root while it is held: that a target is free is looked up before it is taken.
    """

    def __init__(self, root: Path, forbidden: Iterable[str] = ()) -> None:
        """forbidden: names beneath the root that can not be named, nor can what is beneath them. Raises PathRefused."""
        self._forbidden = frozenset(tuple(place.split("/")) for place in forbidden)
        self._root = Root(root, ())
        self._top = self._root.open_directory(())
        self._new = -1

    def close(self) -> None:
        """Let go of it."""
        self._close_new()
        os.close(self._top)
        self._root.close()

    def stat(self, path: str) -> Found:
        if not path:
            return _found(os.fstat(self._top))
        with self._at(path) as (folder, name):
            return _found(os.stat(name, dir_fd=folder, follow_symlinks=False))

    def names(self, path: str) -> Generator[str, None, None]:
        parts = self._parts(path) if path else ()
        folder = self._root.open_directory(parts)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if (*parts, entry.name) not in self._forbidden and (parts or entry.name != NEW):
                        yield entry.name
        finally:
            os.close(folder)

    def entry(self, path: str, name: str) -> Found:
        with self._folder(self._parts(path) if path else ()) as folder:
            return _found(os.stat(name, dir_fd=folder, follow_symlinks=False))

    def open(self, path: str) -> Reader:
        self._parts(path)
        return FileReader(self._root.open_file(path))

    def new(self) -> None:
        self.drop()
        self._new = os.open(NEW, _CREATE, 0o600, dir_fd=self._top)

    def write(self, octets: bytes) -> None:
        view = memoryview(octets)
        while view:
            view = view[os.write(self._new, view) :]

    def sync(self) -> None:
        os.fsync(self._new)

    def publish(self, path: str) -> None:
        with self._at(path, changes=True) as (folder, name):
            if _kind_of(folder, name) is not None:
                raise FileRefused(FileReason.EXISTS)
            os.rename(NEW, name, src_dir_fd=self._top, dst_dir_fd=folder)
            os.fsync(folder)
            os.fsync(self._top)
        self._close_new()

    def drop(self) -> None:
        self._close_new()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(NEW, dir_fd=self._top)

    def move(self, path: str, to: str, over: bool) -> None:
        with self._at(path, changes=True) as (folder, name), self._at(to, changes=True) as (to_folder, to_name):
            kind, there = _kind_of(folder, name), _kind_of(to_folder, to_name)
            if kind is None:
                raise PathRefused(PathReason.MISSING)
            if kind is Kind.OTHER:
                raise PathRefused(PathReason.NO_FILE)
            if there is not None and not over:
                raise FileRefused(FileReason.EXISTS)
            if there is not None and (kind is not Kind.FILE or there is not Kind.FILE):
                raise PathRefused(PathReason.NO_FILE)
            os.rename(name, to_name, src_dir_fd=folder, dst_dir_fd=to_folder)
            os.fsync(to_folder)
            os.fsync(folder)

    def delete(self, path: str) -> None:
        with self._at(path, changes=True) as (folder, name):
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
                raise PathRefused(PathReason.NO_FILE)
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)

    def make(self, path: str) -> None:
        with self._at(path, changes=True) as (folder, name):
            os.mkdir(name, 0o700, dir_fd=folder)
            os.fsync(folder)

    def remove(self, path: str) -> None:
        with self._at(path, changes=True) as (folder, name):
            os.rmdir(name, dir_fd=folder)
            os.fsync(folder)

    def space(self) -> tuple[int, int]:
        found = os.fstatvfs(self._top)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    def _parts(self, path: str, *, changes: bool = False) -> tuple[str, ...]:
        parts = plain_components(path)
        for place in self._forbidden:
            # what is above a forbidden place stays where it is: moved, the place could be named by another path
            if parts[: len(place)] == place or (changes and place[: len(parts)] == parts):
                raise PathRefused(PathReason.FORBIDDEN)
        return parts

    @contextlib.contextmanager
    def _at(self, path: str, *, changes: bool = False) -> Iterator[tuple[int, str]]:
        parts = self._parts(path, changes=changes)
        with self._folder(parts[:-1]) as folder:
            yield folder, parts[-1]

    @contextlib.contextmanager
    def _folder(self, parts: tuple[str, ...]) -> Iterator[int]:
        folder = self._root.open_directory(parts)
        try:
            yield folder
        finally:
            os.close(folder)

    def _close_new(self) -> None:
        if self._new >= 0:
            os.close(self._new)
            self._new = -1


def _found(status: os.stat_result) -> Found:
    return Found(_kind(status.st_mode), status.st_size, max(0, int(status.st_mtime)))


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return Kind.FILE
    return Kind.DIRECTORY if stat.S_ISDIR(mode) else Kind.OTHER


def _kind_of(folder: int, name: str) -> Kind | None:
    try:
        return _kind(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None

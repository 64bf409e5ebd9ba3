"""Where the critical store's copies lie: one folder, plain names. Small, so that tests can cut the power."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import Protocol

_PLAIN_NAME = re.compile(r"[a-z]{1,16}\.[a-z]{1,8}")


class CriticalFiles(Protocol):
    """Files of one folder. Octets are durable after sync(), names after sync_folder(). All raise OSError."""

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        """The first `limit_bytes` octets of a file; None where there is none."""
        ...

    def write(self, name: str, octets: bytes) -> None:
        """Make the file, or empty it, and write all of `octets`."""
        ...

    def sync(self, name: str) -> None:
        """Return once the file's octets are on the medium."""
        ...

    def rename(self, name: str, to: str) -> None:
        """The file's new name; a file of that name is gone in the same step."""
        ...

    def sync_folder(self) -> None:
        """Return once the names are on the medium."""
        ...

    def close(self) -> None: ...


class FolderFiles:
    """A folder of a file system, locked: a second store on the same folder waits until the first has closed.

    Names are looked up in the folder that was opened and never through a symbolic link, so nothing outside it is named.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._folder, fcntl.LOCK_EX)

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        try:
            descriptor = self._open(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            found = bytearray()
            while len(found) < limit_bytes and (octets := os.read(descriptor, limit_bytes - len(found))):
                found += octets
            return bytes(found)
        finally:
            os.close(descriptor)

    def write(self, name: str, octets: bytes) -> None:
        descriptor = self._open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            view = memoryview(octets)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)

    def sync(self, name: str) -> None:
        descriptor = self._open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, name: str, to: str) -> None:
        os.replace(_plain(name), _plain(to), src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def sync_folder(self) -> None:
        os.fsync(self._folder)

    def close(self) -> None:
        os.close(self._folder)

    def _open(self, name: str, flags: int) -> int:
        return os.open(_plain(name), flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._folder)


def _plain(name: str) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise PermissionError(f"`{name}` is not a plain name")
    return name

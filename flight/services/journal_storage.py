"""Where a journal's octets lie: a file, or memory. Small, so that tests can put a lying disk in its place."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

_COPY_BYTES = 1 << 20


class Storage(Protocol):
    """An array of octets that grows. Nothing is on the medium before sync() returns."""

    def size(self) -> int: ...

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` octets; fewer at the end."""
        ...

    def write(self, offset: int, octets: bytes) -> None:
        """All of `octets` at `offset`. Raises OSError, then some of them may be written."""
        ...

    def sync(self) -> None:
        """Return once everything written is on the medium. Raises OSError."""
        ...

    def cut(self, size: int, *, aside: bool = True) -> None:
        """Keep the first `size` octets, durably. What is cut off is set aside where the storage can, if it is asked."""
        ...

    def close(self) -> None: ...


class FileStorage:
    """A file. Writable, it is locked: opening waits until an earlier writer of the same file has ended.

    cut() copies what it cuts off to NAME.torn first: octets behind damage may be worth a look on the ground.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self._path = path
        flags = (os.O_RDWR | os.O_CREAT) if writable else os.O_RDONLY
        self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        if writable:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self._sync_folder()

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, count: int) -> bytes:
        return os.pread(self._descriptor, count, offset)

    def write(self, offset: int, octets: bytes) -> None:
        view = memoryview(octets)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            offset += written
            view = view[written:]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def cut(self, size: int, *, aside: bool = True) -> None:
        end = self.size()
        if end > size and aside:
            self._set_aside(size, end)
        os.ftruncate(self._descriptor, size)
        os.fsync(self._descriptor)

    def _set_aside(self, size: int, end: int) -> None:
        """Where there is room for it: what is cut off must not keep the journal from being cut."""
        with contextlib.suppress(OSError), self._path.with_name(self._path.name + ".torn").open("wb") as aside:
            for offset in range(size, end, _COPY_BYTES):
                aside.write(self.read(offset, min(_COPY_BYTES, end - offset)))

    def close(self) -> None:
        os.close(self._descriptor)

    def _sync_folder(self) -> None:
        """A new file's name is durable only with its folder."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class MemoryStorage:
    """Memory, for virtual time."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def size(self) -> int:
        return len(self._octets)

    def read(self, offset: int, count: int) -> bytes:
        return bytes(self._octets[offset : offset + count])

    def write(self, offset: int, octets: bytes) -> None:
        self._octets[offset : offset + len(octets)] = octets

    def sync(self) -> None:
        return None

    def cut(self, size: int, *, aside: bool = True) -> None:
        del self._octets[size:]

    def close(self) -> None:
        return None


class SlowStorage:
    """A storage whose sync takes `delay_s` longer, as an SD card's does: `sleep` waits (tests, the bench)."""

    def __init__(self, storage: Storage, delay_s: float, sleep: Callable[[float], None]) -> None:
        self._storage, self._delay_s, self._sleep = storage, delay_s, sleep
        self.size, self.read, self.write = storage.size, storage.read, storage.write
        self.cut, self.close = storage.cut, storage.close

    def sync(self) -> None:
        self._sleep(self._delay_s)
        self._storage.sync()

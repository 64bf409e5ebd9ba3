"""Memory that processes share: anonymous, made by the supervisor, of a sealed size, passed by descriptor.

A sealed size means that no holder can shrink the memory under another one's mapping (which would end it with
SIGBUS). Nothing has a name in the file system, so nothing is left behind when every holder is gone.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flight.pipeline.process_errors import MemoryRefused

SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
MAX_BYTES = 1 << 36


def create_memory(name: str, size: int) -> int:
    """Descriptor (close-on-exec) of `size` zero octets whose size and seals can no longer change."""
    if not 0 < size <= MAX_BYTES:
        raise MemoryRefused(f"size of {size} bytes")
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SIZE_SEALS | fcntl.F_SEAL_SEAL)
    except OSError as error:
        os.close(descriptor)
        raise MemoryRefused(error.strerror or str(error)) from error
    return descriptor


def read_only(descriptor: int) -> int:
    """A second descriptor of the same memory that cannot be mapped for writing: what a mere reader is given."""
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)


class SharedMemory:
    """One mapping of such memory, as an array of octets. The descriptor stays the caller's."""

    def __init__(self, descriptor: int, *, writable: bool, least_bytes: int) -> None:
        """Raises MemoryRefused for anything that is not sealed, too small, or not open for this use."""
        try:
            seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        except OSError as error:
            raise MemoryRefused("the descriptor is no sealed memory") from error
        if seals & SIZE_SEALS != SIZE_SEALS:
            raise MemoryRefused("its size is not sealed")
        size = os.fstat(descriptor).st_size
        if not least_bytes <= size <= MAX_BYTES:
            raise MemoryRefused(f"size of {size} bytes, at least {least_bytes} are needed")
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        try:
            self._map: mmap.mmap | None = mmap.mmap(descriptor, size, mmap.MAP_SHARED, protection)
        except OSError as error:
            raise MemoryRefused(error.strerror or str(error)) from error
        self.octets: NDArray[np.uint8] = np.frombuffer(self._map, dtype=np.uint8)
        self.size = size

    def words(self, first: int, count: int) -> NDArray[np.uint64]:
        """`count` aligned 64-bit words from octet `first`: one store each, never torn within a word."""
        view: NDArray[np.uint64] = self.octets[first : first + 8 * count].view(np.uint64)
        return view

    def close(self) -> None:
        """Unmap. Views that a caller still holds keep the mapping alive until they are gone."""
        self.octets = np.zeros(0, dtype=np.uint8)
        mapped, self._map = self._map, None
        if mapped is not None:
            try:
                mapped.close()
            except BufferError:
                del mapped

    def __enter__(self) -> SharedMemory:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

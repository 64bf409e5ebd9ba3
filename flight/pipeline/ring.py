"""Memory that is used again and again: whole pages, huge where the system grants them, touched before they are needed.

Writing to fresh pages of 4 KiB costs ten times and more what writing to the same pages again costs.
"""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from flight.pipeline.errors import PipelineError

HUGE_PAGE_BYTES = 2 << 20
PAGE_BYTES = mmap.PAGESIZE


class RingUnavailable(PipelineError, MemoryError):
    """The system gives no memory for the buffers of tiles or lines."""

    code = "ring_unavailable"

    def __init__(self, size: int, reason: str) -> None:
        super().__init__(f"no {size} bytes for buffers: {reason}")
        self.size, self.reason = size, reason


class RingClosed(PipelineError, ValueError):
    """The buffers were given back already."""

    code = "ring_closed"

    def __init__(self) -> None:
        super().__init__("the buffers were given back")


class Pages:
    """Private anonymous memory; arrays in it begin at a page. close() gives the memory back, whoever still looks at it.

    Arrays taken before close() stay readable and hold zeros from then on: nothing can be read after free.
    """

    def __init__(self, size: int) -> None:
        """size: octets, at least 1. Raises RingUnavailable."""
        whole = _whole(size, PAGE_BYTES)
        huge = whole >= HUGE_PAGE_BYTES
        try:
            # a mapping need not begin at a huge page, so that one more is asked for and the start skipped, untouched
            self._map: mmap.mmap | None = mmap.mmap(
                -1, whole + HUGE_PAGE_BYTES * huge, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            )
        except (OSError, ValueError, OverflowError) as error:
            raise RingUnavailable(size, getattr(error, "strerror", None) or str(error)) from error
        octets = np.frombuffer(self._map, np.uint8)
        start = -int(octets.__array_interface__["data"][0]) % HUGE_PAGE_BYTES if huge else 0
        self._octets: NDArray[np.uint8] | None = octets[start : start + whole]
        self._at = 0
        if huge and hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a kernel without huge pages serves small ones
                self._map.madvise(mmap.MADV_HUGEPAGE, start, whole)
        self._octets[::PAGE_BYTES] = 0

    def take(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """An array of zeros that begins at a page. Raises RingClosed, RingUnavailable when all is taken."""
        if self._octets is None:
            raise RingClosed
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        if self._at + size > len(self._octets):
            raise RingUnavailable(size, f"{len(self._octets) - self._at} are left")
        taken = self._octets[self._at : self._at + size].view(kind).reshape(tuple(shape))
        self._at += _whole(size, PAGE_BYTES)
        return taken

    def close(self) -> None:
        """Give the memory back. More than once is once."""
        if self._map is None:
            return
        self._octets = None
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
        with contextlib.suppress(BufferError):  # an array is held somewhere: its addresses go when it goes
            self._map.close()
        self._map = None

    def __enter__(self) -> Pages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def pages_for(*arrays: tuple[Sequence[int], DTypeLike]) -> Pages:
    """Memory that arrays of these shapes and types can be taken from. Raises RingUnavailable."""
    sizes = (math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in arrays)
    return Pages(max(1, sum(_whole(size, PAGE_BYTES) for size in sizes)))


def _whole(size: int, unit: int) -> int:
    return -(-size // unit) * unit

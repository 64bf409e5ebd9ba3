"""Where the engine takes its lines from: a ring, a store or a file, all seen the same way."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray


class LineSource(Protocol):
    """Lines of one strip in order of capture, counted from 0.

    A line that the sensor lost is read as zeros and named by `lost_ranges`.
    """

    @property
    def columns(self) -> int: ...

    @property
    def bands(self) -> int: ...

    @property
    def dtype(self) -> str:
        """ "uint8", "uint16", "int16" or "float32"."""
        ...

    @property
    def lines(self) -> int | None:
        """Lines in the whole strip; None until it has ended. Never changes once it is known."""
        ...

    @property
    def available(self) -> int:
        """Lines 0 ... available - 1 have come; those not released can be read now."""
        ...

    def read_into(self, first: int, out: NDArray[Any]) -> None:
        """Lines first ... first + len(out) - 1 into `out` (count, columns, bands), C-contiguous, of this dtype.

        Raises a PipelineError when a line is not available or was released.
        """
        ...

    def release(self, before: int) -> None:
        """Lines < before are never read again."""
        ...

    def lost_ranges(self) -> tuple[tuple[int, int], ...]:
        """(first, count) of lost lines among the rows read so far, ascending, merged.

        Complete for every row at or after the last release(); older ranges may be forgotten.
        """
        ...

"""The supervisor's side of the record that the frame clock leaves while its Python is silent."""

from __future__ import annotations

import mmap
import os

from bindings.clock_beat import BEAT_OCTETS, read_beat


class ClockPage:
    """Memory that outlives each flight process; it writes there what the supervisor tells when it hangs."""

    def __init__(self) -> None:
        """Raises OSError."""
        self.fd = os.memfd_create("swath-clock", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, BEAT_OCTETS)
        self._page = mmap.mmap(self.fd, BEAT_OCTETS, prot=mmap.PROT_READ)
        self._told = 0

    def missed(self) -> dict[str, object]:
        """What the newest record says, once: the clock lived while Python was silent. Nothing where there is none."""
        beat = read_beat(self._page)
        if beat is None or beat.monotonic_ns <= self._told:
            return {}
        self._told = beat.monotonic_ns
        return {"clock_frame": beat.frame, "clock_missed": beat.missed}

    def close(self) -> None:
        self._page.close()
        os.close(self.fd)


def attached(descriptor: int | None) -> mmap.mmap | None:
    """The flight process's side. None where nobody reads. Raises OSError, ValueError for no such memory."""
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "r+b", buffering=0) as memory:
        return mmap.mmap(memory.fileno(), BEAT_OCTETS)

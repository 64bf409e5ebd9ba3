"""A watchdog that resets the computer unless it is petted in time."""

from __future__ import annotations

from typing import Protocol


class Watchdog(Protocol):
    """One watchdog device."""

    @property
    def timeout_s(self) -> float: ...

    def fileno(self) -> int:
        """Descriptor that the C frame clock writes one octet to; -1 when the device has none."""
        ...

    def pet(self) -> None: ...

    def close(self, *, disarm: bool) -> None:
        """disarm: magic close, the watchdog stops; otherwise it keeps running and will bite."""
        ...

"""A watchdog that resets the computer unless it is petted in time."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


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


@runtime_checkable
class NotifyingWatchdog(Protocol):
    """A watchdog of a service manager, which is spoken to besides being petted. Each may raise HalError."""

    def ready(self) -> None:
        """All is up."""
        ...

    def relay(self) -> bool:
        """Often: hand on what the frame clock wrote to fileno(). True when it had written."""
        ...

    def stopping(self) -> None:
        """It ends as commanded."""
        ...

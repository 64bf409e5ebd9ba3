"""Errors of the hardware abstraction layer. Every driver raises these and nothing else."""

from __future__ import annotations

from bindings.errors import SwathError


class HalError(SwathError):
    """Base of every error of the hal package."""

    code = "hal_error"


class DeviceUnavailable(HalError, OSError):
    """The device, file or socket that a driver needs is not there or cannot be opened."""

    code = "device_unavailable"

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(f"{device}: {reason}")
        self.device, self.reason = device, reason


class DeadlineExceeded(HalError, TimeoutError):
    """A driver had nothing to give before its deadline. Nothing was consumed."""

    code = "deadline_exceeded"

    def __init__(self, device: str, deadline_s: float) -> None:
        super().__init__(f"{device}: nothing before the deadline {deadline_s:.6f} s")
        self.device, self.deadline_s = device, deadline_s


class DeviceClosed(HalError, ValueError):
    """A call on a device after close()."""

    code = "device_closed"

    def __init__(self, device: str) -> None:
        super().__init__(f"{device} is closed")
        self.device = device


class BufferRefused(HalError, ValueError):
    """A buffer that does not fit what the device delivers or accepts."""

    code = "buffer_refused"

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(f"{device}: {reason}")
        self.device, self.reason = device, reason


class DriverUnknown(HalError, KeyError):
    """A driver name that no entry point offers."""

    code = "driver_unknown"
    exit_status = 2

    def __init__(self, kind: str, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no {kind} driver named `{name}`; known: {', '.join(known) or 'none'}")
        self.kind, self.name, self.known = kind, name, known

    def __str__(self) -> str:
        return str(self.args[0])

"""A hardware watchdog of Linux: /dev/watchdog and its ioctls.

Interface: Linux kernel, Documentation/watchdog/watchdog-api.rst and include/uapi/linux/watchdog.h. It runs from the
moment it is opened. It stops only by the magic close: `V` and then a close, on purpose; a process that dies leaves it
running. A driver loaded with `nowayout` never stops, and is never told to.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from hal.clock import Clock
from hal.errors import DeviceClosed, DeviceUnavailable, HalError
from hal.options import Options

# _IOR and _IOWR of type 'W' as on x86, Arm and RISC-V
WDIOC_GETSUPPORT = 0x80285700
WDIOC_GETBOOTSTATUS = 0x80045702
WDIOC_KEEPALIVE = 0x80045705
WDIOC_SETTIMEOUT = 0xC0045706
WDIOC_GETTIMEOUT = 0x80045707
WDIOF_CARDRESET = 0x0020  # the last boot was the watchdog's doing
WDIOF_SETTIMEOUT = 0x0080
WDIOF_MAGICCLOSE = 0x0100
WDIOF_KEEPALIVEPING = 0x8000
SYSFS = Path("/sys/class/watchdog")
_INFO = struct.Struct("=II32s")  # options, firmware version, identity
_INT = struct.Struct("=i")


class CannotDisarm(HalError, RuntimeError):
    """The watchdog cannot be stopped: the device is closed and the computer resets when its time is over."""

    code = "watchdog_cannot_disarm"

    def __init__(self, device: str, timeout_s: float) -> None:
        super().__init__(f"{device} cannot be stopped and resets the computer within {timeout_s:g} s")
        self.device, self.timeout_s = device, timeout_s


class DeviceCalls(Protocol):
    """The calls on the device; tests put a device of their own behind them."""

    def open(self, path: Path) -> int: ...

    def ioctl(self, descriptor: int, request: int, argument: bytes) -> bytes: ...

    def write(self, descriptor: int, octets: bytes) -> int: ...

    def close(self, descriptor: int) -> None: ...


class KernelCalls:
    """Those of this machine."""

    def open(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def ioctl(self, descriptor: int, request: int, argument: bytes) -> bytes:
        return fcntl.ioctl(descriptor, request, argument)

    def write(self, descriptor: int, octets: bytes) -> int:
        return os.write(descriptor, octets)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)


class LinuxWatchdog:
    """The Watchdog protocol over /dev/watchdog."""

    def __init__(self, path: Path, timeout_s: float, calls: DeviceCalls, *, nowayout: bool = False) -> None:
        """Arms it. Raises DeviceUnavailable; what was opened by mistake is disarmed first."""
        self._path, self._calls = path, calls
        self._descriptor = -1
        try:
            self._descriptor = calls.open(path)
        except OSError as error:
            raise DeviceUnavailable(str(path), error.strerror or str(error)) from error
        try:
            options, _, identity = _INFO.unpack(self._ioctl(WDIOC_GETSUPPORT, bytes(_INFO.size)))
            self.identity = identity.split(b"\0")[0].decode("ascii", "replace")
            self.can_disarm = bool(options & WDIOF_MAGICCLOSE) and not nowayout
            self._by_ioctl = bool(options & WDIOF_KEEPALIVEPING)
            if options & WDIOF_SETTIMEOUT:
                self._ioctl(WDIOC_SETTIMEOUT, _INT.pack(max(1, round(timeout_s))))
            self._timeout_s = float(_INT.unpack(self._ioctl(WDIOC_GETTIMEOUT, bytes(_INT.size)))[0])
            if self._timeout_s <= 0:
                raise DeviceUnavailable(str(path), f"says that it bites after {self._timeout_s:g} s")
        except OSError as error:
            if not nowayout:
                with contextlib.suppress(OSError):
                    calls.write(self._descriptor, b"V")
            calls.close(self._descriptor)
            self._descriptor = -1
            if isinstance(error, DeviceUnavailable):
                raise
            raise DeviceUnavailable(str(path), f"is no watchdog: {error.strerror}") from error
        self.reset_by_watchdog = self._boot_status()

    @property
    def timeout_s(self) -> float:
        """As the device grants it, which may be other than what was asked for."""
        return self._timeout_s

    def fileno(self) -> int:
        """The frame clock writes one octet, which pets as the ioctl does."""
        return self._descriptor

    def pet(self) -> None:
        """Raises DeviceClosed, DeviceUnavailable."""
        if self._descriptor < 0:
            raise DeviceClosed(str(self._path))
        try:
            if self._by_ioctl:
                self._ioctl(WDIOC_KEEPALIVE, bytes(_INT.size))
            else:
                self._calls.write(self._descriptor, b"\0")
        except OSError as error:
            raise DeviceUnavailable(str(self._path), error.strerror or str(error)) from error

    def close(self, *, disarm: bool) -> None:
        """Raises CannotDisarm where it goes on running against the wish; DeviceUnavailable where it refuses."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if disarm and self.can_disarm:
                self._calls.write(descriptor, b"V")
        except OSError as error:
            raise DeviceUnavailable(str(self._path), error.strerror or str(error)) from error
        finally:
            self._calls.close(descriptor)
        if disarm and not self.can_disarm:
            raise CannotDisarm(str(self._path), self._timeout_s)

    def _boot_status(self) -> bool:
        """Whether the last boot was its doing; a device that cannot tell says no."""
        try:
            status: int = _INT.unpack(self._ioctl(WDIOC_GETBOOTSTATUS, bytes(_INT.size)))[0]
        except OSError:
            return False
        return bool(status & WDIOF_CARDRESET)

    def _ioctl(self, request: int, argument: bytes) -> bytes:
        return self._calls.ioctl(self._descriptor, request, argument)


def has_no_way_out(path: Path, sysfs: Path = SYSFS) -> bool:
    """Whether the kernel says so of this device; where it says nothing, the magic close is taken to work."""
    name = "watchdog0" if path.name == "watchdog" else path.name
    try:
        return (sysfs / name / "nowayout").read_text().strip() == "1"
    except OSError:
        return False


def driver(options: Mapping[str, Any], clock: Clock) -> LinuxWatchdog:
    """Entry point. Options: path, timeout_s (default 10). There is no default path: to open one is to arm it."""
    checked = Options("watchdog linux", options, ("path", "timeout_s"))
    path = Path(checked.text("path"))
    timeout_s = checked.number("timeout_s", 10.0, minimum=1.0, maximum=3600.0)
    return LinuxWatchdog(path, timeout_s, KernelCalls(), nowayout=has_no_way_out(path))

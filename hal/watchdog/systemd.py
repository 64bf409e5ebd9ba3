"""systemd as a watchdog: READY=1, WATCHDOG=1 and STOPPING=1 to NOTIFY_SOCKET.

Protocol: sd_notify(3), sd_watchdog_enabled(3), systemd.service(5) `WatchdogSec=`, with `Type=notify` and
`NotifyAccess=all`, for it is not the main process of the service that speaks. The frame clock writes octets only, so it
writes them to a pipe of this driver; relay() makes of what it wrote one word to systemd. Without the clock's decision
and without a live interpreter there is no word.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from hal.clock import Clock
from hal.errors import DeviceClosed, DeviceUnavailable
from hal.options import Options

MAX_PATH = 107  # sun_path holds 108


class SystemdWatchdog:
    """The Watchdog protocol over the service manager's socket."""

    def __init__(self, address: str, timeout_s: float) -> None:
        """address: /PATH, or @NAME for an abstract one. Raises DeviceUnavailable."""
        if address[:1] not in ("/", "@") or len(address.encode()) > MAX_PATH or "\0" in address:
            raise DeviceUnavailable(f"systemd {address!r}", "neither /PATH nor @NAME of at most 107 octets")
        self._name, self._timeout_s = f"systemd {address}", timeout_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._socket.connect("\0" + address[1:] if address[0] == "@" else address)
        except OSError as error:
            self._socket.close()
            raise DeviceUnavailable(self._name, error.strerror or str(error)) from error
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._open = True
        self.dropped = 0  # words that its queue had no room for

    @property
    def timeout_s(self) -> float:
        return self._timeout_s

    def fileno(self) -> int:
        """The frame clock's end of the pipe."""
        return self._write

    def ready(self) -> None:
        """The service has begun. Raises DeviceClosed, DeviceUnavailable."""
        self._say(b"READY=1")

    def stopping(self) -> None:
        """The service ends on purpose: its watchdog is not waited for any more. Raises as ready()."""
        self._say(b"STOPPING=1")

    def pet(self) -> None:
        """Raises DeviceClosed, DeviceUnavailable."""
        self._say(b"WATCHDOG=1")

    def relay(self) -> bool:
        """Once a frame: pet if the frame clock did so since the last call. Raises as pet()."""
        if not self._open:
            raise DeviceClosed(self._name)
        try:
            petted = bool(os.read(self._read, 4096))
        except BlockingIOError:
            return False
        self.pet()
        return petted

    def close(self, *, disarm: bool) -> None:
        """disarm: STOPPING=1; otherwise it waits for the next word, and bites."""
        if not self._open:
            return
        try:
            if disarm:
                self.stopping()
        finally:
            self._open = False
            self._socket.close()
            os.close(self._read)
            os.close(self._write)
            self._read = self._write = -1

    def _say(self, words: bytes) -> None:
        if not self._open:
            raise DeviceClosed(self._name)
        try:
            self._socket.send(words)
        except BlockingIOError:
            self.dropped += 1
        except OSError as error:
            raise DeviceUnavailable(self._name, error.strerror or str(error)) from error


def of_environment(environment: Mapping[str, str], timeout_s: float | None = None) -> SystemdWatchdog:
    """As systemd told this service. timeout_s: where `WatchdogSec=` is not set. Raises DeviceUnavailable."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        raise DeviceUnavailable("systemd", "NOTIFY_SOCKET is not set: this is no service of type notify")
    told = environment.get("WATCHDOG_USEC", "")
    if told and not (told.isascii() and told.isdigit() and 0 < int(told[:20]) <= 3600 * 10**6):
        raise DeviceUnavailable("systemd", f"WATCHDOG_USEC is {told[:40]!r}")
    if not told and timeout_s is None:
        raise DeviceUnavailable("systemd", "WATCHDOG_USEC is not set: the service has no WatchdogSec")
    return SystemdWatchdog(address, int(told) / 1e6 if told else float(timeout_s or 0))


def driver(options: Mapping[str, Any], clock: Clock) -> SystemdWatchdog:
    """Entry point. Options: timeout_s, for a service without `WatchdogSec=`."""
    checked = Options("watchdog systemd", options, ("timeout_s",))
    given = checked.number("timeout_s", minimum=0.1, maximum=3600.0) if checked.has("timeout_s") else None
    return of_environment(os.environ, given)


def unavailable() -> str:
    """Why it cannot work here."""
    return "" if os.environ.get("NOTIFY_SOCKET") else "not started by systemd"

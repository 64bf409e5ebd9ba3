"""A watchdog behind a device file: /dev/watchdog, or a FIFO or plain file that stands for one on a bench.

Linux watchdog interface (Documentation/watchdog/watchdog-api): any write pets, `V` before close disarms.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hal.clock import Clock
from hal.errors import DeviceClosed, DeviceUnavailable
from hal.options import Options

WDIOC_SETTIMEOUT = 0xC0045706


class FileWatchdog:
    """The Watchdog protocol over one descriptor."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        try:
            # O_RDWR keeps a FIFO open without a reader; O_NONBLOCK: a pet never blocks a frame
            self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise DeviceUnavailable(str(path), error.strerror or str(error)) from error
        self._timeout_s = timeout_s
        if path.is_char_device():
            try:
                answer = fcntl.ioctl(self._descriptor, WDIOC_SETTIMEOUT, struct.pack("i", max(1, round(timeout_s))))
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.write(self._descriptor, b"V")  # a real one has been running since it was opened
                os.close(self._descriptor)
                raise DeviceUnavailable(str(path), f"is no watchdog: {error.strerror}") from error
            self._timeout_s = float(struct.unpack("i", answer)[0])

    @property
    def timeout_s(self) -> float:
        return self._timeout_s

    def fileno(self) -> int:
        return self._descriptor

    def pet(self) -> None:
        self._write(b"\0")

    def close(self, *, disarm: bool) -> None:
        if self._descriptor < 0:
            return
        try:
            if disarm:
                self._write(b"V")
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, octet: bytes) -> None:
        if self._descriptor < 0:
            raise DeviceClosed(str(self._path))
        try:
            os.write(self._descriptor, octet)
        except BlockingIOError:
            return  # a FIFO that nobody reads: as good as petted
        except OSError as error:
            raise DeviceUnavailable(str(self._path), error.strerror or str(error)) from error


def driver(options: Mapping[str, Any], clock: Clock) -> FileWatchdog:
    """Entry point. Options: path (default /dev/watchdog), timeout_s (default 10)."""
    checked = Options("watchdog file", options, ("path", "timeout_s"))
    return FileWatchdog(
        Path(checked.text("path", "/dev/watchdog")), checked.number("timeout_s", 10.0, minimum=0.1, maximum=3600.0)
    )


def selftest_options(folder: Path) -> dict[str, Any]:
    """Options that open this driver on a file that stands for the device, for `swath hal selftest`.

    The real one is never opened unasked: with `nowayout` in its driver nothing could stop it any more.
    """
    path = folder / "watchdog"
    path.touch()
    return {"path": str(path)}

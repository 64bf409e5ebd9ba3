"""How the camera and payload processes begin: their clock, their limits, and whose death they do not survive."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

from flight.pipeline.process_errors import ProcessArgument
from hal.clock import Clock, ScaledClock, SystemClock
from hal.errors import HalError
from hal.shared_clock import SharedClock

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
MAX_ARGUMENT_BYTES = 1 << 16


def table_argument(name: str, text: str) -> dict[str, Any]:
    """A JSON object given as a start argument. Raises ProcessArgument."""
    if len(text) > MAX_ARGUMENT_BYTES:
        raise ProcessArgument(name, f"longer than {MAX_ARGUMENT_BYTES} characters")
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProcessArgument(name, f"not JSON: {error}") from error
    if not isinstance(table, dict):
        raise ProcessArgument(name, "not a JSON object")
    return table


def clock_argument(text: str) -> Clock:
    """The clock that a process is told to live by. Raises ProcessArgument.

    {"kind": "system"}, {"kind": "shared", "file": PATH} or {"epoch_mission_s", "epoch_host_s", "speed"}. All three
    take host time from CLOCK_MONOTONIC, so the processes of one machine agree on it.
    """
    table = table_argument("--clock", text)
    try:
        match table:
            case {"kind": "system"}:
                return SystemClock()
            case {"kind": "shared", "file": str(path)}:
                return SharedClock(Path(path))
            case {"epoch_mission_s": float() | int(), "epoch_host_s": float() | int(), "speed": float() | int()}:
                return ScaledClock(float(table["epoch_mission_s"]), float(table["epoch_host_s"]), float(table["speed"]))
    except HalError as error:
        raise ProcessArgument("--clock", str(error)) from error
    raise ProcessArgument("--clock", "neither system, shared nor scaled")


def incarnation_of(clock: Clock) -> int:
    """A number that grows from one start of a process to the next: host microseconds."""
    return int(clock.host_s() * 1e6)


class Parent:
    """The supervisor, as its child sees it: the child ends when the supervisor does, however that ended."""

    def __init__(self, signal_number: int, pid: int | None) -> None:
        """pid: the supervisor's, as it said itself; without it, one that died before this call is not missed."""
        self._pid = os.getppid() if pid is None else pid
        _prctl(PR_SET_PDEATHSIG, signal_number)

    @property
    def alive(self) -> bool:
        """False once this process was handed to another parent."""
        return os.getppid() == self._pid


class StopFlag:
    """Set by SIGTERM and SIGINT; the process then ends at its next step."""

    def __init__(self) -> None:
        self.is_set = False
        signal.signal(signal.SIGTERM, self._set)
        signal.signal(signal.SIGINT, self._set)

    def _set(self, *_: object) -> None:
        self.is_set = True


def lower_rights(*, nice: int, memory_mb: int | None, open_files: int = 256) -> None:
    """Give up what this process does not need: priority, core dumps, new privileges, descriptors, memory without bound.

    memory_mb bounds the address space. What the system does not allow to be lowered stays as it is.
    """
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    os.nice(nice)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, open_files)
    if memory_mb is not None:
        _limit(resource.RLIMIT_AS, memory_mb << 20)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (allowed, allowed))


def _prctl(option: int, value: int) -> None:
    """prctl(2) with one argument. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

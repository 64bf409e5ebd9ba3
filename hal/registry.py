"""Drivers by entry point: `swath.hal.KIND` names a function `driver(options, clock)`.

A vendor's driver lives in a package of its own. One that cannot even be imported is listed as unavailable with its
reason; it never takes down the program that asked for a list. Beside `driver` its module may offer
  unavailable() -> str                  why it cannot work on this machine, "" when it can
  selftest_options(folder: Path) -> Mapping   options with which `swath hal selftest` may open it
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hal.clock import Clock
from hal.errors import DeviceUnavailable, DriverUnknown, HalError

KINDS = ("sensor", "radio", "isl", "platform", "power", "navigation", "watchdog")
GROUP = "swath.hal."


class DriverBroken(DeviceUnavailable):
    """A driver that raises what no driver may: its fault, not the device's."""

    code = "driver_broken"


EntrySource = Callable[[str], Iterable[EntryPoint]]
Driver = Callable[[Mapping[str, Any], Clock], Any]


@dataclass(frozen=True, slots=True)
class DriverInfo:
    """One driver that some installed package offers."""

    kind: str
    name: str
    available: bool
    reason: str  # why not, "" when available


@dataclass(frozen=True, slots=True)
class LoadedDriver:
    """A driver's function and the module that it lives in."""

    open: Driver
    module: Any


def installed(kind: str) -> tuple[EntryPoint, ...]:
    """The entry points of one device kind, of every installed package."""
    return tuple(entry_points(group=GROUP + kind))


def drivers(source: EntrySource = installed) -> list[DriverInfo]:
    """Every driver of every kind, in the order of KINDS and by name. Never raises."""
    found: list[DriverInfo] = []
    for kind in KINDS:
        for name in sorted({entry.name for entry in source(kind)}):
            try:
                reason = _reason(load(kind, name, source))
            except HalError as error:
                reason = str(getattr(error, "reason", error))
            found.append(DriverInfo(kind, name, not reason, reason))
    return found


def load(kind: str, name: str, source: EntrySource = installed) -> LoadedDriver:
    """Import one driver. Raises DriverUnknown, DeviceUnavailable."""
    entries = {entry.name: entry for entry in source(kind)} if kind in KINDS else {}
    if name not in entries:
        raise DriverUnknown(kind, name, tuple(sorted(entries)))
    try:
        function = entries[name].load()
    except (Exception, SystemExit) as error:  # whatever a foreign module does when it is imported
        raise DeviceUnavailable(f"{kind} {name}", _said(error)) from error
    if not callable(function):
        raise DeviceUnavailable(f"{kind} {name}", f"{entries[name].value} is not a function")
    return LoadedDriver(function, sys.modules.get(getattr(function, "__module__", "")))


def open_device(kind: str, name: str, options: Mapping[str, Any], clock: Clock, source: EntrySource = installed) -> Any:
    """Open one device. Raises HalError: DriverUnknown, DriverOptions, DeviceUnavailable or the driver's own."""
    loaded = load(kind, name, source)
    try:
        return loaded.open(options, clock)
    except HalError:
        raise
    except Exception as error:  # a foreign driver that breaks the rule of raising HalError
        raise DriverBroken(f"{kind} {name}", _said(error)) from error


def _reason(loaded: LoadedDriver) -> str:
    probe = getattr(loaded.module, "unavailable", None)
    if probe is None:
        return ""
    try:
        return str(probe())
    except Exception as error:  # as above
        return _said(error)


def _said(error: BaseException) -> str:
    text = str(error).split("\n", 1)[0][:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

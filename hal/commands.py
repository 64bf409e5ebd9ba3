"""`swath hal list` and `swath hal selftest`: which drivers there are, and whether they work on this machine."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hal.clock import Clock, SystemClock
from hal.command_line import CommandResult, Subcommands
from hal.errors import DeviceUnavailable, HalError
from hal.options import DriverOptions
from hal.registry import DriverBroken, DriverInfo, EntrySource, drivers, installed, load, open_device

PATIENCE_S = 2.0  # host time that a sensor gets for its first line


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """One driver's self test. ok None: not tried, for the reason in `found`."""

    kind: str
    name: str
    ok: bool | None
    found: str


def register(commands: Subcommands) -> None:
    """Add `hal list` and `hal selftest`."""
    parser = commands.add_parser("hal", help="device drivers")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every driver, and why one is not available")
    listing.add_argument("--json", action="store_true", help="one JSON object on stdout")
    listing.set_defaults(run=_list)
    testing = actions.add_parser("selftest", help="open every available driver and check it briefly")
    testing.add_argument("--json", action="store_true", help="one JSON object on stdout")
    testing.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KIND.DRIVER.OPTION=VALUE",
        help="an option of a driver, as sensor.file.path=scene.tif",
    )
    testing.set_defaults(run=_selftest)


def _list(arguments: argparse.Namespace) -> CommandResult:
    found = drivers()
    rows = [{"kind": d.kind, "name": d.name, "available": d.available, "reason": d.reason} for d in found]
    lines = [f"{d.kind:<11} {d.name:<12} {'available' if d.available else d.reason}" for d in found]
    return CommandResult({"drivers": rows}, "\n".join(lines) or "no drivers are installed")


def _selftest(arguments: argparse.Namespace) -> CommandResult:
    outcomes = self_test(SystemClock(), settings(arguments.set))
    rows = [{"kind": o.kind, "name": o.name, "ok": o.ok, "found": o.found} for o in outcomes]
    words = {True: "ok", False: "FAILED", None: "not tried"}
    lines = [f"{o.kind:<11} {o.name:<12} {words[o.ok]:<10} {o.found}" for o in outcomes]
    failed = any(o.ok is False for o in outcomes)
    return CommandResult({"drivers": rows}, "\n".join(lines) or "no drivers are installed", 1 if failed else 0)


def settings(texts: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """`KIND.DRIVER.OPTION=VALUE` by kind and driver; a value that reads as a number or truth value is one."""
    given: dict[tuple[str, str], dict[str, Any]] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        parts = name.split(".")
        if not separator or len(parts) != 3 or not all(parts):
            raise DriverOptions(text, "must be KIND.DRIVER.OPTION=VALUE")
        given.setdefault((parts[0], parts[1]), {})[parts[2]] = _value(value)
    return given


def self_test(
    clock: Clock, given: Mapping[tuple[str, str], Mapping[str, Any]], source: EntrySource = installed
) -> list[CheckOutcome]:
    """Open every available driver, with the options given or with its own for tests, and ask it one thing."""
    with tempfile.TemporaryDirectory(prefix="swath-selftest-") as folder:
        return [
            _check(info, clock, given.get((info.kind, info.name)), Path(folder), source) for info in drivers(source)
        ]


def _check(
    info: DriverInfo, clock: Clock, given: Mapping[str, Any] | None, folder: Path, source: EntrySource
) -> CheckOutcome:
    if not info.available:
        return CheckOutcome(info.kind, info.name, None, f"not available: {info.reason}")
    try:
        own = getattr(load(info.kind, info.name, source).module, "selftest_options", None)
        options = given if given is not None else own(folder) if own is not None else {}
        device = open_device(info.kind, info.name, options, clock, source)
    except DriverOptions as error:
        if given is not None:
            return CheckOutcome(info.kind, info.name, False, str(error))
        return CheckOutcome(
            info.kind, info.name, None, f"{error}; give it with --set {info.kind}.{info.name}.OPTION=..."
        )
    except (HalError, OSError) as error:
        absent = given is None and isinstance(error, DeviceUnavailable) and not isinstance(error, DriverBroken)
        return CheckOutcome(info.kind, info.name, None if absent else False, str(error))
    try:
        return ask(info.kind, info.name, device, clock)
    finally:
        _close(info.kind, device)


def ask(kind: str, name: str, device: Any, clock: Clock) -> CheckOutcome:
    """Ask an open device one thing. Never raises."""
    try:
        return CheckOutcome(kind, name, True, _ASK[kind](device, clock))
    except Exception as error:  # a driver under test may do anything; the others are still asked
        return CheckOutcome(kind, name, False, f"{type(error).__name__}: {error}")


def _ask_sensor(device: Any, clock: Clock) -> str:
    device.start(clock.mission_s())
    form = device.format
    block = device.read_into(np.empty((1, form.columns, form.bands), form.dtype), clock.host_s() + PATIENCE_S)
    rate = f"{form.line_rate_hz:g} lines/s"
    return f"{form.columns} columns, {form.bands} bands, {form.dtype}, {rate}; read line {block.first}"


def _ask_radio(device: Any, clock: Clock) -> str:
    status = device.status()
    return f"frames up to {device.max_frame_bytes} bytes, {status.frames_refused} refused"


def _ask_isl(device: Any, clock: Clock) -> str:
    return f"frames up to {device.max_frame_bytes} bytes, {len(device.status().neighbours_up)} neighbours"


def _ask_platform(device: Any, clock: Clock) -> str:
    state = device.state()
    return f"roll {state.roll_deg:.2f}, pitch {state.pitch_deg:.2f}, yaw {state.yaw_deg:.2f} degrees"


def _ask_power(device: Any, clock: Clock) -> str:
    reading = device.read()
    return f"battery {reading.battery_wh:.1f} of {reading.capacity_wh:.1f} Wh{', modelled' if reading.modelled else ''}"


def _ask_navigation(device: Any, clock: Clock) -> str:
    fix = device.fix()
    return f"{fix.latitude_deg:.3f}, {fix.longitude_deg:.3f} degrees, {fix.altitude_m / 1000:.1f} km"


def _ask_watchdog(device: Any, clock: Clock) -> str:
    device.pet()
    return f"petted, bites after {device.timeout_s:g} s"


_ASK: dict[str, Callable[[Any, Clock], str]] = {
    "sensor": _ask_sensor,
    "radio": _ask_radio,
    "isl": _ask_isl,
    "platform": _ask_platform,
    "power": _ask_power,
    "navigation": _ask_navigation,
    "watchdog": _ask_watchdog,
}


def _close(kind: str, device: Any) -> None:
    """A watchdog that was only tested must not bite afterwards."""
    if kind == "watchdog":
        device.close(disarm=True)
    else:
        device.close()


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

"""Every device of a satellite's configuration, opened as the satellite would, asked one thing, and timed."""

from __future__ import annotations

from dataclasses import dataclass

from flight.config import SatelliteConfig
from hal.clock import Clock
from hal.commands import ask
from hal.errors import HalError
from hal.registry import open_device


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """What one device of the configuration said."""

    kind: str
    driver: str
    ok: bool
    found: str
    open_ms: float  # host time
    ask_ms: float


def ask_devices(config: SatelliteConfig, clock: Clock) -> list[DeviceAnswer]:
    """Open, ask and close each device; one that fails leaves the others to be asked. The watchdog is disarmed again."""
    table = config.devices
    listed = (
        ("sensor", table.sensor),
        ("radio", table.radio),
        ("isl", table.isl),
        ("navigation", table.navigation),
        ("power", table.power),
        ("platform", table.platform),
        ("watchdog", table.watchdog),
    )
    answers = []
    for kind, entry in listed:
        if entry is None:
            continue
        began_s = clock.host_s()
        try:
            device = open_device(kind, entry.driver, entry.options, clock)
        except HalError as error:
            answers.append(DeviceAnswer(kind, entry.driver, False, str(error), _ms(began_s, clock), 0.0))
            continue
        opened_s = clock.host_s()
        open_ms = (opened_s - began_s) * 1e3
        outcome = ask(kind, entry.driver, device, clock)
        answers.append(DeviceAnswer(kind, entry.driver, bool(outcome.ok), outcome.found, open_ms, _ms(opened_s, clock)))
        if kind == "watchdog":
            device.close(disarm=True)
        else:
            device.close()
    return answers


def _ms(since_s: float, clock: Clock) -> float:
    return (clock.host_s() - since_s) * 1e3

"""What one flight process is made of, opened from its configuration. Nothing here runs in a frame."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from bindings.errors import SwathError
from flight.agent.admission import ApplicationTerms, Limits
from flight.agent.job import ProductKind, parse_version
from flight.agent.keys import KeyStore
from flight.agent.orbit import Station
from flight.config import SatelliteConfig, load_config, make_clock
from flight.pipeline.answer_slots import AnswerReader
from flight.pipeline.inference import FLOAT_ON_CPU, InferenceSetup
from flight.services.journal import WriterClient
from hal.clock import Clock
from hal.navigation.protocol import Navigation
from hal.platform.protocol import Platform
from hal.power.protocol import Power
from hal.radio.protocol import Radio
from hal.registry import open_device
from hal.sensor.camera_file import CameraFile, load_camera
from hal.watchdog.protocol import Watchdog
from payload_models.loader import Application, applications

JOURNAL_READY_S = 30.0


@dataclass(frozen=True, slots=True)
class Devices:
    """What is plugged in."""

    radio: Radio
    navigation: Navigation
    power: Power
    platform: Platform
    watchdog: Watchdog | None

    def close(self) -> None:
        """Give everything back; the watchdog stays armed, for a flight process that ends is not a healthy one."""
        for device in (self.radio, self.navigation, self.power, self.platform):
            device.close()
        if self.watchdog is not None:
            self.watchdog.close(disarm=False)


@dataclass(frozen=True, slots=True)
class Onboard:
    """One flight process's parts."""

    config: SatelliteConfig
    run_dir: Path
    clock: Clock
    keys: KeyStore
    devices: Devices
    journal: WriterClient
    answers: AnswerReader
    applications: dict[str, Application]
    disabled: dict[str, str]  # application -> why it was left out
    stations: tuple[Station, ...]
    camera: CameraFile | None = None
    inference: InferenceSetup = FLOAT_ON_CPU
    keys_dir: Path | None = None


def open_onboard(
    config_path: Path,
    run_dir: Path,
    journal_fd: int,
    answer_fd: int,
    inference: InferenceSetup,
    *,
    load_none: bool = False,
) -> Onboard:
    """Open all of it; `load_none`: but for the applications.

    Raises ConfigError, KeyFileInvalid, HalError, ModelError or JournalError.
    """
    config = load_config(config_path)
    clock = make_clock(config.clock)
    camera = load_camera((config_path.parent / config.camera).resolve()) if config.camera else None
    keys_dir = (config_path.parent / config.keys_dir).resolve()
    keys = KeyStore.load(keys_dir)
    loaded, disabled = ({}, {}) if load_none else load_applications(config.agent.applications, inference)
    journal = WriterClient(socket.socket(fileno=journal_fd))
    journal.ready(JOURNAL_READY_S)
    table = config.devices
    devices = Devices(
        radio=open_device("radio", table.radio.driver, table.radio.options, clock),
        navigation=open_device("navigation", table.navigation.driver, table.navigation.options, clock),
        power=open_device("power", table.power.driver, table.power.options, clock),
        platform=open_device("platform", table.platform.driver, table.platform.options, clock),
        watchdog=(
            open_device("watchdog", table.watchdog.driver, table.watchdog.options, clock)
            if table.watchdog is not None
            else None
        ),
    )
    stations = tuple(
        Station(item.latitude_deg, item.longitude_deg, item.altitude_m, item.min_elevation_deg)
        for item in config.station
    )
    answers = AnswerReader(answer_fd)
    return Onboard(
        config, run_dir, clock, keys, devices, journal, answers, loaded, disabled, stations, camera, inference, keys_dir
    )


def load_applications(
    names: tuple[str, ...], inference: InferenceSetup
) -> tuple[dict[str, Application], dict[str, str]]:
    """The applications named, or all that came with the software; and what had to be left out, with the reason."""
    loaded: dict[str, Application] = {}
    disabled: dict[str, str] = {}
    for name in names or tuple(applications()):
        try:
            loaded[name] = inference.application(name)
        except SwathError as error:  # a bad application disables itself, never the satellite
            disabled[name] = str(error)
    return loaded, disabled


def application_terms(application: Application) -> ApplicationTerms:
    """What admission needs to know of an application."""
    manifest = application.manifest
    return ApplicationTerms(
        name=manifest.name,
        version=parse_version(manifest.version),
        products=frozenset(ProductKind[name.upper()] for name in manifest.products),
        parameters={parameter.name: tuple(parameter.values) for parameter in manifest.parameter},
        needs_reference="reference" in manifest.needs,
    )


def agent_limits(config: SatelliteConfig, capacity_wh: float) -> Limits:
    """What the configuration lets the agent take on."""
    table = config.agent
    return Limits(
        strip_s=table.strip_s,
        max_off_nadir_deg=table.max_off_nadir_deg,
        max_live_jobs=table.max_jobs,
        horizon_s=table.horizon_s,
        min_state_of_charge=table.minimum_charge,
        battery_j=capacity_wh * 3600.0,
    )

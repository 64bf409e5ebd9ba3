"""The satellite's configuration: one TOML file into frozen typed records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from hal.clock import Clock, SystemClock
from hal.shared_clock import SharedClock
from hal.toml_records import ConfigError, load_record
from payload_models.runtime.policy import InferenceTable


class Satellite(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who this satellite is."""

    name: Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9._-]+$")]
    spacecraft: Annotated[int, Meta(ge=0, le=1023)]  # CCSDS spacecraft identifier


class ClockTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which time the satellite lives in. A shared clock is for simulation only: `file` is its master's."""

    kind: Literal["system", "shared"] = "system"
    file: str = ""

    def to_json(self) -> str:
        """As the start argument of the camera and payload processes."""
        return msgspec.json.encode(self).decode()


class Executive(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The frame loop."""

    schedule: str = ""  # path of a schedule table; empty: the built-in one
    tables: tuple[str, ...] = ()  # paths of those that a command may let fly in its place
    catch_up_frames: Annotated[int, Meta(ge=0, le=100)] = 2  # handed out one by one after a late wake-up
    crash_limit: Annotated[int, Meta(ge=0, le=65535)] = 5  # starts in a row until the next level of recovery; 0: none
    golden: str = ""  # schedule table of the last level of recovery; empty: the built-in one
    counts: str = ""  # table of what must count how often; empty: the built-in one
    demotion: Literal["processor", "wall", "off"] = "off"  # which time of repeat offenders counts
    realtime: bool = True  # ask for SCHED_FIFO
    priority: Annotated[int, Meta(ge=1, le=98)] = 60
    lock_memory: bool = False
    core: Annotated[int, Meta(ge=-1, le=1023)] = -1  # the frame clock's own; -1: any
    dispatcher_priority: Annotated[int, Meta(ge=0, le=97)] = 0  # SCHED_FIFO, below `priority`; 0: not real time
    runaway_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1000  # of a dispatcher in real time that never pauses

    def __post_init__(self) -> None:
        if self.dispatcher_priority and not (self.realtime and self.dispatcher_priority < self.priority):
            raise ValueError("dispatcher_priority is below priority, and with realtime = true alone")


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be written, and how much of it."""

    strips_mb: Annotated[int, Meta(ge=1, le=1_000_000)] = 512
    strip_buffer_mb: Annotated[int, Meta(ge=1, le=16_384)] = 32
    answer_slots: Annotated[int, Meta(ge=2, le=64)] = 4
    answer_slot_kb: Annotated[int, Meta(ge=16, le=65_536)] = 1024


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ground link."""

    frame_bytes: Annotated[int, Meta(ge=64, le=2048)] = 1024
    segment_bytes: Annotated[int, Meta(ge=64, le=1900)] = 900  # file data in one CFDP protocol unit
    ack_timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 8.0
    station: str = ""


class Station(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A ground station that the satellite may meet."""

    name: Annotated[str, Meta(min_length=1, max_length=32)]
    latitude_deg: Annotated[float, Meta(ge=-90, le=90)]
    longitude_deg: Annotated[float, Meta(ge=-180, le=180)]
    altitude_m: Annotated[float, Meta(ge=-500, le=9000)] = 0.0
    min_elevation_deg: Annotated[float, Meta(ge=0, le=89)] = 5.0


class AgentTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the agent may take on."""

    applications: tuple[str, ...] = ()  # empty: all that came with the software
    max_jobs: Annotated[int, Meta(ge=1, le=10_000)] = 64
    max_off_nadir_deg: Annotated[float, Meta(ge=0, le=60)] = 30.0
    minimum_charge: Annotated[float, Meta(ge=0, le=1)] = 0.3
    horizon_s: Annotated[float, Meta(gt=0, le=1_209_600)] = 86_400.0
    strip_s: Annotated[float, Meta(gt=0, le=3600)] = 40.0  # how long one capture lasts at most


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One device: a driver by name and its options, which the driver itself validates."""

    driver: str
    options: dict[str, Any] = {}


class Devices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is plugged in."""

    sensor: Device
    radio: Device
    navigation: Device
    power: Device
    platform: Device
    watchdog: Device | None = None
    isl: Device | None = None


class SatelliteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    satellite: Satellite
    devices: Devices
    clock: ClockTable = ClockTable()
    executive: Executive = Executive()
    storage: Storage = Storage()
    link: Link = Link()
    agent: AgentTable = AgentTable()
    inference: InferenceTable = InferenceTable()
    station: tuple[Station, ...] = ()
    run_dir: str = "run"  # sockets, journal, strips, products; relative to the file
    keys_dir: str = "keys"
    camera: str = ""  # path of a camera file, relative to this one: lines without a place of their own get one


def load_config(path: Path) -> SatelliteConfig:
    """Read and validate a satellite configuration. Raises ConfigError with file and line."""
    config = load_record(path, SatelliteConfig)
    names = [station.name for station in config.station]
    if len(set(names)) != len(names):
        raise ConfigError(str(path), 0, "two stations have the same name")
    if config.link.segment_bytes + 64 > 8 * config.link.frame_bytes:
        raise ConfigError(str(path), 0, "segment_bytes must fit a few frames of frame_bytes")
    return config


def make_clock(table: ClockTable) -> Clock:
    """The clock that a configuration names."""
    return SharedClock(Path(table.file)) if table.kind == "shared" else SystemClock()

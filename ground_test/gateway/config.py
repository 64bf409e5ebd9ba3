"""The gateway's configuration: one TOML file into frozen typed records. Paths are relative to the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from flight.config import ClockTable, Station
from hal.toml_records import ConfigError, load_record


class LinkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ground end of the link."""

    spacecraft: Annotated[int, Meta(ge=0, le=1023)]
    bind: str  # host:port of the station's socket
    peer: str  # host:port of the modem, or of the channel that stands for the sky
    frame_bytes: Annotated[int, Meta(ge=64, le=2048)] = 1024
    entity: Annotated[int, Meta(ge=0, le=65_535)] = (
        1  # CFDP entity of the ground; a satellite's is its spacecraft + 256
    )
    repeat_s: Annotated[float, Meta(gt=0, le=600)] = 5.0  # mission time until an unanswered item goes up again
    nak_timer_s: Annotated[float, Meta(gt=0, le=600)] = 8.0


class KeyTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which keys the ground holds and trusts."""

    ground: str  # Ed25519 private key that signs receipts
    reading: str  # X25519 private key, delegated by the tenants whose grants name it
    mission: str  # folder of *.pub: who may sign grants
    satellites: str  # folder of *.pub: who may seal products
    alert: str  # 32 secret bytes shared with the satellite, for the short codes of alerts


class GatewayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    link: LinkTable
    keys: KeyTable
    orbit: dict[str, float]  # elements, as of the simulated navigation driver
    station: Annotated[tuple[Station, ...], Meta(min_length=1)]
    clock: ClockTable = ClockTable()
    satellite_set: str = ""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    state_dir: str = "gateway"  # database and files under reception
    products_dir: str = "products"
    stac_dir: str = "stac"
    token_file: str = "gateway/token"  # noqa: S105 - a path
    applications: tuple[str, ...] = ("water", "cloud")


def load_gateway_config(path: Path) -> GatewayConfig:
    """Read and validate. Raises ConfigError with file and line."""
    config = load_record(path, GatewayConfig)
    names = [station.name for station in config.station]
    if len(set(names)) != len(names):
        raise ConfigError(str(path), 0, "two stations have the same name")
    return config

"""The mission file: orbit, stations and orders, as typed records (examples/first_flight/mission.toml)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from flight.agent.area import Ring
from flight.config import Station
from ground_test.fly.errors import MissionMissing
from ground_test.gateway.orders import parse_time
from ground_test.gateway.submission import read_area
from hal.toml_records import load_record

MISSION_FILE = "mission.toml"
BUILT_IN = Path(__file__).resolve().parents[2] / "examples" / "first_flight"


class OrderTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One order, and the scene that the simulated Earth shows at its place."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,24}$")]
    application: str
    area: str  # GeoJSON file, relative to the mission file
    scene: str  # file in the folder of scenes
    scene_latitude_deg: Annotated[float, Meta(ge=-90, le=90)]
    scene_longitude_deg: Annotated[float, Meta(ge=-180, le=180)]
    byte_budget: Annotated[int, Meta(ge=1)]
    priority: Annotated[int, Meta(ge=0, le=7)] = 3
    parameters: dict[str, float] = {}


class MissionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    name: str
    start: str  # RFC 3339
    end: str
    satellite: str  # template of the satellite's configuration, relative to the mission file
    scenes: str  # folder, relative to the mission file
    orbit: dict[str, float]
    station: Annotated[list[Station], Meta(min_length=1)]
    order: Annotated[list[OrderTable], Meta(min_length=1, max_length=16)]


@dataclass(frozen=True, slots=True)
class MissionOrder:
    """One order with its area and scene read."""

    name: str
    application: str
    area: Ring
    scene: Path
    scene_place: tuple[float, float]  # latitude, longitude
    byte_budget: int
    priority: int
    parameters: dict[str, float]


@dataclass(frozen=True, slots=True)
class Mission:
    """A mission with every file it names found."""

    name: str
    start_s: float
    end_s: float
    template: Path
    orbit: dict[str, float]
    stations: tuple[Station, ...]
    orders: tuple[MissionOrder, ...]


def load_mission(folder: Path) -> Mission:
    """Read a mission folder. Raises ConfigError, MissionMissing or OrderInvalid."""
    if not (folder / MISSION_FILE).is_file():
        raise MissionMissing(str(folder), f"no {MISSION_FILE} in it")
    table = load_record(folder / MISSION_FILE, MissionTable)
    orders = tuple(
        MissionOrder(
            name=order.name,
            application=order.application,
            area=read_area(folder / order.area),
            scene=_existing((folder / table.scenes / order.scene).resolve()),
            scene_place=(order.scene_latitude_deg, order.scene_longitude_deg),
            byte_budget=order.byte_budget,
            priority=order.priority,
            parameters=order.parameters,
        )
        for order in table.order
    )
    return Mission(
        name=table.name,
        start_s=parse_time("start", table.start),
        end_s=parse_time("end", table.end),
        template=_existing(folder / table.satellite),
        orbit=table.orbit,
        stations=tuple(table.station),
        orders=orders,
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise MissionMissing(str(path), "not there")
    return path

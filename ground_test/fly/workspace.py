"""The output folder of one flight: keys made for it alone, and the configurations of its three processes."""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import msgspec

from flight.agent.area import Box, degrees_of
from flight.agent.grant import Grant
from flight.agent.job import ProductKind
from flight.agent.keys import (
    ALERT_FILE,
    KEY_BYTES,
    SigningKey,
    create_keystore,
    generate_recipient_key,
    generate_signing_key,
    read_private_key,
    write_private_key,
    write_public_key,
)
from flight.config import Station, load_config
from ground_test.fly.errors import OutputBusy, OutputRefused
from ground_test.fly.mission import Mission
from ground_test.gateway.config import load_gateway_config
from ground_test.gateway.submission import sign_grant
from ground_test.sim.channel import ChannelConfig

MARK = ".swath-fly"
_OURS = ("keys", "satellite", "gateway", "logs", "products", "stac")
_DAY_S = 86_400
_GATEWAY_KEYS = {
    "ground": "keys/ground/ground.key",
    "reading": "keys/ground/reading.key",
    "mission": "keys/mission",
    "satellites": "keys/satellites",
    "alert": "keys/ground/alert.key",
}


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything of one flight lies."""

    root: Path

    @property
    def clock(self) -> Path:
        return self.root / "gateway" / "clock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def satellite_config(self) -> Path:
        return self.root / "satellite.toml"

    @property
    def gateway_config(self) -> Path:
        return self.root / "gateway.toml"

    @property
    def channel_config(self) -> Path:
        return self.root / "channel.json"

    @property
    def token(self) -> Path:
        return self.root / "gateway" / "token"

    @property
    def report(self) -> Path:
        return self.root / "report.json"


@dataclass(frozen=True, slots=True)
class Tenant:
    """The demonstration's submitter: a key, and what the mission granted it."""

    key: SigningKey
    grant: Grant
    signed_grant: bytes


@contextmanager
def open_workspace(root: Path) -> Iterator[Workspace]:
    """An empty workspace, ours alone while the block runs; what an earlier flight left there goes.

    Raises OutputRefused, OutputBusy.
    """
    root = root.resolve()
    if root.exists() and any(root.iterdir()) and not (root / MARK).is_file():
        raise OutputRefused(str(root))
    root.mkdir(parents=True, exist_ok=True)
    with (root / MARK).open("a", encoding="ascii") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputBusy(str(root)) from error
        mark.truncate(0)
        mark.write("made by swath-ground fly; the next flight here replaces it\n")
        mark.flush()
        for name in _OURS:
            shutil.rmtree(root / name, ignore_errors=True)
        for name in ("satellite.toml", "gateway.toml", "channel.json", "report.json"):
            (root / name).unlink(missing_ok=True)
        for name in ("gateway", "logs"):
            (root / name).mkdir()
        yield Workspace(root)


def make_keys(workspace: Workspace, mission: Mission, random_bytes: Callable[[int], bytes]) -> Tenant:
    """Keys for the mission, the ground, the satellite and a tenant, all marked as a demonstration's.

    The tenant delegates reading to the gateway: its grant names the gateway's reading key as recipient.
    """
    folder = workspace.root / "keys"
    authority, ground = generate_signing_key(random_bytes), generate_signing_key(random_bytes)
    reading, tenant = generate_recipient_key(random_bytes), generate_signing_key(random_bytes)
    satellite = create_keystore(
        folder / "satellite",
        random_bytes,
        mission={"mission": authority.public},
        ground={"ground": ground.public},
        demonstration=True,
    )
    for name in ("mission", "satellites", "tenant", "ground"):
        (folder / name).mkdir()
    write_public_key(folder / "mission" / "mission.pub", authority.public)
    write_public_key(folder / "satellites" / "satellite.pub", satellite.satellite.public)
    for path, private in (
        (folder / "mission" / "mission.key", authority.private.private_bytes_raw()),
        (folder / "ground" / "ground.key", ground.private.private_bytes_raw()),
        (folder / "ground" / "reading.key", reading.private_bytes_raw()),
        (folder / "ground" / "alert.key", read_private_key(folder / "satellite" / ALERT_FILE)),
        (folder / "tenant" / "tenant.key", tenant.private.private_bytes_raw()),
    ):
        assert len(private) == KEY_BYTES
        write_private_key(path, private)
    grant = Grant(
        tenant="demonstration",
        public_key=tenant.public,
        recipient=reading.public_key().public_bytes_raw(),
        applications=tuple(sorted({order.application for order in mission.orders})),
        boxes=tuple(_box(degrees_of(order.area)) for order in mission.orders),
        products=tuple(sorted(ProductKind)),
        max_bytes_per_job=max(order.byte_budget for order in mission.orders),
        max_bytes_per_day=4 * sum(order.byte_budget for order in mission.orders),
        valid_from_s=int(mission.start_s) - 60,
        valid_to_s=int(mission.end_s) + 7 * _DAY_S,
        serial=1,
    )
    signed = sign_grant(grant, authority)
    (folder / "tenant" / "grant.cose").write_bytes(signed)
    return Tenant(tenant, grant, signed)


def write_configs(workspace: Workspace, mission: Mission, applications: Sequence[str]) -> None:
    """The three processes' configurations, on free ports of 127.0.0.1. Raises ConfigError if one is wrong."""
    satellite, satellite_side, station_side, station = _free_udp_ports(4)
    channel = ChannelConfig(
        clock=str(workspace.clock),
        orbit=mission.orbit,
        stations=[(s.name, s.latitude_deg, s.longitude_deg, s.min_elevation_deg) for s in mission.stations],
        satellite_side=satellite_side,
        satellite=satellite,
        station_side=station_side,
        station=station,
    )
    workspace.channel_config.write_bytes(msgspec.json.encode(channel))
    scenes = [
        {"path": str(order.scene), "latitude_deg": order.scene_place[0], "longitude_deg": order.scene_place[1]}
        for order in mission.orders
    ]
    template = Template(mission.template.read_text(encoding="utf-8"))
    workspace.satellite_config.write_text(
        template.safe_substitute(
            clock=str(workspace.clock),
            applications=", ".join(_toml(name) for name in applications),
            orbit=_toml(mission.orbit),
            scenes=_toml(scenes),
            radio=satellite,
            radio_peer=satellite_side,
            stations=_station_tables(mission.stations),
        ),
        encoding="utf-8",
    )
    spacecraft = load_config(workspace.satellite_config).satellite.spacecraft
    workspace.gateway_config.write_text(
        "\n".join(
            (
                f"applications = {_toml(list(applications))}",
                f"orbit = {_toml(mission.orbit)}",
                'clock = { kind = "shared", file = ' + _toml(str(workspace.clock)) + " }",
                f'link = {{ spacecraft = {spacecraft}, bind = "{station}", peer = "{station_side}" }}',
                "keys = " + _toml(_GATEWAY_KEYS),
                "",
                _station_tables(mission.stations),
            )
        ),
        encoding="utf-8",
    )
    load_gateway_config(workspace.gateway_config)


def _free_udp_ports(count: int) -> list[str]:
    """Addresses free a moment ago; all are held until the last is known, so that they differ."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _box(ring: Sequence[tuple[float, float]]) -> Box:
    """The area's box, a little wider."""
    lon, lat = [point[0] for point in ring], [point[1] for point in ring]
    edges = (min(lon) - 0.1, min(lat) - 0.1, max(lon) + 0.1, max(lat) + 0.1)
    west, south, east, north = (round(edge * 1e7) for edge in edges)
    return Box(west, south, east, north)


def _station_tables(stations: Sequence[Station]) -> str:
    tables = []
    for station in stations:
        lines = ["[[station]]", *(f"{key} = {_toml(value)}" for key, value in msgspec.structs.asdict(station).items())]
        tables.append("\n".join(lines))
    return "\n\n".join(tables) + "\n"


def _toml(value: Any) -> str:
    """A TOML value on one line; JSON's strings and numbers are TOML's too."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)

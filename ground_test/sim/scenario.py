"""The scenario file: who flies, who listens, who asks for what, and what goes wrong (examples/scenarios/)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from flight.config import Station
from ground_test.gateway.errors import OrderInvalid
from ground_test.gateway.orders import parse_time
from ground_test.sim.errors import ScenarioInvalid
from hal.toml_records import load_record, parse_record

MAX_SATELLITES = 64
MAX_SEED = (1 << 53) - 1  # a number that JSON keeps
Name = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,24}\Z")]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]


class SatelliteTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One satellite."""

    name: Name
    orbit: dict[str, float]  # elements, as of the simulated navigation driver


class LinkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Both directions of every ground link, while a station sees the satellite."""

    rate_bps: Annotated[float, Meta(ge=1000, le=1e9)] = 2e6
    loss: Annotated[float, Meta(ge=0, lt=1)] = 0.0  # share of frames that are lost
    delay_s: Annotated[float, Meta(ge=0, le=10)] = 0.01


class CameraTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The model of the camera: how large a strip is and how long it takes. It has no pixels."""

    columns: Annotated[int, Meta(ge=16, le=16_384)] = 512
    lines: Annotated[int, Meta(ge=16, le=65_536)] = 512
    line_rate_hz: Annotated[float, Meta(gt=0, le=100_000)] = 25.0
    gsd_m: Annotated[float, Meta(ge=5, le=1000)] = 300.0
    failure: Share = 0.0  # share of captures that fail


class PayloadTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The model of inference: how long a tile of 256 x 256 pixels takes, and how much the synthetic answer finds."""

    tile_s: Annotated[float, Meta(gt=0, le=3600)] = 0.5
    findings: Annotated[int, Meta(ge=0, le=64)] = 12  # discs of the finding class in every class map


class PaceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Virtual seconds between two passes over the activities. Nothing of the geometry depends on them."""

    busy_s: Annotated[float, Meta(ge=0.05, le=2)] = 0.5  # in contact, while planning, capturing, inferring
    idle_s: Annotated[float, Meta(ge=0.05, le=60)] = 10.0


class TenantTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who has a grant; it allows what the tenant's jobs ask for."""

    name: Name


class JobTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One order. Seconds are from the scenario's start."""

    name: Name
    tenant: Name
    application: str
    area: Annotated[list[tuple[Longitude, Latitude]], Meta(min_length=3, max_length=64)]  # degrees
    at_s: Seconds = 0.0  # when it is ordered
    satellite: str = ""  # empty: the one that meets a station first
    deadline_s: Seconds | None = None  # None: the scenario's end
    byte_budget: Annotated[int, Meta(ge=1000, le=1 << 28)] = 400_000
    priority: Annotated[int, Meta(ge=0, le=7)] = 3
    parameters: dict[str, float] = {}


class FaultTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that goes wrong. flight_restart: the flight process dies, and its journal is replayed."""

    kind: Literal["flight_restart"]
    satellite: Name
    at_s: Seconds
    spread_s: Seconds = 0.0  # the seed picks a time in at_s .. at_s + spread_s
    down_s: Annotated[float, Meta(ge=0, le=86_400)] = 5.0
    torn_bytes: Annotated[int, Meta(ge=0, le=65_536)] = 0  # left behind the journal's end, as of a write cut short


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    name: Name
    start: str  # RFC 3339
    duration_s: Annotated[float, Meta(gt=0, le=31_536_000)]
    seed: Annotated[int, Meta(ge=0, le=MAX_SEED)] = 1
    satellite: Annotated[list[SatelliteTable], Meta(min_length=1, max_length=MAX_SATELLITES)]
    station: Annotated[list[Station], Meta(min_length=1, max_length=256)]
    tenant: Annotated[list[TenantTable], Meta(min_length=1, max_length=64)]
    job: Annotated[list[JobTable], Meta(max_length=4096)] = []
    fault: Annotated[list[FaultTable], Meta(max_length=4096)] = []
    link: LinkTable = LinkTable()
    camera: CameraTable = CameraTable()
    payload: PayloadTable = PayloadTable()
    pace: PaceTable = PaceTable()

    @property
    def start_s(self) -> float:
        """Mission seconds. Raises OrderInvalid, which loading has ruled out."""
        return parse_time("start", self.start)

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


def load_scenario(path: Path) -> Scenario:
    """Read and validate one file. Raises ConfigError or ScenarioInvalid."""
    return checked(load_record(path, Scenario))


def parse_scenario(text: str, name: str) -> Scenario:
    """The same of a text; `name` stands for the file in errors."""
    return checked(parse_record(text, Scenario, name))


def checked(scenario: Scenario) -> Scenario:
    """`scenario` if its parts know each other. Raises ScenarioInvalid."""
    try:
        _ = scenario.start_s
    except OrderInvalid as error:
        raise ScenarioInvalid("start", str(error)) from error
    satellites = _names("satellite", (each.name for each in scenario.satellite))
    tenants = _names("tenant", (each.name for each in scenario.tenant))
    _names("station", (each.name for each in scenario.station))
    _names("job", (each.name for each in scenario.job))
    for job in scenario.job:
        if job.tenant not in tenants:
            raise ScenarioInvalid("job.tenant", f"`{job.tenant}` of job `{job.name}` is no tenant")
        if job.satellite and job.satellite not in satellites:
            raise ScenarioInvalid("job.satellite", f"`{job.satellite}` of job `{job.name}` is no satellite")
        if job.at_s > scenario.duration_s:
            raise ScenarioInvalid("job.at_s", f"`{job.name}` is ordered after the end")
    for fault in scenario.fault:
        if fault.satellite not in satellites:
            raise ScenarioInvalid("fault.satellite", f"`{fault.satellite}` is no satellite")
    return scenario


def _names(field: str, names: Iterable[str]) -> frozenset[str]:
    listed = list(names)
    for name in listed:
        if listed.count(name) > 1:
            raise ScenarioInvalid(f"{field}.name", f"`{name}` is there twice")
    return frozenset(listed)

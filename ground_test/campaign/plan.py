"""The plan file: which scenario, which seeds, and what counts as passed (examples/scenarios/campaign.toml)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

import flight
from flight import __version__
from ground_test.sim.scenario import MAX_SEED, Scenario, load_scenario
from hal.toml_records import load_record

PACKAGES = ("bindings", "hal", "payload_models", "flight", "ground_test")
SOURCES = ("*.py", "*.toml")


class AcceptTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a run has passed. That the ground took every product that came is always asked for."""

    delivered: Annotated[float, Meta(ge=0, le=1)] = 1.0  # least share of jobs
    slowest_s: Annotated[float, Meta(gt=0)] | None = None  # of those delivered, from the order to the ground


class PlanTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    scenario: str  # relative to the plan
    seeds: Annotated[int, Meta(ge=1, le=10_000_000)]
    first_seed: Annotated[int, Meta(ge=0, le=MAX_SEED - 10_000_000)] = 1
    accept: AcceptTable = AcceptTable()


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan with its scenario read. `path` is the scenario's, for the command that replays a run."""

    path: Path
    scenario: Scenario
    scenario_sha256: str
    seeds: range
    accept: AcceptTable
    software: str

    def key(self, seed: int) -> str:
        """Under which a run's result is kept."""
        return hashlib.sha256(f"{self.scenario_sha256}/{seed}/{self.software}".encode()).hexdigest()

    def shard(self, number: int, count: int) -> list[int]:
        """The seeds of shard `number` of `count`, counted from 1; the shards together are all seeds, each once."""
        return [seed for index, seed in enumerate(self.seeds) if index % count == number - 1]


def load_plan(path: Path) -> Plan:
    """Read a plan and its scenario. Raises ConfigError or ScenarioInvalid."""
    table = load_record(path, PlanTable)
    scenario_path = path.parent / table.scenario
    scenario = load_scenario(scenario_path)
    return Plan(
        path=scenario_path,
        scenario=scenario,
        scenario_sha256=scenario_sha256(scenario),
        seeds=range(table.first_seed, table.first_seed + table.seeds),
        accept=table.accept,
        software=software_id(),
    )


def scenario_sha256(scenario: Scenario) -> str:
    """Of what a scenario says, whatever its comments and its own seed."""
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(scenario, seed=0))).hexdigest()


def software_id() -> str:
    """Version and, because results of changed code are other results, a hash of the Python sources and tables."""
    root = Path(flight.__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted(path for pattern in SOURCES for path in (root / package).rglob(pattern)):
            content = hashlib.sha256(path.read_bytes()).digest()
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + content)
    return f"swath {__version__}+{digest.hexdigest()[:12]}"

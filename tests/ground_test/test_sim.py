"""Scenarios in virtual time: the flight code delivers, faults or not, and equal seeds give equal bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from flight.agent.audit import FIRST, follow
from flight.agent.core import AgentCore
from flight.agent.egress import EgressGate
from flight.agent.entry import Step
from flight.agent.orbit import Station, elevation_deg
from flight.link.cfdp.receiver import Receiver
from flight.link.downlink import Downlink
from flight.pipeline.answer_slots import AnswerGeometry
from flight.pipeline.answers import AnswerDesk
from flight.pipeline.control import StripOffer
from flight.product.container import open_container
from flight.product.envelope import decrypt
from flight.satellite import Satellite
from flight.services.journal import JournalReader
from flight.services.records import RecordKind
from ground_test.gateway.desk import Desk
from ground_test.sim.errors import ScenarioInvalid
from ground_test.sim.models import SIMULATED, SyntheticAnswer
from ground_test.sim.scenario import load_scenario, parse_scenario
from ground_test.sim.simulation import Simulation, simulate
from hal.toml_records import ConfigError
from payload_models.errors import ApplicationUnknown
from tests.ground_test.sim_cases import EXAMPLE, restart, scenario
from tests.shared_data import ROOT


def flown(**changes: Any) -> Any:
    simulation = Simulation(scenario(**changes))
    return simulation, simulation.run()


def records(simulation: Any, kind: RecordKind) -> Any:
    return [r.payload for r in JournalReader(simulation.nodes[0].satellite.storage) if r.kind == kind]


# --- the same every time


def test_equal_seed_and_scenario_give_equal_journals_and_another_seed_gives_others() -> None:
    one, again, other = simulate(scenario()), simulate(scenario()), simulate(scenario(), 2)
    assert one == again
    assert (one.seed, other.seed) == (1, 2)
    assert one.state_sha256 != other.state_sha256
    assert [job.state for job in one.jobs + other.jobs] == ["delivered"] * 2


def test_a_fault_changes_the_state_that_is_hashed() -> None:
    assert simulate(scenario()).state_sha256 != simulate(scenario(fault=[restart(100)])).state_sha256


def test_the_command_answers_as_documented_and_alike_whatever_the_hash_seed(tmp_path: Path) -> None:
    path = tmp_path / "small.json.toml"
    text = EXAMPLE.read_text()
    path.write_text(text.replace("duration_s = 12_600", "duration_s = 900").replace("at_s = 1200", "at_s = 100"))
    said = []
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "ground_test.cli", "sim", str(path), "--json"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        said.append(json.loads(done.stdout))
    walls = [data.pop("seconds_wall") for data in said]
    assert said[0] == said[1]
    assert min(walls) > 0
    assert said[0]["seed"] == 1
    assert said[0]["seconds_virtual"] == 900
    assert said[0]["events"] > 0
    assert len(said[0]["state_sha256"]) == 64
    assert {"id", "state", "reason", "seconds"} <= set(said[0]["jobs"][0])
    assert (said[0]["fidelity"], said[0]["simulated"]) == ("frames", list(SIMULATED))


# --- what flies is the flight code


def test_what_flies_is_the_flight_code_and_what_stands_for_hardware_is_listed() -> None:
    simulation, _ = flown()
    satellite, ground = simulation.nodes[0].satellite, simulation.nodes[0].ground
    real = (satellite.flight, satellite.agent, satellite.gate, satellite._downlink, satellite.flight._answers)
    assert [type(part) for part in real] == [Satellite, AgentCore, EgressGate, Downlink, AnswerDesk]
    assert (type(ground._desk), type(ground._desk._receiver)) == (Desk, Receiver)
    assert [line.partition(":")[0] for line in SIMULATED] == [
        "radio",
        "camera",
        "inference",
        "executive",
        "journal",
        "power, platform",
    ]


def test_the_ground_opens_a_sealed_product_that_holds_the_synthetic_class_map() -> None:
    simulation, result = flown(link={"loss": 0.1})
    ground = simulation.nodes[0].ground
    (octets,) = ground._files.published.values()
    product = open_container(
        decrypt(octets, simulation._reading), simulation.nodes[0].satellite.keys.satellite.verifier
    )
    assert product.header.job_id.hex() == result.jobs[0].id
    assert (product.header.application, product.header.width, product.header.height) == ("water", 512, 512)
    geometry = AnswerGeometry(product.header.job_id, 512, 64, 512, 2)
    reader = SyntheticAnswer(12)
    expected = np.concatenate([reader.take(StripOffer(i, 0, 0, i * 64, 64, 0), geometry) for i in range(8)])
    assert np.array_equal(product.mask(), expected)
    assert 0 < product.counts[1] == int(expected.sum()) < expected.size


def test_the_synthetic_class_map_depends_on_the_job_only() -> None:
    reader, offer = SyntheticAnswer(12), StripOffer(1, 0, 0, 64, 64, 0)
    maps = [reader.take(offer, AnswerGeometry(bytes([job]) * 32, 300, 64, 512, 2)) for job in (1, 1, 2)]
    assert np.array_equal(maps[0], maps[1])
    assert not np.array_equal(maps[0], maps[2])


# --- faults


@pytest.mark.parametrize("at_s", [52.0, 150, 285, 302.7, 304, 306.2, 306.7, 307.7])
def test_a_restart_at_any_moment_loses_no_job_and_delivers_one_product(at_s: float) -> None:
    simulation, result = flown(fault=[restart(at_s, down_s=3.0, torn_bytes=64)], link={"loss": 0.02})
    assert (result.restarts, result.refused, result.raised) == (1, 0, {})
    assert [job.state for job in result.jobs] == ["delivered"]
    assert len(simulation.nodes[0].ground._files.published) == 1
    assert len(records(simulation, RecordKind.BOOT)) == 2
    assert len(records(simulation, RecordKind.PRODUCT)) == 1
    ended = Counter(
        step.job_id for step in map(Step.decode, records(simulation, RecordKind.JOB)) if step.state.terminal
    )
    assert set(ended.values()) == {1}


def test_the_audit_chain_goes_on_over_a_restart() -> None:
    jobs = msgspec.to_builtins(load_scenario(EXAMPLE).job[:2])
    simulation, result = flown(duration_s=900.0, job=jobs, fault=[restart(400)])
    assert [job.state for job in result.jobs] == ["delivered"] * 2  # one before the restart, one behind it
    head, sequence = FIRST, 0
    for payload in records(simulation, RecordKind.AUDIT):
        record = follow(head, sequence, payload)
        head, sequence = record.digest, record.sequence
    assert sequence >= 4  # both products and their alerts


def test_losses_cost_time_and_no_product() -> None:
    clean, lossy = simulate(scenario(link={"loss": 0.0})), simulate(scenario(link={"loss": 0.4}))
    assert (clean.frames_lost, clean.refused, lossy.refused) == (0, 0, 0)
    assert lossy.frames_lost > 10
    assert [job.state for job in clean.jobs + lossy.jobs] == ["delivered"] * 2
    assert (lossy.jobs[0].seconds or 0) > (clean.jobs[0].seconds or 0)


def test_a_camera_that_fails_fails_the_job_by_name() -> None:
    (job,) = simulate(scenario(camera={"failure": 1.0})).jobs
    assert (job.state, job.reason, job.seconds) == ("failed", "capture_failed", None)


# --- geometry


def test_a_job_that_no_station_can_send_up_stays_ordered() -> None:
    pole = [{"name": "Pole", "latitude_deg": 90.0, "longitude_deg": 0.0}]
    result = simulate(scenario(station=pole))
    assert (result.contacts, result.frames_sent) == (0, 0)
    assert (result.jobs[0].state, result.jobs[0].seconds) == ("ordered", None)


def test_the_link_exists_when_a_station_sees_the_satellite_and_only_then() -> None:
    simulation = Simulation(scenario(duration_s=12_600.0))
    (node,), start_s = simulation.nodes, simulation.scenario.start_s
    places = [Station(s.latitude_deg, s.longitude_deg, 0.0, 5.0) for s in simulation.scenario.station]
    edges = [edge for window in node.windows for edge in window]
    assert len(node.windows) >= 2
    for time_s in np.arange(start_s, start_s + 12_600.0, 20.0):
        if min(abs(time_s - edge) for edge in edges) > 0.2:
            seen = any(elevation_deg(p, node.satellite.navigation.at(float(time_s))) >= 5.0 for p in places)
            assert node.in_contact(float(time_s)) == seen


def test_a_job_for_no_satellite_in_particular_goes_up_through_the_first_that_meets_a_station() -> None:
    whole = load_scenario(EXAMPLE)
    jobs = [{**job, "satellite": ""} for job in msgspec.to_builtins(whole.job)]
    both = msgspec.to_builtins(whole.satellite)
    simulation = Simulation(scenario(satellite=both[::-1], job=jobs))
    assert {order.node.satellite.name for order in simulation._orders} == {"swath-1"}


# --- scenario files


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('tenant = "lakes"', 'tenant = "lake"', "`lake` of job `salt-lake` is no tenant"),
        ('satellite = "swath-1"  #', 'satellite = "swath-9"  #', "`swath-9` of job `itaipu` is no satellite"),
        ('name = "sky"', 'name = "lakes"', "`lakes` is there twice"),
        ('start = "2026', 'start = "soon 2026', "is not an RFC 3339 time"),
        ("at_s = 60 ", "at_s = 60_000 ", "`bahamas` is ordered after the end"),
        ('satellite = "swath-1"\nat_s', 'satellite = "swath-3"\nat_s', "`swath-3` is no satellite"),
    ],
)
def test_a_scenario_that_contradicts_itself_is_refused(old: str, new: str, said: str) -> None:
    text = EXAMPLE.read_text()
    assert old in text
    with pytest.raises(ScenarioInvalid, match=said) as caught:
        parse_scenario(text.replace(old, new, 1), "s.toml")
    assert caught.value.exit_status == 2


def test_an_unknown_key_is_shown_with_its_line() -> None:
    with pytest.raises(ConfigError, match="did you mean `loss`"):
        parse_scenario(EXAMPLE.read_text().replace("\nloss =", "\nlosses ="), "s.toml")


@pytest.mark.parametrize("corner", ["nan, 41.0", "-112.778, inf", "-112.778, 90.1", "1e305, 41.0"])
def test_an_area_off_the_globe_is_shown_with_its_line(corner: str) -> None:
    text = EXAMPLE.read_text()
    assert "[[-112.778, 41.0]," in text
    with pytest.raises(ConfigError, match=r"s.toml:\d+: expected `float`"):
        parse_scenario(text.replace("[[-112.778, 41.0],", f"[[{corner}],", 1), "s.toml")


def test_an_application_that_is_not_there_is_named() -> None:
    job = msgspec.to_builtins(load_scenario(EXAMPLE).job[0])
    with pytest.raises(ApplicationUnknown, match="volcano"):
        simulate(scenario(job=[{**job, "application": "volcano"}]))

"""`swath fly`: what cannot fly ends with its reason; a satellite that is stopped leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from flight.config import SatelliteConfig
from flight.executive.run_paths import RunPaths
from flight.executive.supervisor import Supervisor
from hal.clock import SimulatedClock
from tests.faults.flown import Flown
from tests.shared_data import ROOT


def fly(config: Path, limit_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flight.cli", "fly", str(config)],
        capture_output=True,
        text=True,
        timeout=limit_s,
        cwd=ROOT,
        check=False,
    )


def test_a_mistyped_configuration_is_named_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    config = tmp_path / "satellite.toml"
    config.write_text('satelite = { name = "a", spacecraft = 1 }\n')
    ended = fly(config)
    assert ended.returncode == 2
    assert "satellite.toml:1" in ended.stderr
    assert "did you mean `satellite`?" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_satellite_without_its_keys_ends_instead_of_restarting_for_ever(tmp_path: Path) -> None:
    flown = Flown(tmp_path, "water")
    try:
        flown.process.terminate()
        flown.process.wait(30)
        (tmp_path / "keys" / "satellite.key").unlink()
        ended = fly(tmp_path / "satellite.toml")
    finally:
        flown.stop()
    assert ended.returncode == 2
    assert "satellite.key" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_what_dies_is_started_again_and_a_stopped_satellite_leaves_no_process(tmp_path: Path) -> None:
    flown = Flown(tmp_path, "water")
    names = ("flight", "camera", "payload", "journal", "files")
    try:
        flown.run_until(lambda: flown.telemetry > 0, 60)
        first = {name: flown.pid(name) for name in names}
        assert all(first.values()) and len(set(first.values())) == 5
        for name in ("camera", "payload"):
            assert flown.kill(name)
        flown.run_until(lambda: all(flown.pid(name) not in (None, first[name]) for name in ("camera", "payload")), 30)
        assert flown.pid("flight") == first["flight"], "the flight process is not restarted for another's death"
        heard = flown.telemetry
        flown.run_until(lambda: flown.telemetry > heard, 30)
        last = {name: flown.pid(name) for name in names}
    finally:
        began_s = time.monotonic()
        flown.stop()
    assert time.monotonic() - began_s < 20
    assert flown.process.returncode == 0
    for name, pid in last.items():
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
            raise AssertionError(f"{name} still lives")
    log = [json.loads(line) for line in (tmp_path / "satellite.log").read_text().splitlines() if line.startswith("{")]
    ended = [(record["process"], record["status"]) for record in log if record.get("event") == "ended"]
    assert sorted(ended) == [("camera", -signal.SIGKILL), ("payload", -signal.SIGKILL)]


@pytest.mark.slow
def test_a_killed_supervisor_takes_its_processes_with_it(tmp_path: Path) -> None:
    flown = Flown(tmp_path, "water")
    try:
        flown.run_until(lambda: flown.telemetry > 0, 60)
        pids = [flown.pid(name) for name in ("flight", "camera", "payload", "journal", "files")]
        flown.process.kill()
        flown.process.wait()
        deadline_s = time.monotonic() + 30
        while time.monotonic() < deadline_s and any(pid and Path(f"/proc/{pid}").exists() for pid in pids):
            time.sleep(0.1)
        assert not [pid for pid in pids if pid and Path(f"/proc/{pid}").exists()]
    finally:
        flown.stop()


@pytest.mark.parametrize(
    ("keys", "forbidden"), [("keys", ()), ("run/files/keys", ("keys",)), (".", None), ("run", None)]
)
def test_a_root_of_files_among_keys_is_not_used_and_keys_beneath_it_are_forbidden(
    tmp_path: Path, keys: str, forbidden: tuple[str, ...] | None
) -> None:
    devices = {name: {"driver": "none"} for name in ("sensor", "radio", "navigation", "power", "platform")}
    table = {"satellite": {"name": "a", "spacecraft": 1}, "devices": devices, "keys_dir": keys}
    said: list[object] = []
    supervisor = Supervisor(
        msgspec.convert(table, SatelliteConfig),
        tmp_path / "satellite.toml",
        RunPaths(tmp_path / "run"),
        SimulatedClock(),
        lambda record: said.append(record["event"]),
    )
    assert supervisor._may_keep_files() is (forbidden is not None)
    assert supervisor._forbidden_files == (forbidden or ())
    assert said == ([] if forbidden is not None else ["no_files"])

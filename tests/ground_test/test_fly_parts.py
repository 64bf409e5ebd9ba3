"""The parts of the demonstration: its mission file, its folder, its processes, its report."""

from __future__ import annotations

import io
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from flight.config import load_config
from flight.product.key_files import read_trusted_keys
from ground_test.cli import main
from ground_test.fly.errors import MissionMissing, OutputBusy, OutputRefused, ProcessFailed
from ground_test.fly.mission import BUILT_IN, load_mission
from ground_test.fly.processes import Processes
from ground_test.fly.progress import Progress
from ground_test.fly.report import OrderResult, missing, row, table
from ground_test.fly.timeline import Timeline
from ground_test.fly.workspace import MARK, make_keys, open_workspace, write_configs
from ground_test.gateway.config import load_gateway_config
from hal.toml_records import ConfigError

NEVER_ENDS = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


@pytest.fixture
def mission():
    return load_mission(BUILT_IN)


def test_the_mission_on_board_is_the_one_described(mission):
    assert [order.name for order in mission.orders] == ["salt-lake", "bahamas", "itaipu"]
    assert mission.start_s == 1_790_879_400 - 330


def test_a_mission_that_is_not_there_is_named(tmp_path, capsys):
    with pytest.raises(MissionMissing):
        load_mission(tmp_path)
    assert main(["fly", "--mission", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "mission.toml" in capsys.readouterr().err


def test_a_typing_error_in_the_mission_names_file_line_and_the_nearest_word(tmp_path):
    text = (BUILT_IN / "mission.toml").read_text().replace("priority = 3", "priorty = 3")
    (tmp_path / "mission.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"mission.toml:\d+.*priorty(.|\n)*did you mean `priority`"):
        load_mission(tmp_path)


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(OutputRefused), open_workspace(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_next_flight_replaces_the_last_one_and_nothing_else(tmp_path):
    with open_workspace(tmp_path / "out"):
        (tmp_path / "out" / "products").mkdir()
        (tmp_path / "out" / "products" / "old.png").write_text("x")
        (tmp_path / "out" / "notes.txt").write_text("mine")
    with open_workspace(tmp_path / "out") as workspace:
        assert sorted(path.name for path in workspace.root.iterdir()) == [MARK, "gateway", "logs", "notes.txt"]


def test_two_flights_do_not_share_a_folder(tmp_path):
    with open_workspace(tmp_path), pytest.raises(OutputBusy), open_workspace(tmp_path):
        pass


def test_the_configurations_made_are_valid_and_their_keys_fit_together(tmp_path, mission):
    with open_workspace(tmp_path / "out") as workspace:
        tenant = make_keys(workspace, mission, os.urandom)
        write_configs(workspace, mission, ["cloud", "water"])
        satellite = load_config(workspace.satellite_config)
        gateway = load_gateway_config(workspace.gateway_config)
        assert satellite.devices.radio.options["peer"] != satellite.devices.radio.options["bind"]
        assert [station.name for station in satellite.station] == [station.name for station in gateway.station]
        assert satellite.link.frame_bytes == gateway.link.frame_bytes
        assert all(Path(scene["path"]).is_absolute() for scene in satellite.devices.sensor.options["scenes"])
        assert read_trusted_keys([workspace.root / "keys" / "satellites"])
        assert tenant.grant.applications == ("cloud", "water")
        secrets = list((workspace.root / "keys").rglob("*.key"))
        assert len(secrets) == 7
        assert all(path.stat().st_mode & 0o077 == 0 for path in secrets)
        assert (workspace.root / "keys" / "satellite" / "DEMONSTRATION").exists()


def test_an_area_lies_inside_the_grant(tmp_path, mission):
    with open_workspace(tmp_path) as workspace:
        tenant = make_keys(workspace, mission, os.urandom)
    assert all(tenant.grant.covers(order.area) for order in mission.orders)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def run_module(folder, name, source):
    (folder / f"{name}.py").write_text(source)
    return name


def test_a_process_that_will_not_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("ground_test.fly.processes.STOP_S", 0.3)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Processes(tmp_path) as processes:
        processes.start("stubborn", run_module(tmp_path, "stubborn", NEVER_ENDS), [])
        (running,) = processes._running
        until = time.monotonic() + 10
        while "up" not in running.log.read_text() and time.monotonic() < until:
            time.sleep(0.02)
    assert running.process.returncode == -signal.SIGKILL
    assert gone(running.process.pid)


def test_processes_are_stopped_when_the_flight_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    name = run_module(tmp_path, "sleeper", "import time; time.sleep(600)")
    with pytest.raises(KeyboardInterrupt), Processes(tmp_path) as processes:
        processes.start("sleeper", name, [])
        pid = processes._running[0].process.pid
        raise KeyboardInterrupt
    assert gone(pid)


def test_a_process_that_ends_is_named_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    name = run_module(tmp_path, "short", "import sys; print('out of film'); sys.exit(3)")
    with Processes(tmp_path) as processes:
        processes.start("camera", name, [])
        processes._running[0].process.wait(10)
        with pytest.raises(ProcessFailed, match=r"camera ended with status 3 \(`out of film`\)"):
            processes.check()


def result(**changes):
    status = {"status_code": "completed", "reason_text": None}
    product = {
        "start_s": 1000.0,
        "lines": 500,
        "lines_lost": 0,
        "line_rate_hz": 50.0,
        "received_s": 1040.0,
        "received_host_s": 13.0,
        "sent_bytes": 1952,
        "tiles": {"total": 4, "screened": 1, "inferred": 3},
        "finding": "water",
        "regions": 2,
        "finding_pixels": 30,
        "answered_pixels": 60,
        "confidence": 0.9,
        "verified": True,
        "files": [
            {"path": f"/x.{kind}", "kind": kind, "bytes": 1}
            for kind in ("product", "geojson", "geotiff", "png", "stac")
        ],
    }
    alert = {"bytes": 48, "received_s": 1020.0, "received_host_s": 11.0}
    values = {
        "name": "lake",
        "application": "water",
        "scene": "lake.tif",
        "raw_bytes": 200_000,
        "order": {"id": "00", "properties": {"status": status, "alert": alert}},
        "products": [product],
        "delivered": True,
        **changes,
    }
    return OrderResult(**values)


@pytest.fixture
def timeline():
    line = Timeline()
    line.changed(1000.0, 9.0, 10.0)
    return line


def test_times_are_counted_from_the_last_line(timeline):
    found = row(result(), timeline)
    assert found["seconds"] == {"mission": {"alert": 10.0, "product": 30.0}, "wall": {"alert": 1.0, "product": 3.0}}
    assert found["bytes"] == {"raw": 200_000, "sent": 2000, "ratio": 100.0}
    assert missing([found]) == []


def test_the_table_has_a_line_for_every_order_also_for_what_never_came(timeline):
    rows = [row(result(), timeline), row(result(name="gone", order=None, products=[], problem="no"), timeline)]
    lines = table(rows).splitlines()
    assert len(lines) == 3
    assert "100:1" in lines[1] and "50 % water" in lines[1] and "10 s (1.0 s wall)" in lines[1]
    assert lines[2].startswith("gone") and "not taken" in lines[2]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"order": None, "products": [], "problem": "the area is too large"}, "not taken: the area is too large"),
        ({"products": []}, "no product on the ground"),
        ({"delivered": False}, "not confirmed the receipt"),
        ({"products": [{**result().products[0], "verified": False}]}, "not verified"),
        ({"products": [{**result().products[0], "files": result().products[0]["files"][:3]}]}, "no png, stac"),
    ],
)
def test_success_is_claimed_for_nothing_less(timeline, changes, problem):
    (said,) = missing([row(result(**changes), timeline)])
    assert problem in said


def test_a_scene_without_findings_needs_no_alert(timeline):
    order = {"id": "00", "properties": {"status": {"status_code": "completed", "reason_text": None}, "alert": None}}
    assert missing([row(result(order=order), timeline)]) == ["lake: no alert was heard"]
    empty = {**result().products[0], "regions": 0}
    assert missing([row(result(order=order, products=[empty]), timeline)]) == []


class Shown:
    """What Progress asks of a flight."""

    contact, speed, elapsed_s = None, 12.0, 3725.0

    def __init__(self, status: str) -> None:
        order = SimpleNamespace(name="lake")
        self.placed = [SimpleNamespace(order=order, status=status, delivered=status == "delivered")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_line_a_change_where_nothing_can_be_redrawn():
    stream = io.StringIO()
    progress = Progress(stream)
    for status in ("received", "received", "completed", "completed", "delivered"):
        progress.show(Shown(status))
    progress.end()
    assert [line.split("| ")[1] for line in stream.getvalue().splitlines()] == [
        "lake received",
        "lake on the ground",
        "lake delivered",
    ]
    assert stream.getvalue().startswith("T+1:02:05  x12")


def test_progress_on_a_terminal_is_one_line_that_fits(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    progress = Progress(stream)
    for status in ("received", "scheduled"):
        progress.show(Shown(status))
    progress.say("gateway gone")
    drawn = stream.getvalue().split("\r\x1b[K")[1:]
    assert len(drawn) == 2 and all(len(text.splitlines()[0]) < 30 for text in drawn)
    assert stream.getvalue().endswith("\ngateway gone\n")
    assert stream.getvalue().count("\n") == 2

"""`swath-ground bench`: every device of a configuration is asked, and one that fails leaves the others their turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ground_test.cli import main
from tests.shared_data import ROOT

SCENE = ROOT / "examples" / "scenes" / "sentinel2_lake_shore_12band.tif"
ORBIT = (
    "{ epoch_s = 1790879400.0, inclination_deg = 44.576, raan_deg = 58.8, mean_anomaly_deg = 111.9, "
    "revolutions_per_day = 14.375 }"
)


def configuration(folder: Path, scene: Path = SCENE) -> Path:
    watchdog = folder / "watchdog"
    watchdog.touch()
    path = folder / "satellite.toml"
    path.write_text(
        f"""
satellite = {{ name = "bench", spacecraft = 7 }}
devices.sensor = {{ driver = "file", options = {{ path = "{scene}", line_rate_hz = 2000.0 }} }}
devices.radio = {{ driver = "udp", options = {{ peer = "127.0.0.1:9" }} }}
devices.navigation = {{ driver = "simulated", options = {ORBIT} }}
devices.power = {{ driver = "simulated" }}
devices.platform = {{ driver = "simulated" }}
devices.watchdog = {{ driver = "file", options = {{ path = "{watchdog}" }} }}
"""
    )
    return path


def test_every_device_is_asked_and_says_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(configuration(tmp_path)), "--json"]) == 0
    devices = {entry["kind"]: entry for entry in json.loads(capsys.readouterr().out)["devices"]}
    assert set(devices) == {"sensor", "radio", "navigation", "power", "platform", "watchdog"}
    assert all(entry["ok"] for entry in devices.values())
    assert "333 columns, 12 bands, int16" in devices["sensor"]["found"]
    assert (tmp_path / "watchdog").read_bytes() == b"\0V", "petted once, then disarmed"


def test_a_device_that_fails_leaves_the_others_their_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(configuration(tmp_path, tmp_path / "absent.tif"))]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert "FAILED" in printed[0] and "absent.tif" in printed[0]
    assert sum(" ok " in line for line in printed) == 5


def test_a_mistyped_configuration_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = configuration(tmp_path)
    path.write_text(path.read_text().replace("spacecraft", "spacecaft"))
    assert main(["bench", str(path)]) == 2
    assert "did you mean `spacecraft`?" in capsys.readouterr().err

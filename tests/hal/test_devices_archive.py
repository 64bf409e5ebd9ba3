"""The archive sensor shows the scene under the satellite, or fails as a capture of the wrong place would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hal.clock import SimulatedClock
from hal.errors import DeviceClosed, DeviceUnavailable
from hal.navigation.orbit import driver as navigation_driver
from hal.navigation.orbit import selftest_options as orbit_options
from hal.options import DriverOptions
from hal.sensor.archive import ArchivedScene, ArchiveSensor, driver, selftest_options
from hal.sensor.scene import SceneUnreadable
from hal.testing import SensorConformance

START_S = 1_790_000_000.0


class TestArchiveSensor(SensorConformance):
    @pytest.fixture(autouse=True)
    def scene(self, tmp_path: Path) -> None:
        self.options = selftest_options(tmp_path)

    def open_sensor(self, clock):
        return driver(self.options, clock)


def scene_file(folder: Path, name: str, value: int, lines: int) -> str:
    path = folder / f"{name}.npz"
    np.savez(path, img=np.full((lines, 4, 3), value, np.uint8), sensor="RGB")
    return str(path)


def archive(folder: Path, clock: SimulatedClock, **options) -> ArchiveSensor:
    """Two scenes: one where the satellite is at START_S, one where it is ten minutes later."""
    navigation = navigation_driver(orbit_options(folder), clock)
    scenes = []
    for name, value, lines, after_s in (("later", 200, 30, 600.0), ("now", 100, 20, 0.0)):
        fix = navigation.at(START_S + after_s)
        path = scene_file(folder, name, value, lines)
        scenes.append({"path": path, "latitude_deg": fix.latitude_deg, "longitude_deg": fix.longitude_deg})
    return driver({"scenes": scenes, "orbit": orbit_options(folder), **options}, clock)


def first_line(sensor: ArchiveSensor, clock: SimulatedClock) -> int:
    form = sensor.format
    buffer = np.zeros((1, form.columns, form.bands), form.dtype)
    sensor.read_into(buffer, clock.host_s())
    return int(buffer[0, 0, 0])


def test_each_capture_shows_the_scene_under_the_satellite_at_its_time(tmp_path: Path) -> None:
    clock = SimulatedClock(START_S)
    sensor = archive(tmp_path, clock)
    sensor.start(START_S)
    assert (sensor.format.lines, first_line(sensor, clock)) == (20, 100)
    sensor.start(START_S + 600.0)  # asked for beforehand: the place at that time counts
    clock.advance(600.0)
    assert (sensor.format.lines, first_line(sensor, clock)) == (30, 200)
    assert sensor.info.path.endswith("later.npz")
    sensor.close()


def test_over_a_place_without_a_scene_the_capture_fails_and_the_last_one_stays(tmp_path: Path) -> None:
    clock = SimulatedClock(START_S)
    sensor = archive(tmp_path, clock, reach_km=100.0)
    sensor.start(START_S)
    with pytest.raises(DeviceUnavailable, match="no scene within 100 km"):
        sensor.start(START_S + 300.0)
    assert first_line(sensor, clock) == 100
    sensor.close()


def test_a_scene_that_went_missing_fails_the_capture_not_the_sensor(tmp_path: Path) -> None:
    clock = SimulatedClock(START_S)
    sensor = archive(tmp_path, clock)
    sensor.start(START_S)
    (tmp_path / "later.npz").unlink()
    with pytest.raises((SceneUnreadable, DeviceUnavailable)):
        sensor.start(START_S + 600.0)
    assert first_line(sensor, clock) == 100
    sensor.close()
    with pytest.raises(DeviceClosed):
        assert sensor.format


@pytest.mark.parametrize(
    ("here", "there", "kilometres"),
    [
        ((0.0, 0.0), (0.0, 180.0), 20_015.0),
        ((90.0, 0.0), (-90.0, 77.0), 20_015.0),
        ((48.8566, 2.3522), (51.5074, -0.1278), 344.0),  # Paris, London
        ((0.0, 179.9), (0.0, -179.9), 22.2),
        ((10.0, 20.0), (10.0, 20.0), 0.0),
    ],
)
def test_distances_are_those_of_the_great_circle(here, there, kilometres: float) -> None:
    assert ArchivedScene(Path(), *here).distance_km(*there) == pytest.approx(kilometres, rel=0.002, abs=0.01)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({}, "scenes"),
        ({"scenes": []}, "scenes"),
        ({"scenes": ["a.tif"]}, "scenes"),
        ({"scenes": [{"path": "a.tif", "latitude_deg": 91, "longitude_deg": 0}]}, "latitude_deg"),
        ({"scenes": [{"path": "a.tif", "latitude_deg": 1}]}, "longitude_deg"),
        ({"scenes": [{"path": "a.tif", "latitude": 1}]}, "latitude"),
        ({"scenes": [{"path": "a.tif", "latitude_deg": 1, "longitude_deg": 1}]}, "epoch_s"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(options, option: str) -> None:
    with pytest.raises(DriverOptions) as refused:
        driver(options, SimulatedClock(START_S))
    assert refused.value.option == option

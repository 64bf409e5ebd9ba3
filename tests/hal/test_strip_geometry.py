"""From a camera file, an orbit and a bus to a strip's geometry; and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hal.clock import SimulatedClock
from hal.navigation.orbit import driver, selftest_options
from hal.platform.protocol import PlatformState
from hal.sensor.camera_file import CameraFile, load_camera
from hal.sensor.line_geometry import LineGeometry
from hal.sensor.strip_geometry import AttitudeUnknown, StripTooLong, strip_geometry
from hal.toml_records import ConfigError
from tests.shared_data import ROOT

START_S = 1_790_000_100.0
EXAMPLE = ROOT / "examples" / "cameras" / "linescan_30m.toml"
CAMERA = load_camera(EXAMPLE)


def told(time_s: float, roll_deg: float = 0.0, sigma_deg: float = 0.01) -> PlatformState:
    return PlatformState(time_s, roll_deg, 0.0, 0.0, sigma_deg, None)


def geometry(attitude: list[PlatformState], **fields: Any) -> LineGeometry:
    navigation = driver({**selftest_options(Path()), "sigma_m": 30.0}, SimulatedClock(START_S))
    wanted = {"start_s": START_S, "line_rate_hz": 230.0, "lines": 4600, **fields}
    return strip_geometry(LineGeometry, CAMERA, at=navigation.at, attitude=attitude, **wanted)


def test_the_example_is_a_camera_of_thirty_metres() -> None:
    place = geometry([told(START_S - 1), told(START_S + 25)])
    one, other = place.ground(100.0, 1000.0), place.ground(100.0, 1001.0)
    assert abs(float(one.lat_deg - other.lat_deg)) * 111e3 + abs(float(one.lon_deg - other.lon_deg)) * 111e3 < 60
    assert 80.0 < float(one.sigma_m) < 160.0  # two hundredths of a degree from 500 km, and 30 m of orbit


def test_a_steady_bus_takes_one_knot_and_a_slewing_one_few() -> None:
    moments = [START_S - 2.0 + 0.1 * number for number in range(240)]
    assert len(geometry([told(time_s) for time_s in moments]).attitude) == 1
    slewing = geometry([told(time_s, 0.3 * number / 240) for number, time_s in enumerate(moments)])
    assert len(slewing.attitude) == 32
    state = driver(selftest_options(Path()), SimulatedClock(START_S)).at(START_S + 2300 / 230.0)
    position, _, _ = slewing.state([2300.5])
    assert position[0] == pytest.approx(state.position_ecef_m, abs=0.01)


def test_the_largest_attitude_sigma_of_the_strip_counts() -> None:
    good = geometry([told(START_S - 1), told(START_S + 25, 1.0)]).sigma.attitude_rad
    assert geometry([told(START_S - 1), told(START_S + 25, 1.0, sigma_deg=0.5)]).sigma.attitude_rad > 5 * good


@pytest.mark.parametrize(
    ("moments", "reason"),
    [
        ((), "before the first or after the last"),
        ((1.0, 30.0), "before the first or after the last"),
        ((-3.0, 12.0), "before the first or after the last"),
        ((-20.0, 25.0), "told nothing for 45.0 s"),
    ],
)
def test_an_attitude_that_was_not_told_is_not_made_up(moments: tuple[float, ...], reason: str) -> None:
    with pytest.raises(AttitudeUnknown, match=reason):
        geometry([told(START_S + moment, moment) for moment in moments])


def test_a_strip_longer_than_its_knots_is_refused() -> None:
    with pytest.raises(StripTooLong) as caught:
        geometry([told(START_S)], lines=460_000)
    assert caught.value.strip_s > caught.value.limit_s > 1800.0


@pytest.mark.parametrize(
    ("written", "instead", "reason"),
    [
        ("columns = 2048", "columns = 0", "columns"),
        ("columns = 2048", "column = 2048", "did you mean `columns`"),
        ("focal_mm = 1000.0", "focal_mm = nan", "expected `float`"),
        ("pixel_pitch_um = 59.4", "pixel_pitch_um = 9e5", "field of view"),
        ("distortion = []", "distortion = [-1e5]", "columns must keep their order"),
        ('columns_run = "left"', 'columns_run = "up"', "columns_run"),
        ('name = "B2"', 'name = "B1"', "named twice"),
        ("sun_irradiance = 1842.0", "", "sun_irradiance of every band"),
        ("gain = 0.775686", "gain = 0.0", "gain"),
    ],
)
def test_a_camera_file_with_a_mistake_is_refused_with_its_reason(
    tmp_path: Path, written: str, instead: str, reason: str
) -> None:
    text = EXAMPLE.read_text()
    assert written in text
    (tmp_path / "camera.toml").write_text(text.replace(written, instead))
    with pytest.raises(ConfigError, match=re.escape(reason)):
        load_camera(tmp_path / "camera.toml")


def test_the_middle_is_where_the_axis_meets_the_line_unless_it_is_said() -> None:
    plain = CameraFile(name="plain", columns=100, focal_mm=100.0, pixel_pitch_um=10.0)
    assert plain.model().principal_column == 50.0

"""Drivers are found by entry point; a broken one is listed with its reason and harms nobody."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from flight.cli import answer, build_parser
from hal.clock import SimulatedClock
from hal.commands import self_test, settings
from hal.errors import DeviceUnavailable, DriverUnknown
from hal.options import DriverOptions
from hal.registry import DriverInfo, drivers, installed, load, open_device
from hal.sensor.replay import ReplaySensor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def vendor() -> Iterator[types.ModuleType]:
    """A vendor's module, as another package would install it."""
    module = types.ModuleType("vendor_camera")
    sys.modules["vendor_camera"] = module
    yield module
    del sys.modules["vendor_camera"]


def source(**values: str):
    def of(kind: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, f"swath.hal.{kind}") for name, value in values.items() if kind == "sensor"]

    return of


def adopt(module: types.ModuleType, function):
    function.__module__ = module.__name__
    module.driver = function
    return source(camera="vendor_camera:driver")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_vendor_module:driver", "ModuleNotFoundError"),
        ("vendor_camera:driver", "AttributeError"),
        ("vendor_camera:__name__", "not a function"),
    ],
)
def test_a_driver_that_does_not_load_is_listed_with_its_reason(vendor, target: str, reason: str) -> None:
    found = drivers(source(camera=target, file="hal.sensor.replay:driver"))
    assert [(info.name, info.available) for info in found] == [("camera", False), ("file", True)]
    assert reason in found[0].reason
    with pytest.raises(DeviceUnavailable, match=reason):
        open_device("sensor", "camera", {}, SimulatedClock(), source(camera=target))


def test_a_module_that_exits_on_import_takes_nothing_down(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "vendor_exits.py").write_text("raise SystemExit('licence expired')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (info,) = drivers(source(camera="vendor_exits:driver"))
    assert info == DriverInfo("sensor", "camera", False, "SystemExit: licence expired")


def test_a_driver_says_why_it_cannot_work_here(vendor) -> None:
    vendor.unavailable = lambda: "no /dev/video0"
    (info,) = drivers(adopt(vendor, lambda options, clock: None))
    assert (info.available, info.reason) == (False, "no /dev/video0")


def test_a_driver_that_raises_anything_is_a_device_that_is_unavailable(vendor) -> None:
    def breaks(options, clock):
        raise ZeroDivisionError("gain")

    with pytest.raises(DeviceUnavailable, match="ZeroDivisionError: gain"):
        open_device("sensor", "camera", {}, SimulatedClock(), adopt(vendor, breaks))


@pytest.mark.parametrize(("kind", "name"), [("sensor", "camra"), ("toaster", "file")])
def test_an_unknown_driver_or_kind_is_refused(kind: str, name: str) -> None:
    with pytest.raises(DriverUnknown) as caught:
        load(kind, name, source(camera="a:b"))
    assert caught.value.exit_status == 2 and name in str(caught.value)


def test_a_driver_opens_by_name_with_its_options(tmp_path: Path) -> None:
    scene = ROOT / "examples" / "scenes" / "landsat8_itaipu_bgr_uint16.tif"
    entries = source(file="hal.sensor.replay:driver")
    sensor = open_device("sensor", "file", {"path": str(scene)}, SimulatedClock(), entries)
    assert isinstance(sensor, ReplaySensor)
    sensor.close()
    with pytest.raises(DriverOptions, match="did you mean `path`"):
        open_device("sensor", "file", {"pah": str(scene)}, SimulatedClock(), entries)


def test_the_drivers_that_come_with_swath_are_found_once_it_is_installed() -> None:
    found = {(kind, entry.name) for kind in ("sensor", "radio", "isl") for entry in installed(kind)}
    if not found:
        pytest.skip("swath is not installed in this environment")
    assert {("sensor", "file"), ("radio", "udp"), ("isl", "udp")} <= found


def test_the_self_test_asks_every_driver_and_one_failure_stops_none(vendor, tmp_path: Path) -> None:
    def breaks(options, clock):
        raise ZeroDivisionError("gain")

    adopt(vendor, breaks)
    entries = source(
        broken="vendor_camera:driver", file="hal.sensor.replay:driver", gone="no_such_vendor_module:driver"
    )
    clock = SimulatedClock(1_790_000_000.0)
    assert [(o.name, o.ok) for o in self_test(clock, {}, entries)] == [
        ("broken", False),
        ("file", True),
        ("gone", None),
    ]


def test_a_device_that_is_not_there_fails_the_self_test_only_where_it_was_asked_for(vendor) -> None:
    def absent(options, clock):
        raise DeviceUnavailable("/dev/video0", "No such file or directory")

    entries = adopt(vendor, absent)
    assert [o.ok for o in self_test(SimulatedClock(), {}, entries)] == [None]
    assert [o.ok for o in self_test(SimulatedClock(), {("sensor", "camera"): {}}, entries)] == [False]


def test_the_self_test_takes_options_and_reports_a_wrong_one_as_failed() -> None:
    entries = source(file="hal.sensor.replay:driver")
    given = settings(["sensor.file.path=absent.tif", "sensor.file.line_rate_hz=100", "sensor.file.sensor=true"])
    assert given == {("sensor", "file"): {"path": "absent.tif", "line_rate_hz": 100, "sensor": True}}
    (outcome,) = self_test(SimulatedClock(), given, entries)
    assert outcome.ok is False and "sensor" in outcome.found


@pytest.mark.parametrize("text", ["sensor.file.path", "file.path=x", "=", "a..b=1"])
def test_a_setting_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(DriverOptions, match=r"KIND\.DRIVER\.OPTION"):
        settings([text])


def test_hal_list_prints_the_agreed_fields(capsys) -> None:
    parser = build_parser("swath", ("hal.commands",), "")
    assert answer(parser, ["hal", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["drivers"]
    assert all(set(row) == {"kind", "name", "available", "reason"} for row in rows)


def test_hal_selftest_answers_as_one_object(capsys) -> None:
    parser = build_parser("swath", ("hal.commands",), "")
    assert answer(parser, ["hal", "selftest", "--set", "oops", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "driver_options"

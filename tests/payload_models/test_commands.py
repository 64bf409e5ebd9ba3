"""`swath models ...` as a person or a script meets it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from bindings.errors import SwathError
from hal.command_line import CommandResult
from hal.toml_records import ConfigError
from payload_models.commands import register
from payload_models.errors import ApplicationUnknown, CaseInvalid, FrameIncomplete, GraphRefused, HashMismatch
from payload_models.loader import load_application
from payload_models.measuring import measure
from payload_models.runtime.commissioning import Commissioned, read_record
from payload_models.runtime.errors import BenchDied, ProviderMissing, RuntimeUnusable
from payload_models.runtime.opening import open_session
from payload_models.runtime.policy import DEFAULT_POLICY
from payload_models.scoring import Confusion, score
from tests.payload_models.folders import copy_of, edit, exchange_graph
from tests.shared_data import SHARED_DATA, needs_shared_data


def models(*arguments: str) -> CommandResult:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    parsed = parser.parse_args(["models", *arguments])
    result: CommandResult = parsed.run(parsed)
    json.dumps(result.data)
    return result


def test_list_names_every_application_with_bands_and_parameters() -> None:
    result = models("list", "--json")
    by_name = {entry["name"]: entry for entry in result.data["applications"]}
    assert {"water", "cloud"} <= set(by_name)
    assert by_name["water"]["variants"][1]["bands"] == ["green", "nir"]
    assert by_name["water"]["parameters"]["threshold"][0] == 0.3
    assert "water" in result.text


def test_check_says_yes_with_exit_0_for_a_whole_application() -> None:
    result = models("check", "water", "--json")
    assert (result.status, result.data["ok"]) == (0, True)
    assert len(result.data["graphs"]) == 5
    assert all(case["differing"] == 0 for case in result.data["golden"])


def test_check_says_no_with_exit_1_when_a_golden_case_differs(tmp_path: Path) -> None:
    folder = copy_of("water", tmp_path)
    golden = folder / "golden"
    (golden / "ponds_expect.npz").write_bytes((golden / "shore_expect.npz").read_bytes())
    result = models("check", str(folder), "--json")
    assert (result.status, result.data["ok"]) == (1, False)
    assert "FAILED" in result.text


def broken_hash(folder: Path) -> None:
    (folder / "nir.onnx").write_bytes(b"other")


def broken_graph(folder: Path) -> None:
    exchange_graph(folder, "nir.onnx", b"not a graph")


def broken_manifest(folder: Path) -> None:
    edit(folder, "threshold = 0.5", "treshold = 0.5")


def gone(folder: Path) -> None:
    (folder / "manifest.toml").unlink()


@pytest.mark.parametrize(
    ("damage", "kind", "status"),
    [
        (broken_hash, HashMismatch, 1),
        (broken_graph, GraphRefused, 1),
        (broken_manifest, ConfigError, 2),
        (gone, ApplicationUnknown, 2),
    ],
)
def test_check_of_a_damaged_application_says_what_is_wrong(
    tmp_path: Path, damage: Any, kind: type[SwathError], status: int
) -> None:
    folder = copy_of("water", tmp_path)
    damage(folder)
    with pytest.raises(kind) as caught:
        models("check", str(folder))
    assert caught.value.exit_status == status
    assert len(str(caught.value).splitlines()) <= 3


def test_bench_gives_median_spread_and_memory_for_every_graph() -> None:
    result = models("bench", "cloud", "--runs", "2", "--json")
    assert [entry["precision"] for entry in result.data["variants"]] == ["float", "u8", "s8"]
    for entry in result.data["variants"]:
        assert 0 < entry["fastest_ms"] <= entry["p10_ms"] <= entry["median_ms"] <= entry["p90_ms"]
        assert entry["peak_rss_mb"] > 10 and entry["added_rss_mb"] >= 0 and entry["load_ms"] > 0
        assert (entry["providers"], entry["fits"], entry["utilisation"]) == (("CPUExecutionProvider",), None, None)
    assert result.data["variants"][0]["over_float"] == 1
    (choice,) = result.data["choice"]
    assert choice["precision"] in ("float", "u8", "s8") and choice["precision"] not in choice["refused"]
    assert result.data["policy"]["providers"] == ("cpu",) and result.data["commissioned"] is None


def test_bench_tells_whether_the_board_keeps_up_with_a_sensor(tmp_path: Path) -> None:
    (tmp_path / "inference.toml").write_text('target = "pi"\n')
    frame = ("--frame", "512", "--inference", str(tmp_path / "inference.toml"), "--runs", "1", "--json")
    for line_rate, fits in (("0.01", True), ("900000", False)):
        result = models("bench", "cloud", "--lines-per-second", line_rate, *frame)
        assert {entry["fits"] for entry in result.data["variants"]} == {fits}
        assert ("FALLS BEHIND" in result.text) is not fits
        assert result.data["policy"]["target"] == "pi"


def test_a_frame_needs_both_its_numbers() -> None:
    with pytest.raises(FrameIncomplete) as refused:
        models("bench", "cloud", "--frame", "512")
    assert refused.value.exit_status == 2


def test_bench_with_a_provider_that_is_not_here_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "inference.toml").write_text('providers = ["acl", "cpu"]\n')
    with pytest.raises(ProviderMissing) as missing:
        models("bench", "cloud", "--inference", str(tmp_path / "inference.toml"))
    assert (missing.value.provider, missing.value.exit_status) == ("acl", 2)


def test_bench_refuses_a_graph_that_needs_more_memory_than_the_policy_allows(tmp_path: Path) -> None:
    (tmp_path / "inference.toml").write_text("memory_mb = 16\n")
    with pytest.raises(GraphRefused) as refused:
        models("bench", "cloud", "--inference", str(tmp_path / "inference.toml"))
    assert refused.value.reason == "peak_memory"


def test_bench_commissions_what_a_run_then_opens(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(range(32)))
    (tmp_path / "key").chmod(0o600)
    arguments = ("--runs", "1", "--commission", str(tmp_path / "made"), "--key", str(tmp_path / "key"), "--json")
    result = models("bench", "cloud", *arguments)
    made = result.data["commissioned"]
    assert made["sealed"] == "hmac-sha256" and Path(made["record"]).is_file()
    assert made["variants"][0]["prepared"] == ["cpu"] and made["variants"][0]["load_prepared_ms"] > 0
    record = read_record(tmp_path / "made", "cloud", bytes(range(32)))
    assert record is not None and record.variants[0].precision == result.data["choice"][0]["precision"]
    cloud = load_application("cloud", check_graphs=False)
    opened = open_session(cloud, 0, DEFAULT_POLICY, Commissioned(tmp_path / "made", (record,)))
    assert (opened.optimised, opened.fallbacks, opened.form.precision) == (True, (), record.variants[0].precision)


def test_a_measuring_process_that_dies_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text("import os\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(BenchDied, match="SIGABRT"):
        measure(load_application("water", check_graphs=False), 0, DEFAULT_POLICY, runs=1)
    with pytest.raises(RuntimeUnusable, match="SIGABRT"):
        models("bench", "water")


def case(folder: Path, truth: np.ndarray, text: str = "") -> Path:
    """A scene of 300 x 40 pixels, water on the left half, with a truth."""
    folder.mkdir(parents=True)
    img = np.zeros((40, 300, 2), np.uint16)
    img[:, :150] = (800, 200)
    img[:, 150:] = (800, 3000)
    np.savez(folder / "scene.npz", img=img)
    (folder / "scene.toml").write_text(
        'sensor = "generic"\nbands = ["green", "nir"]\nradiometry = "toa"\nscale = 1e-4\n'
    )
    tifffile.imwrite(folder / "truth.tif", truth)
    (folder / "case.toml").write_text(f'scene = "scene.npz"\ntruth = "truth.tif"\nmetric = "iou"\n{text}')
    return folder


def left(cols: int) -> np.ndarray:
    truth = np.zeros((40, 300), np.uint8)
    truth[:, :cols] = 1
    return truth


def test_score_counts_every_pixel_against_the_truth(tmp_path: Path) -> None:
    case(tmp_path / "right", left(150))
    case(tmp_path / "wrong", left(100))
    result = models("score", "water", str(tmp_path), "--json")
    right, wrong = result.data["cases"]
    assert (right["case"], right["iou"], right["accuracy"]) == ("right", 1.0, 1.0)
    assert wrong["value"] == wrong["iou"] == pytest.approx(100 / 150)
    assert (wrong["hits"], wrong["false_alarms"], wrong["misses"]) == (4000, 2000, 0)
    assert wrong["hits"] + wrong["false_alarms"] + wrong["misses"] + wrong["correct_rejections"] == 12_000
    assert wrong["calibrated"] is True


def test_other_truth_numbers_can_mean_water_and_some_nothing(tmp_path: Path) -> None:
    truth = left(150) * np.uint8(7)
    truth[:, 290:] = 9
    case(tmp_path / "a", truth, "positive = [7]\nignore = [9]\n")
    found = score(load_application("water", check_graphs=False), tmp_path / "a", parameters={})[0]
    assert found.confusion == Confusion(6000, 0, 0, 40 * 140)


@pytest.mark.parametrize(
    ("truth", "text", "kind"),
    [
        (np.zeros((10, 10), np.uint8), "", CaseInvalid),
        (np.zeros((40, 300), np.float32), "", CaseInvalid),
        (left(150), 'trut = "x"\n', ConfigError),
        (left(150), "positive = []\n", ConfigError),
    ],
)
def test_a_case_that_does_not_fit_is_refused(
    tmp_path: Path, truth: np.ndarray, text: str, kind: type[Exception]
) -> None:
    case(tmp_path / "a", truth, text)
    with pytest.raises(kind):
        models("score", "water", str(tmp_path))


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaseInvalid):
        models("score", "water", str(tmp_path))


def test_measures_without_pixels_are_not_numbers() -> None:
    assert np.isnan(Confusion(0, 0, 0, 10).measures["iou"])
    assert Confusion(0, 0, 0, 10).measures["accuracy"] == 1.0


@needs_shared_data
def test_score_reads_the_published_masks(tmp_path: Path) -> None:
    """The Sentinel-2 chip of ukis-csmask: the card's numbers for the graph with three bands."""
    with np.load(SHARED_DATA / "cloud_ukis" / "sentinel2_l1c_6b_mask5.npz") as chip:
        np.savez(tmp_path / "scene.npz", img=chip["img"])
        np.savez(tmp_path / "truth.npz", msk=np.ascontiguousarray(chip["msk"]))
    (tmp_path / "scene.toml").write_text(
        'sensor = "S2"\nbands = ["B02", "B03", "B04", "B08", "B11", "B12"]\nradiometry = "toa"\n'
    )
    (tmp_path / "case.toml").write_text(
        'scene = "scene.npz"\ntruth = "truth.npz"\ntruth_array = "msk"\nmetric = "iou"\n'
    )
    found = score(load_application("water", check_graphs=False), tmp_path, parameters={})[0]
    assert found.value == pytest.approx(0.36, abs=0.01)
    assert found.confusion.measures["precision"] == pytest.approx(0.66, abs=0.01)

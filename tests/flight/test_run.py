"""`swath run` on scenes of every form: the fields it promises, and an answer equal to the graph on the whole scene."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.warp

import flight.pipeline.inference
from flight.product.commands import read_product
from payload_models.loader import load_application
from tests.flight.run_cases import NO_ANSWER, PLACES, Case, path_of, swath, water_map
from tests.shared_data import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

LZW, DEFLATE = (("compress", "lzw"),), (("compress", "deflate"),)
TILED = (("tiled", True), ("blockxsize", 64), ("blockysize", 32))
PLANAR = (("interleave", "band"),)
COMPRESSED = (("compressed", True),)


def predictor(number: int) -> tuple[tuple[str, Any], ...]:
    return (("predictor", number),)


CASES = [
    # every number of bands
    Case("one_band", bands=1, dtype="uint8", naming="tags", epsg=4326),
    Case("two_bands", bands=2, dtype="uint16", options=DEFLATE, naming="sidecar"),
    Case("three_bands", bands=3, dtype="int16", options=LZW + predictor(2), naming="tags", epsg=3857),
    Case("four_bands", bands=4, dtype="float32", options=DEFLATE + predictor(3), naming="sensor", epsg=32733),
    Case("five_bands", bands=5, form="npz", naming="in_file", options=COMPRESSED),
    Case("six_bands", bands=6, dtype="uint8", options=LZW, naming="sensor", epsg=28355),
    Case("seven_bands", bands=7, dtype="uint16", form="npz", naming="sidecar", epsg=None),
    Case("eight_bands", bands=8, dtype="int16", options=PLANAR + DEFLATE, naming="descriptions", epsg=None),
    Case("nine_bands_S2_L1C", rows=280, columns=90, bands=9, options=TILED + LZW, naming="hint"),
    Case("ten_bands", bands=10, dtype="float32", form="npz", naming="in_file", epsg=4326),
    Case("eleven_bands", bands=11, dtype="int16", form="npz", naming="sidecar", options=COMPRESSED, epsg=3857),
    Case("twelve_bands", bands=12, dtype="uint16", options=DEFLATE + predictor(2) + TILED, naming="sensor"),
    Case("thirteen_bands", bands=13, dtype="uint16", naming="sensor", epsg=32733),
    # shapes about the tile of 256
    Case("one_pixel", rows=1, columns=1, wedge=False),
    Case("one_high", rows=1, columns=700, bands=2, dtype="int16"),
    Case("one_wide", rows=700, columns=1, bands=3, dtype="uint8", form="npz", naming="in_file"),
    Case("smaller_than_a_tile", rows=37, columns=91, dtype="float32", options=LZW + predictor(3)),
    Case("tile_minus_one", rows=255, columns=255, dtype="uint8", options=DEFLATE + predictor(2)),
    Case("a_tile", rows=256, columns=256, dtype="int16", form="npz", naming="in_file"),
    Case("tile_plus_one", rows=257, columns=257, dtype="float32", form="npz", naming="in_file", options=COMPRESSED),
    Case("tall", rows=1030, columns=40, bands=4, options=TILED),
    Case("wide", rows=40, columns=1030, bands=4, epsg=28355),
]
NAMES = [case.name for case in CASES]
BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(scope="module", autouse=True)
def _graphs_are_checked_once() -> Any:
    """The graph guard's child process costs more than a small scene; test_graph_guard.py is about it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(flight.pipeline.inference, "load_application", cache(load_application))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Case name -> (report, folder), each scene run once for all tests."""

    @cache
    def run(name: str) -> tuple[dict[str, Any], Path]:
        folder = tmp_path_factory.mktemp(name)
        case = BY_NAME[name]
        status, report = swath(
            "run", case.write(folder), "--app", "water", "--out", "out", *case.arguments(), folder=folder
        )
        assert status == 0, report
        return report, folder

    return run


def expected_map(case: Case, threshold: float = 0.5) -> np.ndarray:
    commons = tuple({"B03": "green", "B08": "nir", "B11": "swir16"}.get(name, "") for name in case.names)
    return water_map(case.pixels(), commons, case.scale, 0.0, case.nodata, threshold)


@pytest.mark.parametrize("name", NAMES)
def test_the_report_has_the_fields_of_the_contract(ran: Any, name: str) -> None:
    report, folder = ran(name)
    case = BY_NAME[name]
    assert report["scene"] == {
        "width": case.columns, "height": case.rows, "bands": case.bands, "dtype": case.dtype, "sensor": "S2",
    }  # fmt: skip
    tiles = report["tiles"]
    assert tiles["total"] == -(-case.rows // 256) * -(-case.columns // 256) == tiles["screened"] + tiles["inferred"]
    assert all(isinstance(tiles[key], int) for key in ("total", "screened", "inferred"))
    seconds = report["seconds"]
    assert isinstance(seconds["total"], float) and isinstance(seconds["inference"], float)
    assert 0 < seconds["inference"] < seconds["total"]
    size = np.dtype(case.dtype).itemsize
    assert report["bytes"]["raw"] == case.rows * case.columns * case.bands * size
    assert isinstance(report["peak_rss_mb"], float) and 10 < report["peak_rss_mb"] < 4096
    kinds = [item["kind"] for item in report["products"]]
    located = case.epsg is not None
    assert sorted(kinds) == sorted(["product", "geotiff", "png"] + (["geojson"] if located else []))
    for item in report["products"]:
        path = Path(item["path"])
        assert path.is_absolute() and path.parent == folder.resolve() / "out"
        assert path.stat().st_size == item["bytes"]
    assert report["bytes"]["products"] == path_of(report, "product").stat().st_size  # sealed containers only
    assert any("no place" in note for note in report["notes"]) is not located


@pytest.mark.parametrize("name", NAMES)
def test_the_class_map_is_that_of_the_graph_on_the_whole_scene(ran: Any, name: str) -> None:
    report, _ = ran(name)
    case = BY_NAME[name]
    product = read_product(path_of(report, "product"))
    expected = expected_map(case)
    differing = int(np.count_nonzero(product.mask() != expected))
    assert differing == 0, f"{differing} of {expected.size} pixels differ"
    assert product.no_answer == np.count_nonzero(expected == NO_ANSWER)
    assert report["counts"] == {
        "other": np.count_nonzero(expected == 0), "water": np.count_nonzero(expected == 1),
        "no_answer": np.count_nonzero(expected == NO_ANSWER),
    }  # fmt: skip
    if expected.size > 1000:
        assert 0.02 < np.mean(expected == 1) < 0.98, "a map of one class proves nothing"
        assert (case.nodata is None and case.dtype != "float32") or product.no_answer > 0


@pytest.mark.parametrize("name", NAMES)
def test_rasterio_reads_the_exported_geotiff_with_its_place(ran: Any, name: str) -> None:
    report, _ = ran(name)
    case = BY_NAME[name]
    with rasterio.open(path_of(report, "geotiff")) as opened:
        np.testing.assert_array_equal(opened.read(1), expected_map(case))
        assert opened.nodata == NO_ANSWER
        if case.epsg is None:
            assert opened.crs is None
        else:
            assert opened.crs.to_epsg() == case.epsg
            assert tuple(opened.transform)[:6] == pytest.approx(tuple(PLACES[case.epsg])[:6], abs=1e-9)
    with rasterio.open(path_of(report, "png")) as opened:
        np.testing.assert_array_equal(opened.read(1), expected_map(case))


@pytest.mark.parametrize("name", [case.name for case in CASES if case.epsg is not None])
def test_the_polygons_rasterised_by_gdal_are_the_mask(ran: Any, name: str) -> None:
    report, _ = ran(name)
    case = BY_NAME[name]
    expected = expected_map(case) == 1
    collection = json.loads(path_of(report, "geojson").read_text())
    if not expected.any():
        assert collection["features"] == []
        return
    assert case.epsg is not None
    assert agreement(collection, expected, case.epsg, PLACES[case.epsg]) >= 0.98


def agreement(collection: dict[str, Any], expected: np.ndarray, epsg: int, transform: Any) -> float:
    """Intersection over union of the collection, rasterised by GDAL, and a mask."""
    shapes = [
        rasterio.warp.transform_geom("EPSG:4326", f"EPSG:{epsg}", feature["geometry"])
        for feature in collection["features"]
    ]
    drawn = rasterio.features.rasterize(shapes, out_shape=expected.shape, transform=transform, dtype="uint8") == 1
    return float(np.count_nonzero(drawn & expected) / np.count_nonzero(drawn | expected))


@pytest.mark.parametrize("name", ["five_bands", "four_bands", "twelve_bands"])
def test_a_second_run_gives_the_same_body(ran: Any, name: str) -> None:
    report, folder = ran(name)
    case = BY_NAME[name]
    first = read_product(path_of(report, "product"))
    scene = next(path for path in folder.iterdir() if path.stem == name and path.suffix != ".toml")
    status, again = swath("run", scene, "--app", "water", "--out", "again", *case.arguments(), folder=folder)
    assert status == 0
    second = read_product(path_of(again, "product"))
    assert first.body_sha256 == second.body_sha256
    assert first.strips == second.strips


def test_the_seal_is_of_the_development_key(ran: Any) -> None:
    report, folder = ran("four_bands")
    from flight.agent.keys import read_signing_key
    from flight.product.container import open_container

    key = read_signing_key(folder / ".swath" / "keys" / "development.key")
    product = open_container(path_of(report, "product").read_bytes(), key.verifier)
    assert product.verified and product.sealed_by == key.key_id


def test_a_parameter_changes_the_answer_as_the_graph_says(tmp_path: Path) -> None:
    case = Case("threshold", bands=3, wedge=False)
    scene = case.write(tmp_path)
    status, report = swath(
        "run", scene, "--app", "water", "--out", "out", "--param", "threshold=0.4", *case.arguments(), folder=tmp_path
    )
    assert status == 0
    product = read_product(path_of(report, "product"))
    assert product.header.parameters == (("threshold", 0.4),)
    np.testing.assert_array_equal(product.mask(), expected_map(case, 0.4))
    assert np.count_nonzero(expected_map(case, 0.4) != expected_map(case, 0.5)) > 0


def test_the_command_itself_prints_one_object_and_logs_nothing_on_stdout(tmp_path: Path) -> None:
    case = BY_NAME["smaller_than_a_tile"]
    scene = case.write(tmp_path)
    command = [sys.executable, "-m", "flight.cli", "run", str(scene), "--app", "water", "--out", "out", "--json"]
    done = subprocess.run(
        [*command, *case.arguments()], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == ""
    report = json.loads(done.stdout)
    np.testing.assert_array_equal(read_product(path_of(report, "product")).mask(), expected_map(case))


def test_without_json_a_person_reads_shares_sizes_and_paths(tmp_path: Path, capsys: Any) -> None:
    from flight.cli import main
    from tests.flight.run_cases import working_in

    scene = BY_NAME["smaller_than_a_tile"].write(tmp_path)
    with working_in(tmp_path):
        assert main(["run", str(scene), "--app", "water", "--out", "out", "--sensor", "S2"]) == 0
    text = capsys.readouterr().out
    assert "91 x 37 x 4 float32 (S2) -> water:" in text
    assert str((tmp_path / "out" / "smaller_than_a_tile-water.swp").resolve()) in text

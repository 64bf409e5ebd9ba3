"""The demonstration flown whole, and what it left on the ground checked with programs that nobody here wrote."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pystac
import pytest
import rasterio
import rasterio.features
from rasterio.warp import transform_geom

from tests.shared_data import ROOT

SCENES = ROOT / "examples" / "scenes"
MODELS = ROOT / "payload_models"
LIMIT_S = 270


def swath_ground(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "ground_test.cli", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def processes_about(folder: Path) -> list[str]:
    """Command lines of living processes that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@dataclass(frozen=True)
class Flown:
    out: Path
    status: int
    report: dict
    said: str

    def order(self, name):
        return next(order for order in self.report["orders"] if order["name"] == name)

    def file(self, name, kind):
        return Path(next(file["path"] for file in self.order(name)["files"] if file["kind"] == kind))


@pytest.fixture(scope="module")
def flown(tmp_path_factory):
    out = tmp_path_factory.mktemp("flight") / "fly"
    process = swath_ground("fly", "--out", out, "--json")
    try:
        text, said = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert text, said
    return Flown(out, process.returncode, json.loads(text), said)


NAMES = ("salt-lake", "bahamas", "itaipu")


@pytest.mark.slow
def test_three_orders_are_delivered_verified_and_exported(flown):
    assert (flown.status, flown.report["ok"], flown.report["missing"]) == (0, True, []), flown.said
    assert json.loads((flown.out / "report.json").read_text()) == flown.report
    for name in NAMES:
        order = flown.order(name)
        assert order["verified"] and order["delivered"]
        assert order["lines"]["lost"] == 0
        assert order["tiles"]["total"] == order["tiles"]["screened"] + order["tiles"]["inferred"]
        assert 0 < order["bytes"]["sent"] < order["bytes"]["raw"] / 20
        assert order["seconds"]["mission"]["product"] > 0 < order["seconds"]["wall"]["product"]
        assert all(Path(file["path"]).stat().st_size == file["bytes"] for file in order["files"])
    assert flown.order("salt-lake")["tiles"]["screened"] > 0


@pytest.mark.slow
def test_nothing_runs_on_when_the_flight_has_ended(flown):
    assert processes_about(flown.out) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_polygons_lie_where_the_mask_says(flown, name):
    finding = flown.order(name)["findings"]
    with rasterio.open(flown.file(name, "geotiff")) as raster:
        mask = raster.read(1) == 1
        features = json.loads(flown.file(name, "geojson").read_text())["features"]
        shapes = [transform_geom("EPSG:4326", raster.crs, feature["geometry"]) for feature in features]
        drawn = np.zeros(mask.shape, np.uint8)
        if shapes:
            drawn = rasterio.features.rasterize(shapes, out_shape=raster.shape, transform=raster.transform)
    assert int(mask.sum()) == finding["pixels"]
    either = (mask | (drawn == 1)).sum()
    assert either == 0 or (mask & (drawn == 1)).sum() / either >= 0.98


def scores(model: Path, planes: np.ndarray) -> np.ndarray:
    """The graph on a whole scene at once: planes (bands, rows, columns) float32 -> (rows, columns)."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return session.run(None, {"pixels": planes[None]})[0][0, 0]


def whole_scene(name: str, bands: tuple[int, ...], scale: float, offset: float, high: float) -> np.ndarray:
    with rasterio.open(SCENES / name) as raster:
        numbers = raster.read(bands).astype(np.float32)
    return np.clip(numbers * np.float32(scale) + np.float32(offset), np.float32(0), np.float32(high))


@pytest.mark.slow
def test_the_water_mask_is_the_graph_on_the_whole_scene_to_the_pixel(flown):
    planes = whole_scene("landsat7_great_salt_lake_7band.tif", (2, 4, 5), 1 / 255, 0.0, 2.0)
    direct = scores(MODELS / "water" / "green_nir_swir16.onnx", planes) >= 0.5
    with rasterio.open(flown.file("salt-lake", "geotiff")) as raster:
        mask = raster.read(1)
        area = json.loads((ROOT / "examples/first_flight/areas/great_salt_lake.geojson").read_text())["geometry"]
        inside = rasterio.features.rasterize([area], out_shape=raster.shape, transform=raster.transform) == 1
    answered = mask != 255
    assert int(((mask == 1) != direct)[answered].sum()) == 0
    assert (answered & inside).sum() / (answered | inside).sum() > 0.995


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "scene", "bands", "scale", "offset"),
    [
        ("bahamas", "landsat_bahamas_clouds_rgb.tif", (1, 2, 3), 1 / 255, 0.0),
        ("itaipu", "landsat8_itaipu_bgr_uint16.tif", (3, 2, 1), 2e-5, -0.1),
    ],
)
def test_the_cloud_mask_is_the_graph_on_the_whole_scene_but_for_a_thousandth(flown, name, scene, bands, scale, offset):
    planes = whole_scene(scene, bands, scale, offset, 1.0)
    with rasterio.open(flown.file(name, "geotiff")) as raster:
        mask = raster.read(1)
    with rasterio.open(SCENES / scene) as raster:
        planes[:, (raster.read() == 0).all(0)] = 0.0  # fill has no reflectance
    rows, columns = mask.shape
    wide = [(0, 0), (32, 32 + -rows % 4), (32, 32 + -columns % 4)]
    direct = scores(MODELS / "cloud" / "cloud.onnx", np.pad(planes, wide, mode="reflect"))[32:, 32:]
    direct = direct[:rows, :columns] >= 0.5
    answered = mask != 255
    assert answered.mean() > 0.5
    assert ((mask == 1) != direct)[answered].sum() <= 0.001 * answered.sum()


@pytest.mark.slow
def test_the_catalogue_lists_every_product_and_needs_no_network(flown):
    catalogue = pystac.Catalog.from_file(str(flown.out / "stac" / "catalog.json"))
    items = list(catalogue.get_items(recursive=True))
    assert {item.id for item in items} == {flown.file(name, "product").stem for name in NAMES}
    for item in items:
        assert all(Path(asset.get_absolute_href()).is_file() for asset in item.assets.values())


@pytest.mark.slow
def test_all_that_came_down_is_smaller_than_the_pixels_that_stayed(flown):
    """Every frame counts: products, alerts, telemetry, events and the fill between them."""
    raw = sum(flown.order(name)["bytes"]["raw"] for name in NAMES)
    down = flown.report["downlink"]["bytes"]
    assert sum(flown.order(name)["bytes"]["sent"] for name in NAMES) < down < raw / 10


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_flight_that_is_broken_off_leaves_no_process_behind(tmp_path, number):
    out = tmp_path / "fly"
    process = swath_ground("fly", "--out", out, start_new_session=True)
    try:
        until = time.monotonic() + 60
        while not (out / "satellite" / "pids.json").exists() and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1.0)
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert processes_about(out) == []

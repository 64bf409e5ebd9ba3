"""`swath run` on real imagery: the sample scenes, and those beside the checkout where they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from flight.product.commands import read_product
from hal.sensor.scene import open_scene
from tests.flight.run_cases import NO_ANSWER, path_of, swath, water_map
from tests.flight.test_run import agreement
from tests.shared_data import ROOT, SHARED_DATA, needs_shared_data

SAMPLES = ROOT / "examples" / "scenes"
# file, sensor to be given, share of water that a person would expect (from, to)
USEFUL = [
    pytest.param(SAMPLES / "landsat7_great_salt_lake_7band.tif", None, (0.4, 0.6), id="salt_lake"),
    pytest.param(SAMPLES / "landsat5_canberra_lake_nbar_6band.tif", None, (0.02, 0.1), id="canberra"),
    pytest.param(SAMPLES / "sentinel2_lake_shore_12band.tif", None, (0.2, 0.5), id="lake_shore"),
    *(
        pytest.param(SHARED_DATA / path, sensor, share, id=name, marks=needs_shared_data)
        for name, path, sensor, share in (
            ("naip", "naip_5m_rgbn_series/m_4709963_se_14_1_20200831.tif", "NAIP", (0.0, 0.9)),
            ("harbour", "ships_sen2ships/genoa/genoa_2023-07-10_S2L2A.tif", None, (0.4, 0.7)),
            ("flood", "flood_sen1floods11_spain/Spain_7370579_S2Hand.tif", None, (0.1, 0.4)),
            ("lagoon", "coast_aquileia/aquileia_2019-04-16_S2L2A.tif", None, (0.1, 0.4)),
        )
    ),
]
RGB_ONLY = [
    pytest.param(SAMPLES / "landsat_bahamas_clouds_rgb.tif", id="bahamas"),
    pytest.param(SAMPLES / "landsat8_itaipu_bgr_uint16.tif", id="itaipu"),
    pytest.param(
        SHARED_DATA / "landsat8_fullframe_150m" / "LC81070352015122LGN00_B2B3B4.tif",
        id="tokyo",
        marks=needs_shared_data,
    ),
]


@pytest.mark.parametrize(("path", "sensor", "share"), USEFUL)
def test_water_on_a_real_scene_is_the_graph_on_the_whole_scene(
    tmp_path: Path, path: Path, sensor: str | None, share: tuple[float, float]
) -> None:
    given = ["--sensor", sensor] if sensor else []
    status, report = swath("run", path, "--app", "water", "--out", "out", *given, folder=tmp_path)
    assert status == 0, report
    with open_scene(path, sensor=sensor) as scene:
        info = scene.info
    with rasterio.open(path) as peer:
        image = np.moveaxis(peer.read(), 0, 2)
        epsg, transform = peer.crs.to_epsg(), peer.transform
    names = tuple(band.common for band in info.bands)
    expected = water_map(image, names, info.scale[0], info.offset[0], info.nodata)
    found = read_product(path_of(report, "product")).mask()
    assert np.count_nonzero(found != expected) == 0
    low, high = share
    assert low <= np.mean(expected[expected != NO_ANSWER] == 1) <= high
    assert agreement(json.loads(path_of(report, "geojson").read_text()), expected == 1, epsg, transform) >= 0.98


@pytest.mark.parametrize("path", RGB_ONLY)
def test_colour_alone_is_not_enough_for_water_and_it_says_what_would_be(tmp_path: Path, path: Path) -> None:
    status, report = swath("run", path, "--app", "water", "--out", "out", folder=tmp_path)
    assert (status, report["error"]["code"]) == (1, "missing_bands")
    assert "green + nir" in report["error"]["takes"]

"""The sample scenes: what they are said to be, and what an independent reader finds in them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio

from hal.sensor.scene import Radiometry, open_scene

SCENES = Path(__file__).resolve().parents[2] / "examples" / "scenes"
EXPECTED = {
    "landsat7_great_salt_lake_7band": (
        "L7", "blue green red nir swir16 thermal swir22", Radiometry.DN8, 1 / 255, 0.0, None, 4326, 26.08,
    ),
    "landsat_bahamas_clouds_rgb": ("RGB", "red green blue", Radiometry.DN8, 1 / 255, 0.0, 0.0, 32618, 300.04),
    "landsat8_itaipu_bgr_uint16": ("L8", "blue green red", Radiometry.TOA, 2e-5, -0.1, 0.0, 32621, 30.0),
    "sentinel2_lake_shore_12band": (
        "S2", "coastal blue green red rededge1 rededge2 rededge3 nir nir08 nir09 swir16 swir22",
        Radiometry.SURFACE, 1e-4, 0.0, -32768.0, 32637, 30.03,
    ),
    "landsat5_canberra_lake_nbar_6band": (
        "L5", "blue green red nir swir16 swir22", Radiometry.SURFACE, 1e-4, 0.0, -999.0, 28355, 25.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_scene_opens_as_what_it_is(name: str) -> None:
    sensor, commons, radiometry, scale, offset, nodata, epsg, gsd_m = EXPECTED[name]
    with open_scene(SCENES / f"{name}.tif") as scene:
        info = scene.info
    assert (info.sensor, " ".join(band.common for band in info.bands)) == (sensor, commons)
    assert (info.radiometry, info.nodata, info.epsg) == (radiometry, nodata, epsg)
    assert set(info.scale) == {scale} and set(info.offset) == {offset}
    assert info.gsd_m == pytest.approx(gsd_m, abs=0.01)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_scene_has_the_pixels_and_place_that_gdal_reads(name: str) -> None:
    path = SCENES / f"{name}.tif"
    with rasterio.open(path) as peer, open_scene(path) as scene:
        assert scene.info.transform == pytest.approx(tuple(peer.transform)[:6], abs=1e-9)
        assert scene.info.epsg == peer.crs.to_epsg()
        np.testing.assert_array_equal(scene.read_rows(0, scene.info.height), np.moveaxis(peer.read(), 0, 2))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_scene_is_octet_for_octet_the_one_that_its_sources_page_describes(name: str) -> None:
    said = re.search(rf"^\* {name}\.tif ([0-9a-f]{{64}})$", (SCENES / "SOURCES.md").read_text(), re.MULTILINE)
    assert said is not None
    assert hashlib.sha256((SCENES / f"{name}.tif").read_bytes()).hexdigest() == said[1]


def test_every_sample_scene_is_described_and_none_is_missing() -> None:
    assert {path.stem for path in SCENES.glob("*.tif")} == set(EXPECTED)

"""`swath run --app cloud`: tiles with blended overlaps against the network on the whole scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from flight.product.commands import read_product
from hal.sensor.scene import open_scene
from payload_models.loader import applications, load_application
from tests.flight.run_cases import NO_ANSWER, invalid_in, path_of, planes_of, session, swath
from tests.shared_data import ROOT

pytestmark = pytest.mark.skipif("cloud" not in applications(), reason="the cloud application is not installed")

SAMPLES = ROOT / "examples" / "scenes"
ALLOWED = 0.001  # share of the pixels that has an answer


def whole_map(path: Path, sensor: str | None) -> np.ndarray:
    """The class map by one run of the graph over the scene; its sides are filled up to what the graph halves evenly."""
    manifest = load_application("cloud", check_graphs=False).manifest
    with open_scene(path, sensor=sensor) as scene:
        info = scene.info
    with rasterio.open(path) as peer:
        image = np.moveaxis(peer.read(), 0, 2)
    names = [band.common for band in info.bands]
    indices = [names.index(band.name) for band in manifest.variant[0].bands]
    scale, offset = np.array(info.scale)[indices], np.array(info.offset)[indices]
    planes = planes_of(image, indices, scale, offset, manifest.input.low, manifest.input.high)
    invalid = invalid_in(image, indices, info.nodata)
    planes[:, invalid] = 0
    multiple = manifest.input.multiple
    fill = [(0, -side % multiple) for side in image.shape[:2]]
    padded = np.pad(planes, [(0, 0), *fill], mode="reflect")
    scores = session("cloud", 0).run(["scores"], {"pixels": padded[None]})[0][0, 0]
    found = (scores[: image.shape[0], : image.shape[1]] >= np.float32(manifest.output.threshold)).astype(np.uint8)
    found[invalid] = NO_ANSWER
    return found


@pytest.mark.parametrize(
    ("name", "cloudy"),
    [
        ("landsat_bahamas_clouds_rgb", True),
        ("landsat8_itaipu_bgr_uint16", False),
        ("landsat7_great_salt_lake_7band", False),
    ],
)
def test_the_mask_is_that_of_the_network_on_the_whole_scene(tmp_path: Path, name: str, cloudy: bool) -> None:
    path = SAMPLES / f"{name}.tif"
    status, report = swath("run", path, "--app", "cloud", "--out", "out", folder=tmp_path)
    assert status == 0, report
    found = read_product(path_of(report, "product")).mask()
    expected = whole_map(path, None)
    np.testing.assert_array_equal(found == NO_ANSWER, expected == NO_ANSWER)
    answered = int(np.count_nonzero(expected != NO_ANSWER))
    differing = int(np.count_nonzero(found != expected))
    assert differing <= ALLOWED * answered, f"{differing} of {answered} pixels differ"
    if cloudy:
        assert 0.05 < np.count_nonzero(expected == 1) / answered < 0.5


def test_a_second_run_gives_the_same_body(tmp_path: Path) -> None:
    path = SAMPLES / "landsat_bahamas_clouds_rgb.tif"
    bodies = set()
    for out in ("one", "two"):
        status, report = swath("run", path, "--app", "cloud", "--out", out, folder=tmp_path)
        assert status == 0
        bodies.add(read_product(path_of(report, "product")).body_sha256)
    assert len(bodies) == 1

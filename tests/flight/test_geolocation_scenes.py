"""Scenes whose transforms were taken away and a camera in orbit put in their place: answers lie where the scenes lay.

The lines are resampled by an independent library's places; ours come from elements, attitude and camera file alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.features import rasterize
from rasterio.transform import Affine

from flight.agent.keys import SigningKey
from flight.pipeline.geolocate import largest_sigma_m
from flight.pipeline.run import Order, run_scene
from flight.product.export import geojson, geotiff, possible_kinds
from hal.clock import SimulatedClock
from hal.sensor.scene import open_scene
from tests.flight.camera_strips import answered, copied, placed, seen, shift_px
from tests.flight.product.cases import SEAL_KEY

CASES = {
    "landsat8_itaipu_bgr_uint16.tif": "cloud",
    "landsat7_great_salt_lake_7band.tif": "water",
    "landsat_bahamas_clouds_rgb.tif": "cloud",
}


def filled(path: Path, info: Any) -> Any:
    """A GeoJSON file's polygons on the pixels of a scene, by PROJ and GDAL."""
    back = Transformer.from_crs(4326, info.epsg, always_xy=True)
    shapes = []
    for feature in json.loads(path.read_text())["features"]:
        rings = [np.array(ring) for ring in feature["geometry"]["coordinates"]]
        rings = [np.stack(back.transform(ring[:, 0], ring[:, 1]), 1).tolist() for ring in rings]
        shapes.append(({"type": "Polygon", "coordinates": rings}, 1))
    size = (info.height, info.width)
    return (
        rasterize(shapes, out_shape=size, transform=Affine(*info.transform), dtype="uint8")
        if shapes
        else np.zeros(size)
    )


@pytest.mark.parametrize("scene", CASES)
def test_every_camera_pixel_is_the_scenes_pixel_at_its_place(scene: str, tmp_path: Path) -> None:
    path = seen(scene, tmp_path)
    geometry = placed(scene, path).geometry
    assert geometry is not None
    with open_scene(path) as lines, open_scene(copied(scene, tmp_path)) as source:
        info, taken = source.info, lines.read_rows(0, lines.info.height)
        pixels = source.read_rows(0, info.height)
    taken = taken[::4, ::3]
    rows, columns = np.meshgrid(4 * np.arange(taken.shape[0]) + 0.5, 3 * np.arange(taken.shape[1]) + 0.5, indexing="ij")
    lon, lat = geometry.place(rows, columns)
    x, y = Transformer.from_crs(4326, info.epsg, always_xy=True).transform(lon, lat)
    a, _, c, _, e, f = info.transform or (1.0,) * 6
    across, down = np.floor((x - c) / a).astype(int), np.floor((y - f) / e).astype(int)
    inside = (across >= 0) & (across < info.width) & (down >= 0) & (down < info.height)
    equal = (taken[inside] == pixels[down[inside], across[inside]]).all(axis=1).mean()
    print(f"{scene}: {equal:.5f} of {inside.sum()} pixels are the very ones; sigma {largest_sigma_m(geometry):.1f} m")
    assert inside.mean() > 0.7 and equal > 0.99


@pytest.mark.parametrize("scene", ["landsat7_great_salt_lake_7band.tif", "landsat_bahamas_clouds_rgb.tif"])
def test_findings_of_camera_lines_lie_where_those_of_the_placed_scene_lie(scene: str, tmp_path: Path) -> None:
    product = answered(scene, CASES[scene], seen(scene, tmp_path))
    assert product.header.geo.transform is None and product.header.geo.camera is not None
    geojson.export(product, tmp_path / "camera.geojson")
    (tmp_path / "placed").mkdir()
    order = Order(scene=copied(scene, tmp_path / "placed"), application=CASES[scene], out=tmp_path / "out")
    run_scene(order, SigningKey.of(SEAL_KEY), SimulatedClock(1.8e9))
    with open_scene(order.scene) as source:
        info = source.info
    by_camera = filled(tmp_path / "camera.geojson", info)
    by_file = filled(next((tmp_path / "out").glob("*.geojson")), info)
    inner = np.s_[info.height // 5 : -info.height // 5, info.width // 5 : -info.width // 5]
    one, other = by_file[inner], by_camera[inner]
    agreed = float((one == other).mean())
    dx, dy = shift_px(one, other)
    off_m, sigma_m = float(np.hypot(dx, dy)) * (info.gsd_m or 0.0), product.header.geo.sigma_m
    print(f"{scene}: {off_m:.1f} m off ({dx:+.3f}, {dy:+.3f} px), sigma {sigma_m:.1f} m, {agreed:.4f} of pixels equal")
    assert 0.02 < one.mean() < 0.98, "something to compare"
    assert off_m < sigma_m and np.hypot(dx, dy) < 0.2
    assert agreed > 0.95


def test_an_area_is_cut_out_of_camera_lines_and_the_geotiff_has_its_control_points(tmp_path: Path) -> None:
    scene = "landsat7_great_salt_lake_7band.tif"
    path = seen(scene, tmp_path)
    geometry = placed(scene, path).geometry
    assert geometry is not None
    corners = geometry.ground([200.0, 200.0, 700.0, 700.0], [300.0, 800.0, 800.0, 300.0])
    ring = tuple(zip(corners.lon_deg.tolist(), corners.lat_deg.tolist(), strict=True))
    product = answered(scene, "water", path, (ring,))
    mask = product.mask()
    assert (mask[201:699, 301:799] != 255).mean() > 0.99 and (mask[:198] == 255).all() and (mask[:, 803:] == 255).all()
    assert possible_kinds(product) == ("geojson", "geotiff", "png")
    geotiff.export(product, tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as opened:
        points, system = opened.gcps
        assert system.to_epsg() == 4326 and len(points) == 81
        lon, lat = geometry.place([point.row for point in points], [point.col for point in points])
        assert np.abs(lon - [point.x for point in points]).max() < 1e-9
        assert np.abs(lat - [point.y for point in points]).max() < 1e-9
    footprint = np.array(product.header.footprint)
    assert len(footprint) == 32
    after = np.roll(footprint, -1, axis=0)
    assert (footprint[:, 0] * after[:, 1] - after[:, 0] * footprint[:, 1]).sum() > 0, "counter-clockwise"

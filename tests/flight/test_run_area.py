"""`swath run --area`: only what lies inside is looked at, and the rest has no answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.features
import rasterio.warp
from pyproj import Transformer

from flight.product.commands import read_product
from tests.flight.run_cases import NO_ANSWER, PLACES, Case, path_of, swath, water_map

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

CASE = Case("scene", rows=600, columns=700, bands=3, wedge=False)  # 3 x 3 tiles
Rings = Sequence[Sequence[tuple[float, float]]]  # pixels (column, row)


def run_with(tmp_path: Path, rings: Rings, *more: str, case: Case = CASE) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Status, report and the polygon as GeoJSON."""
    assert case.epsg is not None
    to_lonlat = Transformer.from_crs(case.epsg, 4326, always_xy=True)
    coordinates = [
        [list(to_lonlat.transform(*(PLACES[case.epsg] @ point))) for point in (*ring, ring[0])] for ring in rings
    ]
    area = {"type": "Polygon", "coordinates": coordinates}
    (tmp_path / "area.geojson").write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": area}))
    status, report = swath(
        "run", case.write(tmp_path), "--app", "water", "--out", "out", "--sensor", "S2", "--area", "area.geojson",
        *more, folder=tmp_path,
    )  # fmt: skip
    return status, report, area


def inside(area: dict[str, Any], case: Case = CASE) -> np.ndarray:
    """GDAL's opinion."""
    assert case.epsg is not None
    shape = rasterio.warp.transform_geom("EPSG:4326", f"EPSG:{case.epsg}", area)
    drawn = rasterio.features.rasterize([shape], (case.rows, case.columns), transform=PLACES[case.epsg], dtype="uint8")
    return np.asarray(drawn == 1)


def unlimited(case: Case = CASE) -> np.ndarray:
    commons = tuple({"B03": "green", "B08": "nir", "B11": "swir16"}.get(name, "") for name in case.names)
    return water_map(case.pixels(), commons, case.scale, 0.0, case.nodata)


def test_pixels_outside_the_area_and_in_its_hole_have_no_answer(tmp_path: Path) -> None:
    outer = [(40, 30), (300, 60), (280, 420), (60, 380)]
    hole = [(100, 100), (200, 100), (200, 180), (100, 180)]
    status, report, area = run_with(tmp_path, [outer, hole])
    assert status == 0
    expected = np.where(inside(area), unlimited(), NO_ANSWER)
    found = read_product(path_of(report, "product")).mask()
    assert np.count_nonzero(found != expected) <= 3  # an edge may pass a pixel's centre within a nanometre
    assert report["tiles"] == {"total": 9, "screened": 5, "inferred": 4}  # columns 512 ... and rows 512 ... are not met
    assert found[140, 150] == NO_ANSWER and found[300, 150] != NO_ANSWER


def test_an_area_elsewhere_looks_at_nothing_and_says_so(tmp_path: Path) -> None:
    status, report, _ = run_with(tmp_path, [[(5000, 10), (5400, 10), (5400, 300)]])
    assert status == 0
    assert report["tiles"]["inferred"] == 0 and report["seconds"]["inference"] == 0
    assert report["counts"] == {"other": 0, "water": 0, "no_answer": CASE.rows * CASE.columns}
    assert any("the area holds no measured pixel" in note for note in report["notes"])


def test_an_area_about_the_whole_scene_changes_nothing(tmp_path: Path) -> None:
    status, report, _ = run_with(tmp_path, [[(-9, -9), (790, -9), (790, 690), (-9, 690)]])
    assert status == 0
    np.testing.assert_array_equal(read_product(path_of(report, "product")).mask(), unlimited())


def test_an_area_in_degrees_falls_where_gdal_puts_it_in_a_turned_scene(tmp_path: Path) -> None:
    case = Case("turned", rows=300, columns=310, bands=3, wedge=False, epsg=32733)
    status, report, area = run_with(tmp_path, [[(20, 40), (250, 20), (200, 270)]], case=case)
    assert status == 0
    found = read_product(path_of(report, "product")).mask()
    expected = np.where(inside(area, case), unlimited(case), NO_ANSWER)
    assert np.count_nonzero(found != expected) <= 3


def test_an_area_is_refused_where_nothing_says_where_the_scene_lies(tmp_path: Path) -> None:
    scene = Case("nowhere", rows=20, columns=20, epsg=None).write(tmp_path)
    (tmp_path / "area.geojson").write_text('{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}')
    status, report = swath(
        "run", scene, "--app", "water", "--out", "out", "--sensor", "S2", "--area", "area.geojson", folder=tmp_path
    )
    assert status == 1 and report["error"]["code"] == "not_georeferenced"

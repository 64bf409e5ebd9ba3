"""Areas of interest: which pixels lie inside, against GDAL, and which files are no area."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.features
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from flight.pipeline.area import PixelArea
from flight.pipeline.area_file import AreaInvalid, area_rings, read_area

# away from pixel centres, where inside and outside are a matter of convention
CORNER = st.tuples(st.integers(-10, 70), st.integers(-10, 85)).map(lambda p: (p[0] + 0.21, p[1] + 0.17))
TRIANGLES = st.lists(st.lists(CORNER, min_size=3, max_size=3, unique=True), min_size=1, max_size=5)


def polygon(*rings: Sequence[tuple[float, float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*map(list, ring), list(ring[0])] for ring in rings]}


@settings(max_examples=120, deadline=None)
@given(triangles=TRIANGLES, first=st.integers(0, 70), rows=st.integers(1, 80))
def test_polygons_that_overlap_are_a_union_as_gdal_draws_it(
    triangles: list[list[tuple[float, float]]], first: int, rows: int
) -> None:
    shapes = [polygon(corners) for corners in triangles]
    flat = [corners for corners in triangles if abs(_twice_area(corners)) < 1e-9]
    if flat:
        return
    rings = _rings_in_pixels(shapes)
    drawn = np.zeros((rows, 60), np.bool_)
    for shape in shapes:
        drawn |= rasterio.features.rasterize([shape], (rows, 60), transform=Affine.translation(0, first)) == 1
    found = PixelArea(rings).mask(first, rows, 60)
    # GDAL works with centres in double precision along another way: an edge within 1e-9 of a centre may differ
    assert np.count_nonzero(found != drawn) <= 1


def _rings_in_pixels(shapes: list[dict[str, Any]]) -> tuple[Any, ...]:
    return area_rings({"type": "GeometryCollection", "geometries": shapes})


def _twice_area(ring: list[tuple[float, float]]) -> float:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))


@pytest.mark.parametrize("hole_turns", [1, -1])
@pytest.mark.parametrize("outer_turns", [1, -1])
def test_a_hole_is_outside_however_the_file_winds_it(hole_turns: int, outer_turns: int) -> None:
    outer = [(2.0, 2.0), (20.0, 2.0), (20.0, 20.0), (2.0, 20.0)][::outer_turns]
    hole = [(5.0, 5.0), (5.0, 9.0), (9.0, 9.0), (9.0, 5.0)][::hole_turns]
    expected = np.zeros((24, 24), np.bool_)
    expected[2:20, 2:20] = True
    expected[5:9, 5:9] = False
    np.testing.assert_array_equal(PixelArea(area_rings(polygon(outer, hole))).mask(0, 24, 24), expected)


def test_a_polygon_fills_the_hole_of_another_one() -> None:
    outer, hole = [(2, 2), (20, 2), (20, 20), (2, 20)], [(5, 5), (5, 9), (9, 9), (9, 5)]
    both = {"type": "GeometryCollection", "geometries": [polygon(outer, hole), polygon([(4, 4), (10, 4), (10, 7)])]}
    mask = PixelArea(area_rings(both)).mask(0, 24, 24)
    assert mask[5, 8] and not mask[8, 5]


def test_a_part_of_the_mask_is_that_part_of_the_whole() -> None:
    area = PixelArea((((3.3, 1.2), (77.7, 30.1), (50.5, 140.9), (9.9, 99.4)),))
    whole = area.mask(0, 200, 80)
    for first, rows in ((0, 1), (63, 2), (64, 64), (10, 190)):
        np.testing.assert_array_equal(area.mask(first, rows, 80), whole[first : first + rows])


SQUARE = polygon([(0, 0), (1, 0), (1, 1), (0, 1)])


@pytest.mark.parametrize(
    "content",
    [
        SQUARE,
        {"type": "Feature", "properties": {}, "geometry": SQUARE},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": SQUARE}]},
        {"type": "MultiPolygon", "coordinates": [SQUARE["coordinates"]]},
        {"type": "GeometryCollection", "geometries": [SQUARE]},
    ],
    ids=lambda content: content["type"],
)
def test_every_way_geojson_holds_a_polygon_is_read(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(content))
    assert read_area(path) == (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("3", "Polygon or MultiPolygon is needed"),
        ('{"type": "Point", "coordinates": [1, 2]}', "got Point"),
        ('{"type": "Feature", "geometry": null}', "is needed, got None"),
        ('{"type": "FeatureCollection", "features": []}', "no polygon"),
        ('{"type": "Polygon", "coordinates": []}', "no polygon"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]}', "at least four positions"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}', "not closed"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [181, 0], [1, 1], [0, 0]]]}', "not on the globe"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [NaN, 0], [1, 1], [0, 0]]]}', "not on the globe"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [0, -Infinity], [1, 1], [0, 0]]]}', "not on the globe"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1' + "0" * 400 + ", 0], [1, 1], [0, 0]]]}", "not on the globe"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], ["1", 0], [1, 1], [0, 0]]]}', "holds numbers"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [true, 0], [1, 1], [0, 0]]]}', "holds numbers"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1], [1, 1], [0, 0]]]}', "[longitude, latitude]"),
        ('{"type": "Polygon", "coordinates": [' + ",".join(["[[0,0],[1,0],[1,1],[0,0]]"] * 4000) + "]}", "vertices"),
        (" " * (1 << 20) + "{}", "larger than"),
    ],
)
def test_what_is_no_area_is_refused_with_its_reason(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "area.geojson"
    path.write_text(content)
    with pytest.raises(AreaInvalid) as refused:
        read_area(path)
    assert says in str(refused.value) and str(path) in str(refused.value)
    assert (refused.value.code, refused.value.exit_status) == ("area_invalid", 2)

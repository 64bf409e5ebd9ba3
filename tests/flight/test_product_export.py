"""Exports, as the libraries that others open them with see them: rasterio, PROJ, OpenCV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import rasterize
from rasterio.transform import Affine

from flight.product.assembler import ProductAssembler
from flight.product.container import open_container, seal
from flight.product.errors import (
    AntimeridianCrossed,
    ExportKindUnknown,
    ExportNotWritten,
    NotGeoreferenced,
    UnsupportedProjection,
)
from flight.product.export import KINDS, export_all, geojson, geotiff, parse_kinds, png, possible_kinds
from flight.product.header import Content, GeoModel
from flight.product.vectors import Detections, Polygons, encode_vectors
from tests.flight.product.cases import (
    DEGREES,
    KEY_ID,
    MERCATOR,
    PIXELS_ONLY,
    SEAL_KEY,
    SEALED_S,
    TRUSTED,
    UTM,
    UTM_SOUTH_ROTATED,
    Case,
    blobs,
    case,
    vectors,
)

PLACES = {"degrees": DEGREES, "utm": UTM, "utm_south_rotated": UTM_SOUTH_ROTATED, "mercator": MERCATOR}


def collection(made: Case, folder: Path, body: bytes | None = None) -> dict[str, Any]:
    path = folder / "answer.geojson"
    octets = made.container() if body is None else seal(body, SEAL_KEY, KEY_ID, SEALED_S)
    geojson.export(open_container(octets, TRUSTED), path)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def rasterised(found: dict[str, Any], made: Case) -> NDArray[np.uint8]:
    """The polygons taken back to the scene's own system by PROJ and filled by GDAL."""
    geo = made.header.geo
    back = Transformer.from_crs(4326, geo.epsg, always_xy=True)
    shapes = []
    for feature in found["features"]:
        rings = [np.array(ring) for ring in feature["geometry"]["coordinates"]]
        rings = [np.stack(back.transform(ring[:, 0], ring[:, 1]), 1).tolist() for ring in rings]
        shapes.append(({"type": "Polygon", "coordinates": rings}, 1))
    if not shapes:
        return np.zeros(made.mask.shape, np.uint8)
    assert geo.transform is not None
    drawn: NDArray[np.uint8] = rasterize(
        shapes, out_shape=made.mask.shape, transform=Affine(*geo.transform), dtype="uint8"
    )
    return drawn


@pytest.mark.parametrize("place", sorted(PLACES))
def test_the_polygons_cover_exactly_the_pixels_of_the_mask(place: str, tmp_path: Path) -> None:
    made = case(blobs(140, 230, 5, wedge=20), geo=PLACES[place])
    found = rasterised(collection(made, tmp_path), made)
    assert (found == (made.mask == 1)).all(), f"{(found != (made.mask == 1)).sum()} pixels differ"


@pytest.mark.parametrize("place", sorted(PLACES))
def test_without_a_class_map_the_polygons_are_those_of_the_vector_section(place: str, tmp_path: Path) -> None:
    made = case(blobs(140, 230, 5, wedge=20), geo=PLACES[place], strip_rows=64, contents=(Content.REGIONS,))
    found = collection(made, tmp_path, made.body(outlined=True))
    assert (rasterised(found, made) == (made.mask == 1)).all()
    about = [feature["properties"] for feature in found["features"]]
    assert sum(item["pixels"] for item in about) == np.count_nonzero(made.mask == 1)
    assert {(item["class"], item["outline"]) for item in about} == {("water", "within 64 rows")}
    whole = collection(case(made.mask, geo=PLACES[place]), tmp_path)["features"]
    area = sum(feature["properties"]["area_m2"] for feature in whole)
    assert sum(item["area_m2"] for item in about) == pytest.approx(area, rel=1e-3)
    boxes = collection(made, tmp_path)["features"]
    assert {feature["properties"]["outline"] for feature in boxes} == {"bounding box"}


def test_slanting_edges_of_a_section_get_corners_between_too(tmp_path: Path) -> None:
    """A triangle at 70 degrees north, made elsewhere, of 2000 pixels; other classes and boxes are no findings."""
    geo = GeoModel((30.0, 0.0, 300_000.0, 0.0, -30.0, 7_800_000.0), 32633, 0.0)
    column, row = np.meshgrid(np.arange(2000), np.arange(2000))
    made = case((2 * column + row < 2000).astype(np.uint8), geo=geo, contents=(Content.REGIONS,))
    triangle, square = np.array([(0, 0), (4002, 0), (0, 8004)]), np.array([(0, 0), (8000, 0), (8000, 8000)])
    boxes = Detections.of(np.array([[1.0, 1.0, 9.0, 9.0]]), np.ones(1), np.ones(1))
    section = encode_vectors(boxes, Polygons.of([(1, [triangle]), (0, [square])]))
    assembler = ProductAssembler(made.header)
    assembler.add(0, made.mask)
    found = collection(made, tmp_path, assembler.finish(made.coverage, 0.5, section))
    assert len(found["features"]) == 1
    assert np.count_nonzero(rasterised(found, made) != made.mask) < 10


def test_long_straight_edges_of_a_projected_scene_stay_on_their_pixels(tmp_path: Path) -> None:
    """At 70 degrees north a straight edge of 90 km bends by pixels in longitude and latitude."""
    geo = GeoModel((30.0, 0.0, 300_000.0, 0.0, -30.0, 7_800_000.0), 32633, 0.0)
    mask = np.zeros((3000, 3000), np.uint8)
    mask[10:2990, 7:2995] = 1
    made = case(mask, geo=geo)
    assert (rasterised(collection(made, tmp_path), made) == mask).all()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.5, 0.8]))
def test_any_small_mask_is_covered_and_its_numbers_add_up(
    tmp_path: Path, height: int, width: int, seed: int, share: float
) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    made = case(mask, geo=DEGREES)
    found = collection(made, tmp_path)
    assert (rasterised(found, made) == mask).all()
    assert sum(feature["properties"]["pixels"] for feature in found["features"]) == int(mask.sum())
    assert [feature["id"] for feature in found["features"]] == list(range(len(found["features"])))


@pytest.mark.parametrize("place", sorted(PLACES))
def test_rings_are_closed_and_turn_as_rfc_7946_says(place: str, tmp_path: Path) -> None:
    mask = np.zeros((9, 12), np.uint8)
    mask[1:8, 1:11] = 1
    mask[3:5, 3:6] = 0
    mask[5, 6] = 0  # touches the hole's corner: one hole of two that share a point
    (feature,) = collection(case(mask, geo=PLACES[place]), tmp_path)["features"]
    rings = [np.array(ring) for ring in feature["geometry"]["coordinates"]]
    assert len(rings) == 3
    for number, ring in enumerate(rings):
        assert (ring[0] == ring[-1]).all()
        x, y = (ring - ring[0]).T
        area = (x[:-1] * y[1:] - x[1:] * y[:-1]).sum()
        assert area > 0 if number == 0 else area < 0


def test_a_feature_carries_its_class_area_pixels_and_confidence_and_the_file_its_origin(tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[5:15, 5:25] = 1
    made = case(mask, geo=UTM)
    found = collection(made, tmp_path)
    assert found["features"][0]["properties"] == {
        "class": "water",
        "area_m2": pytest.approx(200 * 900, rel=2e-3),
        "pixels": 200,
        "confidence": 0.749,
    }
    about = found["swath"]
    assert about["application"] == "water"
    assert about["model_sha256"] == made.header.model_sha256.hex()
    assert about["start"] == "2023-11-14T22:13:20.500Z"
    assert about["counts"] == {"land": 1400, "water": 200}
    assert about["verified"] is True
    west, south, east, north = found["bbox"]
    ring = np.array(found["features"][0]["geometry"]["coordinates"][0])
    assert west < ring[:, 0].min() < ring[:, 0].max() < east
    assert south < ring[:, 1].min() < ring[:, 1].max() < north
    assert all(len(repr(float(number)).split(".")[1]) <= 7 for number in ring.reshape(-1))


def test_a_mask_without_findings_gives_an_empty_collection(tmp_path: Path) -> None:
    found = collection(case(np.zeros((3, 4), np.uint8), geo=DEGREES), tmp_path)
    assert (found["type"], found["features"]) == ("FeatureCollection", [])


@pytest.mark.parametrize(
    "geo",
    [
        GeoModel((30.0, 0.0, 830_000.0, 0.0, -30.0, 10_000.0), 32660, 0.0),
        GeoModel((0.1, 0.0, 179.0, 0.0, -0.1, 10.0), 4326, 0.0),
        GeoModel((1000.0, 0.0, 20_000_000.0, 0.0, -1000.0, 10_000.0), 3857, 0.0),
    ],
)
def test_a_scene_across_the_antimeridian_is_refused_with_its_longitudes(geo: GeoModel, tmp_path: Path) -> None:
    with pytest.raises(AntimeridianCrossed):
        geojson.export(case(blobs(300, 300, 6), geo=geo).product(), tmp_path / "x.geojson")
    assert list(tmp_path.iterdir()) == []


def test_the_whole_earth_is_not_taken_for_a_crossing(tmp_path: Path) -> None:
    made = case(blobs(180, 360, 6), geo=GeoModel((1.0, 0.0, -180.0, 0.0, -1.0, 90.0), 4326, 0.0))
    assert (rasterised(collection(made, tmp_path), made) == made.mask).all()


def test_a_product_without_a_place_gives_pictures_and_refuses_geojson(tmp_path: Path) -> None:
    product = case(blobs(9, 9, 1), geo=PIXELS_ONLY).product()
    assert possible_kinds(product) == ("geotiff", "png")
    with pytest.raises(NotGeoreferenced):
        geojson.export(product, tmp_path / "x.geojson")
    export_all(product, possible_kinds(product), tmp_path, "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.png", "x.tif"]
    lambert = case(blobs(9, 9, 1), geo=GeoModel((1.0, 0, 0, 0, -1.0, 0), 2154, 0.0)).product()
    with pytest.raises(UnsupportedProjection):
        geojson.export(lambert, tmp_path / "x.geojson")
    assert possible_kinds(lambert) == ("geotiff", "png")
    assert possible_kinds(vectors()["three_strips"].product()) == KINDS


@pytest.mark.parametrize("place", [*sorted(PLACES), "lambert"])
def test_the_geotiff_says_the_same_to_gdal_as_the_product(place: str, tmp_path: Path) -> None:
    geo = {**PLACES, "lambert": GeoModel((2.0, 0.0, 7e5, 0.0, -2.0, 6.6e6), 2154, 0.0)}[place]
    made = case(blobs(150, 90, 7, wedge=9), geo=geo)
    geotiff.export(made.product(), tmp_path / "x.tif")
    with rasterio.open(tmp_path / "x.tif") as opened:
        assert (opened.read(1) == made.mask).all()
        assert opened.crs.to_epsg() == geo.epsg
        assert tuple(opened.transform)[:6] == pytest.approx(geo.transform)
        assert opened.nodata == 255
        assert opened.colormap(1)[1] == (31, 120, 180, 255)
        assert opened.tags()["APPLICATION"] == "water 1.0.0"
        assert opened.tags()["CLASS_1"] == "water"
        assert opened.compression.name == "deflate"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_plain_tiff_has_no_place_and_names_beyond_ascii(tmp_path: Path) -> None:
    made = vectors()["five_classes"]
    geotiff.export(case(made.mask, classes=made.header.classes, geo=PIXELS_ONLY).product(), tmp_path / "x.tif")
    with rasterio.open(tmp_path / "x.tif") as opened:
        assert opened.crs is None
        assert (opened.read(1) == made.mask).all()
        assert opened.tags()["CLASS_4"] == "Schnee \u2744"


def test_the_png_shows_each_class_in_its_colour_and_no_answer_as_nothing(tmp_path: Path) -> None:
    made = case(blobs(150, 90, 7, wedge=9), geo=DEGREES)
    png.export(made.product(), tmp_path / "x.png")
    image = cv2.imread(str(tmp_path / "x.png"), cv2.IMREAD_UNCHANGED)
    assert image is not None
    assert image.shape == (150, 90, 4)
    assert (image[made.mask == 255][:, 3] == 0).all()
    assert (image[made.mask == 1] == (180, 120, 31, 255)).all()
    assert (image[made.mask == 0] == (178, 204, 214, 255)).all()


def test_the_world_file_puts_the_png_where_the_geotiff_is(tmp_path: Path) -> None:
    product = case(blobs(20, 30, 7), geo=UTM_SOUTH_ROTATED).product()
    png.export(product, tmp_path / "x.png")
    with rasterio.open(tmp_path / "x.png") as opened:
        assert tuple(opened.transform)[:6] == pytest.approx(UTM_SOUTH_ROTATED.transform)


def test_equal_products_give_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        export_all(vectors()["three_strips"].product(), KINDS, tmp_path / name, "x")
    for kind in (".geojson", ".tif", ".png", ".pgw"):
        assert (tmp_path / "one" / f"x{kind}").read_bytes() == (tmp_path / "two" / f"x{kind}").read_bytes()


def test_one_pixel_is_enough_for_every_kind(tmp_path: Path) -> None:
    made = case(np.array([[1]], np.uint8), geo=DEGREES)
    written = export_all(made.product(), KINDS, tmp_path, "dot")
    assert [(item.kind, item.path.name, item.bytes > 0) for item in written] == [
        ("geojson", "dot.geojson", True),
        ("geotiff", "dot.tif", True),
        ("png", "dot.png", True),
    ]
    assert all(item.path.is_absolute() for item in written)


def test_a_kind_that_does_not_exist_and_a_folder_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    assert parse_kinds("png, geojson,png") == ("png", "geojson")
    with pytest.raises(ExportKindUnknown, match="shapefile"):
        parse_kinds("png,shapefile")
    product = vectors()["one_row"].product()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ExportNotWritten):
        export_all(product, ("png",), tmp_path / "file" / "below", "x")
    with pytest.raises(ExportNotWritten):
        png.export(product, tmp_path / "missing" / "x.png")

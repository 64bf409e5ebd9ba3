"""`swath run` puts the outlines of its findings into the product where they say something new or are asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.features
from numpy.typing import NDArray

from flight.product import strip_outlines
from flight.product.commands import read_product
from flight.product.container import Product
from flight.product.strip_outlines import LeftOut
from payload_models.loader import ROOT as MODELS
from tests.flight.run_cases import Case, path_of, swath
from tests.shared_data import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
LAKE = ROOT / "examples" / "scenes" / "landsat7_great_salt_lake_7band.tif"  # four strips, lakes over all of them


def drawn(product: Product) -> NDArray[np.uint8]:
    """The section's polygons filled by GDAL, in pixels of the scene."""
    _, polygons = product.outlines()
    shapes = [
        {"type": "Polygon", "coordinates": [(np.concatenate((ring, ring[:1])) / 4).tolist() for ring in rings]}
        for rings in polygons.rings()
    ]
    shape = (product.header.height, product.header.width)
    if not shapes:
        return np.zeros(shape, np.uint8)
    filled: NDArray[np.uint8] = rasterio.features.rasterize(shapes, out_shape=shape, dtype="uint8")
    return filled


def ran(folder: Path, *arguments: object) -> tuple[dict[str, Any], Product]:
    status, report = swath("run", *arguments, "--out", "out", folder=folder)
    assert status == 0, report
    return report, read_product(path_of(report, "product"))


@pytest.mark.parametrize("application", ["water", "cloud"])
def test_on_a_real_scene_the_polygons_are_the_findings_to_the_pixel(tmp_path: Path, application: str) -> None:
    report, product = ran(tmp_path, LAKE, "--app", application, "--outlines")
    np.testing.assert_array_equal(drawn(product), product.mask() == 1)
    _, polygons = product.outlines()
    assert report["outlines"] == {"polygons": len(polygons), "bytes": len(product.vectors), "left_out": None}
    assert len(polygons) > 0 and product.header.strips == 4
    assert product.check_content()


@pytest.mark.parametrize(
    "case",
    [
        Case("one_pixel", rows=1, columns=1, wedge=False),
        Case("tall", rows=530, columns=40),
        Case("wide", rows=3, columns=600),
    ],
    ids=lambda case: str(case.name),
)
def test_on_scenes_of_any_shape(tmp_path: Path, case: Case) -> None:
    report, product = ran(tmp_path, case.write(tmp_path), "--app", "water", "--outlines", *case.arguments())
    np.testing.assert_array_equal(drawn(product), product.mask() == 1)
    assert report["outlines"]["left_out"] is None


def test_a_class_map_says_the_same_so_outlines_beside_it_are_asked_for(tmp_path: Path) -> None:
    report, product = ran(tmp_path, LAKE, "--app", "water")
    assert report["outlines"] is None and product.vectors == b"" and product.strips


def test_without_a_class_map_they_are_the_answer(tmp_path: Path) -> None:
    _, whole = ran(tmp_path, LAKE, "--app", "water", "--outlines")
    folder = tmp_path / "application"
    shutil.copytree(MODELS / "water", folder)
    manifest = (folder / "manifest.toml").read_text()
    assert '"mask", ' in manifest
    (folder / "manifest.toml").write_text(manifest.replace('"mask", ', ""))
    report, product = ran(tmp_path, LAKE, "--app", folder)
    assert not product.strips and product.vectors == whole.vectors
    assert report["outlines"]["polygons"] == len(product.outlines()[1]) > 0
    assert [output["kind"] for output in report["products"]] == ["product", "geojson"]  # no picture without a map


def test_a_scene_without_findings_has_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "dry.npz", img=np.full((30, 40, 2), 200, np.uint8), bands=np.array(["green", "nir"]))
    report, product = ran(tmp_path, "dry.npz", "--app", "water", "--outlines")
    assert product.counts[1] == 0 and product.vectors == b""
    assert report["outlines"] == {"polygons": 0, "bytes": 0, "left_out": None}


@pytest.mark.parametrize(
    ("limit", "why"),
    [("MAX_STRIP_RUNS", LeftOut.RUNS), ("MAX_CORNERS", LeftOut.CORNERS), ("MAX_OF_MASK", LeftOut.OCTETS)],
)
def test_where_they_cost_too_much_the_run_says_so_and_all_else_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, why: LeftOut
) -> None:
    _, whole = ran(tmp_path, LAKE, "--app", "water", "--outlines")
    monkeypatch.setattr(strip_outlines, limit, 0)
    report, product = ran(tmp_path, LAKE, "--app", "water", "--outlines")
    assert report["outlines"] == {"polygons": 0, "bytes": 0, "left_out": why.value}
    assert f"the outlines were left out of the product: {why.value}" in report["notes"]
    assert product.vectors == b"" and whole.vectors
    assert (product.header, product.summary, product.strips) == (whole.header, whole.summary, whole.strips)
    assert json.loads(path_of(report, "geojson").read_text())["features"]


@pytest.mark.parametrize(
    ("old", "new"), [('"regions", ', ""), ("finding = true\n", "")], ids=["no regions", "no finding"]
)
def test_an_application_without_regions_or_without_a_finding_has_nothing_to_outline(
    tmp_path: Path, old: str, new: str
) -> None:
    folder = tmp_path / "application"
    shutil.copytree(MODELS / "water", folder)
    manifest = (folder / "manifest.toml").read_text()
    assert old in manifest
    (folder / "manifest.toml").write_text(manifest.replace(old, new))
    report, product = ran(tmp_path, LAKE, "--app", folder, "--outlines")
    assert report["outlines"] is None and product.vectors == b""
    assert not any("outlines" in note for note in report["notes"])

"""What `swath run` refuses, and what it says about it: code, numbers, one line, exit status, no half-written file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flight.pipeline.run
from payload_models.loader import ROOT as MODELS
from tests.flight.run_cases import Case, swath

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
SCENE = Case("scene", rows=40, columns=50, bands=4, naming="sidecar")


def refused(*arguments: object, folder: Path) -> tuple[int, dict[str, Any]]:
    status, report = swath("run", *arguments, folder=folder)
    error = report["error"]
    assert "\n" not in error["message"] and "Traceback" not in error["message"]
    return status, error


def application(folder: Path, **changes: str) -> Path:
    """A copy of `water` with lines of its manifest replaced."""
    copy = folder / "application"
    shutil.copytree(MODELS / "water", copy)
    manifest = copy / "manifest.toml"
    text = manifest.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    manifest.write_text(text)
    return copy


def test_a_single_band_of_no_use_is_refused_with_a_list_of_what_would_be(tmp_path: Path) -> None:
    np.savez(tmp_path / "red.npz", img=np.ones((9, 9, 1), np.uint8), bands=np.array(["red"]))
    status, error = refused("red.npz", "--app", "water", "--out", "out", folder=tmp_path)
    assert (status, error["code"]) == (1, "missing_bands")
    assert error["takes"] == ["green + nir + swir16", "green + nir", "green + swir16", "nir", "swir16"]
    assert "takes green + nir + swir16, or green + nir" in error["message"] and "has red" in error["message"]
    assert not (tmp_path / "out").exists()


def test_an_application_that_needs_another_input_says_which(tmp_path: Path) -> None:
    scene = SCENE.write(tmp_path)
    for needed in ("area", "reference"):
        folder = tmp_path / needed
        folder.mkdir()
        app = application(folder, **{'products = ["mask"': f'needs = ["{needed}"]\nproducts = ["mask"'})
        status, error = refused(scene, "--app", app, "--out", "out", folder=folder)
        assert (status, error["code"], error["needed"]) == (1, f"needs_{needed}", needed)
        assert f"--{needed}" in error["message"]


def test_a_reference_is_not_silently_left_out_of_an_application_that_compares(tmp_path: Path) -> None:
    scene = SCENE.write(tmp_path)
    app = application(tmp_path, **{'products = ["mask"': 'needs = ["reference"]\nproducts = ["mask"'})
    status, error = refused(scene, "--app", app, "--out", "out", "--reference", scene, folder=tmp_path)
    assert (status, error["code"]) == (1, "reference_unsupported")


def test_inputs_that_the_application_does_not_use_are_named_in_the_notes(tmp_path: Path) -> None:
    scene = SCENE.write(tmp_path)
    status, report = swath(
        "run", scene, "--app", "water", "--out", "out", "--reference", "old.tif", "--ais", "ships.csv", folder=tmp_path
    )
    assert status == 0
    assert [note for note in report["notes"] if "does not use" in note] == [
        "`water` does not use --reference; it was not read",
        "`water` does not use --ais; it was not read",
    ]


@pytest.mark.parametrize("out", ["occupied", "occupied/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, out: str) -> None:
    (tmp_path / "occupied").write_text("a file")
    status, error = refused(SCENE.write(tmp_path), "--app", "water", "--out", out, folder=tmp_path)
    assert (status, error["code"], error["folder"]) == (2, "output_not_writable", out)
    assert (tmp_path / "occupied").read_text() == "a file"


def test_a_place_for_the_development_key_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / ".swath").write_text("a file")
    status, error = refused(SCENE.write(tmp_path), "--app", "water", "--out", "out", folder=tmp_path)
    assert (status, error["code"]) == (2, "output_not_writable")
    assert ".swath" in error["message"]


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for a full disk: the file-size limit of this process, which fails a write in the same place."""
    import resource
    import signal

    scene = Case("noisy", rows=300, columns=300, bands=3, naming="sidecar").write(tmp_path)
    status, _ = swath("run", scene, "--app", "water", "--out", "warm", folder=tmp_path)
    assert status == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, hard))
    try:
        status, report = swath("run", scene, "--app", "water", "--out", "out", folder=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert (status, report["error"]["code"]) == (1, "export_not_written")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("scene", "says"),
    [("missing.tif", "No such file"), (".", "not a file"), ("", "not a file"), ("text.tif", "neither a TIFF nor"),
     ("empty.tif", "truncated"), ("a\0b.tif", "null byte")],
)  # fmt: skip
def test_what_is_no_scene_is_refused(tmp_path: Path, scene: str, says: str) -> None:
    (tmp_path / "text.tif").write_text("hello, this is a letter")
    (tmp_path / "empty.tif").write_text("")
    status, error = refused(scene, "--app", "water", "--out", "out", folder=tmp_path)
    assert status == 1 and says in error["message"]
    assert error["code"] in ("scene_unreadable", "scene_truncated")
    assert not (tmp_path / "out").exists()


def test_a_scene_that_is_written_to_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = SCENE.write(tmp_path)

    class Meddled(flight.pipeline.run.Engine):
        def step(self) -> Any:
            with scene.open("r+b") as stream:
                stream.seek(-1, os.SEEK_END)
                stream.write(b"\1")
            os.utime(scene, ns=(1, 1))
            return super().step()

    monkeypatch.setattr(flight.pipeline.run, "Engine", Meddled)
    status, error = refused(scene, "--app", "water", "--out", "out", folder=tmp_path)
    assert (status, error["code"]) == (1, "scene_changed")
    assert list((tmp_path / "out").iterdir()) == []


def test_more_pixels_than_a_product_may_have_are_refused_before_any_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vast.tif"
    import rasterio

    with rasterio.open(
        path, "w", driver="GTiff", width=17_000, height=17_000, count=1, dtype="uint8", compress="deflate",
        SPARSE_OK=True, tiled=True,
    ) as out:  # fmt: skip
        out.set_band_description(1, "nir")
    status, error = refused(path, "--app", "water", "--out", "out", folder=tmp_path)
    assert (status, error["code"], error["pixels"]) == (1, "scene_too_large", 289_000_000)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        *((text, "parameter_malformed") for text in ("threshold", "threshold=", "threshold=low", "=0.4")),
        *((text, "parameter_malformed") for text in ("threshold=nan", "threshold=inf")),
        *((text, "parameter_refused") for text in ("treshold=0.4", "threshold=0.45")),
    ],
)
def test_a_parameter_that_is_none_is_an_argument_error(tmp_path: Path, given: str, code: str) -> None:
    status, error = refused(SCENE.write(tmp_path), "--app", "water", "--out", "out", "--param", given, folder=tmp_path)
    assert (status, error["code"]) == (2, code)


def test_a_scene_whose_place_makes_no_sense_is_refused_before_it_is_looked_at(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "odd.npz", img=np.ones((9, 9, 1), np.uint8), bands=np.array(["nir"]),
        transform=np.array([1.0, 0, 0, 0, -1.0, 500.0]), crs=np.array("EPSG:4326"),
    )  # fmt: skip
    status, error = refused("odd.npz", "--app", "water", "--out", "out", folder=tmp_path)
    assert status == 1 and "pole" in error["message"]

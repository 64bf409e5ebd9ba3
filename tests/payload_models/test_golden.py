"""Golden cases: they hold, they can fail, and a hostile one is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from payload_models.arrays import read_arrays, write_arrays
from payload_models.cut_golden import CUTS, cut_golden
from payload_models.errors import GoldenFailed
from payload_models.golden import check_golden
from payload_models.loader import applications, load_application
from tests.payload_models.folders import copy_of, edit
from tests.shared_data import ROOT


@pytest.mark.parametrize("name", sorted(applications()))
def test_every_golden_case_holds(name: str) -> None:
    results = check_golden(load_application(name, check_graphs=False))
    assert results
    assert all(result.ok for result in results), results


@pytest.mark.parametrize("name", sorted(applications()))
def test_the_golden_cases_of_an_application_show_both_classes(name: str) -> None:
    application = load_application(name, check_graphs=False)
    shares = []
    for case in application.manifest.golden:
        shares.append(read_arrays(application.read(case.expect, 1 << 20), 1 << 20)["classes"].mean())
    assert max(shares) > 0.1 and min(shares) < 0.9


@pytest.mark.parametrize("name", sorted(CUTS))
def test_the_pixels_of_the_golden_cases_are_those_of_the_sample_scenes(name: str, tmp_path: Path) -> None:
    cut_golden(name, ROOT / "examples" / "scenes", tmp_path)
    made = sorted(path.name for path in tmp_path.iterdir())
    folder = applications()[name] / "golden"
    assert made == sorted(path.name for path in folder.iterdir())
    for file in made:
        if not file.endswith("_expect.npz"):
            kept, cut = (read_arrays((where / file).read_bytes(), 1 << 20) for where in (folder, tmp_path))
            assert all(np.array_equal(kept[key], cut[key]) for key in ("img", "scale", "offset")), file


def test_every_variant_of_water_has_a_golden_case() -> None:
    manifest = load_application("water", check_graphs=False).manifest
    assert {case.variant for case in manifest.golden} == set(range(len(manifest.variant)))


def test_a_case_that_comes_out_differently_fails_and_says_by_how_many_pixels(tmp_path: Path) -> None:
    folder = copy_of("water", tmp_path)
    path = folder / "golden" / "ponds_expect.npz"
    classes = read_arrays(path.read_bytes(), 1 << 20)["classes"].copy()
    classes[0, :7] ^= 1
    path.write_bytes(write_arrays({"classes": classes}))
    result = check_golden(load_application(folder, check_graphs=False))[0]
    assert (result.ok, result.differing) == (False, 7)


def test_a_tolerance_in_the_manifest_is_honoured(tmp_path: Path) -> None:
    folder = copy_of("water", tmp_path)
    edit(
        folder,
        'expect = "golden/ponds_expect.npz"',
        'expect = "golden/ponds_expect.npz"\nmax_differing_fraction = 0.001',
    )
    path = folder / "golden" / "ponds_expect.npz"
    classes = read_arrays(path.read_bytes(), 1 << 20)["classes"].copy()
    classes[0, :9] ^= 1
    path.write_bytes(write_arrays({"classes": classes}))
    result = check_golden(load_application(folder, check_graphs=False))[0]
    assert (result.ok, result.differing, result.allowed) == (True, 9, 9)


def npz(name: str, octets: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, octets)
    return stream.getvalue()


def npy(array: np.ndarray, **options: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


HEADER_LIES = npy(np.zeros(4, np.uint8)).replace(b"(4,)", b"(9,)")


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"not an archive",
        npz("classes.npy", b""),
        npz("classes.npy", b"\x93NUMPY\x01\x00\xff\xff"),
        npz("classes.npy", npy(np.array([{}], dtype=object), allow_pickle=True)),
        npz("classes.npy", HEADER_LIES),
        npz("classes.npy", npy(np.zeros(8 << 20, np.uint8))),  # a bomb: 8 MB in 8 kB
        npz("other.npy", npy(np.zeros((96, 96), np.uint8))),
        npz("classes.npy", npy(np.zeros((96, 95), np.uint8))),
        write_arrays({str(number): np.zeros(1) for number in range(9)}),
    ],
)
def test_an_archive_that_is_not_a_case_is_refused(tmp_path: Path, octets: bytes) -> None:
    folder = copy_of("water", tmp_path)
    (folder / "golden" / "ponds_expect.npz").write_bytes(octets)
    with pytest.raises(GoldenFailed):
        check_golden(load_application(folder, check_graphs=False))

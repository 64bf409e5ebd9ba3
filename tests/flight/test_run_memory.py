"""Memory does not grow with the height of the scene: the command measured in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from flight.pipeline.peak_memory import peak_rss_mb
from tests.shared_data import ROOT

WIDTH, BANDS = 2048, 4
LOW, HIGH = 1024, 8192
# The sealed product and allocator noise: what 7168 more rows may cost. One byte a pixel of the class map would be 14.7.
ALLOWED_MB = 6.0


def rows(first: int, count: int) -> np.ndarray:
    """Broad lakes, so that products stay small; u16 reflectance times 10,000."""
    row, column = np.mgrid[first : first + count, :WIDTH]
    lakes = (np.sin(row / 300.0) + np.cos(column / 200.0)) > 0.4
    block = np.full((count, WIDTH, BANDS), 3000, np.uint16)
    block[lakes] = (600, 800, 300, 200)
    return block


def write_tiff(path: Path, height: int) -> None:
    """Uncompressed, strips of 64 rows. The pixels lie in a file while they are made, not in this process."""
    whole = np.memmap(path.with_suffix(".raw"), np.uint16, "w+", shape=(height, WIDTH, BANDS))
    for first in range(0, height, 64):
        whole[first : first + 64] = rows(first, 64)
    tifffile.imwrite(
        path, whole, rowsperstrip=64, photometric="minisblack", planarconfig="contig", metadata=None,
    )  # fmt: skip
    path.with_suffix(".toml").write_text('sensor = "S2"\nbands = ["B02", "B03", "B04", "B08"]\n')


def write_npz(path: Path, height: int) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("img.npy", "w") as stream,
    ):
        header = {"descr": "<u2", "fortran_order": False, "shape": (height, WIDTH, BANDS)}
        np.lib.format.write_array_header_1_0(stream, header)
        for first in range(0, height, 64):
            stream.write(rows(first, 64).tobytes())
    path.with_suffix(".toml").write_text('sensor = "S2"\nbands = ["B02", "B03", "B04", "B08"]\n')


def peak_mb(scene: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "flight.cli", "run", scene, "--app", "water", "--out", scene.parent / "out", "--json"],
        cwd=scene.parent, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert report["scene"]["width"] == WIDTH and report["counts"]["water"] > 0
    return float(report["peak_rss_mb"])


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tiff", "npz"])
def test_eight_times_the_height_takes_no_more_memory(tmp_path: Path, form: str) -> None:
    peaks = []
    for height in (LOW, HIGH):
        path = tmp_path / f"scene{height}.{form[:3]}"
        if form == "tiff":
            write_tiff(path, height)
        else:
            write_npz(path, height)
        peaks.append(peak_mb(path))
        path.unlink()
    assert peaks[1] - peaks[0] < ALLOWED_MB, f"{peaks[0]} MB at {LOW} rows, {peaks[1]} MB at {HIGH}"


def test_the_peak_is_of_this_program_and_not_of_what_started_it() -> None:
    ballast = np.ones(30_000_000)  # 240 MB, which getrusage would pass on to the child
    command = "from flight.pipeline.peak_memory import peak_rss_mb; print(peak_rss_mb())"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True, close_fds=False
    )
    assert ballast.nbytes > 200e6 and 5 < float(done.stdout) < 100


def test_without_proc_the_peak_is_that_of_getrusage(tmp_path: Path) -> None:
    assert peak_rss_mb(tmp_path / "absent") >= peak_rss_mb() - 1

"""The same scene gives the same product body: again, on other threads, overlapped or not, killed and gone on with."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flight.everywhere import CASES, product_of
from tests.flight.same_body import body_of
from tests.shared_data import ROOT

CLOUD = ROOT / "examples" / "scenes" / "landsat_bahamas_clouds_rgb.tif"  # 20 tiles of a float network, blended seams
WATER = ROOT / "examples" / "scenes" / "landsat7_great_salt_lake_7band.tif"  # 16 tiles of an index graph
SCENES = {"cloud": CLOUD, "water": WATER}


@pytest.fixture(scope="module", params=sorted(SCENES))
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """Application and body: one life, one thread, one stage after the other."""
    name = str(request.param)
    return name, body_of(SCENES[name], name, tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("mode", ["serial", "overlapped"])
@pytest.mark.parametrize("threads", [1, 2])
def test_again_on_one_or_two_threads_overlapped_or_serial(
    undisturbed: tuple[str, bytes], tmp_path: Path, mode: str, threads: int
) -> None:
    name, body = undisturbed
    assert body_of(SCENES[name], name, tmp_path, mode=mode, threads=threads) == body


LIVES = {  # mode, threads, tiles until it dies; the last one ends
    "cloud": [("overlapped", 1, 3), ("serial", 2, 1), ("overlapped", 2, 9), ("serial", 1, 0)],
    "water": [("serial", 1, 5), ("overlapped", 2, 6), ("overlapped", 1, 0)],
}


def life(name: str, folder: Path, mode: str, threads: int, kill_after: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.flight.same_body", str(SCENES[name]), name, str(folder)]
    return subprocess.Popen(
        [*words, mode, str(threads), str(kill_after)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )  # fmt: skip


def test_killed_again_and_again_and_gone_on_with_in_another_form(
    undisturbed: tuple[str, bytes], tmp_path: Path
) -> None:
    name, body = undisturbed
    tiles = []
    for mode, threads, kill_after in LIVES[name]:
        with life(name, tmp_path, mode, threads, kill_after) as process:
            printed, _ = process.communicate(timeout=120)
        assert process.returncode == (-signal.SIGKILL if kill_after else 0)
        tiles.append(len(printed.split()))
    assert all(count == lived for count, (*_, lived) in zip(tiles[:-1], LIVES[name], strict=False))
    assert (tmp_path / "body").read_bytes() == body
    # the last life did not begin anew
    assert tiles[-1] < {"cloud": 20, "water": 16}[name]


def test_killed_from_outside_in_the_middle_of_whatever_it_does(undisturbed: tuple[str, bytes], tmp_path: Path) -> None:
    name, body = undisturbed
    for tile in (2, 7):
        with life(name, tmp_path, "overlapped", 1, 0) as process:
            assert process.stdout is not None
            for _ in range(tile):
                process.stdout.readline()
            process.kill()
            process.stdout.read()
    with life(name, tmp_path, "overlapped", 2, 0) as process:
        process.communicate(timeout=120)
    assert (tmp_path / "body").read_bytes() == body


def test_swath_run_on_one_core_or_two_writes_the_same_body(tmp_path: Path) -> None:
    case, digests = CASES["cloud_bahamas"], set()
    for cores in (1, 2):
        (tmp_path / str(cores)).mkdir()
        digests.add(product_of(case, tmp_path / str(cores), cores=cores).body_sha256)
    assert len(digests) == 1

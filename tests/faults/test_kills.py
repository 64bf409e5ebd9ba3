"""kill -9 of the flight and of the payload process, over and over, in a whole satellite: one answer, same octets."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flight.agent.states import JobState
from tests.faults.flown import Flown

pytestmark = pytest.mark.slow

RUNS = 4
KILLS = 5  # in each run, so 20 in all
LIMIT_S = 150.0


def leaked(folder: Path) -> list[str]:
    """Processes of this satellite that still live, with the memories they hold, and named memory left behind."""
    found = [str(path) for path in Path("/dev/shm").glob("*swath*")]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) not in (process / "cmdline").read_text():
                continue
            held = [os.readlink(descriptor) for descriptor in (process / "fd").iterdir()]
        except OSError:
            continue
        found.append(f"{process}: {[target for target in held if 'memfd' in target]}")
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bytes]:
    """The body of the product when nobody kills anything."""
    folder = tmp_path_factory.mktemp("undisturbed")
    flown = Flown(folder, "cloud")
    try:
        flown.run_until(flown.delivered, LIMIT_S)
    finally:
        flown.stop()
    product = flown.product()
    assert product.verified
    product.check_content()
    assert flown.alerts == 1
    assert not flown.tap.violations
    assert not leaked(folder)
    yield product.body_sha256


def assert_one_answer(flown: Flown, undisturbed: bytes) -> None:
    product = flown.product()  # exactly one came down
    assert product.verified
    product.check_content()
    assert product.body_sha256 == undisturbed
    assert not flown.tap.violations, flown.tap.violations
    assert product.header.job_id == flown.job_id
    final = [report.state for report in flown.statuses if report.subject == flown.job_id[:8] and report.state.terminal]
    assert set(final) == {JobState.DELIVERED}


@pytest.mark.parametrize("seed", range(RUNS))
def test_the_flight_process_killed_at_random_moments(tmp_path: Path, undisturbed: bytes, seed: int) -> None:
    draw = random.Random(seed)
    flown = Flown(tmp_path, "cloud", speed=8.0)
    kills = 0
    alive_since: dict[int, float] = {}
    moment_s = draw.uniform(0.0, 3.0)

    def kill_at_its_moment() -> None:
        nonlocal kills, moment_s
        pid = flown.pid("flight")
        if pid is None or kills == KILLS:
            return
        born_s = alive_since.setdefault(pid, time.monotonic())
        if time.monotonic() - born_s >= moment_s and len(alive_since) == kills + 1 and flown.kill("flight"):
            kills += 1
            moment_s = draw.uniform(0.0, 4.0)

    try:
        flown.run_until(lambda: kills == KILLS and flown.delivered(), LIMIT_S, kill_at_its_moment)
    finally:
        flown.stop()
    assert kills == KILLS
    assert_one_answer(flown, undisturbed)
    assert not leaked(tmp_path)


@pytest.mark.parametrize("seed", range(RUNS))
def test_the_payload_process_killed_at_random_tiles(tmp_path: Path, undisturbed: bytes, seed: int) -> None:
    draw = random.Random(100 + seed)
    flown = Flown(tmp_path, "cloud")
    killed: set[int] = set()
    at_tile = draw.randrange(1, 4)

    def kill_at_its_tile() -> None:
        nonlocal at_tile
        pid = flown.pid("payload")
        if pid is None or pid in killed or len(killed) == KILLS:
            return
        if flown.tiles_done() >= at_tile and flown.kill("payload"):
            killed.add(pid)
            at_tile = draw.randrange(1, 5)

    try:
        flown.run_until(flown.delivered, LIMIT_S, kill_at_its_tile)
    finally:
        flown.stop()
    assert len(killed) == KILLS, f"only {len(killed)} kills before the job was done"
    assert_one_answer(flown, undisturbed)
    assert not leaked(tmp_path)

"""The soak: one per cent of it, every frame accounted for; and the arithmetic of its report. No time is judged."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.executive_flight import fly, unaccounted
from benchmarks.executive_gaps import Lateness, Ticks, seen_by
from benchmarks.executive_soak import PIECE_FRAMES, Soak, soak
from benchmarks.executive_witness import Witness, WitnessMissing, build
from bindings.frame_clock import FrameCounters, FrameState
from bindings.frame_records import FRAME
from tests.shared_data import ROOT

COUNTED = FrameCounters(4, 2, 1, 1, 0, *(0,) * 12)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("witness"))


@pytest.mark.slow
@pytest.mark.campaign
def test_one_per_cent_of_the_soak_accounts_for_every_frame(tmp_path: Path) -> None:
    report = tmp_path / "soak.md"
    command = [
        sys.executable, "-m", "benchmarks", "executive", "--soak", "--frames", "10000", "--json",
        "--report", str(report), "--work", str(tmp_path),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    frames = found["frames"]
    assert found["frames_unaccounted"] == 0
    assert frames["released"] >= 10_000
    assert frames["released"] == frames["run"] + frames["late"] + frames["skipped"] + frames["open"]
    assert found["frames_dispatched"] <= frames["run"] + frames["late"]
    assert found["clock"]["count"] == frames["released"]
    text = report.read_text("utf-8")
    for name in (found["commit"], "--frames 10000 --seed 1", "**Unaccounted: 0**", "seed 1"):
        assert name in text
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    kept = json.loads(again.stdout)
    assert kept["clock"] == found["clock"] and kept["began"] == found["began"], (
        "a piece that is there is not flown again"
    )


def history(states: list[FrameState]) -> np.ndarray:
    records = np.zeros(len(states), FRAME)
    records["frame"], records["state"] = np.arange(len(states)), states
    return records


STATES = [FrameState.RUN, FrameState.LATE, FrameState.SKIPPED, FrameState.RUN]


def test_the_account_sees_each_way_to_lose_a_frame() -> None:
    assert unaccounted(COUNTED, history(STATES), 0) == 0
    assert unaccounted(COUNTED, history(STATES), 2) == 2, "the monotonic clock is two frames further"
    assert unaccounted(dataclasses.replace(COUNTED, released=5), history(STATES), 0) > 0
    assert unaccounted(COUNTED, history(STATES[:3]), 0) > 0, "a frame without a record"
    assert unaccounted(COUNTED, history([FrameState.RUN] * 4), 0) > 0, "records that say something else"
    twice = history(STATES)
    twice["frame"][3] = 2
    assert unaccounted(COUNTED, twice, 0) > 0, "one frame twice"


def test_a_flight_without_real_time_accounts_for_its_frames_too(library: Path) -> None:
    flown = fly(1_000, library, seed=3, realtime=False)
    assert flown.refused and flown.unaccounted == 0
    assert flown.frames >= 1_000 and len(flown.clock.nominal_ns) == flown.frames
    assert len(flown.witness.nominal_ns) > 0
    half = (flown.witness.nominal_ns - flown.clock.nominal_ns[0]) % (flown.minor_us * 1000)
    assert set(half.tolist()) == {flown.minor_us * 500}


def test_pieces_are_as_long_as_the_whole() -> None:
    asked = Soak(2 * PIECE_FRAMES + 7, 1, Path("nowhere"), "")
    assert asked.lengths() == [PIECE_FRAMES, PIECE_FRAMES, 7]


def test_a_piece_of_another_seed_is_not_taken(tmp_path: Path) -> None:
    flights: list[int] = []

    def flight(frames: int, library: Path, *, seed: int, realtime: bool) -> object:
        flights.append(seed)
        return fly(1_000, library, seed=seed, realtime=False)

    for seed in (1, 1, 2):
        soak(Soak(1_000, seed, tmp_path, "", realtime=False), flight)  # type: ignore[arg-type]
    assert flights == [1, 2]


def test_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Lateness.of(np.zeros(0, np.int64))


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300))
def test_percentiles_are_values_that_were_measured(late: list[int]) -> None:
    found = Lateness.of(np.array(late, np.int64))
    measured = {round(one / 1e3, 1) for one in late}
    assert {found.p50_us, found.p99_us, found.p999_us, found.max_us} <= measured
    assert found.p50_us <= found.p99_us <= found.p999_us <= found.max_us == round(max(late) / 1e3, 1)


lates = st.lists(st.one_of(st.integers(0, 50), st.integers(100, 5_000)), min_size=1, max_size=40)


@given(lates, lates, st.integers(0, 500), st.integers(0, 200))
def test_gaps_match_as_a_comparison_of_every_pair_says(
    mine: list[int], other: list[int], limit: int, reach: int
) -> None:
    ours, theirs = (
        Ticks(np.arange(len(late), dtype=np.int64) * 200 + start, np.array(late, np.int64))
        for start, late in ((0, mine), (100, other))
    )
    gaps, seen = ours.gaps(limit), theirs.gaps(limit)
    assert sum(late > limit for late in mine) >= len(gaps)
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(gaps)), "apart and in order"
    covered = [any(start <= 200 * n and 200 * n + late <= end for start, end in gaps) for n, late in enumerate(mine)]
    assert all(inside for inside, late in zip(covered, mine, strict=True) if late > limit)

    def beside(start: int, end: int) -> bool:
        return any(start - reach <= last and first <= end + reach for first, last in seen)

    assert seen_by(gaps, seen, reach) == [beside(*gap) for gap in gaps]
    within = ours.within(seen, reach).tolist()
    assert within == [beside(200 * number, 200 * number + late) for number, late in enumerate(mine)]


def test_a_witness_that_never_began_saw_nothing(library: Path) -> None:
    assert len(Witness(library, period_ns=1_000_000, room=10).stop()) == 0


def test_without_a_compiler_there_is_no_witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(WitnessMissing, match="compiler"):
        build(tmp_path)

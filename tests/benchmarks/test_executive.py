"""`python -m benchmarks executive`: every figure is there, or null with a reason. No time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import executive
from benchmarks.executive_loads import LoadMissing
from benchmarks.executive_peer import asyncio_late_ns
from benchmarks.report import Report
from tests.shared_data import ROOT


def refused(*_: object) -> object:
    raise LoadMissing("on purpose")


@pytest.mark.slow
def test_a_quick_run_has_every_figure_or_the_reason(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "executive", "--quick", "--rounds", "1", "--json"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for key in executive.ORDER:
        assert (found[key] is None) == (key in found["absent"]), key
    assert set(found["loads"]) == {"none", "inference", "hog", "gil"}
    for load, figures in found["loads"].items():
        assert {*executive.CLOCK_KEYS, *executive.RELEASE_KEYS, *executive.COUNT_KEYS} <= set(figures), load
        assert figures["frames_unaccounted"] == 0 and figures["frames"] >= executive.QUICK_FRAMES
    assert found["frames"] == sum(figures["frames"] for figures in found["loads"].values())
    assert found["frames_unaccounted"] == 0
    if found["clock_p99_over_witness"] is not None:
        assert found["clock_p99_us"] == max(figures["clock_p99_us"] for figures in found["loads"].values())


def figures(worst: float) -> dict[str, float]:
    return dict.fromkeys((*executive.CLOCK_KEYS, *executive.RELEASE_KEYS), worst) | {
        "frames": 10,
        "frames_unaccounted": 0,
    }


def test_the_worst_load_counts_for_the_clock_and_only_other_processes_for_the_release(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worst = {"none": 1.0, "inference": 3.0, "hog": 9.0, "gil": 4.0}
    monkeypatch.setattr(executive, "build", lambda _: tmp_path)
    monkeypatch.setattr(executive, "measure", lambda load, *_: (figures(worst[load]), ""))
    report = Report()
    executive._loads(report, 10)
    assert report.values["clock_p99_over_witness"] == 9
    assert report.values["release_p99_over_witness"] == 3
    assert report.values["frames"] == 40 and not report.absent


def test_a_load_that_cannot_be_had_makes_a_figure_null_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(executive, "build", lambda _: tmp_path)
    monkeypatch.setattr(executive, "measure", refused)
    report = Report()
    executive._loads(report, 10)
    assert "on purpose" in report.absent["clock_p99_over_witness"]
    assert "gil" not in report.absent["release_p99_over_witness"]
    assert report.details_of["loads"]["gil"]["reason"] == "on purpose"


def test_the_asyncio_loop_is_never_early() -> None:
    late = asyncio_late_ns(50, 1_000)
    assert len(late) == 50 and bool(np.all(late > -1_000_000))

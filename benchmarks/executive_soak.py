"""The soak: a million frames with the witness beside them, in pieces that are kept, so that one cut off goes on.

A piece belongs to a commit, a seed and a length; pieces of others are not taken.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.executive_flight import Flown, fly
from benchmarks.executive_gaps import Lateness, Ticks, seen_by
from benchmarks.executive_witness import build
from benchmarks.report import machine

ROOT = Path(__file__).resolve().parents[1]
FRAMES = 1_000_000
PIECE_FRAMES = 250_000  # 500 s
GAP_US = 500  # a quarter of a frame: later than this is a gap
SERIES = ("clock", "release", "witness")
COUNTS = ("released", "run", "late", "skipped", "open")
BOUND_BELOW_US = 1_000  # where the witness's own p99.9 is longer, the machine is measured and not the executive


@dataclass(frozen=True, slots=True)
class Soak:
    """What is asked for."""

    frames: int
    seed: int
    work: Path
    command: str
    realtime: bool = True

    def lengths(self) -> list[int]:
        """Frames of each piece."""
        whole, rest = divmod(self.frames, PIECE_FRAMES)
        return [PIECE_FRAMES] * whole + ([rest] if rest else [])


def commit() -> str:
    """Of this tree, with `-dirty` where it holds what is not committed; `unknown` outside a repository."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def soak(asked: Soak, flight: Callable[..., Flown] = fly) -> dict[str, Any]:
    """Fly the pieces that are missing and say what all of them gave."""
    of = commit()
    folder = asked.work / f"{of[:12]}{of[40:]}-{asked.seed}-{asked.frames}"
    folder.mkdir(parents=True, exist_ok=True)
    library = build(asked.work)
    pieces = []
    for number, frames in enumerate(asked.lengths()):
        path = folder / f"piece-{number}.npz"
        if not path.is_file():
            began = datetime.now(timezone.utc).isoformat(timespec="seconds")
            flown = flight(frames, library, seed=asked.seed + number, realtime=asked.realtime)
            _keep(path, flown, began)
        with np.load(path) as kept:
            pieces.append({name: kept[name] for name in kept.files})
        print(f"soak: piece {number + 1} of {len(asked.lengths())} is there", file=sys.stderr)
    return {"commit": of, "command": asked.command, "seed": asked.seed, "machine": machine(), **judge(pieces)}


def _keep(path: Path, flown: Flown, began: str) -> None:
    counters = {name: getattr(flown.counters, name) for name in COUNTS}
    said = {
        **counters,
        "unaccounted": flown.unaccounted,
        "dispatched": flown.dispatched,
        "refused": flown.refused,
        "memory_locked": flown.grant.memory_locked,
        "minor_us": flown.minor_us,
        "began": began,
    }
    fresh = path.with_suffix(".part.npz")
    series: dict[str, Any] = {}
    for name in SERIES:
        ticks: Ticks = getattr(flown, name)
        series[f"{name}_nominal_ns"], series[f"{name}_late_ns"] = ticks.nominal_ns, ticks.late_ns
    np.savez_compressed(fresh, about=np.array(json.dumps(said)), **series)
    fresh.replace(path)


def judge(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts, percentiles and gaps over all pieces; gaps are matched by time, within a frame, inside each piece."""
    about = [json.loads(str(piece["about"])) for piece in pieces]
    reach_ns = about[0]["minor_us"] * 1000
    all_ticks = [
        {name: Ticks(piece[f"{name}_nominal_ns"], piece[f"{name}_late_ns"]) for name in SERIES} for piece in pieces
    ]
    seen = [ticks["witness"].gaps(GAP_US * 1000) for ticks in all_ticks]
    found: dict[str, Any] = {
        "began": about[0]["began"],
        "pieces": len(pieces),
        "minor_us": about[0]["minor_us"],
        "refused": "; ".join(sorted({one["refused"] for one in about} - {""})),
        "memory_locked": all(one["memory_locked"] for one in about),
        "frames": {name: sum(one[name] for one in about) for name in COUNTS},
        "frames_dispatched": sum(one["dispatched"] for one in about),
        "frames_unaccounted": sum(one["unaccounted"] for one in about),
    }
    for name in SERIES:
        series = [ticks[name] for ticks in all_ticks]
        found[name] = _record(Lateness.of(np.concatenate([one.late_ns for one in series])))
        if name == "witness":
            found[name]["gaps"] = sum(len(gaps) for gaps in seen)
            continue
        apart = [one.late_ns[~one.within(gaps, reach_ns)] for one, gaps in zip(series, seen, strict=True)]
        found[f"{name}_apart"] = _record(Lateness.of(np.concatenate(apart)))
        matched: list[bool] = []
        alone: list[float] = []
        for one, gaps in zip(series, seen, strict=True):
            mine = one.gaps(GAP_US * 1000)
            matches = seen_by(mine, gaps, reach_ns)
            matched += matches
            alone += [(end - start) / 1e3 for (start, end), match in zip(mine, matches, strict=True) if not match]
        found[name]["gaps"] = len(matched)
        found[name]["gaps_seen_by_witness"] = sum(matched)
        found[name]["gaps_alone_longest_us"] = round(max(alone, default=0.0), 1)
    witness = found["witness"]
    for name in ("clock", "release"):
        found[f"{name}_over_witness"] = {
            point: round(found[name][point] / witness[point], 3) for point in ("p50_us", "p99_us", "p999_us")
        }
    found["p999_bound_applies"] = witness["p999_us"] < BOUND_BELOW_US
    return found


def _record(lateness: Lateness) -> dict[str, Any]:
    return {name: getattr(lateness, name) for name in ("count", "p50_us", "p99_us", "p999_us", "max_us")}


def as_markdown(found: dict[str, Any]) -> str:
    """The report under docs/."""
    about, frames, us = found["machine"], found["frames"], found["minor_us"]
    applies = "is" if found["p999_bound_applies"] else "is not"
    text = f"""# Soak of the cyclic executive

Written by the soak itself; [executive.md](executive.md) tells how frames are kept, [benchmarks.md](benchmarks.md)
how this is run.

* commit `{found["commit"]}`
* command `{found["command"]}`, seed {found["seed"]}, begun {found["began"]}, {found["pieces"]} pieces
* {about["cpu"]}, {about["cores"]} cores, Python {about["python"]}, load at the end {about["load"]}
* real time: {found["refused"] or "granted"}; memory locked: {"yes" if found["memory_locked"] else "no"}

## Frames
{frames["released"]} frames of {us} us were released: {frames["run"]} run, {frames["late"]} late,
{frames["skipped"]} skipped, {frames["open"]} open at the end; the loop ran {found["frames_dispatched"]}.
**Unaccounted: {found["frames_unaccounted"]}**, by the sum of the counters, by the record of each frame, and against the
monotonic clock.

## Lateness
Microseconds after the nominal time: the clock's thread woke, the dispatcher in Python had the frame, the witness (a C
thread at SCHED_FIFO 99, half a frame beside, which does nothing else) woke. *Apart*: without the frames that lie in a
gap of the witness or at most a frame beside it.

| | count | p50 | p99 | p99.9 | longest |
|---|---|---|---|---|---|
"""
    for name in ("clock", "clock_apart", "release", "release_apart", "witness"):
        cells = [str(found[name][key]) for key in ("count", "p50_us", "p99_us", "p999_us", "max_us")]
        text += f"| {name.replace('_', ', ')} | {' | '.join(cells)} |\n"
    text += "\n| over the witness | p50 | p99 | p99.9 |\n|---|---|---|---|\n"
    for name in ("clock", "release"):
        ratios = found[f"{name}_over_witness"]
        text += f"| {name} | {ratios['p50_us']} | {ratios['p99_us']} | {ratios['p999_us']} |\n"
    text += f"""
The witness's own p99.9 {applies} below 1 ms: the ratio at p99.9 {applies} one of the executive.

## Gaps
Later than {GAP_US} us; gaps that touch are one, and match where they are at most a frame apart.

| | gaps | the witness saw too | alone | longest alone |
|---|---|---|---|---|
"""
    for name in ("clock", "release"):
        row = found[name]
        alone = row["gaps"] - row["gaps_seen_by_witness"]
        text += (
            f"| {name} | {row['gaps']} | {row['gaps_seen_by_witness']} | {alone} | {row['gaps_alone_longest_us']} |\n"
        )
    return text + f"| witness | {found['witness']['gaps']} | | | |\n"

"""What a campaign came to: counts, percentiles of delivery time, and the commands that replay the worst runs."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ground_test.campaign.results import Results, Run

WORST = 10
PERCENTILES = (50, 90, 99, 100)


def report(results: Results) -> dict[str, Any]:
    """Of the scenario and software whose run was put last; runs of others are counted only."""
    every, newest = results.runs(), results.newest()
    runs = [run for run in every if (run.scenario_sha256, run.software) == newest]
    flown = {run.seed: json.loads(run.result) for run in runs}
    jobs = [job for result in flown.values() for job in result.get("jobs", ())]
    times_s = sorted(job["seconds"] for job in jobs if job["seconds"] is not None)
    return {
        "scenario": runs[0].scenario if runs else None,
        "software": runs[0].software if runs else None,
        "runs": len(runs),
        "passed": sum(run.passed for run in runs),
        "failed": sum(not run.passed for run in runs),
        "errors": sum(not run.state_sha256 for run in runs),
        "other_runs": len(every) - len(runs),
        "jobs": dict(sorted(Counter(job["state"] for job in jobs).items())),
        "delivery_s": {f"p{share}" if share < 100 else "max": percentile(times_s, share) for share in PERCENTILES},
        "days_virtual": round(sum(result.get("seconds_virtual", 0.0) for result in flown.values()) / 86_400, 3),
        "seconds_wall": round(sum(run.seconds_wall for run in runs), 1),
        "campaign_sha256": campaign_sha256(runs),
        "worst": [_shown(run, flown[run.seed]) for run in _worst(runs, flown)],
    }


def percentile(ordered: Sequence[float], share: int) -> float | None:
    """Nearest rank: the least value that `share` percent are not above; None of nothing.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 50)
    2.0
    """
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)] if ordered else None


def campaign_sha256(runs: Sequence[Run]) -> str:
    """Of all ends, whatever order they came in and wherever they were flown."""
    lines = sorted(f"{run.key} {run.state_sha256}\n" for run in runs)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def text(data: dict[str, Any]) -> str:
    """The same for a reader."""
    if not data["runs"]:
        return "no runs"
    lines = [
        f"{data['scenario']}, {data['software']}",
        f"  {data['passed']} of {data['runs']} runs passed, {data['errors']} ended in an error",
        "  jobs: " + ", ".join(f"{count} {state}" for state, count in data["jobs"].items()),
        "  delivery: "
        + ", ".join(f"{name} {value:.1f} s" for name, value in data["delivery_s"].items() if value is not None),
        f"  {data['days_virtual']} days of virtual time in {data['seconds_wall']} s; {data['other_runs']} other runs",
        f"  campaign {data['campaign_sha256']}",
        "  worst:",
    ]
    for each in data["worst"]:
        slowest = "-" if each["slowest_s"] is None else f"{each['slowest_s']:.1f} s"
        lines.append(f"    {slowest:>12}  {each['replay']}" + (f"  # {each['why']}" if each["why"] else ""))
    return "\n".join(lines)


def _slowest_s(result: dict[str, Any]) -> float | None:
    return max((job["seconds"] for job in result.get("jobs", ()) if job["seconds"] is not None), default=None)


def _worst(runs: Sequence[Run], flown: dict[int, dict[str, Any]]) -> list[Run]:
    """Those that did not pass first, then the slowest."""
    return sorted(runs, key=lambda run: (run.passed, -(_slowest_s(flown[run.seed]) or 0.0), run.seed))[:WORST]


def _shown(run: Run, result: dict[str, Any]) -> dict[str, Any]:
    return {
        "seed": run.seed,
        "passed": run.passed,
        "why": run.why,
        "slowest_s": _slowest_s(result),
        "state_sha256": run.state_sha256,
        "replay": f"swath-ground sim {shlex.quote(run.path)} --seed {run.seed}",
    }

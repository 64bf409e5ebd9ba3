"""report.md: what the campaigns have done, one row a target. Rows of targets without a result here stay as they are."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path

from tests.fuzz import campaign
from tests.fuzz.targets import HERE, ROOT, TARGETS, Target

REPORT = HERE / "report.md"
COLUMNS = ("target", "inputs", "findings", "edges", "features", "corpus", "seeds", "seconds", "peak MB", "sources",
           "commit", "date")  # fmt: skip
HEAD = """# Fuzzing: what has been run

Written by `python -m tests.fuzz report` after `make fuzz`; how to run it and what the harnesses hold is in
[docs/testing.md](../../docs/testing.md). Findings are counted since the sources were last changed: one ends the
campaign, is mended, and the count begins again. *sources* is a digest of the harness, the core sources that it calls
and their headers, *commit* the last one that changed those core sources, *edges* and *features* are libFuzzer's coverage
counters, *corpus* the inputs that reach them (the smallest set is committed), *seeds* those of the pieces.

Every target: clang's libFuzzer, AddressSanitizer, UndefinedBehaviorSanitizer and LeakSanitizer; an input that takes
more than 10 s, one allocation of more than 256 MB or more than 1 GB in all is a finding.

"""


def rows() -> dict[str, dict[str, str]]:
    """The rows of the committed report by target."""
    if not REPORT.exists():
        return {}
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in REPORT.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    return {row[0].strip("`"): dict(zip(COLUMNS, row, strict=True)) for row in cells[1:]}


def _commit(target: Target) -> str:
    names = [str(path) for path in target.sources()[1:]]
    told = subprocess.run(
        ["git", "log", "-1", "--format=%h", "--", *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "-"


def _row(target: Target, done: list[campaign.Piece]) -> dict[str, str]:
    last = done[-1]
    today = dt.datetime.now(tz=dt.timezone.utc).date()
    return {
        "target": f"`{target.name}`",
        "inputs": f"{sum(piece.executions for piece in done):,}",
        "findings": "0",
        "edges": str(last.edges),
        "features": str(last.features),
        "corpus": str(last.corpus),
        "seeds": f"1 to {last.seed}",
        "seconds": str(sum(piece.seconds for piece in done)),
        "peak MB": str(max(piece.peak_rss_mb for piece in done)),
        "sources": last.digest,
        "commit": _commit(target),
        "date": str(today),
    }


def write(work: Path) -> Path:
    """Bring the report up to date with the results under `work`."""
    known = rows()
    for name, target in TARGETS.items():
        if done := campaign.pieces(target, work):
            known[name] = _row(target, done)
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(known[name].values()) + " |" for name in TARGETS if name in known]
    REPORT.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return REPORT

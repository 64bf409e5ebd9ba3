"""report.md: what the campaigns have done, one row a target. Rows of targets without a result here stay as they are."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path

from tests.fuzz import campaign, python_decoders
from tests.fuzz.python_decoders import DECODERS, Decoder
from tests.fuzz.targets import HERE, ROOT, TARGETS, Target

REPORT = HERE / "report.md"
COLUMNS = ("target", "inputs", "of", "findings", "edges", "features", "corpus", "seeds", "seconds", "peak MB",
           "sources", "commit", "date")  # fmt: skip
HEAD = """# Fuzzing: what has been run

Written by `python -m tests.fuzz report` after `make fuzz`; how to run it and what the harnesses hold is in
[docs/testing.md](../../docs/testing.md). Findings are counted since the sources were last changed: one ends the
campaign, is mended, and the count begins again. *sources* is a digest of the harness, the core sources that it calls
and their headers, *commit* the last one that changed those core sources, *edges* and *features* are libFuzzer's
coverage counters, *corpus* the inputs that reach them (the smallest set is committed), *seeds* those of the pieces.

Every target: clang's libFuzzer, AddressSanitizer, UndefinedBehaviorSanitizer and LeakSanitizer; an input that takes
more than 10 s, one allocation of more than 256 MB or more than 1 GB in all is a finding.

"""


PYTHON_COLUMNS = ("decoder", "inputs", "of", "findings", "accepted", "seeds", "seconds", "mutator", "date")
PYTHON_HEAD = """
The decoders in Python (`tests/fuzz/python_decoders.py`): golden octets, mutated; a finding is any error that is not
typed, or something accepted that does not pack to the same octets again. *accepted* are the inputs that were refused by
nothing, *mutator* is a digest of what changes them.

"""


def rows() -> dict[str, dict[str, str]]:
    """The rows of the committed report by target."""
    if not REPORT.exists():
        return {}
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in REPORT.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    of = {len(COLUMNS): COLUMNS, len(PYTHON_COLUMNS): PYTHON_COLUMNS}
    return {row[0].strip("`"): dict(zip(of[len(row)], row, strict=True)) for row in cells}


def _commit(target: Target) -> str:
    names = [str(path) for path in target.sources()[1:]]
    told = subprocess.run(
        ["git", "log", "-1", "--format=%h", "--", *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "-"


def _row(target: Target, done: list[campaign.Piece]) -> dict[str, str]:
    return {
        "target": f"`{target.name}`",
        "inputs": f"{sum(piece.executions for piece in done):,}",
        "of": f"{target.whole:,}",
        "findings": "0",
        "edges": str(max(piece.edges for piece in done)),
        "features": str(max(piece.features for piece in done)),
        "corpus": str(max(piece.corpus for piece in done)),
        "seeds": f"1 to {max(piece.seed for piece in done)}",
        "seconds": str(sum(piece.seconds for piece in done)),
        "peak MB": str(max(piece.peak_rss_mb for piece in done)),
        "sources": done[-1].digest,
        "commit": _commit(target),
        "date": str(_today()),
    }


def _python_row(decoder: Decoder, done: list[python_decoders.PythonPiece]) -> dict[str, str]:
    cells = (
        f"`{decoder.name}`",
        f"{sum(piece.inputs for piece in done):,}",
        f"{decoder.whole:,}",
        "0",
        f"{sum(piece.accepted for piece in done):,}",
        f"1 to {done[-1].seed}",
        str(sum(piece.seconds for piece in done)),
        done[-1].digest,
        str(_today()),
    )
    return dict(zip(PYTHON_COLUMNS, cells, strict=True))


def adopt(target: Target, work: Path) -> None:
    """A campaign without results under `work` goes on where the committed report stands, if it is of these sources."""
    log, row = campaign.log_of(target, work), rows().get(target.name)
    if log.exists() or row is None or row["sources"] != target.digest():
        return
    names = ("inputs", "seconds", "edges", "features", "corpus", "peak MB")
    executions, seconds, edges, features, corpus, peak_mb = (int(row[name].replace(",", "")) for name in names)
    seed = int(row["seeds"].split()[-1])
    campaign.keep(log, campaign.Piece(row["sources"], seed, executions, seconds, edges, features, corpus, peak_mb))


def write(work: Path) -> Path:
    """Bring the report up to date with the results under `work`."""
    known = rows()
    for name, target in TARGETS.items():
        if done := campaign.pieces(target, work):
            known[name] = _row(target, done)
    for name, decoder in DECODERS.items():
        if tried := python_decoders.pieces(decoder, work):
            known[name] = _python_row(decoder, tried)
    text = HEAD + _table(COLUMNS, [known[name] for name in TARGETS if name in known])
    text += PYTHON_HEAD + _table(PYTHON_COLUMNS, [known[name] for name in DECODERS if name in known])
    REPORT.write_text(text, encoding="utf-8")
    return REPORT


def _table(columns: tuple[str, ...], found: list[dict[str, str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row.values()) + " |" for row in found]) + "\n"


def _today() -> dt.date:
    return dt.datetime.now(tz=dt.timezone.utc).date()

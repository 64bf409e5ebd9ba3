"""Results of runs in one SQLite file, each under the key of scenario, seed and software; a run is never kept twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from ground_test.campaign.errors import ResultsDiffer, ResultsUnreadable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs(
  key TEXT PRIMARY KEY, scenario_sha256 TEXT NOT NULL, scenario TEXT NOT NULL, path TEXT NOT NULL,
  software TEXT NOT NULL, seed INTEGER NOT NULL, state_sha256 TEXT NOT NULL, why TEXT NOT NULL, result TEXT NOT NULL,
  seconds_wall REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run, fields as the columns. state_sha256 is empty and `result` is {} for one that ended in an error."""

    key: str
    scenario_sha256: str
    scenario: str
    path: str
    software: str
    seed: int
    state_sha256: str
    why: str  # it did not pass; empty: it did
    result: str  # JSON of the SimulationResult
    seconds_wall: float

    @property
    def passed(self) -> bool:
        return not self.why


class Results:
    """The file. Every put() is durable when it returns."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def put(self, run: Run) -> bool:
        """Keep a run; False when it was there. Raises ResultsDiffer when it was there with another end."""
        with self._base:
            added = self._base.execute("INSERT OR IGNORE INTO runs VALUES(?,?,?,?,?,?,?,?,?,?)", astuple(run))
        if added.rowcount:
            return True
        (known,) = self._base.execute("SELECT state_sha256 FROM runs WHERE key=?", (run.key,)).fetchone()
        if known != run.state_sha256:
            raise ResultsDiffer(run.seed, known, run.state_sha256)
        return False

    def judge(self, key: str, why: str) -> None:
        """Another plan asks for something else of a run that is there."""
        with self._base:
            self._base.execute("UPDATE runs SET why=? WHERE key=?", (why, key))

    def has(self, key: str) -> bool:
        return self._base.execute("SELECT 1 FROM runs WHERE key=?", (key,)).fetchone() is not None

    def runs(self) -> list[Run]:
        """All, in order of scenario, software and seed."""
        rows = self._base.execute("SELECT * FROM runs ORDER BY scenario_sha256, software, seed")
        return [Run(*row) for row in rows]

    def newest(self) -> tuple[str, str] | None:
        """(scenario_sha256, software) of the run that was put last."""
        row = self._base.execute("SELECT scenario_sha256, software FROM runs ORDER BY rowid DESC LIMIT 1").fetchone()
        return None if row is None else (row[0], row[1])


@contextmanager
def open_results(path: Path, *, create: bool) -> Iterator[Results]:
    """The results in a file. Raises ResultsUnreadable."""
    if not create and not path.is_file():
        raise ResultsUnreadable(str(path), "not there")
    base: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(path)
        base.executescript(_SCHEMA)
        yield Results(base)
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, ResultsUnreadable):
            raise
        raise ResultsUnreadable(str(path), str(error)) from error
    finally:
        if base is not None:
            base.close()

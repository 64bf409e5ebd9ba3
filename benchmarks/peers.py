"""Other people's packages as contestants: each in an environment of its own, in a process of its own.

Their pins clash with ours and with each other's (patchify holds NumPy below 2), so none is installed beside Swath. The
environments lie in `.venv-peers/` and are made by the first benchmark that needs them. A peer's process makes the same
input from the same seed, takes one turn when it is told to, and says what that turn cost by its own clocks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.timing import Cost

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / ".venv-peers"
INSTALL_LIMIT_S = 600


class PeerMissing(Exception):
    """A peer cannot take part; the message is the reason that the report gives."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment and what is installed into it by package name."""

    name: str
    requirements: tuple[str, ...]

    @property
    def python(self) -> Path:
        return ENVIRONMENTS / self.name / "bin" / "python"

    def make(self) -> None:
        """Create and fill it, unless that was done before with the same requirements. Raises PeerMissing."""
        done = ENVIRONMENTS / self.name / ".requirements"
        wanted = "\n".join(self.requirements)
        if done.is_file() and done.read_text("utf-8") == wanted:
            return
        print(f"benchmarks: making .venv-peers/{self.name} (once)", file=sys.stderr)
        pip = [str(self.python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        try:
            for command in (
                [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENTS / self.name)],
                [*pip, "--only-binary=:all:", *self.requirements],
            ):
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_LIMIT_S)
        except (subprocess.SubprocessError, OSError) as error:
            said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
            raise PeerMissing(f"its environment cannot be made: {said[-1] if said else error}"[:200]) from error
        done.write_text(wanted, "utf-8")


@dataclass(frozen=True, slots=True)
class Ours(Environment):
    """The environment that this runs in: for recipes in NumPy that deserve a process of their own.

    What an array of some megabytes costs depends on what the process freed before (glibc moves its threshold between
    fresh pages and memory used again), four times and more. In a process of its own a recipe meets what its users meet.
    """

    @property
    def python(self) -> Path:
        return Path(sys.executable)

    def make(self) -> None:
        """It is there."""


class Peer:
    """A running `benchmarks/peer_worker.py` with one input, in a peer's environment. A context manager."""

    def __init__(self, environment: Environment, contest: str, options: Mapping[str, Any], *, make: bool) -> None:
        """make: whether a missing environment is made. Raises PeerMissing."""
        if make:
            environment.make()
        elif not environment.python.exists():
            raise PeerMissing("its environment is not there, and a quick run makes none")
        self._process = subprocess.Popen(
            [str(environment.python), str(ROOT / "benchmarks" / "peer_worker.py"), contest, json.dumps(dict(options))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.facts = self._answer()  # versions, and sizes where the contest is about bytes

    def turn(self, name: str) -> Callable[[], Cost]:
        """A contestant for timing.interleave()."""

        def once() -> Cost:
            assert self._process.stdin is not None
            self._process.stdin.write(name + "\n")
            self._process.stdin.flush()
            answer = self._answer()
            return Cost(answer["wall_s"], answer["cpu_s"])

        return once

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerMissing(f"its process ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "missing" in answer:
            self._process.wait()
            raise PeerMissing(answer["missing"])
        return answer

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

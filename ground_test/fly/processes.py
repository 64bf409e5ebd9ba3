"""The demonstration's processes: started each in a group of its own, watched, and stopped whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ground_test.fly.errors import ProcessFailed

STOP_S = 20.0  # the satellite's supervisor stops its own children in order, and commits its journal
KILL_S = 5.0
_TAIL = 400


@dataclass(frozen=True, slots=True)
class _Running:
    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Processes:
    """A context: leaving it stops and reaps all, last started first."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[_Running] = []

    def start(self, name: str, module: str, arguments: Sequence[str]) -> None:
        """`python -m module arguments`, its output into logs/NAME.log."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a ^C reaches us alone
            )
        self._running.append(_Running(name, process, log))

    def check(self) -> None:
        """Raises ProcessFailed when one has ended."""
        for each in self._running:
            status = each.process.poll()
            if status is not None:
                raise self.failure(each.name, f"ended with status {status}")

    def failure(self, name: str, detail: str) -> ProcessFailed:
        """An error about one process, with the last line it wrote."""
        log = self._logs / f"{name}.log"
        with contextlib.suppress(OSError):
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if lines:
                detail += f" (`{lines[-1][:_TAIL]}`)"
        return ProcessFailed(name, detail, str(log))

    def stop(self) -> None:
        """SIGTERM, a bounded wait, SIGKILL to the group. Nothing is left behind."""
        for each in reversed(self._running):
            if each.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    each.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                each.process.wait(STOP_S)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(each.process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                each.process.wait(KILL_S)
        self._running.clear()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

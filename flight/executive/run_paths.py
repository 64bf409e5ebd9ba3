"""Where one satellite keeps its state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Where one satellite keeps its state."""

    root: Path

    @property
    def journal(self) -> Path:
        return self.root / "journal.swj"

    @property
    def strips(self) -> Path:
        return self.root / "strips"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def files(self) -> Path:
        """The file manager's root."""
        return self.root / "files"

    @property
    def critical(self) -> Path:
        return self.root / "critical"

    @property
    def pids(self) -> Path:
        """name -> process id, for operators and for tests that kill."""
        return self.root / "pids.json"

    @property
    def notices(self) -> Path:
        """Where the flight process hears of the processes."""
        return self.root / "notices.sock"

    @property
    def requests(self) -> Path:
        """Where the supervisor is asked to restart one."""
        return self.root / "requests.sock"

    def endpoint(self, name: str) -> str:
        """The control endpoint of the camera or the payload process."""
        return f"ipc://{self.root / (name + '.ipc')}"

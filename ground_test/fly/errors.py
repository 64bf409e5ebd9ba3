"""What can keep the demonstration from flying."""

from __future__ import annotations

from ground_test.errors import GroundError


class FlyError(GroundError):
    """Base of every error of the demonstration."""

    code = "fly_error"


class MissionMissing(FlyError, FileNotFoundError):
    """The folder of the mission, or a file that it names, is not there."""

    code = "mission_missing"
    exit_status = 2

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.path, self.detail = path, detail

    def __str__(self) -> str:
        return str(self.args[0])


class OutputRefused(FlyError, ValueError):
    """The output folder holds something that is not an earlier flight."""

    code = "output_refused"
    exit_status = 2

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is not empty and holds no earlier flight: choose another --out")
        self.path = path


class OutputBusy(FlyError, BlockingIOError):
    """Another flight is under way in the output folder."""

    code = "output_busy"
    exit_status = 2

    def __init__(self, path: str) -> None:
        super().__init__(f"another flight is under way in {path}: choose another --out, or wait")
        self.path = path

    def __str__(self) -> str:
        return str(self.args[0])


class ProcessFailed(FlyError, RuntimeError):
    """A process of the demonstration ended, or never answered."""

    code = "process_failed"

    def __init__(self, name: str, detail: str, log: str) -> None:
        super().__init__(f"{name} {detail}; its log is {log}")
        self.name, self.detail, self.log = name, detail, log

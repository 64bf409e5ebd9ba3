"""The critical store beside the supervisor: starts are counted in it, and the flight process is served from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flight.config import SatelliteConfig
from flight.executive.crash_loop import BLOCKS as CRASH_BLOCKS
from flight.executive.crash_loop import CrashLoop, Recovery
from flight.executive.run_paths import RunPaths
from flight.onboard_time import TIME_BLOCK
from flight.services.critical_files import FolderFiles
from flight.services.critical_keeper import CriticalKeeper
from flight.services.critical_store import CriticalStore, CriticalStoreFailed
from flight.services.parameters import ParameterTables
from flight.tuning import flight_tables

NO_DESCRIPTOR = -1


class CriticalSupervision:
    """One store for a satellite's life. A medium that refuses is reported: the satellite flies all the same."""

    def __init__(
        self, config: SatelliteConfig, paths: RunPaths, report: Callable[[Mapping[str, object]], None]
    ) -> None:
        self.keeper: CriticalKeeper | None = None
        self._crash: CrashLoop | None = None
        self._store: CriticalStore | None = None
        opened = (TIME_BLOCK, *ParameterTables(flight_tables(config)).blocks)
        blocks = (*CRASH_BLOCKS, *opened)
        try:
            self._store = CriticalStore(FolderFiles(paths.critical), blocks)
        except (CriticalStoreFailed, OSError) as error:
            report({"event": "critical_store", "message": str(error)})
            return
        self.keeper = CriticalKeeper(self._store, blocks, opened)
        if config.executive.crash_limit:
            self._crash = CrashLoop(self._store, config.executive.crash_limit, report)

    def begin(self) -> tuple[Recovery, int]:
        """A flight process is about to start: how it begins, and the descriptor that it is to inherit, or -1."""
        if self.keeper is not None:
            self.keeper.compare()  # before anything is written: damage must be told, not written over
        recovery = self._crash.begin() if self._crash is not None else Recovery.AS_CONFIGURED
        return recovery, self.keeper.begin() if self.keeper is not None else NO_DESCRIPTOR

    def end(self) -> None:
        """The flight process lives long enough, or has ended as commanded."""
        if self._crash is not None:
            self._crash.end()

    def close(self) -> None:
        """Let the store and the sockets go."""
        if self.keeper is not None:
            self.keeper.close()
        if self._store is not None:
            self._store.close()

"""A flight process that ends again and again: first in safe mode, then by the golden configuration.

Each start spends one of a bounded number, kept over resets in the critical store with its complement. Five minutes of
life, or an end as commanded, give all of them back. When they are spent the next level begins, with as many starts.
Its calls wait for the medium: they are the supervisor's, outside the cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum

from flight.services.critical_format import Block
from flight.services.critical_store import BlockLost, CriticalStore, CriticalStoreFailed
from flight.services.reset_budget import RESET_BUDGET, ComplementMismatch, ResetBudget, ResetBudgetSpent

HEALTHY_S = 300.0  # of host time: a flight process that lived this long is no part of a loop


class Recovery(IntEnum):
    """How the flight process begins; goes down with its event."""

    AS_CONFIGURED = 0
    SAFE = 1  # in safe mode, until a command
    GOLDEN = 2  # in safe mode, by the golden configuration


RECOVERY = Block(2, "recovery", b"\x00\xff")  # the level and its complement
BLOCKS = (RESET_BUDGET, RECOVERY)


class CrashLoop:
    """Counts starts and decides how the next one begins."""

    def __init__(
        self, store: CriticalStore, limit: int, report: Callable[[Mapping[str, object]], None] = lambda record: None
    ) -> None:
        """limit: starts at each level, at least 1. What was damaged in the store is reported, and begins anew."""
        self._store, self._limit, self._report = store, limit, report
        self._failed = False
        for finding in store.findings:
            report({"event": "critical_store", "finding": finding.kind.name.lower(), "block": finding.block})
        self.level = self._read_level()
        self.budget = self._read_budget()
        self._fresh = False  # nothing is counted, so that nothing needs to be given back

    def begin(self) -> Recovery:
        """A flight process is about to be started. Durable on return, unless the medium refuses."""
        try:
            self.budget = ResetBudget(self.budget.performed, self._limit).spend()
        except ResetBudgetSpent:
            if self.level is not Recovery.GOLDEN:  # there is nothing beyond: it is tried for ever, with pauses
                self.level = Recovery(self.level + 1)
                self.budget = ResetBudget(1, self._limit)
                self._report({"event": "crash_loop", "level": self.level.name.lower()})
        self._fresh = False
        self._commit()
        return self.level

    def end(self) -> None:
        """It lives, or has ended as commanded: the next start is as configured, with the whole number of starts."""
        if self._fresh:
            return
        self.level, self.budget, self._fresh = Recovery.AS_CONFIGURED, ResetBudget(0, self._limit), True
        self._commit()

    def close(self) -> None:
        """Let the store go."""
        self._store.close()

    def _commit(self) -> None:
        if self._failed:
            return
        level = bytes((self.level, self.level ^ 0xFF))
        try:
            self._store.commit({RESET_BUDGET: self.budget.pack(), RECOVERY: level})
        except CriticalStoreFailed as error:  # counted in memory from here on: better than no satellite
            self._failed = True
            self._report({"event": "critical_store", "code": error.code, "message": str(error)})

    def _read_level(self) -> Recovery:
        try:
            level, complement = self._store.read(RECOVERY)
            if level ^ complement != 0xFF:
                raise ValueError(level)
            return Recovery(level)
        except (BlockLost, ValueError):
            return Recovery.AS_CONFIGURED

    def _read_budget(self) -> ResetBudget:
        try:
            return ResetBudget.unpack(self._store.read(RESET_BUDGET))
        except (BlockLost, ComplementMismatch):
            return ResetBudget(0, self._limit)

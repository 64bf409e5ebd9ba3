"""The critical store in the cycle: the activity `store.step`, its commands, events and counts. Nothing waits here."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence

from flight.services import store_component as told
from flight.services.command_slot import Handler
from flight.services.critical_client import Answer, CriticalClient
from flight.services.critical_format import Block
from flight.services.critical_keeper import Outcome
from flight.services.critical_store import CriticalStoreError, Finding, FindingKind
from flight.services.events import EventRing
from flight.services.reset_budget import RESET_BUDGET, ComplementMismatch, ResetBudget
from flight.services.telemetry import TelemetryPacket

KEEP_PERIOD_S = 60.0  # of host time, between two commits of what changes all the time
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CriticalDesk:
    """Between the services and the keeper. Without a keeper declared defaults are flown and every commit fails."""

    def __init__(self, client: CriticalClient | None, opened: Sequence[Block], events: EventRing) -> None:
        """opened: the blocks of the flight process. Tells what the keeper found before this start."""
        self._client, self._events = client, events
        self._opened = {block.number: block for block in opened}
        self.commits = self.failures = self.scrubs = self.mended = self.lost = 0
        self._budget = ResetBudget(0, 0)
        self._scrubbing = False
        self._scrubbed_s: float | None = None
        self._kept: list[tuple[Block, Callable[[], bytes]]] = []
        self._kept_s: float | None = None
        self.scrub_period_s = 10.0  # of host time, from the end of one to the next
        if client is None:
            events.emit(told.STORE_ABSENT)
            return
        self._report()
        self._found(client.findings)
        try:
            self._budget = ResetBudget.unpack(client.read(RESET_BUDGET))
        except (CriticalStoreError, ComplementMismatch):  # the supervisor has told it, and counts anew
            return
        if self._budget.limit and self._budget.performed >= self._budget.limit:
            events.emit(told.BUDGET_SPENT, performed=self._budget.performed, limit=self._budget.limit)

    def read(self, block: Block) -> bytes:
        """What the block held at the start; its default without a keeper. Raises BlockUnknown, BlockLost."""
        return block.default if self._client is None else self._client.read(block)

    def commit(self, values: Mapping[Block, bytes], done: Callable[[bool], None]) -> bool:
        """Keep blocks, all or none; `done` hears in a later step whether they are durable. False: not even asked."""

        def answered(answer: Answer) -> None:
            self._judge(answer)
            kept = answer.outcome is Outcome.DONE
            self.commits += kept
            done(kept)

        if self._client is None or not self._client.commit(values, answered):
            self.failures += 1
            return False
        return True

    def keep(self, block: Block, pack: Callable[[], bytes]) -> None:
        """Have what `pack` gives committed once in KEEP_PERIOD_S."""
        self._kept.append((block, pack))

    def step(self, host_s: float) -> None:
        """Hear the answers; have the copies compared when it is time, one comparison at once."""
        if self._client is None:
            return
        self._client.poll()
        if self._scrubbed_s is None:
            self._scrubbed_s = self._kept_s = host_s  # the keeper has just compared them
        if not self._scrubbing and host_s - self._scrubbed_s >= self.scrub_period_s:
            self._scrubbed_s = host_s
            self._scrub()
        if self._kept and host_s - (self._kept_s or 0.0) >= KEEP_PERIOD_S:
            self._kept_s = host_s
            self.commit({block: pack() for block, pack in self._kept}, lambda kept: None)

    def handlers(self) -> Mapping[int, Handler]:
        """Opcode -> what does it."""

        def clear(values: Mapping[str, int | float]) -> bool:
            block = self._opened.get(int(values["block"]))  # those of the crash loop are not for a command to clear
            if block is None:
                return False

            def cleared(kept: bool) -> None:
                if kept:
                    self._events.emit(told.BLOCK_CLEARED, block=block.number)

            return self.commit({block: block.default}, cleared)

        def report(values: Mapping[str, int | float]) -> bool:
            self._report()
            return self._client is not None

        return {
            told.STORE_CLEAR.opcode: clear,
            told.STORE_REPORT.opcode: report,
            told.STORE_SCRUB.opcode: lambda values: self._client is not None and (self._scrubbing or self._scrub()),
        }

    def telemetry(self, now_s: float) -> TelemetryPacket:
        """The component's numbers at mission time `now_s`."""
        return TelemetryPacket.of(
            told.CRITICAL_STORE,
            now_s,
            blocks=self._client.blocks if self._client else 0,
            generation=self._client.generation if self._client else 0,
            commits=self.commits,
            failures=self.failures,
            scrubs=self.scrubs,
            mended=self.mended,
            lost=self.lost,
            starts=self._budget.performed,
            starts_limit=self._budget.limit,
        )

    def close(self) -> None:
        """Let the keeper go."""
        if self._client is not None:
            self._client.close()

    def _scrub(self) -> bool:
        def answered(answer: Answer) -> None:
            self._scrubbing = False
            self._judge(answer)
            self.scrubs += answer.outcome is Outcome.DONE

        assert self._client is not None
        self._scrubbing = self._client.scrub(answered)
        self.failures += not self._scrubbing
        return self._scrubbing

    def _report(self) -> None:
        if self._client is not None:
            numbers = {"blocks": self._client.blocks, "generation": self._client.generation, "lost": self._client.lost}
            self._events.emit(told.STORE_FOUND, **numbers)

    def _judge(self, answer: Answer) -> None:
        self._found(answer.findings)
        if answer.outcome is Outcome.DONE:
            return
        self.failures += 1
        if answer.outcome is Outcome.REFUSED:
            self._events.emit(told.COMMIT_REFUSED)
        elif answer.errno in _NO_SPACE:
            self._events.emit(told.STORE_FULL)
        else:
            self._events.emit(told.STORE_FAILED, errno=answer.errno)

    def _found(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            if finding.kind is FindingKind.REPAIRED:
                self.mended += 1
                self._events.emit(told.BLOCK_REPAIRED, block=finding.block, copy=finding.copy)
            elif finding.kind is FindingKind.LOST:
                self.lost += 1
                self._events.emit(told.BLOCK_LOST, block=finding.block)
            elif finding.kind in (FindingKind.ROLLED_BACK, FindingKind.CAUGHT_UP):
                self._events.emit(told.TORN_WRITE, copy=finding.copy, finding=finding.kind)
            elif finding.kind in (FindingKind.CREATED, FindingKind.RETIRED):
                self._events.emit(told.BLOCK_LISTED, block=finding.block, finding=finding.kind)
            else:
                self.mended += 1
                self._events.emit(told.STORE_MENDED, finding=finding.kind, copy=finding.copy)

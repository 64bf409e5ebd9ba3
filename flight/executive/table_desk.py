"""Tables on board: those that may be commanded to fly, which one a restart begins with, and their scrubbing.

A table that passed its probation is written to the journal; a restart begins with it, as long as the configured one is
still the one that it took the place of. A table that was on probation when the process ended is not flown again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from flight.executive.component import TABLE_DAMAGED, TABLE_NOT_RESTORED
from flight.executive.errors import ScheduleRefused
from flight.executive.frame_context import FrameContext
from flight.executive.modes import Cause, Mode, ModeManager
from flight.executive.schedule import Analysis, ScheduleTable, analyse
from flight.executive.table_guard import Finding
from flight.executive.table_set import StagingRefused, TableSet, short_hash
from flight.executive.table_swap import Refusal
from flight.services import cbor
from flight.services.command_set import CommandDefinition
from flight.services.command_slot import Handler
from flight.services.declare import Field
from flight.services.events import EventRing
from flight.services.journal import JournalFull
from flight.services.records import RecordKind

TABLE_STAGE = CommandDefinition(0x0104, "table_stage", (Field("table", "u64"),))
TABLE_UNSTAGE = CommandDefinition(0x0105, "table_unstage", repeatable=True)
TABLE_GIVE_UP = CommandDefinition(0x0106, "table_give_up")
GROUP_SWITCH = CommandDefinition(0x0107, "group_switch", (Field("group", "u8"), Field("on", "u8")), repeatable=True)
TABLE_COMMANDS = (TABLE_STAGE, TABLE_UNSTAGE, TABLE_GIVE_UP, GROUP_SWITCH)
SCRUBBED_PER_STEP = 2  # entries


class TableDesk:
    """The activity `table.scrub`, and the commands about tables. Before the first frame: replay(), first(), bind()."""

    def __init__(
        self,
        configured: ScheduleTable,
        others: Sequence[ScheduleTable],
        append: Callable[[RecordKind, bytes], int],
        events: EventRing,
        modes: ModeManager,
    ) -> None:
        """configured: flown unless another one took its place; others: may be staged by command. All are analysed here,
        before there are frames to be late for. append: to the journal. Raises ScheduleRefused, StagingRefused.
        """
        self._append, self._events, self._modes = append, events, modes
        self._configured = configured
        self._tables: dict[str, ScheduleTable] = {}
        self._verdicts: dict[str, Analysis] = {}
        for table in (configured, *others):
            if table.minor_us != configured.minor_us:
                raise StagingRefused(table.name, Refusal.MINOR_FRAME)
            verdict = analyse(table)
            if not verdict.ok:
                raise ScheduleRefused(table.name, tuple((each.line, each.reason) for each in verdict.problems))
            self._tables[table.hash], self._verdicts[table.hash] = table, verdict
        self._kept = ""  # hash of the one that took the place of the configured one, by the journal
        self._written = ""
        self._set: TableSet | None = None

    def replay(self, payload: bytes) -> None:
        """One record of the journal; what makes no sense is as good as none."""
        try:
            kept, configured = cbor.decode(payload)
            self._kept = bytes(kept).hex() if bytes(configured).hex() == self._configured.hash else ""
        except (ValueError, TypeError):
            return

    def first(self) -> ScheduleTable:
        """The table to begin with. Told when the last good one is not on board any more."""
        self._written = self._kept or self._configured.hash
        if self._written in self._tables:
            return self._tables[self._written]
        self._events.emit(TABLE_NOT_RESTORED, table=int(self._written[:16], 16))
        return self._configured

    def bind(self, tables: TableSet) -> None:
        """What flies the tables."""
        self._set = tables
        self._written = tables.good.hash

    def step(self, context: FrameContext) -> None:
        """Scrub some entries of the table that flies; write down which one is good, when that has changed."""
        tables = self._bound()
        for _ in range(SCRUBBED_PER_STEP):
            if tables.scrub() is Finding.LOST:
                self._lost(tables)
        good = tables.good.hash
        if good != self._written:
            record = cbor.encode([bytes.fromhex(good), bytes.fromhex(self._configured.hash)])
            try:
                self._append(RecordKind.TABLE, record)
            except JournalFull:
                return  # written by a later step
            self._written = good

    def handlers(self) -> Mapping[int, Handler]:
        """Opcode -> what does it. What a table set refuses goes up: the slot tells that the command failed."""

        def stage(values: Mapping[str, int | float]) -> bool:
            for table in self._tables.values():
                if short_hash(table) == int(values["table"]):
                    self._bound().stage(table, self._verdicts[table.hash])
                    return True
            return False

        def switch(values: Mapping[str, int | float]) -> bool:
            on = int(values["on"])
            return on in (0, 1) and self._bound().switch(int(values["group"]), bool(on))

        return {
            TABLE_STAGE.opcode: stage,
            TABLE_UNSTAGE.opcode: lambda values: self._bound().unstage(),
            TABLE_GIVE_UP.opcode: lambda values: self._bound().give_up(),
            GROUP_SWITCH.opcode: switch,
        }

    def _bound(self) -> TableSet:
        assert self._set is not None, "bind() comes before the first frame"
        return self._set

    def _lost(self, tables: TableSet) -> None:
        """The entry is not started any more. If it is critical, its silence ends in a reset: the table is read anew."""
        self._events.emit(TABLE_DAMAGED, table=short_hash(tables.table))
        if self._modes.may(Mode.SAFE, Cause.MEMORY) is None:
            self._modes.request(Mode.SAFE, Cause.MEMORY)

"""What the critical store tells the ground."""

from __future__ import annotations

from flight.services.command_set import CommandDefinition
from flight.services.declare import Component, Event, Field, Severity

STORE_FOUND = Event(1, Severity.INFO, "{blocks:u16} blocks after {generation:u64} commits, {lost:u16} of them lost")
BLOCK_REPAIRED = Event(
    2, Severity.WARNING, "block {block:u16} was damaged in copy {copy:u8}: mended from the other copy"
)
BLOCK_LOST = Event(3, Severity.ERROR, "block {block:u16} was damaged in every copy: it holds its default")
TORN_WRITE = Event(4, Severity.WARNING, "a write was cut, copy {copy:u8}, finding {finding:u8}")
STORE_MENDED = Event(5, Severity.WARNING, "damage outside the blocks mended, finding {finding:u8}, copy {copy:u8}")
BLOCK_LISTED = Event(6, Severity.INFO, "block {block:u16} is new or declared no more, finding {finding:u8}")
STORE_FULL = Event(7, Severity.ERROR, "no space for a commit: nothing more is kept until a scrub succeeds")
STORE_FAILED = Event(8, Severity.ERROR, "the medium refused a call, errno {errno:u16}")
STORE_ABSENT = Event(9, Severity.ERROR, "no critical store: declared defaults are flown, and nothing is kept")
BLOCK_CLEARED = Event(10, Severity.WARNING, "block {block:u16} cleared: the next start begins with its default")
BUDGET_SPENT = Event(11, Severity.ERROR, "{performed:u16} of {limit:u16} starts of this level of recovery are used")
COMMIT_REFUSED = Event(12, Severity.ERROR, "a commit was refused: block not opened, or of another size")

CRITICAL_STORE = Component(
    name="critical_store",
    number=63,
    events=(
        STORE_FOUND,
        BLOCK_REPAIRED,
        BLOCK_LOST,
        TORN_WRITE,
        STORE_MENDED,
        BLOCK_LISTED,
        STORE_FULL,
        STORE_FAILED,
        STORE_ABSENT,
        BLOCK_CLEARED,
        BUDGET_SPENT,
        COMMIT_REFUSED,
    ),
    telemetry=(
        Field("blocks", "u16"),
        Field("generation", "u64"),
        Field("commits", "u32"),
        Field("failures", "u32"),
        Field("scrubs", "u32"),
        Field("mended", "u32"),
        Field("lost", "u32"),
        Field("starts", "u16"),
        Field("starts_limit", "u16"),
    ),
)

STORE_CLEAR = CommandDefinition(0x3F01, "store_clear", (Field("block", "u16"),), dangerous=True)
STORE_REPORT = CommandDefinition(0x3F02, "store_report", repeatable=True)
STORE_SCRUB = CommandDefinition(0x3F03, "store_scrub", repeatable=True)
STORE_COMMANDS = (STORE_CLEAR, STORE_REPORT, STORE_SCRUB)

"""What the scrubber tells the ground."""

from __future__ import annotations

from flight.services.declare import Component, Event, Field, Severity

BLOCK_CHANGED = Event(1, Severity.ERROR, "region {region:u8} changed at block {block:u32}, offset {offset:u64}")
DIGEST_WRONG = Event(2, Severity.ERROR, "region {region:u8} of {octets:u64} octets is not what its manifest states")
SIZE_CHANGED = Event(3, Severity.ERROR, "region {region:u8} has {octets:u64} octets, not {expected:u64}")
UNREADABLE = Event(4, Severity.ERROR, "region {region:u8} unreadable, reason {reason:u8}, errno {errno:u16}")
REACTED = Event(
    5, Severity.WARNING, "region {region:u8}: reaction ended as {outcome:u8} (1 repaired, 2 withdrawn, 3 failed)"
)
PASS_DONE = Event(
    6,
    Severity.INFO,
    "scrub {number:u32}: {octets:u64} octets, {changed:u16} regions changed, {unreadable:u16} unreadable",
)
BASELINE_TAKEN = Event(7, Severity.INFO, "region {region:u8}: new baseline of {octets:u64} octets, CRC {crc:u32}")
STATUS = Event(
    8, Severity.INFO, "scrubbing {running:u8}, at region {region:u8}, offset {offset:u64}, {passes:u32} passes"
)
NOT_SCRUBBED = Event(
    9, Severity.ERROR, "an application's files are not scrubbed, before region {region:u8}: reason {reason:u8}"
)

SCRUBBER = Component(
    name="scrubber",
    number=66,
    events=(
        BLOCK_CHANGED,
        DIGEST_WRONG,
        SIZE_CHANGED,
        UNREADABLE,
        REACTED,
        PASS_DONE,
        BASELINE_TAKEN,
        STATUS,
        NOT_SCRUBBED,
    ),
    telemetry=(
        Field("running", "u8"),
        Field("region", "u8"),
        Field("passes", "u32"),
        Field("octets", "u64", "octets"),
        Field("mismatches", "u32"),
        Field("unreadable", "u32"),
        Field("repaired", "u32"),
    ),
)

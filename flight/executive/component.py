"""What the executive tells the ground."""

from __future__ import annotations

from flight.services.declare import Component, Event, Field, Severity

FRAME_LATE = Event(1, Severity.WARNING, "frame {frame:u32} ended after the next release")
FRAMES_SKIPPED = Event(2, Severity.WARNING, "{skipped:u32} frames skipped before frame {frame:u32}")
OVERRAN = Event(
    3, Severity.WARNING, "activity {activity:u8} took {took_us:u32} us, {over_us:u32} us above its worst case"
)
DEADLINE_MISSED = Event(4, Severity.WARNING, "activity {activity:u8} ended {over_us:u32} us after its deadline")
NOT_STARTED = Event(5, Severity.INFO, "activity {activity:u8} not started: {left_us:u32} us left, policy {policy:u8}")
RAISED = Event(6, Severity.ERROR, "activity {activity:u8} raised, {in_a_row:u8} in a row")
DISABLED = Event(7, Severity.ERROR, "activity {activity:u8} disabled after raising {in_a_row:u8} times in a row")
MODE_CHANGED = Event(8, Severity.INFO, "mode {before:u8} -> {after:u8}, cause {cause:u8}")
MODE_REFUSED = Event(9, Severity.WARNING, "mode {before:u8} -> {after:u8} refused, cause {cause:u8}")
UNHEALTHY = Event(10, Severity.CRITICAL, "activity {activity:u8} silent for {silent:u32} frames: watchdog withheld")
HEALTHY = Event(11, Severity.INFO, "healthy again at frame {frame:u32}")
CLOCK_GRANT = Event(12, Severity.INFO, "frame clock started: real time {realtime:u8}, memory locked {locked:u8}")
MODE_HELD = Event(20, Severity.WARNING, "mode {before:u8} -> {after:u8} not now, cause {cause:u8}, reason {reason:u8}")
MODE_TIMED_OUT = Event(21, Severity.WARNING, "mode {mode:u8} ended by itself after {frames:u32} frames")
MODE_ACTION_RAISED = Event(22, Severity.ERROR, "action {action:u8} of mode {mode:u8} raised")
MODE_GUARD_RAISED = Event(23, Severity.ERROR, "a condition for leaving mode {mode:u8} raised")
COMPETING_THREADS = Event(
    30, Severity.WARNING, "{threads:u8} other threads of the interpreter are alive: each may hold up a frame"
)
DEMOTED = Event(
    31,
    Severity.WARNING,
    "activity {activity:u8} too long {overruns:u8} times in {runs:u8} runs: to level {level:u8}, step {step:u8}",
)
RESTORED = Event(32, Severity.INFO, "activity {activity:u8} back to level {level:u8}, cause {cause:u8}")
CRITICAL_OVERRUNS = Event(
    33,
    Severity.ERROR,
    "critical activity {activity:u8} too long {overruns:u8} times in {runs:u8} runs: safe mode asked for",
)
TABLE_STAGED = Event(34, Severity.INFO, "table {table:u64} stands by")
TABLE_ACTIVATED = Event(35, Severity.INFO, "table {table:u64} flies from frame {frame:u32} on, on probation")
TABLE_KEPT = Event(36, Severity.INFO, "table {table:u64} passed its probation: the last good one")
TABLE_RETURNED = Event(37, Severity.ERROR, "table {table:u64} given up, reason {reason:u8}: back to {good:u64}")
TABLE_REFUSED = Event(38, Severity.WARNING, "table {table:u64} refused, reason {reason:u8}, {problems:u16} problems")
GROUP_SWITCHED = Event(39, Severity.INFO, "group {group:u8} of activities switched, on {on:u8}")
TABLE_MENDED = Event(
    40,
    Severity.WARNING,
    "table {table:u64}: memory of activity {activity:u8} mended, finding {finding:u8}, {times:u32} times so far",
)
TABLE_DAMAGED = Event(
    41, Severity.CRITICAL, "table {table:u64}: an entry is damaged beyond repair, safe mode asked for"
)
TABLE_NOT_RESTORED = Event(42, Severity.ERROR, "table {table:u64} was the last good one and is not on board any more")
WATCHDOG_GONE = Event(45, Severity.ERROR, "the watchdog cannot be petted, error {errno:u16}: tried again each period")
WATCHDOG_BACK = Event(46, Severity.INFO, "the watchdog is petted again after {errors:u32} failed pets in all")
DUTIES_BEGAN = Event(
    47, Severity.ERROR, "no check-in for {missed:u32} frames: the frame clock did {duties:u32} duties by itself"
)
DISPATCHER_GRANT = Event(
    48,
    Severity.INFO,
    "dispatcher at priority {priority:u8}, ended after {runaway_ms:u32} ms without a pause: granted {granted:u8}",
)
CLOCK_PINNED = Event(49, Severity.INFO, "frame clock to run on a core of its own: granted {granted:u8}")

EXECUTIVE = Component(
    name="executive",
    number=1,
    events=(
        FRAME_LATE,
        FRAMES_SKIPPED,
        OVERRAN,
        DEADLINE_MISSED,
        NOT_STARTED,
        RAISED,
        DISABLED,
        MODE_CHANGED,
        MODE_REFUSED,
        UNHEALTHY,
        HEALTHY,
        CLOCK_GRANT,
        MODE_HELD,
        MODE_TIMED_OUT,
        MODE_ACTION_RAISED,
        MODE_GUARD_RAISED,
        COMPETING_THREADS,
        DEMOTED,
        RESTORED,
        CRITICAL_OVERRUNS,
        TABLE_STAGED,
        TABLE_ACTIVATED,
        TABLE_KEPT,
        TABLE_RETURNED,
        TABLE_REFUSED,
        GROUP_SWITCHED,
        TABLE_MENDED,
        TABLE_DAMAGED,
        TABLE_NOT_RESTORED,
        WATCHDOG_GONE,
        WATCHDOG_BACK,
        DUTIES_BEGAN,
        DISPATCHER_GRANT,
        CLOCK_PINNED,
    ),
    telemetry=(  # the housekeeping packet
        Field("mode", "u8"),
        Field("healthy", "u8"),
        Field("frames_released", "u64"),
        Field("frames_run", "u64"),
        Field("frames_late", "u32"),
        Field("frames_skipped", "u32"),
        Field("worst_release_us", "u32", "us"),
        Field("worst_done_us", "u32", "us"),
        Field("watchdog_pets", "u32"),
        Field("watchdog_withheld", "u32"),
        Field("activities_run", "u64"),
        Field("activities_not_started", "u32"),
        Field("activities_shed", "u32"),
        Field("activities_deferred", "u32"),
        Field("activities_overran", "u32"),
        Field("activities_late", "u32"),
        Field("activities_raised", "u32"),
        Field("activities_disabled", "u8"),
        Field("busiest_activity", "u8"),
        Field("busiest_us", "u32", "us"),
        Field("events_queued", "u16"),
        Field("events_dropped", "u32"),
        Field("events_squelched", "u32"),
        Field("journal_sequence", "u64"),
        Field("journal_durable", "u64"),
        Field("journal_queued", "u32", "B"),
        Field("tables_mended", "u32"),
        Field("frames_incomplete", "u32"),
        Field("watchdog_errors", "u32"),
        Field("silences", "u32"),
        Field("duties_run", "u32"),
    ),
)

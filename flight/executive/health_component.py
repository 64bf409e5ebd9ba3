"""What the watch over processes, counts, last words and ground contact tells the ground (docs/health.md)."""

from __future__ import annotations

from flight.services.declare import Component, Event, Field, Severity

PROCESS_HUNG = Event(
    1, Severity.ERROR, "process {process:u8} silent for {silent_ms:u32} ms and made to end, {times:u32} times so far"
)
PROCESS_KILLED = Event(2, Severity.WARNING, "process {process:u8} did not end when asked and was killed")
PROCESS_RESTARTED = Event(3, Severity.INFO, "process {process:u8} started again, {restarts:u32} times so far")
COUNT_MISSING = Event(4, Severity.WARNING, "watched {watched:u8}: {counted:u32} of {expected:u32} in its window")
COUNT_RESTORED = Event(5, Severity.INFO, "watched {watched:u8} counts as declared again")
ACTION_TAKEN = Event(6, Severity.ERROR, "watched {watched:u8}: action {action:u8}, {times:u8} times")
ACTION_FAILED = Event(7, Severity.ERROR, "watched {watched:u8}: action {action:u8} could not be taken")
ACTIONS_SPENT = Event(8, Severity.CRITICAL, "watched {watched:u8}: every action was taken, and it still does not count")
LAST_WORDS = Event(
    10, Severity.WARNING, "the boot before ended in frame {frame:u64}, mode {mode:u8}, reason {reason:u8}"
)
LAST_WORDS_EVENT = Event(11, Severity.WARNING, "its last words: event {component:u8}.{number:u16} at {time_us:u64} us")
LAST_WORDS_DAMAGED = Event(12, Severity.WARNING, "the last words of the boot before are damaged, reason {reason:u8}")
LAST_WORDS_LOST = Event(13, Severity.WARNING, "last words could not be written, error {number:u32}")
CONTACT_LOST = Event(20, Severity.CRITICAL, "no valid telecommand for {silent_s:u32} s: action {action:u8}")
CONTACT_AGAIN = Event(21, Severity.INFO, "a valid telecommand after {silent_s:u32} s")
CONTACT_STATE_LOST = Event(22, Severity.WARNING, "the time without contact is not known: it counts from now")
CONTACT_NOT_SAVED = Event(23, Severity.WARNING, "the time without contact could not be saved")

HEALTH = Component(
    name="health",
    number=65,
    events=(
        PROCESS_HUNG,
        PROCESS_KILLED,
        PROCESS_RESTARTED,
        COUNT_MISSING,
        COUNT_RESTORED,
        ACTION_TAKEN,
        ACTION_FAILED,
        ACTIONS_SPENT,
        LAST_WORDS,
        LAST_WORDS_EVENT,
        LAST_WORDS_DAMAGED,
        LAST_WORDS_LOST,
        CONTACT_LOST,
        CONTACT_AGAIN,
        CONTACT_STATE_LOST,
        CONTACT_NOT_SAVED,
    ),
    telemetry=(
        Field("processes_hung", "u32"),
        Field("processes_killed", "u32"),
        Field("processes_restarted", "u32"),
        Field("notices_refused", "u32"),
        Field("windows_missed", "u32"),
        Field("actions_taken", "u32"),
        Field("actions_failed", "u32"),
        Field("contact_silent_s", "u32", "s"),
        Field("contact_actions", "u32"),
    ),
)

"""What the satellite as a whole tells the ground: its processes, its place, its battery."""

from __future__ import annotations

from flight.services.declare import Component, Event, Field, Severity

BOOTED = Event(1, Severity.INFO, "the flight process began, restart {restarts:u32}; {records:u32} records replayed")
CAMERA_BEGAN = Event(2, Severity.WARNING, "a camera process began, number {number:u16} seen")
PAYLOAD_BEGAN = Event(3, Severity.WARNING, "a payload process began, number {number:u16} seen")
PAYLOAD_SILENT = Event(4, Severity.ERROR, "the payload process has been silent for {seconds:u32} s", burst=1)
STRIPS_REFUSED = Event(5, Severity.ERROR, "{strips:u32} strips of the payload process failed a check")
APPLICATIONS_DISABLED = Event(6, Severity.ERROR, "{applications:u8} applications were left out")
POWER_OFF_NOTICE = Event(7, Severity.CRITICAL, "the bus takes the power in {seconds:u32} s")
TELECOMMAND_TAKEN = Event(8, Severity.INFO, "telecommand {counter:u64} of source {source:u8} is on the journal")
TELECOMMAND_REFUSED = Event(9, Severity.WARNING, "telecommand {counter:u64} refused, reason {reason:u8}")
STATES_NOT_RESTORED = Event(10, Severity.ERROR, "state {state:u8} of the services begins afresh, reason {reason:u8}")
JOURNAL_NO_SPACE = Event(
    11, Severity.CRITICAL, "no space for the journal: nothing new is decided; {queued:u32} octets wait"
)
JOURNAL_SPACE_AGAIN = Event(12, Severity.INFO, "the journal has space again")
RECOVERY_BEGAN = Event(
    13, Severity.CRITICAL, "flight processes ended again and again: begun in safe mode, level {level:u8} of recovery"
)

SATELLITE = Component(
    name="satellite",
    number=40,
    events=(
        BOOTED,
        CAMERA_BEGAN,
        PAYLOAD_BEGAN,
        PAYLOAD_SILENT,
        STRIPS_REFUSED,
        APPLICATIONS_DISABLED,
        POWER_OFF_NOTICE,
        TELECOMMAND_TAKEN,
        TELECOMMAND_REFUSED,
        STATES_NOT_RESTORED,
        JOURNAL_NO_SPACE,
        JOURNAL_SPACE_AGAIN,
        RECOVERY_BEGAN,
    ),
    telemetry=(
        Field("latitude", "f32", "deg"),
        Field("longitude", "f32", "deg"),
        Field("altitude", "f32", "m"),
        Field("state_of_charge", "f32"),
        Field("sunlit", "u8"),
        Field("roll", "f32", "deg"),
        Field("capturing", "u8"),
        Field("uplinks_refused", "u32"),
        Field("inputs_dropped", "u32"),
        Field("strips_refused", "u32"),
        Field("camera_processes", "u16"),
        Field("payload_processes", "u16"),
    ),
)

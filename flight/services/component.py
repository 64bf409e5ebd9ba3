"""What the services on board tell the ground, and the commands that they take (docs/onboard-services.md)."""

from __future__ import annotations

from flight.services.command_set import CommandDefinition
from flight.services.declare import Component, Event, Field, Severity

# --- stored sequences

SEQUENCE_LOADED = Event(1, Severity.INFO, "sequence {number:u8} loaded, {steps:u16} steps")
LOAD_REFUSED = Event(2, Severity.WARNING, "sequence load refused, reason {reason:u8}, step {step:i32}")
SEQUENCE_REFUSED = Event(3, Severity.WARNING, "sequence {number:u8} refused, reason {reason:u8}")
SEQUENCE_STARTED = Event(4, Severity.INFO, "sequence {number:u8} started by {by:u8}")
SEQUENCE_REPORT = Event(5, Severity.WARNING, "sequence {number:u8}, step {step:u16}: happening {happening:u8}")
SEQUENCE_ENDED = Event(6, Severity.INFO, "sequence {number:u8} ended after step {step:u16}")
COMMAND_REFUSED = Event(7, Severity.WARNING, "command {opcode:u16} of source {source:u8} refused, reason {reason:u8}")
COMMAND_FAILED = Event(8, Severity.WARNING, "command {opcode:u16} of source {source:u8} failed")
COMMANDS_DROPPED = Event(9, Severity.WARNING, "the command slot is full: {dropped:u32} commands dropped")
COMMAND_DONE = Event(10, Severity.INFO, "command {opcode:u16} of source {source:u8} done")

SEQUENCES = Component(
    name="sequences",
    number=60,
    events=(
        SEQUENCE_LOADED,
        LOAD_REFUSED,
        SEQUENCE_REFUSED,
        SEQUENCE_STARTED,
        SEQUENCE_REPORT,
        SEQUENCE_ENDED,
        COMMAND_REFUSED,
        COMMAND_FAILED,
        COMMANDS_DROPPED,
        COMMAND_DONE,
    ),
    telemetry=(
        Field("loaded", "u8"),
        Field("absolute", "u8"),
        Field("dispatched", "u32"),
        Field("completed", "u32"),
        Field("failed", "u32"),
        Field("skipped", "u32"),
        Field("ended", "u32"),
        Field("stopped_by_failure", "u32"),
        Field("unknown_completions", "u32"),
        Field("commands_dropped", "u32"),
    ),
)

# --- limit checks

LIMIT_FIRED = Event(1, Severity.WARNING, "limit action {action:u8} fired: sequence {sequence:u8}")
LIMIT_DRY = Event(2, Severity.INFO, "limit action {action:u8} would have started sequence {sequence:u8}")
LIMIT_REFUSED = Event(3, Severity.WARNING, "limits refused, reason {reason:u8}, record {record:i32}")
TABLE_DAMAGED = Event(4, Severity.WARNING, "limit table damaged, reason {reason:u8}")
LIMITS_LOADED = Event(5, Severity.INFO, "limit table loaded: {watchpoints:u8} watchpoints, {actions:u8} actions")

LIMITS = Component(
    name="limits", number=61, events=(LIMIT_FIRED, LIMIT_DRY, LIMIT_REFUSED, TABLE_DAMAGED, LIMITS_LOADED)
)

# --- arming

COMMAND_ARMED = Event(1, Severity.WARNING, "source {source:u8} armed command {opcode:u16} as {number:u32}")
COMMAND_EXECUTED = Event(2, Severity.WARNING, "source {source:u8} executes command {opcode:u16}, armed as {number:u32}")
ARMING_REFUSED = Event(3, Severity.WARNING, "source {source:u8}, number {number:u32} refused, reason {reason:u8}")
ARMING_EXPIRED = Event(4, Severity.WARNING, "what source {source:u8} armed as {number:u32} expired")
DISARMED = Event(5, Severity.WARNING, "what source {source:u8} armed as {number:u32} was disarmed by another command")

ARMING = Component(
    name="arming",
    number=62,
    events=(COMMAND_ARMED, COMMAND_EXECUTED, ARMING_REFUSED, ARMING_EXPIRED, DISARMED),
    telemetry=(
        Field("armed", "u32"),
        Field("executed", "u32"),
        Field("refused", "u32"),
        Field("expired", "u32"),
        Field("disarmed", "u32"),
    ),
)

# --- commands: the upper octet is the component's number. `load` and `execute` are followed by the octets that their
# service checks: a packed sequence, a packed limit table, the armed command.

_NUMBER = (Field("number", "u8"),)
SEQUENCE_START = CommandDefinition(0x3C01, "sequence_start", _NUMBER)
SEQUENCE_STOP = CommandDefinition(0x3C02, "sequence_stop", _NUMBER)
SEQUENCE_ENABLE = CommandDefinition(0x3C03, "sequence_enable", _NUMBER, repeatable=True)
SEQUENCE_DISABLE = CommandDefinition(0x3C04, "sequence_disable", _NUMBER, repeatable=True)
SEQUENCE_SWITCH = CommandDefinition(0x3C05, "sequence_switch")
SEQUENCE_LOAD = CommandDefinition(0x3C06, "sequence_load", storable=False)
LIMIT_SET_STATE = CommandDefinition(
    0x3D01, "limit_set_state", (Field("action", "u8"), Field("state", "u8")), repeatable=True
)
LIMITS_LOAD = CommandDefinition(0x3D02, "limits_load", storable=False)
ARM = CommandDefinition(
    0x3E01, "arm", (Field("number", "u32"), Field("opcode", "u16"), Field("digest", "u64")), storable=False
)
EXECUTE = CommandDefinition(0x3E02, "execute", (Field("number", "u32"),), storable=False)

SERVICE_COMMANDS = (
    SEQUENCE_START,
    SEQUENCE_STOP,
    SEQUENCE_ENABLE,
    SEQUENCE_DISABLE,
    SEQUENCE_SWITCH,
    SEQUENCE_LOAD,
    LIMIT_SET_STATE,
    LIMITS_LOAD,
    ARM,
    EXECUTE,
)

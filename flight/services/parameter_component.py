"""What the parameter tables tell the ground. `tables` is a mask: bit n - 1 is table n."""

from __future__ import annotations

from flight.services.command_set import CommandDefinition
from flight.services.declare import Component, Event, Field, Severity

TABLE_LOADED = Event(1, Severity.INFO, "table {table:u8} staged")
TABLE_REFUSED = Event(
    2, Severity.WARNING, "table {table:u8} refused, reason {reason:u8}, parameter {parameter:u8}, value {value:f64}"
)
TABLE_VALIDATED = Event(3, Severity.INFO, "table {table:u8} validated")
TABLE_ACTIVATED = Event(4, Severity.INFO, "table {table:u8} is active, CRC {crc:u32}, returned to {returned:u8}")
ACTIVATION_GIVEN_UP = Event(5, Severity.ERROR, "tables {tables:u64} not activated: the critical store refused them")
TABLE_VALUE = Event(
    6, Severity.INFO, "table {table:u8}, image {image:u8}, parameter {parameter:u8}: {value:f64}", burst=256
)
TABLE_CRC = Event(
    7, Severity.INFO, "table {table:u8}, image {image:u8}: CRC {crc:u32}, declaration {declaration:u32}", burst=64
)
TABLE_RESTORED = Event(8, Severity.WARNING, "table {table:u8} begins with origin {origin:u8}, reason {reason:u8}")

PARAMETERS = Component(
    name="parameters",
    number=64,
    events=(
        TABLE_LOADED,
        TABLE_REFUSED,
        TABLE_VALIDATED,
        TABLE_ACTIVATED,
        ACTIVATION_GIVEN_UP,
        TABLE_VALUE,
        TABLE_CRC,
        TABLE_RESTORED,
    ),
    telemetry=(
        Field("tables", "u8"),
        Field("pending", "u8"),
        Field("activations", "u32"),
        Field("refused", "u32"),
        Field("not_kept", "u32"),
        Field("not_restored", "u8"),
        Field("crc", "u32"),
    ),
)

_TABLES = (Field("tables", "u64"),)
_IMAGE = (Field("table", "u8"), Field("image", "u8"))
PARAMETER_LOAD = CommandDefinition(0x4001, "parameter_load", storable=False)  # an image follows
PARAMETER_VALIDATE = CommandDefinition(0x4002, "parameter_validate", (Field("table", "u8"),), repeatable=True)
PARAMETER_ACTIVATE = CommandDefinition(0x4003, "parameter_activate", _TABLES, dangerous=True)
PARAMETER_RETURN = CommandDefinition(0x4004, "parameter_return", _TABLES, dangerous=True)
PARAMETER_DUMP = CommandDefinition(0x4005, "parameter_dump", _IMAGE, repeatable=True)
PARAMETER_CRC = CommandDefinition(0x4006, "parameter_crc", _IMAGE, repeatable=True)
PARAMETER_COMMANDS = (
    PARAMETER_LOAD,
    PARAMETER_VALIDATE,
    PARAMETER_ACTIVATE,
    PARAMETER_RETURN,
    PARAMETER_DUMP,
    PARAMETER_CRC,
)

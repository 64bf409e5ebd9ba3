"""What the event service tells the ground, and its commands (docs/onboard-services.md)."""

from __future__ import annotations

from flight.services.command_set import CommandDefinition
from flight.services.declare import Component, Event, Field, Severity

FILTER_REFUSED = Event(
    1, Severity.WARNING, "event setting refused, reason {reason:u8}, component {component:u8}, event {number:u16}"
)
FILTER_NOT_RESTORED = Event(
    2, Severity.WARNING, "event settings not restored, reason {reason:u8}; {left_out:u8} left out"
)
FILTER_COUNTS = Event(
    3,
    Severity.INFO,
    "component {component:u8}: least severity {downlink:u8} for downlink, {storage:u8} for storage; "
    "{downlink_filtered:u32} and {storage_filtered:u32} events held back",
)

EVENT_SERVICE = Component(
    name="event_service",
    number=69,
    events=(FILTER_REFUSED, FILTER_NOT_RESTORED, FILTER_COUNTS),
    telemetry=(
        Field("emitted", "u32"),
        Field("queued", "u16"),
        Field("dropped", "u32"),
        Field("squelched", "u32"),
        Field("downlink_filtered", "u32"),
        Field("storage_filtered", "u32"),
        Field("squelches_set", "u8"),
        Field("unwritten", "u8"),
    ),
)

EVENT_LEAST = CommandDefinition(0x4501, "event_least", (Field("sink", "u8"), Field("severity", "u8")), repeatable=True)
EVENT_COMPONENT_LEAST = CommandDefinition(
    0x4502,
    "event_component_least",
    (Field("sink", "u8"), Field("component", "u8"), Field("severity", "u8")),
    repeatable=True,
)
EVENT_SQUELCH = CommandDefinition(
    0x4503,
    "event_squelch",
    (Field("component", "u8"), Field("event", "u16"), Field("mode", "u8"), Field("burst", "u16"), Field("ms", "u32")),
    repeatable=True,
)
EVENT_COUNTS = CommandDefinition(0x4504, "event_counts", (Field("component", "u8"),), repeatable=True)
EVENT_RESET = CommandDefinition(0x4505, "event_reset", repeatable=True)
EVENT_COMMANDS = (EVENT_LEAST, EVENT_COMPONENT_LEAST, EVENT_SQUELCH, EVENT_COUNTS, EVENT_RESET)

"""What the telemetry service tells the ground, and its commands (docs/onboard-services.md)."""

from __future__ import annotations

from flight.services.command_set import CommandDefinition
from flight.services.declare import Component, Event, Field, Severity

RATE_REFUSED = Event(1, Severity.WARNING, "telemetry rate refused, reason {reason:u8}, component {component:u8}")
RATES_NOT_RESTORED = Event(
    2, Severity.WARNING, "telemetry rates not restored, reason {reason:u8}; {left_out:u8} left out"
)

TELEMETRY_SERVICE = Component(
    name="telemetry_service",
    number=68,
    events=(RATE_REFUSED, RATES_NOT_RESTORED),
    telemetry=(
        Field("sent", "u32"),
        Field("not_due", "u32"),
        Field("off", "u32"),
        Field("held", "u32"),
        Field("rates_set", "u8"),
    ),
)

TELEMETRY_RATE = CommandDefinition(
    0x4401,
    "telemetry_rate",
    (Field("component", "u8"), Field("mode", "u8"), Field("min_ms", "u32"), Field("max_ms", "u32")),
    repeatable=True,
)
TELEMETRY_COMMANDS = (TELEMETRY_RATE,)

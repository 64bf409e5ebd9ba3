"""Events, telemetry, the journal."""

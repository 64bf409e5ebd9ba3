"""What the time service tells the ground."""

from __future__ import annotations

from flight.services.declare import Component, Event, Field, Severity

TIME_STATE = Event(1, Severity.WARNING, "time is now {state:u8} (0 lost, 1 free running, 2 correlated)")
TIME_STEPPED = Event(2, Severity.WARNING, "time stepped by {step_us:i64} us, source {source:u8}")
SAMPLE_REFUSED = Event(3, Severity.WARNING, "time sample of source {source:u8} refused, reason {reason:u8}", burst=3)
LEAPS_REPLACED = Event(4, Severity.INFO, "leap seconds replaced: {steps:u8} steps, good until {expires_s:i64} s")
LEAPS_EXPIRED = Event(5, Severity.WARNING, "the leap second table has expired: UTC may be wrong by whole seconds")
OSCILLATOR_WENT_BACK = Event(6, Severity.ERROR, "the oscillator went back by {back_us:u64} us: time is lost")

TIME = Component(
    name="time",
    number=70,
    events=(TIME_STATE, TIME_STEPPED, SAMPLE_REFUSED, LEAPS_REPLACED, LEAPS_EXPIRED, OSCILLATOR_WENT_BACK),
    telemetry=(
        Field("state", "u8"),
        Field("elapsed", "f64", "s"),
        Field("sigma", "f64", "s"),
        Field("rate", "i32", "ppb"),
        Field("samples", "u32"),
        Field("samples_refused", "u32"),
        Field("steps", "u32"),
        Field("leaps_expired", "u8"),
    ),
)

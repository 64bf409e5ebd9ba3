"""What the agent and its gate tell the ground. `job` and `product` are the first four octets of their ids."""

from __future__ import annotations

from flight.services.declare import Component, Event, Field, Severity

JOB_STATE = Event(1, Severity.INFO, "job {job:u32} is in state {state:u8}, reason {reason:u8}", burst=64)
UPLINK_REFUSED = Event(2, Severity.WARNING, "uplink on {apid:u16} refused, reason {reason:u8}")
GRANT_TAKEN = Event(3, Severity.INFO, "grant {grant:u32} is in force")
GRANT_REVOKED = Event(4, Severity.WARNING, "grant {grant:u32} revoked, {jobs:u16} jobs called off")
RECEIPT_MISMATCH = Event(5, Severity.ERROR, "receipt for product {product:u32} names other octets")
RECORD_SKIPPED = Event(6, Severity.ERROR, "{records:u32} journal records made no sense and were skipped")
EGRESS_REFUSED = Event(7, Severity.ERROR, "the gate refused what may not leave, reason {reason:u8}")
PRODUCT_RELEASED = Event(8, Severity.INFO, "product {product:u32} released, {octets:u32} octets")

AGENT = Component(
    name="agent",
    number=30,
    events=(
        JOB_STATE,
        UPLINK_REFUSED,
        GRANT_TAKEN,
        GRANT_REVOKED,
        RECEIPT_MISMATCH,
        RECORD_SKIPPED,
        EGRESS_REFUSED,
        PRODUCT_RELEASED,
    ),
    telemetry=(
        Field("grants", "u16"),
        Field("jobs_live", "u16"),
        Field("jobs_delivered", "u32"),
        Field("jobs_refused", "u32"),
        Field("jobs_expired", "u32"),
        Field("jobs_failed", "u32"),
        Field("jobs_cancelled", "u32"),
        Field("products_waiting", "u16"),
        Field("bytes_waiting", "u32", "B"),
        Field("next_capture_s", "f64", "s"),
        Field("uplinks_refused", "u32"),
    ),
)

GATE = Component(
    name="gate",
    number=31,
    telemetry=(
        Field("frames", "u32"),
        Field("frames_deferred", "u32"),
        Field("alerts", "u32"),
        Field("events", "u32"),
        Field("telemetry", "u32"),
        Field("statuses", "u32"),
        Field("link_units", "u32"),
        Field("products", "u32"),
        Field("product_bytes", "u64", "B"),
        Field("refused", "u32"),
        Field("rate_held", "u32"),
        Field("audit_records", "u32"),
        Field("audit_head", "u64"),  # the start of the last record's hash: the ground can pin the chain
    ),
)

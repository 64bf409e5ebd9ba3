"""What the ground is told about the way answers are computed: what commissioning decided, and what fell back.

`job` is the first four octets of its id; `application` is payload_models.loader.application_number of its name, which
`swath models list --json` shows. `reason`, `provider` and `form` are enumerations: payload_models/runtime/codes.py, and
Unregistered of flight/pipeline/control.py.
"""

from __future__ import annotations

from flight.services.declare import Component, Event, Severity

FELL_BACK = Event(
    1,
    Severity.WARNING,
    "job {job:u32}: application {application:u32} is not run as commissioned, reason {reason:u8}; "
    "provider {provider:u8} is used",
)
PROVIDER_MISSING = Event(
    2,
    Severity.ERROR,
    "job {job:u32}: application {application:u32} cannot be run, provider {provider:u8} is configured and not there",
)
NOT_REGISTERED = Event(
    3,
    Severity.WARNING,
    "job {job:u32}: application {application:u32} takes the bands as they come, reason {reason:u8}",
)
RECORD_REFUSED = Event(
    4,
    Severity.ERROR,
    "what commissioning recorded of application {application:u32} (0: of any) is not believed, reason {reason:u8}",
    burst=32,
)
FORM_REFUSED = Event(
    5,
    Severity.INFO,
    "application {application:u32}, variant {variant:u8}: form {form:u8} is not run, reason {reason:u8}",
    burst=32,
)

INFERENCE = Component(
    name="inference",
    number=50,
    events=(FELL_BACK, PROVIDER_MISSING, NOT_REGISTERED, RECORD_REFUSED, FORM_REFUSED),
)

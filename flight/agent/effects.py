"""What the agent is told, and what it tells the world to do.

An effect may be performed once every record appended so far, its own outcome's included, is durable. Every effect is
idempotent: after a restart resume() gives the effects of all that is under way once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from flight.agent.area import Ring
from flight.agent.reasons import Reason
from flight.agent.states import JobState
from flight.services.declare import Event
from flight.services.records import RecordKind


class Record(NamedTuple):
    """One journal record to append: journal.append(record.kind, record.payload)."""

    kind: RecordKind
    payload: bytes


@dataclass(frozen=True, slots=True)
class InferenceSummary:
    """What inference looked at and what it cost; travels in the journal, so that a product can be sealed later."""

    tiles_total: int
    tiles_screened: int
    tiles_inferred: int
    confidence: float  # 0..1
    compute_s: float


# --- inputs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Uplinked:
    """The payload of one telecommand packet: GRANT, JOB, RECEIPT or COMMAND."""

    apid: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class Tick:
    """Time goes on. At most some ten times a second of host time; bounded work."""

    state_of_charge: float = 1.0  # 0..1
    in_contact: bool = False


@dataclass(frozen=True, slots=True)
class CaptureStarted:
    capture_id: bytes


@dataclass(frozen=True, slots=True)
class CaptureEnded:
    """The camera is done, or gave up. May be repeated."""

    capture_id: bytes
    lines: int
    lost: int
    ok: bool


@dataclass(frozen=True, slots=True)
class InferenceProgress:
    """Compute time of a running job so far, over all its attempts."""

    job_id: bytes
    compute_s: float


@dataclass(frozen=True, slots=True)
class InferenceEnded:
    """The payload process is done with a job, or failed. A failure is told once: each one counts as an attempt."""

    job_id: bytes
    ok: bool
    summary: InferenceSummary
    retryable: bool = True


@dataclass(frozen=True, slots=True)
class ProductReady:
    """The gate checked, encrypted and released a product; `record` is what it gave (EgressGate.admit_product)."""

    record: bytes


@dataclass(frozen=True, slots=True)
class ProductRefused:
    """The gate, or the assembler before it, would not have the product. Not tried again: it would come out the same."""

    job_id: bytes


@dataclass(frozen=True, slots=True)
class TransferFinished:
    """The file transfer of a product ended: the receiver has it whole (ok), or the transfer was given up."""

    product_id: bytes
    ok: bool


Input: TypeAlias = (
    "Uplinked | Tick | CaptureStarted | CaptureEnded | InferenceProgress | InferenceEnded | ProductReady"
    " | ProductRefused | TransferFinished"
)

# --- effects -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderCapture:
    capture_id: bytes
    job_id: bytes
    start_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class ReleaseCapture:
    """The strip of a capture is not needed any more."""

    capture_id: bytes


@dataclass(frozen=True, slots=True)
class StartInference:
    job_id: bytes
    capture_id: bytes
    application: str
    parameters: tuple[tuple[str, float], ...]
    area: Ring


@dataclass(frozen=True, slots=True)
class ForgetJob:
    """The payload process stops work on a job, or deletes what it kept of it."""

    job_id: bytes


@dataclass(frozen=True, slots=True)
class SealProduct:
    """Finish the body, seal it, hand it to the gate; answer with ProductReady or ProductRefused."""

    job_id: bytes
    capture_id: bytes
    lines: int
    lost: int
    summary: InferenceSummary


@dataclass(frozen=True, slots=True)
class SendAlert:
    job_id: bytes
    product_id: bytes


@dataclass(frozen=True, slots=True)
class StartTransfer:
    product_id: bytes
    size: int


@dataclass(frozen=True, slots=True)
class DropProduct:
    """End the product's transfer, if one runs, and forget its octets."""

    product_id: bytes


@dataclass(frozen=True, slots=True)
class ReportStatus:
    """subject: the id of a job or, for an uplinked grant, of the grant (32 bytes)."""

    subject: bytes
    state: JobState
    reason: Reason


@dataclass(frozen=True, slots=True)
class Tell:
    """Emit a declared event: ring.emit(effect.event, **dict(effect.values))."""

    event: Event
    values: tuple[tuple[str, int], ...]


Effect: TypeAlias = (
    "OrderCapture | ReleaseCapture | StartInference | ForgetJob | SealProduct | SendAlert | StartTransfer"
    " | DropProduct | ReportStatus | Tell"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """First the records, in order; then, when they are durable, the effects, in order."""

    records: tuple[Record, ...] = ()
    effects: tuple[Effect, ...] = ()

"""What the agent remembers of a job, and the journal record of one step in its life.

A record carries the new state, the reason, the time, and only the fields that the step changed. Live operation and
replay both go through `applied()`, so they cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from flight.agent import cose
from flight.agent.claims import NONCE_BYTES, Claims
from flight.agent.effects import InferenceSummary
from flight.agent.errors import ClaimsInvalid
from flight.agent.job import Job
from flight.agent.keys import KEY_BYTES
from flight.agent.orbit import Pass
from flight.agent.reasons import Reason
from flight.agent.release import Release
from flight.agent.states import TRANSITIONS, JobState
from flight.services import cbor

CAPTURE_ID_BYTES = 16
_JOB_ID, _STATE, _REASON, _TIME = 0, 1, 2, 3
_ORDER, _REFUSED_ORDER, _PASS, _CAPTURE, _ATTEMPTS, _LINES, _SUMMARY, _SENT = 10, 11, 12, 13, 14, 15, 16, 17


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often each thing was tried; bounded by the limits of the agent."""

    captures: int = 0
    inferences: int = 0
    transfers: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """A job as it was admitted: who asked, and on what grant."""

    job: Job
    key_id: bytes
    grant_id: bytes
    recipient: bytes  # X25519, from the grant


@dataclass(frozen=True, slots=True)
class JobEntry:
    """All there is to know about one job. `order` is None only for a job that was refused."""

    job_id: bytes
    tenant: str
    nonce: bytes
    expires_s: int
    state: JobState
    reason: Reason
    changed_s: float
    order: Order | None = None
    plan: Pass | None = None
    capture_id: bytes | None = None
    start_s: float = 0.0
    attempts: Attempts = Attempts()
    lines: int = 0
    lost: int = 0
    summary: InferenceSummary | None = None
    release: Release | None = None
    sent: bool = False  # the receiver has every octet; only the receipt is missing

    @property
    def live(self) -> bool:
        return not self.state.terminal


@dataclass(frozen=True, slots=True)
class Step:
    """One step. A field that is None did not change."""

    job_id: bytes
    state: JobState
    reason: Reason
    time_s: float
    order: tuple[bytes, bytes, bytes] | None = None  # the signed job, the grant's id, the recipient
    refused: tuple[str, bytes, int] | None = None  # tenant, nonce, expiry
    plan: Pass | None = None
    capture: tuple[bytes, float] | None = None  # id, start
    attempts: Attempts | None = None
    lines: tuple[int, int] | None = None  # taken, lost
    summary: InferenceSummary | None = None
    sent: bool | None = None

    def encode(self) -> bytes:
        """The payload of a JOB record."""
        fields: dict[int, Any] = {
            _JOB_ID: self.job_id,
            _STATE: int(self.state),
            _REASON: int(self.reason),
            _TIME: self.time_s,
        }
        if self.order is not None:
            fields[_ORDER] = self.order
        if self.refused is not None:
            fields[_REFUSED_ORDER] = self.refused
        if self.plan is not None:
            fields[_PASS] = [self.plan.start_s, self.plan.closest_s, self.plan.end_s, self.plan.off_nadir_deg]
        if self.capture is not None:
            fields[_CAPTURE] = self.capture
        if self.attempts is not None:
            fields[_ATTEMPTS] = [self.attempts.captures, self.attempts.inferences, self.attempts.transfers]
        if self.lines is not None:
            fields[_LINES] = self.lines
        if self.summary is not None:
            summary = self.summary
            counts = [summary.tiles_total, summary.tiles_screened, summary.tiles_inferred]
            fields[_SUMMARY] = [*counts, float(summary.confidence), float(summary.compute_s)]
        if self.sent is not None:
            fields[_SENT] = self.sent
        return cbor.encode(fields)

    @classmethod
    def decode(cls, payload: bytes) -> Step:
        """Raises ClaimsInvalid."""
        try:
            content = cbor.decode(payload, max_depth=3, max_items=64, max_bytes=cose.MAX_BYTES + 1024)
        except cbor.CborError as error:
            raise ClaimsInvalid("step", "content", str(error)) from error
        claims = Claims("step", content)
        given = set(content) if isinstance(content, dict) else set()
        step = cls(
            job_id=claims.octets(_JOB_ID, "job_id", 32),
            state=_member(JobState, claims.take(_STATE, "state")),
            reason=_member(Reason, claims.take(_REASON, "reason")),
            time_s=_real(claims.take(_TIME, "time_s")),
            order=_order(claims.items(_ORDER, "order", 3, 3)) if _ORDER in given else None,
            refused=_refused(claims.items(_REFUSED_ORDER, "refused", 3, 3)) if _REFUSED_ORDER in given else None,
            plan=Pass(*map(_real, claims.items(_PASS, "plan", 4, 4))) if _PASS in given else None,
            capture=_capture(claims.items(_CAPTURE, "capture", 2, 2)) if _CAPTURE in given else None,
            attempts=Attempts(*map(_count, claims.items(_ATTEMPTS, "attempts", 3, 3))) if _ATTEMPTS in given else None,
            lines=_lines(claims.items(_LINES, "lines", 2, 2)) if _LINES in given else None,
            summary=_summary(claims.items(_SUMMARY, "summary", 5, 5)) if _SUMMARY in given else None,
            sent=bool(claims.take(_SENT, "sent")) if _SENT in given else None,
        )
        claims.end()
        return step


def applied(entry: JobEntry | None, step: Step) -> JobEntry:
    """The job after a step. Raises ClaimsInvalid for one that may not follow."""
    if step.state not in TRANSITIONS[entry.state if entry else None]:
        raise ClaimsInvalid(
            "step", "state", f"{step.state.name} may not follow {entry.state.name if entry else 'nothing'}"
        )
    if entry is None:
        entry = _begun(step)
    changes: dict[str, Any] = {}
    if step.plan is not None:
        changes["plan"] = step.plan
    if step.capture is not None:
        changes["capture_id"], changes["start_s"] = step.capture
    if step.attempts is not None:
        changes["attempts"] = step.attempts
    if step.lines is not None:
        changes["lines"], changes["lost"] = step.lines
    if step.summary is not None:
        changes["summary"] = step.summary
    if step.sent is not None:
        changes["sent"] = step.sent
    return replace(entry, state=step.state, reason=step.reason, changed_s=step.time_s, **changes)


def sealed(entry: JobEntry, release: Release) -> JobEntry:
    """The job once its PRODUCT record is there. Raises ClaimsInvalid when it already had one."""
    if JobState.SEALED not in TRANSITIONS[entry.state] or entry.release is not None:
        raise ClaimsInvalid("step", "state", f"a product may not follow {entry.state.name}")
    return replace(entry, state=JobState.SEALED, reason=Reason.NONE, changed_s=float(release.time_s), release=release)


def _begun(step: Step) -> JobEntry:
    common: dict[str, Any] = {"state": step.state, "reason": step.reason, "changed_s": step.time_s}
    if step.order is not None:
        envelope = cose.parse1(step.order[0])
        job = Job.decode(envelope.payload)
        if job.id != step.job_id:
            raise ClaimsInvalid("step", "order", "the job is another one")
        order = Order(job, envelope.key_id, step.order[1], step.order[2])
        return JobEntry(step.job_id, job.tenant, job.nonce, job.expires_s, order=order, **common)
    if step.refused is None or step.state is not JobState.REFUSED:
        raise ClaimsInvalid("step", "order", "a job begins with its order")
    return JobEntry(step.job_id, *step.refused, **common)


def _member(kind: type[Any], value: Any) -> Any:
    try:
        return kind(_count(value))
    except ValueError as error:
        raise ClaimsInvalid("step", kind.__name__, f"no {value!r}") from error


def _real(value: Any) -> float:
    if not isinstance(value, float):
        raise ClaimsInvalid("step", "number", "not a float")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ClaimsInvalid("step", "number", "not a count")
    return value


def _octets(value: Any, size: int | None) -> bytes:
    if not isinstance(value, bytes) or (size is not None and len(value) != size):
        raise ClaimsInvalid("step", "octets", "not a byte string of the right size")
    return value


def _order(items: list[Any]) -> tuple[bytes, bytes, bytes]:
    return _octets(items[0], None), _octets(items[1], 32), _octets(items[2], KEY_BYTES)


def _refused(items: list[Any]) -> tuple[str, bytes, int]:
    if not isinstance(items[0], str):
        raise ClaimsInvalid("step", "tenant", "not text")
    return items[0], _octets(items[1], NONCE_BYTES), _count(items[2])


def _capture(items: list[Any]) -> tuple[bytes, float]:
    return _octets(items[0], CAPTURE_ID_BYTES), _real(items[1])


def _lines(items: list[Any]) -> tuple[int, int]:
    return _count(items[0]), _count(items[1])


def _summary(items: list[Any]) -> InferenceSummary:
    total, screened, inferred = map(_count, items[:3])
    return InferenceSummary(total, screened, inferred, _real(items[3]), _real(items[4]))

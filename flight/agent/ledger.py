"""The agent's ledger: a step becomes a record, then state, then what the world must do. Nothing else changes a job."""

from __future__ import annotations

import hashlib

from flight.agent import component
from flight.agent.admission import Limits
from flight.agent.effects import (
    DropProduct,
    Effect,
    ForgetJob,
    OrderCapture,
    Outcome,
    Record,
    ReleaseCapture,
    ReportStatus,
    SealProduct,
    SendAlert,
    StartInference,
    StartTransfer,
    Tell,
)
from flight.agent.entry import CAPTURE_ID_BYTES, JobEntry, Step
from flight.agent.grants import GrantBook
from flight.agent.job import ProductKind
from flight.agent.jobs import JobTable
from flight.agent.keys import KeyStore
from flight.agent.orbit import At
from flight.agent.planner import Planner
from flight.agent.reasons import Reason
from flight.agent.states import JobState
from flight.link.apids import Apid
from flight.services.declare import Event
from flight.services.records import RecordKind


def short(identity: bytes) -> int:
    """The first four octets of an id, as events name it."""
    return int.from_bytes(identity[:4], "big")


def capture_id_of(job_id: bytes, attempt: int) -> bytes:
    """The id of a job's n-th capture: the same after a restart, so that the camera knows it again."""
    return hashlib.sha256(job_id + attempt.to_bytes(2, "big")).digest()[:CAPTURE_ID_BYTES]


class Ledger:
    """What the agent knows, and the outcome that is being put together."""

    def __init__(self, keys: KeyStore, limits: Limits, at: At) -> None:
        self._limits = limits
        self.grants = GrantBook(keys.mission, limits.max_grants)
        self.jobs = JobTable(limits)
        self.planner = Planner(at, limits)
        self.battery_held: set[bytes] = set()
        self.uplinks_refused = 0
        self.records: list[Record] = []
        self.effects: list[Effect] = []

    def take(self, step: Step) -> None:
        """Record a step, apply it as replay would, and ask the world for what the new state needs."""
        payload = step.encode()
        before = self.jobs.get(step.job_id)
        entry = self.jobs.take_step(Step.decode(payload))
        self.records.append(Record(RecordKind.JOB, payload))
        self.entered(entry, before)

    def entered(self, entry: JobEntry, before: JobEntry | None = None) -> None:
        if entry.state is JobState.SCHEDULED:
            self.order_capture(entry)
        elif entry.state is JobState.PROCESSING and entry.summary is not None:
            self.order_seal(entry)
        elif entry.state is JobState.PROCESSING and entry.attempts.inferences:
            self.order_inference(entry)
        elif entry.state is JobState.SEALED and (before is None or before.release is None):
            self.clean(entry)
            self.alert(entry)
        elif entry.state is JobState.DOWNLINKING and not entry.sent and entry.release is not None:
            self.effects.append(StartTransfer(entry.release.product_id, entry.release.size))
        elif entry.state.terminal:
            self.planner.forget(entry.job_id)
            self.battery_held.discard(entry.job_id)
            if entry.capture_id is not None:
                self.clean(entry)
        if before is None or (before.state, before.reason) != (entry.state, entry.reason):
            self.effects.append(ReportStatus(entry.job_id, entry.state, entry.reason))
            self.tell(component.JOB_STATE, job=short(entry.job_id), state=entry.state, reason=entry.reason)

    def order_capture(self, entry: JobEntry) -> None:
        assert entry.capture_id is not None
        self.effects.append(OrderCapture(entry.capture_id, entry.job_id, entry.start_s, self._limits.strip_s))

    def order_inference(self, entry: JobEntry) -> None:
        assert entry.capture_id is not None and entry.order is not None
        job = entry.order.job
        self.effects.append(StartInference(entry.job_id, entry.capture_id, job.application, job.parameters, job.area))

    def order_seal(self, entry: JobEntry) -> None:
        assert entry.capture_id is not None and entry.summary is not None
        self.effects.append(SealProduct(entry.job_id, entry.capture_id, entry.lines, entry.lost, entry.summary))

    def alert(self, entry: JobEntry) -> None:
        assert entry.order is not None and entry.release is not None
        if ProductKind.ALERT in entry.order.job.products and entry.release.findings:
            self.effects.append(SendAlert(entry.job_id, entry.release.product_id))

    def clean(self, entry: JobEntry) -> None:
        """What the camera and the payload keep of a job is not needed once its product is there, or it has ended."""
        if entry.capture_id is not None:
            self.effects += [ForgetJob(entry.job_id), ReleaseCapture(entry.capture_id)]
        if entry.state.terminal and entry.release is not None:
            self.effects.append(DropProduct(entry.release.product_id))

    def refuse(self, apid: Apid, subject: bytes | None, reason: Reason) -> None:
        self.uplinks_refused += 1
        self.tell(component.UPLINK_REFUSED, apid=apid, reason=reason)
        if subject is not None:
            self.effects.append(ReportStatus(subject, JobState.REFUSED, reason))

    def tell(self, event: Event, **values: int) -> None:
        self.effects.append(Tell(event, tuple((name, int(value)) for name, value in values.items())))

    def outcome(self) -> Outcome:
        outcome = Outcome(tuple(self.records), tuple(self.effects))
        self.records, self.effects = [], []
        return outcome

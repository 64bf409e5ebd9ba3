"""The agent: takes signed jobs, plans captures, follows inference, product and transfer, and ends every job once.

A pure state machine over journal records. The runtime calls handle() with what happened, appends the records of the
outcome to the journal in order, and performs the effects once everything appended so far is durable. After a restart it
calls apply() with every durable record of kind GRANT, REVOCATION, JOB and PRODUCT, then resume() once.

When the journal is full the runtime keeps the outcome, does not call handle(), and appends later: state in memory runs
ahead of the journal, never behind what has been done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flight.agent import component, cose
from flight.agent.admission import ApplicationTerms, Limits
from flight.agent.command import Command
from flight.agent.effects import (
    CaptureEnded,
    CaptureStarted,
    DropProduct,
    InferenceEnded,
    InferenceProgress,
    Input,
    Outcome,
    ProductReady,
    ProductRefused,
    Record,
    ReleaseCapture,
    ReportStatus,
    StartTransfer,
    Tick,
    TransferFinished,
    Uplinked,
)
from flight.agent.entry import JobEntry, Step
from flight.agent.errors import AgentError
from flight.agent.keys import KeyStore
from flight.agent.ledger import Ledger, capture_id_of, short
from flight.agent.orbit import At
from flight.agent.planner import strip_start_s
from flight.agent.reasons import Reason
from flight.agent.release import read_release
from flight.agent.states import AT_CAMERA, BEFORE_PRODUCT, JobState
from flight.agent.terms import ReleaseTerms, release_terms
from flight.agent.uplink import UplinkDesk
from flight.services.cbor import CborError
from flight.services.records import RecordKind

_CLEANED_AGAIN = 64  # jobs past their capture whose cleaning is asked for once more after a restart


class AgentCore:
    """The agent of one satellite. See the module for how it is driven."""

    def __init__(
        self,
        keys: KeyStore,
        applications: Mapping[str, ApplicationTerms],
        limits: Limits,
        at: At,
        satellite_set: str = "",
    ) -> None:
        """at: predicted navigation fixes; satellite_set: the satellites that jobs must be signed for."""
        self._limits, self._applications = limits, applications
        self._ledger = Ledger(keys, limits, at)
        self._uplink = UplinkDesk(self._ledger, keys, applications, limits, satellite_set)
        self.grants, self.jobs = self._ledger.grants, self._ledger.jobs
        self._in_contact = False
        self.skipped = 0  # records that made no sense

    # --- driving ---------------------------------------------------------------------------------------------------

    def handle(self, happened: Input, now_s: float) -> Outcome:
        """What follows from one input. Never raises on anything that came from outside."""
        match happened:
            case Uplinked():
                self._uplink.take(happened, now_s)
            case Tick():
                self._tick(happened, now_s)
            case CaptureStarted():
                self._capture_started(happened, now_s)
            case CaptureEnded():
                self._capture_ended(happened, now_s)
            case InferenceProgress():
                self._inference_progress(happened, now_s)
            case InferenceEnded():
                self._inference_ended(happened, now_s)
            case ProductReady():
                self._product_ready(happened, now_s)
            case ProductRefused():
                self._product_refused(happened, now_s)
            case TransferFinished():
                self._transfer_finished(happened, now_s)
        return self._ledger.outcome()

    def apply(self, kind: int, payload: bytes) -> None:
        """Replay one durable record. Kinds of other rooms are passed over; nonsense is skipped and counted."""
        try:
            if kind == RecordKind.GRANT:
                self.skipped += not self.grants.take(payload)
            elif kind == RecordKind.REVOCATION:
                self.grants.revoke(Command.decode(cose.parse1(payload).payload).subject)
            elif kind == RecordKind.JOB:
                self.jobs.take_step(Step.decode(payload))
            elif kind == RecordKind.PRODUCT:
                self.jobs.take_release(read_release(payload))
        except (AgentError, CborError):
            self.skipped += 1

    def resume(self, now_s: float) -> Outcome:
        """The effects of all that was under way, once more; call once, after replay."""
        for entry in self.jobs:
            if entry.state in AT_CAMERA:
                self._ledger.order_capture(entry)
            elif entry.state is JobState.PROCESSING and entry.summary is not None:
                self._ledger.order_seal(entry)
            elif entry.state is JobState.PROCESSING and entry.attempts.inferences:
                self._ledger.order_inference(entry)
            elif entry.state is JobState.SEALED:
                self._ledger.alert(entry)
            elif entry.state is JobState.DOWNLINKING and not entry.sent and entry.release is not None:
                self._ledger.effects.append(StartTransfer(entry.release.product_id, entry.release.size))
        done = [entry for entry in self.jobs if entry.capture_id and entry.state not in BEFORE_PRODUCT]
        for entry in done[-_CLEANED_AGAIN:]:
            self._ledger.clean(entry)
        if self.skipped:
            self._ledger.tell(component.RECORD_SKIPPED, records=self.skipped)
        return self._ledger.outcome()

    def retune(self, *, min_state_of_charge: float, max_captures: int, max_inferences: int, max_transfers: int) -> None:
        """Limits that are looked at anew in each decision; jobs that were admitted stay so."""
        self._limits = replace(
            self._limits,
            min_state_of_charge=min_state_of_charge,
            max_captures=max_captures,
            max_inferences=max_inferences,
            max_transfers=max_transfers,
        )

    def telemetry(self) -> dict[str, int | float]:
        """The values of the agent's telemetry packet (flight/agent/component.py)."""
        ended, planned = self.jobs.ended, [entry.start_s for entry in self.jobs.in_state(*AT_CAMERA)]
        return {
            "grants": len(self.grants),
            "jobs_live": len(self.jobs.live()),
            **{
                f"jobs_{state.name.lower()}": ended.get(state, 0)
                for state in (
                    JobState.DELIVERED,
                    JobState.REFUSED,
                    JobState.EXPIRED,
                    JobState.FAILED,
                    JobState.CANCELLED,
                )
            },
            "products_waiting": len(self.jobs.catalogue),
            "bytes_waiting": self.jobs.catalogue.bytes_waiting,
            "next_capture_s": min(planned, default=0.0),
            "uplinks_refused": self._ledger.uplinks_refused,
        }

    def terms(self, job_id: bytes, now_s: float) -> ReleaseTerms | None:
        """On what terms a product of this job may leave (flight/agent/egress.py); None for an unknown job."""
        entry = self.jobs.get(job_id)
        return (
            None if entry is None else release_terms(entry, self._ledger.jobs, self.grants, self._applications, now_s)
        )

    # --- time ------------------------------------------------------------------------------------------------------

    def _tick(self, tick: Tick, now_s: float) -> None:
        for entry in self.jobs.live():
            order = entry.order
            assert order is not None
            if now_s > (order.job.expires_s if entry.release is not None else order.job.deadline_s):
                self._ledger.take(Step(entry.job_id, JobState.EXPIRED, Reason.DEADLINE_PASSED, now_s))
            elif entry.state in AT_CAMERA:
                last_s = entry.start_s + self._limits.strip_s + self._limits.capture_grace_s
                if now_s > last_s:
                    self._capture_failed(entry, now_s)
        self._plan(now_s)
        self._schedule(tick, now_s)
        self._infer_next(now_s)
        if tick.in_contact:
            if not self._in_contact:
                self._ask_for_receipts()
            self._downlink_next(now_s)
        self._in_contact = tick.in_contact

    def _plan(self, now_s: float) -> None:
        """One piece of one search: the first job that has no pass ahead of it."""
        earliest_s = now_s + self._limits.lead_s
        for entry in self.jobs.in_state(JobState.RECEIVED, JobState.ACCEPTED):
            plan = entry.plan if entry.state is JobState.ACCEPTED else None
            if entry.order is None or (plan is not None and strip_start_s(plan, self._limits) >= earliest_s):
                continue
            answered, found = self._ledger.planner.search(entry, entry.order, now_s)
            if not answered:
                return
            if found is not None and strip_start_s(found, self._limits) < earliest_s:
                return  # it was found too late to be used: the next tick looks behind it
            if found is not None:
                self._ledger.take(Step(entry.job_id, JobState.ACCEPTED, Reason.NONE, now_s, plan=found))
            elif entry.state is JobState.RECEIVED:
                self._ledger.take(Step(entry.job_id, JobState.REFUSED, Reason.NO_PASS, now_s))
            elif entry.job_id in self._ledger.battery_held:
                self._ledger.take(Step(entry.job_id, JobState.FAILED, Reason.LOW_BATTERY, now_s))
            else:
                self._ledger.take(Step(entry.job_id, JobState.FAILED, entry.reason or Reason.NO_PASS, now_s))
            return

    def _schedule(self, tick: Tick, now_s: float) -> None:
        """Give the camera its next order, when its time has come and the battery allows it."""
        if self.jobs.in_state(*AT_CAMERA):
            return
        earliest_s, limits = now_s + self._limits.lead_s, self._limits
        planned = [
            (entry, entry.order, entry.plan)
            for entry in self.jobs.in_state(JobState.ACCEPTED)
            if entry.order is not None and entry.plan is not None and strip_start_s(entry.plan, limits) >= earliest_s
        ]
        chosen = self._ledger.planner.next_capture(planned)
        if chosen is None or chosen[1] - now_s > limits.commit_s:
            return
        entry, start_s = chosen
        assert entry.order is not None
        needed_j = limits.energy_j(float(entry.order.job.compute_budget_s))
        needed_j = min(needed_j, float(entry.order.job.energy_budget_j))  # more than its budget it will not take
        if tick.state_of_charge * limits.battery_j - needed_j < limits.min_state_of_charge * limits.battery_j:
            self._ledger.battery_held.add(entry.job_id)
            return
        attempts = replace(entry.attempts, captures=entry.attempts.captures + 1)
        capture = (capture_id_of(entry.job_id, attempts.captures), start_s)
        self._ledger.take(
            Step(entry.job_id, JobState.SCHEDULED, Reason.NONE, now_s, capture=capture, attempts=attempts)
        )

    def _infer_next(self, now_s: float) -> None:
        """One job is under inference at a time; the most urgent of those whose strip is there is next."""
        waiting = [entry for entry in self.jobs.in_state(JobState.PROCESSING) if entry.summary is None]
        if not waiting or any(entry.attempts.inferences for entry in waiting):
            return
        entry = min(
            waiting, key=lambda each: (-each.order.job.priority if each.order else 0, each.changed_s, each.job_id)
        )
        self._begin_inference(entry, now_s)

    def _downlink_next(self, now_s: float) -> None:
        """One product is in transfer at a time; the catalogue says which is next."""
        if any(not entry.sent for entry in self.jobs.in_state(JobState.DOWNLINKING)):
            return
        first = self.jobs.catalogue.first()
        if first is None:
            return
        entry = self.jobs.get(first.job_id)
        assert entry is not None
        attempts = replace(entry.attempts, transfers=entry.attempts.transfers + 1)
        self._ledger.take(Step(entry.job_id, JobState.DOWNLINKING, Reason.NONE, now_s, attempts=attempts))

    def _ask_for_receipts(self) -> None:
        """A contact began: the ground is told what it has and has not acknowledged, and sends the receipt again."""
        for entry in self.jobs.in_state(JobState.DOWNLINKING):
            if entry.sent:
                self._ledger.effects.append(ReportStatus(entry.job_id, entry.state, Reason.AWAITING_RECEIPT))

    # --- camera, payload, gate, transfer ---------------------------------------------------------------------------

    def _capture_started(self, started: CaptureStarted, now_s: float) -> None:
        entry = self._at_camera(started.capture_id)
        if entry is not None and entry.state is JobState.SCHEDULED:
            self._ledger.take(Step(entry.job_id, JobState.CAPTURING, Reason.NONE, now_s))

    def _capture_ended(self, ended: CaptureEnded, now_s: float) -> None:
        entry = self._at_camera(ended.capture_id)
        if entry is None:
            known = self.jobs.of_capture(ended.capture_id)
            if known is None or known.state not in BEFORE_PRODUCT or known.capture_id != ended.capture_id:
                self._ledger.effects.append(ReleaseCapture(ended.capture_id))
        elif ended.ok and ended.lines > 0:
            lines = (ended.lines, min(max(ended.lost, 0), ended.lines))
            self._ledger.take(Step(entry.job_id, JobState.PROCESSING, Reason.NONE, now_s, lines=lines))
            self._infer_next(now_s)
        else:
            self._capture_failed(entry, now_s)

    def _capture_failed(self, entry: JobEntry, now_s: float) -> None:
        """Another pass, while the job has tries left."""
        again = entry.attempts.captures < self._limits.max_captures
        if entry.capture_id is not None:
            self._ledger.effects.append(ReleaseCapture(entry.capture_id))
        state = JobState.ACCEPTED if again else JobState.FAILED
        self._ledger.take(Step(entry.job_id, state, Reason.CAPTURE_FAILED, now_s))

    def _inference_progress(self, progress: InferenceProgress, now_s: float) -> None:
        entry = self._in_inference(progress.job_id)
        if entry is not None:
            self._over_budget(entry, progress.compute_s, now_s)

    def _inference_ended(self, ended: InferenceEnded, now_s: float) -> None:
        entry = self._in_inference(ended.job_id)
        if entry is None or self._over_budget(entry, ended.summary.compute_s, now_s):
            return
        if ended.ok:
            self._ledger.take(Step(entry.job_id, JobState.PROCESSING, Reason.NONE, now_s, summary=ended.summary))
            self._infer_next(now_s)
        elif ended.retryable and entry.attempts.inferences < self._limits.max_inferences:
            self._begin_inference(entry, now_s)
        else:
            self._ledger.take(Step(entry.job_id, JobState.FAILED, Reason.INFERENCE_FAILED, now_s))

    def _over_budget(self, entry: JobEntry, compute_s: float, now_s: float) -> bool:
        """End a job that takes more than it may; whether it did."""
        assert entry.order is not None
        job = entry.order.job
        if compute_s > job.compute_budget_s:
            self._ledger.take(Step(entry.job_id, JobState.FAILED, Reason.OVER_COMPUTE, now_s))
        elif self._limits.energy_j(compute_s) > job.energy_budget_j:
            self._ledger.take(Step(entry.job_id, JobState.FAILED, Reason.OVER_ENERGY, now_s))
        else:
            return False
        return True

    def _product_ready(self, ready: ProductReady, now_s: float) -> None:
        try:
            release = read_release(ready.record)
        except (AgentError, CborError):
            return
        if self.jobs.of_product(release.product_id) is not None:
            return  # told twice
        try:
            entry = self.jobs.take_release(release)
        except AgentError:  # a second product of a job, or of one that ended meanwhile
            self._ledger.effects.append(DropProduct(release.product_id))
            return
        self._ledger.records.append(Record(RecordKind.PRODUCT, ready.record))
        self._ledger.tell(component.PRODUCT_RELEASED, product=short(release.product_id), octets=release.size)
        self._ledger.entered(entry)

    def _product_refused(self, refused: ProductRefused, now_s: float) -> None:
        entry = self.jobs.get(refused.job_id)
        if entry is not None and entry.state is JobState.PROCESSING and entry.summary is not None:
            self._ledger.take(Step(entry.job_id, JobState.FAILED, Reason.PRODUCT_REFUSED, now_s))

    def _transfer_finished(self, finished: TransferFinished, now_s: float) -> None:
        entry = self.jobs.of_product(finished.product_id)
        if entry is None or entry.state is not JobState.DOWNLINKING or entry.sent:
            return
        if finished.ok:
            self._ledger.take(Step(entry.job_id, JobState.DOWNLINKING, Reason.AWAITING_RECEIPT, now_s, sent=True))
        elif entry.attempts.transfers < self._limits.max_transfers:
            self._ledger.take(Step(entry.job_id, JobState.SEALED, Reason.TRANSFER_FAILED, now_s))
        else:
            self._ledger.take(Step(entry.job_id, JobState.FAILED, Reason.TRANSFER_FAILED, now_s))

    def _begin_inference(self, entry: JobEntry, now_s: float) -> None:
        attempts = replace(entry.attempts, inferences=entry.attempts.inferences + 1)
        self._ledger.take(Step(entry.job_id, JobState.PROCESSING, Reason.NONE, now_s, attempts=attempts))

    def _at_camera(self, capture_id: bytes) -> JobEntry | None:
        entry = self.jobs.of_capture(capture_id)
        return entry if entry is not None and entry.state in AT_CAMERA and entry.capture_id == capture_id else None

    def _in_inference(self, job_id: bytes) -> JobEntry | None:
        entry = self.jobs.get(job_id)
        if entry is None or entry.state is not JobState.PROCESSING or entry.summary is not None:
            return None
        return entry if entry.attempts.inferences else None

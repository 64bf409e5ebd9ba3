"""What comes up: jobs, grants, receipts and commands. Nothing is believed or written before its signature holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from flight.agent import admission, component, cose
from flight.agent.admission import ApplicationTerms, Limits, Load
from flight.agent.command import Command, CommandKind
from flight.agent.effects import Record, ReportStatus, Uplinked
from flight.agent.entry import Step
from flight.agent.errors import AgentError, ClaimsInvalid, CoseInvalid, KeyUnknown, SignatureInvalid
from flight.agent.job import Job
from flight.agent.keys import KeyStore, public_key
from flight.agent.ledger import Ledger, short
from flight.agent.reasons import Reason
from flight.agent.receipt import Receipt
from flight.agent.states import JobState
from flight.link.apids import Apid
from flight.services.records import RecordKind


class UplinkDesk:
    """Judges what comes up and hands what holds to the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        keys: KeyStore,
        applications: Mapping[str, ApplicationTerms],
        limits: Limits,
        satellite_set: str,
    ) -> None:
        self._ledger, self._keys, self._applications, self._limits = ledger, keys, applications, limits
        self._grants, self._jobs = ledger.grants, ledger.jobs
        self._job_aad = cose.aad(cose.Purpose.JOB, satellite_set)
        self._command_aad = cose.aad(cose.Purpose.COMMAND, satellite_set)

    def take(self, message: Uplinked, now_s: float) -> None:
        if message.apid == Apid.JOB:
            self._job_uplinked(message.octets, now_s)
        elif message.apid == Apid.GRANT:
            self._grant_uplinked(message.octets, now_s)
        elif message.apid == Apid.RECEIPT:
            self._receipt_uplinked(message.octets, now_s)
        elif message.apid == Apid.COMMAND:
            self._command_uplinked(message.octets, now_s)

    def _job_uplinked(self, octets: bytes, now_s: float) -> None:
        """Nothing is remembered, or written, of what is not signed by a granted key."""
        try:
            envelope = cose.parse1(octets)
        except CoseInvalid:
            return self._ledger.refuse(Apid.JOB, bytes(32), Reason.MALFORMED)
        job_id = hashlib.sha256(envelope.payload).digest()
        grant = self._grants.of_key(envelope.key_id)
        if grant is None:
            return self._ledger.refuse(Apid.JOB, job_id, Reason.UNKNOWN_KEY)
        try:
            envelope.verify(public_key(grant.public_key), self._job_aad)
        except SignatureInvalid:
            return self._ledger.refuse(Apid.JOB, job_id, Reason.BAD_SIGNATURE)
        if (known := self._jobs.get(job_id)) is not None:
            self._ledger.effects.append(ReportStatus(job_id, known.state, known.reason))
            return None
        try:
            job = Job.decode(envelope.payload)
        except ClaimsInvalid as error:
            return self._ledger.refuse(Apid.JOB, job_id, error.reason)
        load = Load(
            live_jobs=len(self._jobs.live()),
            known_jobs=len(self._jobs),
            tenant_bytes_today=self._jobs.released_bytes(job.tenant, now_s) + self._jobs.promised_bytes(job.tenant),
            nonce_used=self._jobs.nonce_used(job),
        )
        reason = admission.refusal(job, grant, self._applications, self._limits, load, now_s)
        if not reason:
            order = (octets, grant.id, grant.recipient)
            self._ledger.take(Step(job_id, JobState.RECEIVED, Reason.NONE, now_s, order=order))
        elif admission.transient(reason) or len(self._jobs) >= self._limits.max_known_jobs:
            self._ledger.refuse(Apid.JOB, job_id, reason)
        else:
            self._ledger.uplinks_refused += 1
            refused = (job.tenant, job.nonce, job.expires_s)
            self._ledger.take(Step(job_id, JobState.REFUSED, reason, now_s, refused=refused))
        return None

    def _grant_uplinked(self, octets: bytes, now_s: float) -> None:
        self._grants.make_room(now_s)
        grant, reason = self._grants.judge(octets, now_s)
        if grant is None or reason:
            return self._ledger.refuse(Apid.GRANT, grant.id if grant else bytes(32), reason)
        if not self._grants.holds(grant):
            self._ledger.records.append(Record(RecordKind.GRANT, octets))
            self._grants.take(octets)
            self._ledger.tell(component.GRANT_TAKEN, grant=short(grant.id))
        self._ledger.effects.append(ReportStatus(grant.id, JobState.ACCEPTED, Reason.NONE))
        return None

    def _receipt_uplinked(self, octets: bytes, now_s: float) -> None:
        try:
            receipt = Receipt.decode(cose.verify1(octets, self._keys.ground, cose.aad(cose.Purpose.RECEIPT)).payload)
        except (CoseInvalid, KeyUnknown, SignatureInvalid, ClaimsInvalid) as error:
            return self._ledger.refuse(Apid.RECEIPT, None, _reason_of(error))
        entry = self._jobs.of_product(receipt.product_id)
        if entry is None or entry.release is None:
            return self._ledger.refuse(Apid.RECEIPT, None, Reason.UNKNOWN_JOB)
        if receipt.sha256 != entry.release.sha256:
            self._ledger.tell(component.RECEIPT_MISMATCH, product=short(receipt.product_id))
        elif entry.live:
            self._ledger.take(Step(entry.job_id, JobState.DELIVERED, Reason.NONE, now_s))
        else:
            self._ledger.effects.append(ReportStatus(entry.job_id, entry.state, entry.reason))
        return None

    def _command_uplinked(self, octets: bytes, now_s: float) -> None:
        try:
            envelope = cose.parse1(octets)
            grant = self._grants.of_key(envelope.key_id)
            keys = {**self._keys.mission}
            if grant is not None:
                keys.setdefault(envelope.key_id, public_key(grant.public_key))
            command = Command.decode(cose.verify1(octets, keys, self._command_aad).payload)
        except (CoseInvalid, KeyUnknown, SignatureInvalid, ClaimsInvalid) as error:
            return self._ledger.refuse(Apid.COMMAND, None, _reason_of(error))
        mission = envelope.key_id in self._keys.mission
        if now_s > command.expires_s:
            return self._ledger.refuse(Apid.COMMAND, command.subject, Reason.EXPIRED)
        if command.kind is CommandKind.REVOKE_GRANT:
            return (
                self._revoke(octets, command.subject, now_s)
                if mission
                else self._ledger.refuse(Apid.COMMAND, command.subject, Reason.UNKNOWN_KEY)
            )
        entry = self._jobs.get(command.subject)
        if entry is None or not (mission or (entry.order is not None and entry.order.key_id == envelope.key_id)):
            return self._ledger.refuse(Apid.COMMAND, command.subject, Reason.UNKNOWN_JOB)
        if entry.live:
            self._ledger.take(Step(entry.job_id, JobState.CANCELLED, Reason.CANCELLED_BY_TENANT, now_s))
        else:
            self._ledger.effects.append(ReportStatus(entry.job_id, entry.state, entry.reason))
        return None

    def _revoke(self, octets: bytes, grant_id: bytes, now_s: float) -> None:
        if self._grants.revoked(grant_id):
            self._ledger.effects.append(ReportStatus(grant_id, JobState.CANCELLED, Reason.GRANT_REVOKED))
            return
        self._ledger.records.append(Record(RecordKind.REVOCATION, octets))
        self._grants.revoke(grant_id)
        under = [entry for entry in self._jobs.live() if entry.order is not None and entry.order.grant_id == grant_id]
        for entry in under:
            self._ledger.take(Step(entry.job_id, JobState.CANCELLED, Reason.GRANT_REVOKED, now_s))
        self._ledger.tell(component.GRANT_REVOKED, grant=short(grant_id), jobs=len(under))
        self._ledger.effects.append(ReportStatus(grant_id, JobState.CANCELLED, Reason.GRANT_REVOKED))


def _reason_of(error: AgentError) -> Reason:
    match error:
        case KeyUnknown():
            return Reason.UNKNOWN_KEY
        case SignatureInvalid():
            return Reason.BAD_SIGNATURE
        case _:
            return Reason.MALFORMED

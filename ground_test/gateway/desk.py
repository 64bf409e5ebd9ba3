"""What packets from the satellite mean for the orders, and what is to go up. No sockets: packets in, packets out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bindings.errors import SwathError
from flight.agent.reasons import Reason
from flight.agent.states import JobState
from flight.agent.status import SUBJECT_BYTES, StatusReport
from flight.link.apids import Apid
from flight.link.cfdp.receiver import CompletedFile, Receiver
from flight.link.packet import SpacePacket
from flight.product.alert import AlertKind, verify_alert
from ground_test.gateway.board import Board
from ground_test.gateway.store import GatewayStore, StatusRow

CODES: dict[JobState, str] = {
    JobState.RECEIVED: "accepted",
    JobState.ACCEPTED: "accepted",
    JobState.SCHEDULED: "scheduled",
    JobState.CAPTURING: "tasked",
    JobState.PROCESSING: "processing",
    JobState.SEALED: "processing",
    JobState.DOWNLINKING: "processing",
    JobState.DELIVERED: "completed",
    JobState.REFUSED: "rejected",
    JobState.EXPIRED: "expired",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
_NOT_FOR_GOOD = (Reason.QUEUE_FULL, Reason.NOT_YET_VALID)  # the same message may be taken later
ASK_AGAIN_S = 60.0  # mission time between two questions about a job that is under way
LEAST_REPEAT_HOST_S = 0.25  # an answer needs its time, however fast the mission's clock runs


@dataclass(slots=True)
class _Sent:
    mission_s: float
    host_s: float


class Desk:
    """The ground's side of every conversation with one satellite."""

    def __init__(
        self,
        store: GatewayStore,
        board: Board,
        receiver: Receiver,
        alert_key: bytes,
        received: Callable[[CompletedFile, float, float], None],
        *,
        repeat_s: float,
    ) -> None:
        """received(file, mission_s, host_s): a whole file is there."""
        self._store, self._board, self._receiver = store, board, receiver
        self._alert_key, self._received, self._repeat_s = alert_key, received, repeat_s
        self._sent: dict[int, _Sent] = {}  # by number of the uplink item
        self._asked: dict[bytes, _Sent] = {}  # by job
        self._replies: deque[bytes] = deque(maxlen=256)
        self._contact = False

    def take(self, packet: SpacePacket, now_s: float, host_s: float) -> None:
        """One packet from the satellite. Never raises for what is in it: nonsense is counted and shown."""
        try:
            kind = Apid(packet.apid)
        except ValueError:
            self._board.count("unknown_apid")
            return
        name = kind.name.lower()
        try:
            match kind:
                case Apid.TELEMETRY:
                    self._board.telemetry(packet.payload)
                case Apid.EVENT:
                    self._board.event(packet.payload)
                case Apid.STATUS:
                    self._status(StatusReport.unpack(packet.payload))
                case Apid.ALERT:
                    self._alert(packet.payload, now_s, host_s)
                case Apid.CFDP:
                    self._replies.extend(self._receiver.receive(packet.payload, now_s))
            self._board.count(name)
        except SwathError as error:
            self._board.refuse(name, error)

    def contact(self, open_: bool, now_s: float) -> None:
        """A contact began, goes on or ended."""
        if open_ == self._contact:
            return
        self._contact = open_
        (self._receiver.resume if open_ else self._receiver.freeze)(now_s)
        self._asked.clear()  # every contact begins with how the jobs stand

    def due(self, now_s: float, host_s: float) -> list[tuple[Apid, bytes]]:
        """Payloads that go up now: (APID, octets)."""
        files = self._receiver.completed()
        for file in files:
            self._received(file, now_s, host_s)
        if not self._contact:
            return []
        self._replies.extend(self._receiver.poll(now_s))
        going = [(Apid.CFDP_UP, reply) for reply in self._replies]
        self._replies.clear()
        for item in self._store.unanswered():
            if self._is_due(self._sent.get(item.number), self._repeat_s, now_s, host_s):
                self._sent[item.number] = _Sent(now_s, host_s)
                going.append((Apid(item.apid), item.octets))
        for job_id, signed in self._store.live_jobs():
            if self._is_due(self._asked.get(job_id), ASK_AGAIN_S, now_s, host_s):
                self._asked[job_id] = _Sent(now_s, host_s)
                going.append((Apid.JOB, signed))  # known already: the satellite answers how it stands
        return going

    @staticmethod
    def _is_due(last: _Sent | None, period_s: float, now_s: float, host_s: float) -> bool:
        if last is None:
            return True
        return now_s - last.mission_s >= period_s and host_s - last.host_s >= LEAST_REPEAT_HOST_S

    def _status(self, report: StatusReport) -> None:
        order = self._store.order_of_short_id(report.subject)
        if order is not None:
            self._job_status(order.id, report)
            return
        grant_id = self._store.subject_of_short_id(report.subject, Apid.GRANT)
        if grant_id is not None:
            self._grant_status(grant_id, report)

    def _job_status(self, order_id: bytes, report: StatusReport) -> None:
        if report.state is JobState.REFUSED and report.reason in _NOT_FOR_GOOD:
            return
        if report.state is JobState.REFUSED and report.reason is Reason.UNKNOWN_KEY:
            self._store.ask_again(order_id)  # the grant is not on board any more: it goes up first
            return
        self._store.answer(order_id, Apid.JOB)
        if report.state.terminal:
            self._store.answer(order_id, Apid.RECEIPT)
        row = StatusRow(float(report.time_s), CODES[report.state], int(report.state), int(report.reason))
        self._store.add_status(order_id, row)

    def _grant_status(self, grant_id: bytes, report: StatusReport) -> None:
        if report.state is JobState.REFUSED and report.reason in _NOT_FOR_GOOD:
            return
        self._store.answer(grant_id, Apid.GRANT)
        # REPLAYED: a later grant for the same key is on board; whether it allows the jobs is judged there
        if report.state in (JobState.REFUSED, JobState.CANCELLED) and report.reason is not Reason.REPLAYED:
            row = StatusRow(float(report.time_s), "rejected", int(JobState.REFUSED), int(report.reason))
            for order_id in self._store.waiting_under(grant_id):
                self._store.answer(order_id, Apid.JOB)
                self._store.add_status(order_id, row)

    def _alert(self, octets: bytes, now_s: float, host_s: float) -> None:
        alert = verify_alert(octets, self._alert_key)
        order = self._store.order_of_short_id(alert.job[:SUBJECT_BYTES])
        if order is None:
            return
        content = {
            "findings": alert.count if alert.kind is AlertKind.FINDINGS else 0,
            "area_m2": alert.area_m2,
            "place": None if alert.lon is None else [alert.lon, alert.lat],
            "confidence": round(alert.confidence, 3),
            "bytes": len(octets),
        }
        self._store.add_alert(order.id, now_s, host_s, content)

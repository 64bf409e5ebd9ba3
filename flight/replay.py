"""After a restart: every durable record goes to the room that wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flight.agent.audit import AuditLog
from flight.agent.core import AgentCore
from flight.agent.egress import EgressGate
from flight.agent.errors import EgressRefused
from flight.command_activity import CommandActivity
from flight.executive.table_desk import TableDesk
from flight.link.downlink import Downlink
from flight.onboard_services import OnboardServices
from flight.pipeline.answers import AnswerDesk
from flight.services.journal_format import JournalRecord
from flight.services.records import RecordKind

REPLAYED_BY_AGENT = frozenset((RecordKind.GRANT, RecordKind.REVOCATION, RecordKind.JOB, RecordKind.PRODUCT))


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the journal held."""

    records: int
    refused: tuple[str, ...]  # products that the gate did not believe, with its reason


def replay(
    records: Iterable[JournalRecord],
    agent: AgentCore,
    gate: EgressGate,
    answers: AnswerDesk,
    downlink: Downlink,
    audit: AuditLog,
    commands: CommandActivity,
    tables: TableDesk | None = None,
    services: OnboardServices | None = None,
) -> Replayed:
    """Hand out the records, in order. Nothing raises: what makes no sense is counted by the room that it belongs to."""
    products: list[bytes] = []
    count = 0
    for record in records:
        count += 1
        if record.kind in REPLAYED_BY_AGENT:
            agent.apply(record.kind, record.payload)
        if record.kind == RecordKind.PRODUCT:
            products.append(record.payload)
        elif record.kind == RecordKind.STRIP:
            answers.replay(record.payload)
        elif record.kind == RecordKind.TRANSFER:
            downlink.replay(record.payload)
        elif record.kind == RecordKind.AUDIT:
            audit.replay(record.payload)
        elif record.kind in (RecordKind.TELECOMMAND, RecordKind.SERVICES):
            commands.replay(record.kind, record.payload)
        elif record.kind == RecordKind.TABLE and tables is not None:
            tables.replay(record.payload)
        elif services is not None:
            services.replay(record.kind, record.payload)
    commands.begin()
    refused = []
    # the gate may refuse, and writes that down: only when the audit chain has been followed to its end
    for payload in products:
        try:
            gate.restore_product(payload)
        except EgressRefused as error:  # its job fails when it is to be sent
            refused.append(str(error))
    for entry in agent.jobs:
        if not entry.live and entry.release is not None:
            gate.forget_product(entry.release.product_id)
    return Replayed(count, tuple(refused))

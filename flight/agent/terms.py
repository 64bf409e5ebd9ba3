"""On what terms a product of a job may leave: what the agent tells the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flight.agent.admission import ApplicationTerms
from flight.agent.entry import JobEntry
from flight.agent.grants import GrantBook
from flight.agent.job import ProductKind
from flight.agent.jobs import JobTable
from flight.agent.states import JobState


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """What the gate holds a product against. Bytes are of the octets that leave."""

    job_id: bytes
    application: str
    capture_id: bytes
    recipient: bytes  # X25519
    products: frozenset[ProductKind]  # that the job asks for
    declared: frozenset[ProductKind]  # that the application's manifest declares
    parameters: tuple[tuple[str, float], ...]
    byte_budget: int
    day_bytes_left: int
    awaits_product: bool


def release_terms(
    entry: JobEntry,
    jobs: JobTable,
    grants: GrantBook,
    applications: Mapping[str, ApplicationTerms],
    now_s: float,
) -> ReleaseTerms | None:
    """The terms of a job, None when it was refused. A grant that is gone leaves no bytes for the day."""
    if entry.order is None:
        return None
    grant = grants.of_key(entry.order.key_id)
    left = grant.max_bytes_per_day - jobs.released_bytes(entry.tenant, now_s) if grant is not None else 0
    terms = applications.get(entry.order.job.application)
    return ReleaseTerms(
        job_id=entry.job_id,
        application=entry.order.job.application,
        capture_id=entry.capture_id or b"",
        recipient=entry.order.recipient,
        products=frozenset(entry.order.job.products),
        declared=terms.products if terms is not None else frozenset(),
        parameters=entry.order.job.parameters,
        byte_budget=entry.order.job.byte_budget,
        day_bytes_left=max(left, 0),
        awaits_product=entry.state is JobState.PROCESSING and entry.summary is not None,
    )

"""Whether a job may be taken: what its grant allows and what this satellite has. Pure; one reason, the first found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flight.agent.area import area_km2
from flight.agent.grant import Grant
from flight.agent.job import Job, ProductKind, Version
from flight.agent.reasons import Reason

# What comes in a container. It always has the counts; an alert is no container and goes ahead of one.
IN_CONTAINER = frozenset((ProductKind.MASK, ProductKind.REGIONS, ProductKind.COUNTS))


@dataclass(frozen=True, slots=True)
class ApplicationTerms:
    """What admission needs to know of an application on board; made from its manifest."""

    name: str
    version: Version
    products: frozenset[ProductKind]
    parameters: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # the values offered
    enabled: bool = True
    needs_reference: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What this satellite takes on. Declared in its configuration."""

    strip_s: float  # how long a capture lasts
    max_off_nadir_deg: float = 30.0
    max_area_km2: float = 250_000.0
    max_live_jobs: int = 64
    max_known_jobs: int = 1024  # with those that ended and have not expired: their nonces must be remembered
    max_known_refusals: int = 256
    max_grants: int = 64
    horizon_s: float = 7 * 86_400.0  # how far ahead a pass is looked for
    lead_s: float = 5.0  # an order must reach the camera this long before the strip begins
    commit_s: float = 300.0  # the camera gets its order this long before, not earlier
    capture_grace_s: float = 60.0  # a capture that has not ended this long after its time has failed
    max_captures: int = 3
    max_inferences: int = 3
    max_transfers: int = 5
    plan_evaluations: int = 16  # positions evaluated in one tick
    capture_w: float = 15.0
    compute_w: float = 10.0
    battery_j: float = 300_000.0
    min_state_of_charge: float = 0.3

    def energy_j(self, compute_s: float) -> float:
        """What a capture and `compute_s` of inference take."""
        return self.strip_s * self.capture_w + compute_s * self.compute_w


@dataclass(frozen=True, slots=True)
class Load:
    """What is there already."""

    live_jobs: int
    known_jobs: int
    tenant_bytes_today: int  # of the job's tenant: released, and promised to its live jobs
    nonce_used: bool


def refusal(
    job: Job, grant: Grant, applications: Mapping[str, ApplicationTerms], limits: Limits, load: Load, now_s: float
) -> Reason:
    """Reason.NONE when the job may be taken."""
    return (
        _against_time(job, grant, load, now_s)
        or _against_grant(job, grant, load)
        or _against_applications(job, applications)
        or _against_limits(job, limits, load)
    )


def transient(reason: Reason) -> bool:
    """Whether the same job may be taken later: such a refusal is answered, but not remembered."""
    return reason in (Reason.QUEUE_FULL, Reason.NOT_YET_VALID)


def _against_time(job: Job, grant: Grant, load: Load, now_s: float) -> Reason:
    if now_s > job.deadline_s or now_s > job.latest_s or now_s > grant.valid_to_s:
        return Reason.EXPIRED
    if now_s < grant.valid_from_s:
        return Reason.NOT_YET_VALID
    return Reason.REPLAYED if load.nonce_used else Reason.NONE


def _against_grant(job: Job, grant: Grant, load: Load) -> Reason:
    if job.tenant != grant.tenant:
        return Reason.UNKNOWN_KEY
    if job.application not in grant.applications:
        return Reason.APPLICATION_NOT_GRANTED
    if not grant.covers(job.area):
        return Reason.AREA_NOT_GRANTED
    if not set(job.products) <= set(grant.products):
        return Reason.PRODUCT_NOT_GRANTED
    if job.byte_budget > grant.max_bytes_per_job:
        return Reason.OVER_JOB_BYTES
    if load.tenant_bytes_today + job.byte_budget > grant.max_bytes_per_day:
        return Reason.OVER_DAILY_BYTES
    return Reason.NONE


def _against_applications(job: Job, applications: Mapping[str, ApplicationTerms]) -> Reason:
    terms = applications.get(job.application)
    if terms is None:
        return Reason.UNKNOWN_APPLICATION
    if not terms.enabled:
        return Reason.APPLICATION_DISABLED
    if not job.version_min <= terms.version < job.version_below:
        return Reason.VERSION_NOT_FLYING
    if not set(job.products) <= terms.products or IN_CONTAINER.isdisjoint(job.products):
        return Reason.PRODUCT_NOT_DECLARED
    for name, value in job.parameters:
        if name not in terms.parameters:
            return Reason.PARAMETER_UNKNOWN
        if value not in terms.parameters[name]:
            return Reason.PARAMETER_NOT_OFFERED
    return Reason.NEEDS_REFERENCE if terms.needs_reference else Reason.NONE


def _against_limits(job: Job, limits: Limits, load: Load) -> Reason:
    if area_km2(job.area) > limits.max_area_km2:
        return Reason.AREA_TOO_LARGE
    if limits.energy_j(0.0) > job.energy_budget_j:
        return Reason.OVER_ENERGY
    if load.live_jobs >= limits.max_live_jobs or load.known_jobs >= limits.max_known_jobs:
        return Reason.QUEUE_FULL
    return Reason.NONE

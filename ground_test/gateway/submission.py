"""The submitter's part: an area and a wish become a job that the tenant signs. The gateway sees no private key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flight.agent import cose
from flight.agent.area import Ring, ring_of
from flight.agent.claims import NONCE_BYTES
from flight.agent.errors import AgentError
from flight.agent.grant import Grant
from flight.agent.job import Job, ProductKind
from flight.agent.keys import SigningKey
from ground_test.gateway.errors import OrderInvalid

MAX_AREA_BYTES = 1 << 20
MAX_GRANT_BYTES = cose.MAX_BYTES


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted, beside area and application. Times are UTC seconds since 1970."""

    earliest_s: int
    latest_s: int
    deadline_s: int
    expires_s: int
    byte_budget: int
    priority: int = 3
    parameters: Mapping[str, float] | None = None
    energy_budget_j: int = 20_000
    compute_budget_s: int = 600


def make_job(application: str, area: Ring, wish: Wish, grant: Grant, random_bytes: Callable[[int], bytes]) -> Job:
    """A job that asks for all that the grant gives. random_bytes: for the nonce. Raises ClaimsInvalid."""
    return Job(
        tenant=grant.tenant,
        application=application,
        version_min=(0, 0, 1),
        version_below=(65_535, 0, 0),
        area=area,
        earliest_s=wish.earliest_s,
        latest_s=wish.latest_s,
        deadline_s=wish.deadline_s,
        expires_s=wish.expires_s,
        parameters=tuple(sorted((wish.parameters or {}).items())),
        products=tuple(sorted(ProductKind(kind) for kind in grant.products)),
        byte_budget=wish.byte_budget,
        energy_budget_j=wish.energy_budget_j,
        compute_budget_s=wish.compute_budget_s,
        priority=wish.priority,
        nonce=random_bytes(NONCE_BYTES),
    )


def sign_job(job: Job, key: SigningKey, satellite_set: str) -> bytes:
    """The job under the tenant's signature."""
    return cose.sign1(job.encode(), key.private, key.key_id, cose.aad(cose.Purpose.JOB, satellite_set))


def read_area(path: Path) -> Ring:
    """The one polygon of a GeoJSON file: a geometry, a Feature, or a FeatureCollection of one. Raises OrderInvalid."""
    try:
        with path.open("rb") as stream:
            octets = stream.read(MAX_AREA_BYTES + 1)
        content = json.loads(octets)
    except OSError as error:
        raise OrderInvalid(str(path), error.strerror or "cannot be read") from error
    except ValueError as error:
        raise OrderInvalid(str(path), f"no JSON: {error}") from error
    return _ring(str(path), content)


def _ring(name: str, content: Any) -> Ring:
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        features = content.get("features")
        if not isinstance(features, list) or len(features) != 1:
            raise OrderInvalid(name, "a collection of exactly one feature is needed")
        content = features[0]
    if isinstance(content, dict) and content.get("type") == "Feature":
        content = content.get("geometry")
    if not isinstance(content, dict) or content.get("type") != "Polygon":
        raise OrderInvalid(name, "one GeoJSON Polygon is needed")
    try:
        (ring,) = content["coordinates"]
        return ring_of([(float(point[0]), float(point[1])) for point in ring])
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise OrderInvalid(name, "one ring of positions, no holes, is needed") from error


def read_grant(path: Path) -> tuple[Grant, bytes]:
    """A grant and its octets. The signature is the gateway's and the satellite's to judge. Raises OrderInvalid."""
    try:
        with path.open("rb") as stream:
            octets = stream.read(MAX_GRANT_BYTES + 1)
    except OSError as error:
        raise OrderInvalid(str(path), error.strerror or "cannot be read") from error
    try:
        return Grant.decode(cose.parse1(octets).payload), octets
    except AgentError as error:
        raise OrderInvalid(str(path), f"no grant: {error}") from error


def sign_grant(grant: Grant, mission: SigningKey) -> bytes:
    """The grant under the mission's signature."""
    return cose.sign1(grant.encode(), mission.private, mission.key_id, cose.aad(cose.Purpose.GRANT))

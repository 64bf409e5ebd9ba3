"""An order, from what a submitter posts to what goes up: pure checks, nothing is stored here.

The submitter signs the job; the gateway never holds a tenant's signing key. What the order says in JSON must be what
the job says under its signature, and the grant must allow it. It is refused here exactly as it would be on board.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from flight.agent import cose
from flight.agent.admission import ApplicationTerms, Limits, Load, refusal
from flight.agent.area import ring_of
from flight.agent.errors import ClaimsInvalid, CoseInvalid, KeyUnknown, SignatureInvalid
from flight.agent.grant import Grant
from flight.agent.grants import GrantBook
from flight.agent.job import Job, ProductKind
from flight.agent.keys import public_key
from flight.agent.reasons import Reason
from ground_test.gateway.errors import OrderInvalid, OrderRefused

MAX_BODY_BYTES = 1 << 18
_ANY_ORBIT = Limits(strip_s=0.0)  # energy, queue and passes are the satellite's to judge


class Geometry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GeoJSON polygon (RFC 7946) without holes."""

    type: str
    coordinates: Annotated[list[Annotated[list[list[float]], Meta(max_length=66)]], Meta(min_length=1, max_length=16)]
    bbox: list[float] | None = None


class OrderParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an order says beside place and time. Values that are given must be those of the signed job."""

    signed_job: Annotated[str, Meta(max_length=12_000)]  # base64url of a COSE_Sign1
    signed_grant: Annotated[str, Meta(max_length=12_000)]
    parameters: Annotated[dict[str, float], Meta(max_length=16)] | None = None
    byte_budget: int | None = None
    priority: int | None = None
    deadline: str | None = None
    products: Annotated[list[str], Meta(max_length=8)] | None = None


class OrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The STAPI order payload."""

    datetime: Annotated[str, Meta(max_length=80)]
    geometry: Geometry
    order_parameters: OrderParameters
    filter: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom the gateway believes, and what it offers."""

    mission: Mapping[bytes, Ed25519PublicKey]
    satellite_set: str
    applications: Mapping[str, ApplicationTerms]


@dataclass(frozen=True, slots=True)
class CheckedOrder:
    """An order whose signature, grant and text agree."""

    job: Job
    signed_job: bytes
    grant: Grant
    signed_grant: bytes
    request: dict[str, Any]  # as it is shown again: geometry, datetime, order parameters

    @property
    def id(self) -> bytes:
        return self.job.id


def check_order(application: str, body: bytes, trust: Trust, now_s: float, promised_bytes: int = 0) -> CheckedOrder:
    """Judge one order. promised_bytes: what the tenant's other orders of the day may take.

    Raises OrderInvalid or OrderRefused, whatever the body.
    """
    try:
        order = msgspec.json.decode(body, type=OrderBody)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OrderInvalid("body", str(error)) from error
    if order.filter:
        raise OrderInvalid("filter", "no filters are offered")
    signed_job, signed_grant = (
        _octets(name, getattr(order.order_parameters, name)) for name in ("signed_job", "signed_grant")
    )
    grant = _grant(signed_grant, trust, now_s)
    job = _job(signed_job, grant, trust)
    _agree(application, order, job)
    load = Load(live_jobs=0, known_jobs=0, tenant_bytes_today=promised_bytes, nonce_used=False)
    if reason := refusal(job, grant, trust.applications, _ANY_ORBIT, load, now_s):
        raise OrderRefused(reason)
    return CheckedOrder(job, signed_job, grant, signed_grant, _shown(order, job))


def _grant(octets: bytes, trust: Trust, now_s: float) -> Grant:
    grant, reason = GrantBook(trust.mission, 1).judge(octets, now_s)
    if grant is None or reason:
        raise OrderRefused(reason)
    return grant


def _job(octets: bytes, grant: Grant, trust: Trust) -> Job:
    keys = {grant.key_id: public_key(grant.public_key)}
    try:
        signed = cose.verify1(octets, keys, cose.aad(cose.Purpose.JOB, trust.satellite_set))
        return Job.decode(signed.payload)
    except KeyUnknown as error:
        raise OrderRefused(Reason.UNKNOWN_KEY) from error
    except SignatureInvalid as error:
        raise OrderRefused(Reason.BAD_SIGNATURE) from error
    except CoseInvalid as error:
        raise OrderInvalid("signed_job", str(error)) from error
    except ClaimsInvalid as error:
        if error.reason is not Reason.MALFORMED:
            raise OrderRefused(error.reason) from error
        raise OrderInvalid("signed_job", str(error)) from error


def _agree(application: str, order: OrderBody, job: Job) -> None:
    """The text of the order says what the signed job says. Raises OrderInvalid, naming the field."""
    said = order.order_parameters
    if application != job.application:
        raise OrderInvalid("product", f"the order is for {application}, the signed job for {job.application}")
    if order.geometry.type != "Polygon" or len(order.geometry.coordinates) != 1:
        raise OrderInvalid("geometry", "one Polygon without holes is needed")
    points = order.geometry.coordinates[0]
    if any(len(point) not in (2, 3) or not (abs(point[0]) <= 180 and abs(point[1]) <= 90) for point in points):
        raise OrderInvalid("geometry", "a position has a longitude and a latitude")
    if points[0] != points[-1] or ring_of(points) != job.area:
        raise OrderInvalid("geometry", "not the closed ring of the signed job, vertex by vertex")
    start_s, end_s = parse_interval(order.datetime)
    if (int(start_s), int(end_s)) != (job.earliest_s, job.latest_s):
        raise OrderInvalid("datetime", "not the interval of the signed job")
    for name, given, signed in (
        ("parameters", said.parameters, dict(job.parameters)),
        ("byte_budget", said.byte_budget, job.byte_budget),
        ("priority", said.priority, job.priority),
        ("products", None if said.products is None else sorted(said.products), sorted(_names(job))),
        ("deadline", None if said.deadline is None else int(parse_time("deadline", said.deadline)), job.deadline_s),
    ):
        if given is not None and given != signed:
            raise OrderInvalid(f"order_parameters.{name}", f"{given} where the signed job says {signed}")


def _shown(order: OrderBody, job: Job) -> dict[str, Any]:
    return {
        "geometry": {"type": "Polygon", "coordinates": order.geometry.coordinates},
        "datetime": f"{utc_text(job.earliest_s)}/{utc_text(job.latest_s)}",
        "byte_budget": job.byte_budget,
        "order_parameters": {
            "parameters": dict(job.parameters),
            "byte_budget": job.byte_budget,
            "priority": job.priority,
            "deadline": utc_text(job.deadline_s),
            "products": _names(job),
            "signed_job": order.order_parameters.signed_job,
            "signed_grant": order.order_parameters.signed_grant,
        },
    }


def order_body(job: Job, signed_job: bytes, signed_grant: bytes) -> dict[str, Any]:
    """The payload that a submitter posts for a job that they signed."""
    ring = [list(point) for point in job.area_degrees]
    return {
        "datetime": f"{utc_text(job.earliest_s)}/{utc_text(job.latest_s)}",
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "order_parameters": {
            "parameters": dict(job.parameters),
            "byte_budget": job.byte_budget,
            "priority": job.priority,
            "deadline": utc_text(job.deadline_s),
            "products": _names(job),
            "signed_job": base64.urlsafe_b64encode(signed_job).decode("ascii"),
            "signed_grant": base64.urlsafe_b64encode(signed_grant).decode("ascii"),
        },
    }


def utc_text(seconds: float) -> str:
    """RFC 3339, whole seconds when they are whole."""
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return moment.isoformat(timespec="seconds" if seconds == int(seconds) else "milliseconds").replace("+00:00", "Z")


def parse_time(field: str, text: str) -> float:
    """UTC seconds since 1970 of an RFC 3339 time. Raises OrderInvalid."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError as error:
        raise OrderInvalid(field, f"`{text[:40]}` is not an RFC 3339 time") from error
    if moment.tzinfo is None:
        raise OrderInvalid(field, f"`{text[:40]}` does not say its time zone")
    return moment.timestamp()


def parse_interval(text: str) -> tuple[float, float]:
    """Start and end of `start/end`. Raises OrderInvalid."""
    start, slash, end = text.partition("/")
    if not slash:
        raise OrderInvalid("datetime", "an interval `start/end` is needed")
    return parse_time("datetime", start), parse_time("datetime", end)


def _names(job: Job) -> list[str]:
    return [ProductKind(kind).name.lower() for kind in job.products]


def _octets(field: str, text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise OrderInvalid(f"order_parameters.{field}", "not base64url") from error

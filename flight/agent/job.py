"""The job: an order as the satellite sees it (docs/job-format.md has the bytes).

Times are whole UTC seconds, angles 1e-7 degrees, parameters millionths: integers throughout, so that a job has one
encoding. Its id is the SHA-256 of that encoding.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from flight.agent import claims
from flight.agent.area import MAX_VERTICES, Ring, checked_ring, degrees_of
from flight.agent.claims import Claims
from flight.agent.errors import ClaimsInvalid
from flight.services import cbor

FORMAT = 1
MAX_PARAMETERS = 16
MAX_BYTE_BUDGET = 1 << 28
MAX_ENERGY_J = 10_000_000
MAX_COMPUTE_S = 86_400
MICRO = 1_000_000
_MAX_MICRO = 10**15

Version = tuple[int, int, int]


class ProductKind(IntEnum):
    """What an answer may consist of; names as in manifests are the lower-case names."""

    MASK = 1
    REGIONS = 2
    COUNTS = 3
    ALERT = 4


@dataclass(frozen=True, slots=True)
class Job:
    """What to look for, where, when, and what it may cost. Valid by construction: raises ClaimsInvalid."""

    tenant: str
    application: str
    version_min: Version  # the oldest version that will do
    version_below: Version  # the first that will not
    area: Ring  # (longitude, latitude) in 1e-7 degrees, unclosed
    earliest_s: int  # the strip may not begin before
    latest_s: int  # the strip must have begun by
    deadline_s: int  # the answer must exist by
    expires_s: int  # the answer is kept for delivery until
    parameters: tuple[tuple[str, float], ...]  # by name, sorted; multiples of 1e-6
    products: tuple[ProductKind, ...]  # sorted
    byte_budget: int
    energy_budget_j: int
    compute_budget_s: int
    priority: int  # 0 routine ... 7 most urgent
    nonce: bytes

    def __post_init__(self) -> None:
        claims.checked_name("job", "tenant", self.tenant)
        claims.checked_name("job", "application", self.application)
        for field, version in (("version_min", self.version_min), ("version_below", self.version_below)):
            if len(version) != 3:
                raise ClaimsInvalid("job", field, "not three numbers")
            for part in version:
                claims.bounded("job", field, part, 0, 65_535)
        if not self.version_min < self.version_below:
            raise ClaimsInvalid("job", "version_below", "no version is in the range")
        for x, y in self.area:
            claims.position("job", "area", x, y)
        checked_ring(self.area)
        if not 0 <= self.earliest_s <= self.latest_s <= self.deadline_s <= self.expires_s <= claims.LATEST_TIME_S:
            raise ClaimsInvalid("job", "earliest_s", "earliest, latest, deadline and expiry are not in that order")
        self._check_parameters()
        if not self.products or list(self.products) != sorted(set(self.products)):
            raise ClaimsInvalid("job", "products", "not sorted, not unique, or empty")
        claims.bounded("job", "byte_budget", self.byte_budget, 1, MAX_BYTE_BUDGET)
        claims.bounded("job", "energy_budget_j", self.energy_budget_j, 1, MAX_ENERGY_J)
        claims.bounded("job", "compute_budget_s", self.compute_budget_s, 1, MAX_COMPUTE_S)
        claims.bounded("job", "priority", self.priority, 0, 7)
        if len(self.nonce) != claims.NONCE_BYTES:
            raise ClaimsInvalid("job", "nonce", f"not {claims.NONCE_BYTES} bytes")

    def _check_parameters(self) -> None:
        names = [name for name, _ in self.parameters]
        if names != sorted(set(names)) or len(names) > MAX_PARAMETERS:
            raise ClaimsInvalid("job", "parameters", f"not sorted, not unique, or more than {MAX_PARAMETERS}")
        for name, value in self.parameters:
            claims.checked_name("job", "parameters", name)
            if not abs(value) * MICRO <= _MAX_MICRO or round(value * MICRO) / MICRO != value:
                raise ClaimsInvalid("job", "parameters", f"{name} is not a multiple of 1e-6 within 1e9")

    @property
    def id(self) -> bytes:
        """32 bytes: the SHA-256 of the payload."""
        return hashlib.sha256(self.encode()).digest()

    @property
    def area_degrees(self) -> tuple[tuple[float, float], ...]:
        """The area's vertices (longitude, latitude) in degrees, unclosed."""
        return degrees_of(self.area)

    def encode(self) -> bytes:
        """The payload to be signed."""
        return cbor.encode(
            {
                claims.ISSUER: self.tenant,
                claims.EXPIRES: self.expires_s,
                claims.TOKEN_ID: self.nonce,
                claims.JOB_BODY: {
                    0: FORMAT,
                    1: self.application,
                    2: [*self.version_min, *self.version_below],
                    3: [number for point in self.area for number in point],
                    4: [self.earliest_s, self.latest_s, self.deadline_s],
                    5: {name: round(value * MICRO) for name, value in self.parameters},
                    6: [int(kind) for kind in self.products],
                    7: self.byte_budget,
                    8: self.energy_budget_j,
                    9: self.compute_budget_s,
                    10: self.priority,
                },
            }
        )

    @classmethod
    def decode(cls, payload: bytes) -> Job:
        """Raises ClaimsInvalid, whatever the input. What is accepted encodes to the same bytes."""
        outer = Claims.decode("job", payload)
        body = outer.body(claims.JOB_BODY)
        body.version(0, FORMAT)
        versions = [claims.bounded("job", "versions", part, 0, 65_535) for part in body.items(2, "versions", 6, 6)]
        times = [claims.bounded("job", "times", part, 0, claims.LATEST_TIME_S) for part in body.items(4, "times", 3, 3)]
        job = cls(
            tenant=outer.name(claims.ISSUER, "tenant"),
            application=body.name(1, "application"),
            version_min=(versions[0], versions[1], versions[2]),
            version_below=(versions[3], versions[4], versions[5]),
            area=_ring(body.items(3, "area", 6, 2 * MAX_VERTICES)),
            earliest_s=times[0],
            latest_s=times[1],
            deadline_s=times[2],
            expires_s=outer.time(claims.EXPIRES, "expires_s"),
            parameters=_parameters(body.table(5, "parameters", MAX_PARAMETERS)),
            products=tuple(product_kind("job", item) for item in body.items(6, "products", 1, len(ProductKind))),
            byte_budget=body.number(7, "byte_budget", 1, MAX_BYTE_BUDGET),
            energy_budget_j=body.number(8, "energy_budget_j", 1, MAX_ENERGY_J),
            compute_budget_s=body.number(9, "compute_budget_s", 1, MAX_COMPUTE_S),
            priority=body.number(10, "priority", 0, 7),
            nonce=outer.octets(claims.TOKEN_ID, "nonce", claims.NONCE_BYTES),
        )
        body.end()
        outer.end()
        return job


def product_kind(kind: str, value: Any) -> ProductKind:
    """A product kind from its number. Raises ClaimsInvalid."""
    try:
        return ProductKind(claims.bounded(kind, "products", value, 0, 255))
    except ValueError as error:
        raise ClaimsInvalid(kind, "products", f"no product kind has number {value}") from error


def parse_version(text: str) -> Version:
    """`1.2.3` as numbers. Raises ClaimsInvalid.

    >>> parse_version("1.2.3")
    (1, 2, 3)
    """
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 5 for part in parts):
        raise ClaimsInvalid("application", "version", f"`{text[:32]}` is not MAJOR.MINOR.PATCH")
    return int(parts[0]), int(parts[1]), int(parts[2])


def _ring(numbers: list[Any]) -> Ring:
    if len(numbers) % 2:
        raise ClaimsInvalid("job", "area", "a longitude without its latitude")
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return tuple(claims.position("job", "area", x, y) for x, y in pairs)


def _parameters(table: dict[Any, Any]) -> tuple[tuple[str, float], ...]:
    found = [
        (
            claims.checked_name("job", "parameters", name),
            claims.bounded("job", "parameters", value, -_MAX_MICRO, _MAX_MICRO) / MICRO,
        )
        for name, value in table.items()
    ]
    return tuple(sorted(found))

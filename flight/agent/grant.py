"""The grant: what a tenant's key may ask, signed by the mission (docs/job-format.md has the bytes).

The tenant's public key stands in the confirmation claim (RFC 8747), so that the key and its rights cannot be parted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from flight.agent import claims
from flight.agent.area import Box, Ring
from flight.agent.claims import Claims
from flight.agent.errors import ClaimsInvalid
from flight.agent.job import MAX_BYTE_BUDGET, ProductKind, product_kind
from flight.agent.keys import KEY_BYTES, key_id_of, public_key
from flight.services import cbor

FORMAT = 1
MAX_APPLICATIONS = 32
MAX_BOXES = 32
MAX_BYTES_PER_DAY = 1 << 34

_COSE_KEY = 1
_KEY_TYPE, _CURVE, _X = 1, -1, -2
_OCTET_KEY_PAIR, _ED25519 = 1, 6


@dataclass(frozen=True, slots=True)
class Grant:
    """What one key of one tenant may ask. Valid by construction: raises ClaimsInvalid."""

    tenant: str
    public_key: bytes  # Ed25519, 32 bytes: signs the tenant's jobs
    recipient: bytes  # X25519, 32 bytes: products are encrypted to it
    applications: tuple[str, ...]  # sorted
    boxes: tuple[Box, ...]  # an area must lie inside one of them
    products: tuple[ProductKind, ...]  # sorted
    max_bytes_per_job: int
    max_bytes_per_day: int  # per UTC day
    valid_from_s: int
    valid_to_s: int
    serial: int  # of two grants for one key the higher holds

    def __post_init__(self) -> None:
        claims.checked_name("grant", "tenant", self.tenant)
        for field, octets in (("public_key", self.public_key), ("recipient", self.recipient)):
            if len(octets) != KEY_BYTES:
                raise ClaimsInvalid("grant", field, f"not {KEY_BYTES} bytes")
        try:
            public_key(self.public_key)
        except ValueError as error:
            raise ClaimsInvalid("grant", "public_key", "not a key") from error
        if list(self.applications) != sorted(set(self.applications)) or not self.applications:
            raise ClaimsInvalid("grant", "applications", "not sorted, not unique, or empty")
        for name in self.applications:
            claims.checked_name("grant", "applications", name)
        for box in self.boxes:
            claims.position("grant", "boxes", box.west, box.south)
            claims.position("grant", "boxes", box.east, box.north)
            if box.west >= box.east or box.south >= box.north:
                raise ClaimsInvalid("grant", "boxes", "west, south, east, north are not in order")
        if not self.boxes or not self.products or list(self.products) != sorted(set(self.products)):
            raise ClaimsInvalid("grant", "products", "nothing granted, or kinds not sorted and unique")
        claims.bounded("grant", "max_bytes_per_job", self.max_bytes_per_job, 1, MAX_BYTE_BUDGET)
        claims.bounded("grant", "max_bytes_per_day", self.max_bytes_per_day, 1, MAX_BYTES_PER_DAY)
        claims.bounded("grant", "serial", self.serial, 0, 1 << 32)
        if not 0 <= self.valid_from_s < self.valid_to_s <= claims.LATEST_TIME_S:
            raise ClaimsInvalid("grant", "valid_to_s", "it is never valid")

    @property
    def key_id(self) -> bytes:
        """The id of the tenant's key."""
        return key_id_of(self.public_key)

    @property
    def id(self) -> bytes:
        """32 bytes: the SHA-256 of the payload."""
        return hashlib.sha256(self.encode()).digest()

    def covers(self, ring: Ring) -> bool:
        """Whether the area lies inside one granted box."""
        return any(box.covers(ring) for box in self.boxes)

    def encode(self) -> bytes:
        """The payload to be signed."""
        return cbor.encode(
            {
                claims.SUBJECT: self.tenant,
                claims.EXPIRES: self.valid_to_s,
                claims.NOT_BEFORE: self.valid_from_s,
                claims.CONFIRMATION: {_COSE_KEY: {_KEY_TYPE: _OCTET_KEY_PAIR, _CURVE: _ED25519, _X: self.public_key}},
                claims.GRANT_BODY: {
                    0: FORMAT,
                    1: self.serial,
                    2: self.recipient,
                    3: list(self.applications),
                    4: [[box.west, box.south, box.east, box.north] for box in self.boxes],
                    5: [int(kind) for kind in self.products],
                    6: self.max_bytes_per_job,
                    7: self.max_bytes_per_day,
                },
            }
        )

    @classmethod
    def decode(cls, payload: bytes) -> Grant:
        """Raises ClaimsInvalid, whatever the input. What is accepted encodes to the same bytes."""
        outer = Claims.decode("grant", payload)
        body = outer.body(claims.GRANT_BODY)
        body.version(0, FORMAT)
        grant = cls(
            tenant=outer.name(claims.SUBJECT, "tenant"),
            public_key=_confirmed_key(outer.take(claims.CONFIRMATION, "public_key")),
            recipient=body.octets(2, "recipient", KEY_BYTES),
            applications=tuple(
                claims.checked_name("grant", "applications", item)
                for item in body.items(3, "applications", 1, MAX_APPLICATIONS)
            ),
            boxes=tuple(_box(item) for item in body.items(4, "boxes", 1, MAX_BOXES)),
            products=tuple(product_kind("grant", item) for item in body.items(5, "products", 1, len(ProductKind))),
            max_bytes_per_job=body.number(6, "max_bytes_per_job", 1, MAX_BYTE_BUDGET),
            max_bytes_per_day=body.number(7, "max_bytes_per_day", 1, MAX_BYTES_PER_DAY),
            valid_from_s=outer.time(claims.NOT_BEFORE, "valid_from_s"),
            valid_to_s=outer.time(claims.EXPIRES, "valid_to_s"),
            serial=body.number(1, "serial", 0, 1 << 32),
        )
        body.end()
        outer.end()
        return grant


def _confirmed_key(value: Any) -> bytes:
    confirmation = Claims("grant", value)
    key = Claims("grant", confirmation.take(_COSE_KEY, "public_key"))
    confirmation.end()
    key.number(_KEY_TYPE, "public_key", _OCTET_KEY_PAIR, _OCTET_KEY_PAIR)
    key.number(_CURVE, "public_key", _ED25519, _ED25519)
    octets = key.octets(_X, "public_key", KEY_BYTES)
    key.end()
    return octets


def _box(value: Any) -> Box:
    if not isinstance(value, list) or len(value) != 4:
        raise ClaimsInvalid("grant", "boxes", "not west, south, east, north")
    west, south = claims.position("grant", "boxes", value[0], value[1])
    east, north = claims.position("grant", "boxes", value[2], value[3])
    return Box(west, south, east, north)

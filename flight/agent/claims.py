"""Typed reading of signed claims: every field by its key, its type and its bounds, and none left over.

A job, a grant and a command are CBOR Web Token claim sets (RFC 8392): subject, expiry and the like under their
registered keys, what is ours in one map under a private key (below -65536).
"""

from __future__ import annotations

import re
from typing import Any

from flight.agent.errors import ClaimsInvalid
from flight.services import cbor

ISSUER, SUBJECT, EXPIRES, NOT_BEFORE, TOKEN_ID, CONFIRMATION = 1, 2, 4, 5, 7, 8
JOB_BODY, GRANT_BODY, COMMAND_BODY, RECEIPT_BODY, TELECOMMAND_BODY = -65537, -65538, -65539, -65540, -65541

NONCE_BYTES = 16
MAX_PAYLOAD = 6144
LATEST_TIME_S = 1 << 40  # some 34,800 years: a bound, not a forecast
DEGREE_E7 = 10_000_000
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_Point = tuple[int, int]


class Claims:
    """One map of claims, emptied field by field."""

    def __init__(self, kind: str, content: Any) -> None:
        if not isinstance(content, dict):
            raise ClaimsInvalid(kind, "content", "not a map")
        self.kind = kind
        self._left: dict[Any, Any] = dict(content)

    @classmethod
    def decode(cls, kind: str, payload: bytes) -> Claims:
        """Raises ClaimsInvalid, whatever the input."""
        try:
            return cls(kind, cbor.decode(payload, max_depth=6, max_items=1024, max_bytes=MAX_PAYLOAD))
        except cbor.CborError as error:
            raise ClaimsInvalid(kind, "content", str(error)) from error

    def take(self, key: int, field: str) -> Any:
        if key not in self._left:
            raise ClaimsInvalid(self.kind, field, "missing")
        return self._left.pop(key)

    def body(self, key: int) -> Claims:
        return Claims(self.kind, self.take(key, "body"))

    def number(self, key: int, field: str, low: int, high: int) -> int:
        return bounded(self.kind, field, self.take(key, field), low, high)

    def time(self, key: int, field: str) -> int:
        return self.number(key, field, 0, LATEST_TIME_S)

    def octets(self, key: int, field: str, size: int) -> bytes:
        value = self.take(key, field)
        if not isinstance(value, bytes) or len(value) != size:
            raise ClaimsInvalid(self.kind, field, f"not a byte string of {size} bytes")
        return value

    def name(self, key: int, field: str) -> str:
        return checked_name(self.kind, field, self.take(key, field))

    def items(self, key: int, field: str, low: int, high: int) -> list[Any]:
        value = self.take(key, field)
        if not isinstance(value, list) or not low <= len(value) <= high:
            raise ClaimsInvalid(self.kind, field, f"not a list of {low} to {high} items")
        return value

    def table(self, key: int, field: str, high: int) -> dict[Any, Any]:
        value = self.take(key, field)
        if not isinstance(value, dict) or len(value) > high:
            raise ClaimsInvalid(self.kind, field, f"not a map of at most {high} entries")
        return value

    def version(self, key: int, known: int) -> None:
        found = self.take(key, "format")
        if isinstance(found, bool) or found != known:
            raise ClaimsInvalid(self.kind, "format", f"version {found!r} where {known} is known")

    def end(self) -> None:
        """Nothing may be left over: a field that is not understood might have been a restriction."""
        if self._left:
            raise ClaimsInvalid(self.kind, "content", f"unknown claims {sorted(map(repr, self._left))[:4]}")


def bounded(kind: str, field: str, value: Any, low: int, high: int) -> int:
    """`value` if it is an integer in low..high. Raises ClaimsInvalid."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ClaimsInvalid(kind, field, f"not an integer in {low}..{high}")
    return value


def checked_name(kind: str, field: str, value: Any) -> str:
    """`value` if it is a name: [a-z0-9][a-z0-9_-]{0,31}. Raises ClaimsInvalid."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ClaimsInvalid(kind, field, "not a name of 1 to 32 lower-case letters, digits, `_` or `-`")
    return value


def position(kind: str, field: str, longitude: Any, latitude: Any) -> _Point:
    """(longitude, latitude) in 1e-7 degrees, inside the ranges of the globe. Raises ClaimsInvalid."""
    return (
        bounded(kind, field, longitude, -180 * DEGREE_E7, 180 * DEGREE_E7),
        bounded(kind, field, latitude, -90 * DEGREE_E7, 90 * DEGREE_E7),
    )

"""The grants in force: one per key, the highest serial holds, revoked ones never come back."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from flight.agent import cose
from flight.agent.errors import ClaimsInvalid, CoseInvalid, KeyUnknown, SignatureInvalid
from flight.agent.grant import Grant
from flight.agent.reasons import Reason

_AAD = cose.aad(cose.Purpose.GRANT)
MAX_REVOKED = 1024


class GrantBook:
    """Bounded by `most`; expired grants make room."""

    def __init__(self, mission: Mapping[bytes, Ed25519PublicKey], most: int) -> None:
        self._mission, self._most = mission, most
        self._by_key: dict[bytes, Grant] = {}
        self._revoked: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def of_key(self, key_id: bytes) -> Grant | None:
        """The grant that binds a tenant's key."""
        return self._by_key.get(key_id)

    def revoked(self, grant_id: bytes) -> bool:
        return grant_id in self._revoked

    def judge(self, octets: bytes, now_s: float) -> tuple[Grant | None, Reason]:
        """The grant in a signed message, and what is against it. Never raises."""
        try:
            grant = Grant.decode(cose.verify1(octets, self._mission, _AAD).payload)
        except KeyUnknown:
            return None, Reason.UNKNOWN_KEY
        except SignatureInvalid:
            return None, Reason.BAD_SIGNATURE
        except (CoseInvalid, ClaimsInvalid):
            return None, Reason.MALFORMED
        return grant, self._against(grant, now_s)

    def holds(self, grant: Grant) -> bool:
        """Whether exactly this grant is in force already."""
        return self._by_key.get(grant.key_id) == grant

    def take(self, octets: bytes) -> bool:
        """Put a journaled grant in force; False when its signature no longer holds, or a later one is here."""
        grant, reason = self.judge(octets, 0.0)
        if grant is None or reason not in (Reason.NONE, Reason.QUEUE_FULL):
            return False
        self._by_key[grant.key_id] = grant
        return True

    def make_room(self, now_s: float) -> None:
        """Drop what has expired."""
        self._by_key = {key: grant for key, grant in self._by_key.items() if now_s <= grant.valid_to_s}

    def revoke(self, grant_id: bytes) -> None:
        self._revoked[grant_id] = None
        if len(self._revoked) > MAX_REVOKED:
            del self._revoked[next(iter(self._revoked))]
        self._by_key = {key: grant for key, grant in self._by_key.items() if grant.id != grant_id}

    def _against(self, grant: Grant, now_s: float) -> Reason:
        if grant.id in self._revoked:
            return Reason.GRANT_REVOKED
        if now_s > grant.valid_to_s:
            return Reason.EXPIRED
        known = self._by_key.get(grant.key_id)
        if known is None:
            return Reason.QUEUE_FULL if len(self._by_key) >= self._most else Reason.NONE
        if grant != known and (grant.serial <= known.serial or grant.tenant != known.tenant):
            return Reason.REPLAYED
        return Reason.NONE

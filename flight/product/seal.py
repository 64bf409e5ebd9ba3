"""The seal: who made a product, and when (Ed25519 over body and time; docs/product-format.md, "Seal").

It stands behind the body and is no part of it: the body is equal to the octet for equal input, the seal is not.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flight.product.errors import SealInvalid, SealKeyUnknown

MAX_KEY_ID = 32
_DOMAIN = b"swath product seal v1\x00"
_ALGORITHM_ED25519 = 1
_SIGNATURE = 64
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal as it was read; nothing is known of its truth before verify_seal()."""

    key_id: bytes
    time_us: int  # UTC microseconds since 1970
    signature: bytes

    @property
    def time_s(self) -> float:
        """UTC seconds since 1970."""
        return self.time_us / _MICROSECONDS

    def statement(self) -> bytes:
        """The part of the seal that is signed with the body: algorithm, key id and time."""
        return struct.pack(">BB", _ALGORITHM_ED25519, len(self.key_id)) + self.key_id + struct.pack(">q", self.time_us)

    def pack(self) -> bytes:
        return self.statement() + self.signature

    @classmethod
    def unpack(cls, octets: bytes) -> Seal:
        """The seal that is all of `octets`. Raises SealInvalid."""
        if len(octets) < 2:
            raise SealInvalid("it is missing or cut short")
        algorithm, length = octets[0], octets[1]
        if algorithm != _ALGORITHM_ED25519:
            raise SealInvalid(f"algorithm {algorithm} is not known")
        if not 1 <= length <= MAX_KEY_ID:
            raise SealInvalid(f"a key id of {length} bytes")
        if len(octets) != 2 + length + 8 + _SIGNATURE:
            raise SealInvalid(f"{len(octets)} bytes where {2 + length + 8 + _SIGNATURE} are needed")
        (time_us,) = struct.unpack_from(">q", octets, 2 + length)
        return cls(octets[2 : 2 + length], time_us, octets[-_SIGNATURE:])


def make_seal(body: bytes, key: Ed25519PrivateKey, key_id: bytes, time_s: float) -> Seal:
    """Sign `body` and the time with `key`. Raises SealInvalid for a key id or a time that has no place in a seal."""
    if not 1 <= len(key_id) <= MAX_KEY_ID:
        raise SealInvalid(f"a key id of {len(key_id)} bytes")
    if not math.isfinite(time_s) or abs(time_s) > 1e11:
        raise SealInvalid(f"the time {time_s}")
    unsigned = Seal(bytes(key_id), round(time_s * _MICROSECONDS), b"")
    return Seal(unsigned.key_id, unsigned.time_us, key.sign(_signed(unsigned, body)))


def verify_seal(seal: Seal, body: bytes, public_keys: Mapping[bytes, Ed25519PublicKey]) -> None:
    """Return if the named key sealed exactly this body at this time. Raises SealKeyUnknown or SealInvalid."""
    key = public_keys.get(seal.key_id)
    if key is None:
        raise SealKeyUnknown(seal.key_id.hex())
    try:
        key.verify(seal.signature, _signed(seal, body))
    except InvalidSignature as error:
        raise SealInvalid("the signature was not made by its key over this body and time") from error


def _signed(seal: Seal, body: bytes) -> bytes:
    """The body enters by its SHA-256, so that a checker may stream it."""
    return _DOMAIN + seal.statement() + hashlib.sha256(body).digest()

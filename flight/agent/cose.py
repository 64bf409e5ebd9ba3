"""COSE_Sign1 (RFC 9052, 4.2) with EdDSA over Ed25519 (RFC 9053, 2.2), in the one form that Swath takes.

    18([ bstr {1: -8, 4: key id}, {}, bstr payload, bstr signature(64) ])

Algorithm and key id are protected, nothing is unprotected, the payload is attached, every octet is deterministic CBOR.
What a signature is for (a job, a grant, ...) goes into external_aad, so that a message signed for one purpose, or for
one set of satellites, proves nothing for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flight.agent.errors import CoseInvalid, KeyUnknown, SignatureInvalid
from flight.services import cbor

MAX_BYTES = 8192  # what one telecommand packet can carry
MAX_KEY_ID = 16
SIGN1_TAG = 18
EDDSA = -8
_ALGORITHM, _KEY_ID = 1, 4
_SIGNATURE_BYTES = 64


class Purpose(Enum):
    """What a signature is for."""

    JOB = b"job"
    GRANT = b"grant"
    RECEIPT = b"receipt"
    COMMAND = b"command"
    RELEASE = b"release"
    TELECOMMAND = b"telecommand"


@dataclass(frozen=True, slots=True)
class Signed:
    """A payload and the id of the key whose signature over it holds."""

    payload: bytes
    key_id: bytes


@dataclass(frozen=True, slots=True)
class Unverified:
    """The parts of a well-formed COSE_Sign1. Nothing in it may be believed before verify()."""

    protected: bytes
    key_id: bytes
    payload: bytes
    signature: bytes

    def verify(self, key: Ed25519PublicKey, external_aad: bytes) -> Signed:
        """Raises SignatureInvalid."""
        try:
            key.verify(self.signature, _to_be_signed(self.protected, external_aad, self.payload))
        except InvalidSignature as error:
            raise SignatureInvalid(self.key_id) from error
        return Signed(self.payload, self.key_id)


def aad(purpose: Purpose, satellite_set: str = "") -> bytes:
    """The external_aad of a purpose, and of the satellites it is meant for when it is meant for some only.

    >>> aad(Purpose.JOB, "demo")
    b'swath/1/job/demo'
    """
    scope = b"/" + satellite_set.encode("utf-8") if satellite_set else b""
    return b"swath/1/" + purpose.value + scope


def sign1(payload: bytes, key: Ed25519PrivateKey, key_id: bytes, external_aad: bytes) -> bytes:
    """Sign `payload`. Deterministic: the same arguments give the same octets. Raises CoseInvalid over a bound."""
    if not 1 <= len(key_id) <= MAX_KEY_ID:
        raise CoseInvalid(f"a key id has 1 to {MAX_KEY_ID} bytes, not {len(key_id)}")
    protected = cbor.encode({_ALGORITHM: EDDSA, _KEY_ID: key_id})
    signature = key.sign(_to_be_signed(protected, external_aad, payload))
    octets = cbor.encode(cbor.Tag(SIGN1_TAG, [protected, {}, payload, signature]))
    if len(octets) > MAX_BYTES:
        raise CoseInvalid(f"{len(octets)} bytes where at most {MAX_BYTES} are taken")
    return octets


def parse1(octets: bytes) -> Unverified:
    """Take a message apart without believing it. Raises CoseInvalid, whatever the input."""
    try:
        message = cbor.decode(octets, max_depth=3, max_items=8, max_bytes=MAX_BYTES, tags={SIGN1_TAG})
    except cbor.CborError as error:
        raise CoseInvalid(str(error)) from error
    if not isinstance(message, cbor.Tag) or not isinstance(message.value, list) or len(message.value) != 4:
        raise CoseInvalid("no tag 18 over four parts")
    protected, unprotected, payload, signature = message.value
    if not isinstance(protected, bytes) or not isinstance(payload, bytes) or not isinstance(signature, bytes):
        raise CoseInvalid("protected header, payload and signature are byte strings, the payload attached")
    if unprotected != {}:
        raise CoseInvalid("something is unprotected")
    if len(signature) != _SIGNATURE_BYTES:
        raise CoseInvalid(f"an Ed25519 signature has {_SIGNATURE_BYTES} bytes, not {len(signature)}")
    try:
        header = cbor.decode(protected, max_depth=1, max_items=8, max_bytes=64)
    except cbor.CborError as error:
        raise CoseInvalid(f"protected header: {error}") from error
    if not isinstance(header, dict) or set(header) != {_ALGORITHM, _KEY_ID}:
        raise CoseInvalid("the protected header holds algorithm and key id, nothing else")
    key_id = header[_KEY_ID]
    if header[_ALGORITHM] != EDDSA or isinstance(header[_ALGORITHM], (bool, float)):
        raise CoseInvalid(f"algorithm {header[_ALGORITHM]!r} where EdDSA (-8) is the only one")
    if not isinstance(key_id, bytes) or not 1 <= len(key_id) <= MAX_KEY_ID:
        raise CoseInvalid(f"a key id is a byte string of 1 to {MAX_KEY_ID} bytes")
    return Unverified(protected, key_id, payload, signature)


def verify1(octets: bytes, keys: Mapping[bytes, Ed25519PublicKey], external_aad: bytes) -> Signed:
    """Parse and verify. Raises CoseInvalid, KeyUnknown or SignatureInvalid, nothing else."""
    message = parse1(octets)
    key = keys.get(message.key_id)
    if key is None:
        raise KeyUnknown(message.key_id)
    return message.verify(key, external_aad)


def _to_be_signed(protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    return cbor.encode(["Signature1", protected, external_aad, payload])

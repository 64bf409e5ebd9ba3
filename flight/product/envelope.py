"""A sealed product for one reader: HPKE (RFC 9180), base mode, single shot.

Suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. The envelope's own head is the `info` of the key schedule,
so no octet of it can be altered. Who sent it is not HPKE's matter: that is what the seal inside says.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flight.product.errors import EnvelopeInvalid, NotAProduct, ProductTruncated, UnsupportedVersion

MAGIC = b"\x89SWE\r\n\x1a\n"
VERSION = 1
OVERHEAD = 20 + 32 + 16  # head, encapsulated key, tag

_HEAD = struct.Struct(">8sBBH8s")  # magic, version, suite, zero, id of the recipient's key
_SUITE_X25519_SHA256_AES256GCM = 1
_DOMAIN = b"swath product envelope v1\x00"
_KEY = 32
_KEM_SUITE = b"KEM" + struct.pack(">H", 0x0020)
_HPKE_SUITE = b"HPKE" + struct.pack(">HHH", 0x0020, 0x0001, 0x0002)
_MODE_BASE = b"\x00"


def is_envelope(octets: bytes) -> bool:
    """Whether the octets begin as an envelope does."""
    return octets[: len(MAGIC)] == MAGIC


def recipient_id(public: bytes) -> bytes:
    """How an envelope names its reader: the first 8 bytes of the SHA-256 of the X25519 public key."""
    return hashlib.sha256(public).digest()[:8]


def encrypt_to(container: bytes, recipient: bytes, random_bytes: Callable[[int], bytes]) -> bytes:
    """The container in an envelope that only `recipient` (X25519 public key, 32 bytes) opens; OVERHEAD bytes longer.

    random_bytes: a source of secret randomness, asked once for 32 bytes. Raises EnvelopeInvalid for a key that is none.
    """
    if len(recipient) != _KEY:
        raise EnvelopeInvalid(f"a recipient key has {_KEY} bytes, not {len(recipient)}")
    head = _HEAD.pack(MAGIC, VERSION, _SUITE_X25519_SHA256_AES256GCM, 0, recipient_id(recipient))
    once = X25519PrivateKey.from_private_bytes(random_bytes(_KEY))
    encapsulated = once.public_key().public_bytes_raw()
    key, nonce = _key_and_nonce(_exchange(once, recipient), encapsulated, recipient, _DOMAIN + head)
    return head + encapsulated + AESGCM(key).encrypt(nonce, container, b"")


def decrypt(octets: bytes, private: X25519PrivateKey) -> bytes:
    """The container in an envelope for `private`. Raises NotAProduct, ProductTruncated, UnsupportedVersion or
    EnvelopeInvalid, never anything else."""
    octets = bytes(octets)
    if octets[: len(MAGIC)] != MAGIC[: len(octets)] or not octets:
        raise NotAProduct("a product envelope")
    if len(octets) < OVERHEAD:
        raise ProductTruncated(OVERHEAD, len(octets))
    head, encapsulated = octets[: _HEAD.size], octets[_HEAD.size : _HEAD.size + _KEY]
    _, version, suite, zero, reader = _HEAD.unpack(head)
    if version != VERSION:
        raise UnsupportedVersion(version, (VERSION,))
    if suite != _SUITE_X25519_SHA256_AES256GCM or zero:
        raise EnvelopeInvalid(f"cipher suite {suite} is not known")
    public = private.public_key().public_bytes_raw()
    if reader != recipient_id(public):
        raise EnvelopeInvalid(f"it is for the key {reader.hex()}, this one is {recipient_id(public).hex()}")
    key, nonce = _key_and_nonce(_exchange(private, encapsulated), encapsulated, public, _DOMAIN + head)
    try:
        return AESGCM(key).decrypt(nonce, octets[_HEAD.size + _KEY :], b"")
    except InvalidTag as error:
        raise EnvelopeInvalid("it was altered on its way") from error


def _exchange(private: X25519PrivateKey, public: bytes) -> bytes:
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:  # a point of small order: the result would be zero for everybody
        raise EnvelopeInvalid("a public key of small order") from error


def _key_and_nonce(secret: bytes, encapsulated: bytes, recipient: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Decapsulation's end (RFC 9180, 4.1) and the key schedule in base mode (5.1)."""
    extracted = _extract(_KEM_SUITE, b"", b"eae_prk", secret)
    shared = _expand(_KEM_SUITE, extracted, b"shared_secret", encapsulated + recipient, 32)
    context = (
        _MODE_BASE + _extract(_HPKE_SUITE, b"", b"psk_id_hash", b"") + _extract(_HPKE_SUITE, b"", b"info_hash", info)
    )
    schedule = _extract(_HPKE_SUITE, shared, b"secret", b"")
    return (
        _expand(_HPKE_SUITE, schedule, b"key", context, 32),
        _expand(_HPKE_SUITE, schedule, b"base_nonce", context, 12),
    )


def _extract(suite: bytes, salt: bytes, label: bytes, content: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + content, "sha256")


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand for at most 32 octets: one block."""
    labelled = struct.pack(">H", length) + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, labelled + b"\x01", "sha256")[:length]

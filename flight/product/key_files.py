"""Key files that the product commands are given: 64 hexadecimal digits, or the 32 bytes themselves.

`NAME.pub` is an Ed25519 public key; `NAME.key` an Ed25519 private key of one's own, whose public part is trusted; a
recipient's X25519 private key may have any name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from flight.product.errors import KeyFileUnusable

_KEY = 32
_MAX_FILE = 256


def read_recipient_key(path: Path) -> X25519PrivateKey:
    """The X25519 private key that opens envelopes. Raises KeyFileUnusable."""
    return X25519PrivateKey.from_private_bytes(_read(path))


def read_trusted_keys(paths: Iterable[Path]) -> dict[bytes, Ed25519PublicKey]:
    """Public keys by key id, from files and from all `.pub` files in folders. Raises KeyFileUnusable."""
    trusted: dict[bytes, Ed25519PublicKey] = {}
    for path in paths:
        for file in sorted(path.glob("*.pub")) if path.is_dir() else [path]:
            octets = _read(file)
            if file.suffix == ".key":
                octets = Ed25519PrivateKey.from_private_bytes(octets).public_key().public_bytes_raw()
            try:
                key = Ed25519PublicKey.from_public_bytes(octets)
            except ValueError as error:
                raise KeyFileUnusable(str(file), "not an Ed25519 public key") from error
            trusted[hashlib.sha256(octets).digest()[:8]] = key
    return trusted


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            octets = stream.read(_MAX_FILE + 1)
    except OSError as error:
        raise KeyFileUnusable(str(path), error.strerror or str(error)) from error
    if len(octets) == _KEY:
        return octets
    try:
        key = bytes.fromhex(octets.decode("ascii").strip())
    except ValueError as error:
        raise KeyFileUnusable(str(path), "neither 32 bytes nor 64 hexadecimal digits") from error
    if len(key) != _KEY:
        raise KeyFileUnusable(str(path), f"a key of {len(key)} bytes where {_KEY} are needed")
    return key

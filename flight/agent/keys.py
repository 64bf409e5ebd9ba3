"""Keys on board: a folder with the mission's and the ground's public keys and the satellite's private one.

    satellite.key       Ed25519 private key, 64 hexadecimal digits, readable by its owner only (mode 0600)
    alert.key           32 secret bytes shared with the ground, for the short codes of alerts; as above, mode 0600
    mission/*.pub       Ed25519 public keys that may sign grants (one operator root each), 64 hexadecimal digits
    ground/*.pub        Ed25519 public keys that may sign receipts
    DEMONSTRATION       present when the keys were made for a demonstration; a real radio must refuse them

A key's id is the first 8 bytes of the SHA-256 of its public key, so it cannot be given to another key by mistake.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from flight.agent.errors import KeyFileInvalid

KEY_ID_BYTES = 8
KEY_BYTES = 32
MAX_PUBLIC_KEYS = 32
SATELLITE_FILE = "satellite.key"
ALERT_FILE = "alert.key"
DEVELOPMENT_FILE = "development.key"
DEMONSTRATION_MARK = "DEMONSTRATION"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key pair and its id. The private part is never shown."""

    private: Ed25519PrivateKey = field(repr=False)
    public: bytes
    key_id: bytes

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> SigningKey:
        public = private.public_key().public_bytes_raw()
        return cls(private, public, key_id_of(public))

    @property
    def verifier(self) -> Mapping[bytes, Ed25519PublicKey]:
        """This key alone, as a table to verify with."""
        return {self.key_id: self.private.public_key()}


@dataclass(frozen=True, slots=True)
class KeyStore:
    """What the flight process holds, and nothing else does."""

    satellite: SigningKey
    mission: Mapping[bytes, Ed25519PublicKey]
    ground: Mapping[bytes, Ed25519PublicKey]
    demonstration: bool
    alert_key: bytes = field(repr=False)

    @classmethod
    def load(cls, folder: Path) -> KeyStore:
        """Read a keystore. Raises KeyFileInvalid, naming the file."""
        return cls(
            satellite=read_signing_key(folder / SATELLITE_FILE),
            mission=_read_public_keys(folder / "mission"),
            ground=_read_public_keys(folder / "ground"),
            demonstration=(folder / DEMONSTRATION_MARK).exists(),
            alert_key=read_private_key(folder / ALERT_FILE),
        )


def key_id_of(public: bytes) -> bytes:
    """The id of a public key: 8 bytes."""
    return hashlib.sha256(public).digest()[:KEY_ID_BYTES]


def public_key(octets: bytes) -> Ed25519PublicKey:
    """A public key from its 32 bytes. Raises ValueError."""
    return Ed25519PublicKey.from_public_bytes(octets)


def generate_signing_key(random_bytes: Callable[[int], bytes]) -> SigningKey:
    """A new Ed25519 key. random_bytes: os.urandom at the edge, a seeded source in tests."""
    return SigningKey.of(Ed25519PrivateKey.from_private_bytes(random_bytes(KEY_BYTES)))


def generate_recipient_key(random_bytes: Callable[[int], bytes]) -> X25519PrivateKey:
    """A new X25519 key: products are encrypted to its public part, which the grant carries."""
    return X25519PrivateKey.from_private_bytes(random_bytes(KEY_BYTES))


def create_keystore(
    folder: Path,
    random_bytes: Callable[[int], bytes],
    *,
    mission: Mapping[str, bytes],
    ground: Mapping[str, bytes],
    demonstration: bool,
) -> KeyStore:
    """Make satellite and alert keys and a keystore that trusts the public keys given by name. Returns it, loaded.

    The ground needs a copy of ALERT_FILE. Raises FileExistsError: keys are never overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_private_key(folder / SATELLITE_FILE, random_bytes(KEY_BYTES))
    write_private_key(folder / ALERT_FILE, random_bytes(KEY_BYTES))
    for room, keys in (("mission", mission), ("ground", ground)):
        (folder / room).mkdir(exist_ok=True)
        for name, public in keys.items():
            write_public_key(folder / room / f"{name}.pub", public)
    if demonstration:
        (folder / DEMONSTRATION_MARK).write_text("made for a demonstration; not for flight\n", encoding="ascii")
    return KeyStore.load(folder)


def development_key(folder: Path, random_bytes: Callable[[int], bytes]) -> SigningKey:
    """The key that `swath run` seals with, made on first use in `folder` (`.swath/keys`)."""
    path = folder / DEVELOPMENT_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another run made it a moment ago: then that one is the key
            write_private_key(path, random_bytes(KEY_BYTES))
    return read_signing_key(path)


def write_private_key(path: Path, octets: bytes) -> None:
    """Write 32 secret bytes as one line, mode 0600 from its first instant. Raises FileExistsError, never overwrites."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(octets.hex() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(part, path)  # appears whole or not at all
    finally:
        part.unlink()


def write_public_key(path: Path, public: bytes) -> None:
    """Write 32 public bytes as one line."""
    path.write_text(public.hex() + "\n", encoding="ascii")


def read_signing_key(path: Path) -> SigningKey:
    """Read an Ed25519 private key. Raises KeyFileInvalid."""
    return SigningKey.of(Ed25519PrivateKey.from_private_bytes(read_private_key(path)))


def read_private_key(path: Path) -> bytes:
    """Read 32 secret bytes from a file that its owner alone may read. Raises KeyFileInvalid."""
    return _read_key(path, private=True)


def read_public_key(path: Path) -> bytes:
    """Read 32 public bytes. Raises KeyFileInvalid."""
    return _read_key(path, private=False)


def _read_public_keys(folder: Path) -> Mapping[bytes, Ed25519PublicKey]:
    files = sorted(folder.glob("*.pub"))
    if not files:
        raise KeyFileInvalid(str(folder), "no public key (*.pub) in it")
    if len(files) > MAX_PUBLIC_KEYS:
        raise KeyFileInvalid(str(folder), f"more than {MAX_PUBLIC_KEYS} public keys")
    keys: dict[bytes, Ed25519PublicKey] = {}
    for path in files:
        public = read_public_key(path)
        keys[key_id_of(public)] = public_key(public)
    return keys


def _read_key(path: Path, *, private: bool) -> bytes:
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileInvalid(str(path), "not a plain file")
            if private and status.st_mode & 0o077:
                mode = stat.S_IMODE(status.st_mode)
                raise KeyFileInvalid(str(path), f"mode {mode:04o} lets others at it; 0600 is needed (chmod 600)")
            octets = stream.read(2 * KEY_BYTES + 3)
    except OSError as error:
        raise KeyFileInvalid(str(path), error.strerror or "cannot be read") from error
    digits = octets.strip()
    try:
        key = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or len(digits) != 2 * KEY_BYTES:
        raise KeyFileInvalid(str(path), f"not {2 * KEY_BYTES} hexadecimal digits")
    return key

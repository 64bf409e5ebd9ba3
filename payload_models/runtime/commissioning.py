"""What commissioning found on this board, and decided: a sealed record beside the prepared graphs.

A run takes the decision from the record and measures nothing itself, so that equal pixels give equal answers whatever
else the computer does. Where the record does not fit, the float graph is run, and the reason is told.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from payload_models.loader import Application
from payload_models.runtime.codes import FormRefusal, RecordRefusal
from payload_models.runtime.errors import CommissioningInvalid
from payload_models.runtime.policy import Provider

GAIN = 0.95  # of float's time: a form that gains less than this is not worth another graph
MAX_RECORD_BYTES = 1 << 16
KEY_BYTES = 32
Precision = Literal["float", "u8", "s8"]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Milliseconds = Annotated[float, Meta(ge=0, le=1e7)]


class PreparedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a prepared graph depends on."""

    model_sha256: Sha256
    runtime: Annotated[str, Meta(max_length=64)]
    processor: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
    device: Annotated[str, Meta(max_length=200)]  # GPU, driver and TensorRT; empty for a processor
    provider: Provider
    side: Annotated[int, Meta(ge=1, le=4096)]

    def differs_in(self, other: PreparedKey) -> tuple[str, ...]:
        """The fields in which two keys differ."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name) != getattr(other, name))


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One form of a graph as it ran."""

    precision: Precision
    median_ms: Milliseconds  # a tile
    over_float: Annotated[float, Meta(ge=0, le=1e6)]  # median of the rounds' ratios


class Prepared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A prepared graph: a file beside the record, named by its own hash."""

    sha256: Sha256
    key: PreparedKey


class VariantRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One variant of an application."""

    precision: Precision  # the decision
    model_sha256: Sha256  # of the chosen form
    float_sha256: Sha256
    measured: Annotated[tuple[Measured, ...], Meta(max_length=4)] = ()
    prepared: Annotated[tuple[Prepared, ...], Meta(max_length=4)] = ()  # of the chosen form, one a provider


class CommissioningRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One application on one board."""

    application: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    version: Annotated[str, Meta(max_length=16)]
    variants: Annotated[tuple[VariantRecord, ...], Meta(min_length=1, max_length=8)]


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As it lies in the file. seal: HMAC-SHA256 under the commissioning key, or a plain SHA-256 where there is none."""

    record: msgspec.Raw
    kind: Literal["hmac-sha256", "sha256"]
    seal: Sha256


@dataclass(frozen=True, slots=True)
class Commissioned:
    """Records whose seals were checked, and the folder with the prepared graphs."""

    folder: Path
    records: tuple[CommissioningRecord, ...]

    def of(self, application: Application, variant: int) -> VariantRecord | None:
        """What was recorded of a variant of that version; None where it was recorded of other graphs."""
        for record in self.records:
            if (record.application, record.version) != (application.name, application.manifest.version):
                continue
            if variant >= len(record.variants):
                return None
            found, hashes = record.variants[variant], [form.sha256 for form in application.variants[variant].forms]
            return found if found.float_sha256 == hashes[0] and found.model_sha256 in hashes else None
        return None

    def names(self, application: Application) -> bool:
        """Whether there is a record about an application of that name."""
        return any(record.application == application.name for record in self.records)

    def applied(self, application: Application) -> Application:
        """The application with the recorded forms of its graphs."""
        chosen = []
        for number, variant in enumerate(application.variants):
            record = self.of(application, number)
            hashes = [form.sha256 for form in variant.forms]
            chosen.append(hashes.index(record.model_sha256) if record is not None else 0)
        return replace(application, chosen=tuple(chosen))


def choose(measured: tuple[Measured, ...]) -> Precision:
    """The fastest form, if it beats float by more than chance; else float."""
    faster = [found for found in measured if found.precision != "float" and found.over_float < GAIN]
    return min(faster, key=lambda found: found.over_float).precision if faster else "float"


def refused_forms(measured: tuple[Measured, ...], chosen: Precision) -> dict[Precision, FormRefusal]:
    """Why each form that was measured and is neither float nor the chosen one is not run."""
    return {
        found.precision: _refusal(found.over_float) for found in measured if found.precision not in ("float", chosen)
    }


def _refusal(over_float: float) -> FormRefusal:
    if over_float >= 1:
        return FormRefusal.SLOWER_THAN_FLOAT
    return FormRefusal.GAINS_TOO_LITTLE if over_float >= GAIN else FormRefusal.ANOTHER_IS_FASTER


def record_path(folder: Path, application: str) -> Path:
    """Where an application's record lies."""
    return folder / f"{application}.json"


def prepared_path(folder: Path, prepared: Prepared) -> Path:
    """Where a prepared graph lies."""
    return folder / f"{prepared.sha256}.graph"


def write_record(folder: Path, record: CommissioningRecord, key: bytes | None) -> Path:
    """Seal a record and write it whole. key: 32 octets, or None. Raises CommissioningInvalid."""
    path = record_path(folder, record.application)
    octets = msgspec.json.encode(record)
    kind: Literal["hmac-sha256", "sha256"] = "sha256" if key is None else "hmac-sha256"
    sealed = _Sealed(record=msgspec.Raw(octets), kind=kind, seal=_seal(octets, key))
    whole_write(path, msgspec.json.encode(sealed) + b"\n")
    return path


def read_record(folder: Path, application: str, key: bytes | None) -> CommissioningRecord | None:
    """A record whose seal holds; None where there is none. Raises CommissioningInvalid.

    With a key only a record sealed under it is believed; without one, a record sealed under any is not.
    """
    path = record_path(folder, application)
    try:
        with path.open("rb") as stream:
            octets = stream.read(MAX_RECORD_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommissioningInvalid(str(path), error.strerror or str(error), RecordRefusal.FILE_UNUSABLE) from error
    if len(octets) > MAX_RECORD_BYTES:
        raise CommissioningInvalid(str(path), f"larger than {MAX_RECORD_BYTES} bytes", RecordRefusal.TOO_LARGE)
    try:
        sealed = msgspec.json.decode(octets, type=_Sealed)
        record = msgspec.json.decode(sealed.record, type=CommissioningRecord)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = f"not a commissioning record: {error}"
        raise CommissioningInvalid(str(path), reason, RecordRefusal.NOT_A_RECORD) from error
    wanted = "sha256" if key is None else "hmac-sha256"
    if sealed.kind != wanted:
        reason = f"sealed by {sealed.kind}, {wanted} is expected"
        raise CommissioningInvalid(str(path), reason, RecordRefusal.SEALED_OTHERWISE)
    if not hmac.compare_digest(sealed.seal, _seal(bytes(sealed.record), key)):
        raise CommissioningInvalid(str(path), "its seal does not hold", RecordRefusal.SEAL_BROKEN)
    if record.application != application:
        raise CommissioningInvalid(str(path), f"it is about `{record.application}`", RecordRefusal.OTHER_APPLICATION)
    return record


def read_key(path: Path) -> bytes:
    """A commissioning key: 32 octets in a file that only its owner may read. Raises CommissioningInvalid."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            octets = stream.read(KEY_BYTES + 1)
    except OSError as error:
        raise CommissioningInvalid(str(path), error.strerror or str(error), RecordRefusal.FILE_UNUSABLE) from error
    if mode & 0o077:
        reason = f"others may read it (mode {mode & 0o777:o}); chmod 600"
        raise CommissioningInvalid(str(path), reason, RecordRefusal.KEY_UNUSABLE)
    if len(octets) != KEY_BYTES:
        raise CommissioningInvalid(str(path), f"a key has {KEY_BYTES} octets", RecordRefusal.KEY_UNUSABLE)
    return octets


def whole_write(path: Path, octets: bytes) -> None:
    """Write a file so that it is there whole or not at all. Raises CommissioningInvalid."""
    draft = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as stream:
            stream.write(octets)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise CommissioningInvalid(str(path), error.strerror or str(error), RecordRefusal.FILE_UNUSABLE) from error


def _seal(octets: bytes, key: bytes | None) -> str:
    if key is None:
        return hashlib.sha256(octets).hexdigest()
    return hmac.new(key, octets, hashlib.sha256).hexdigest()

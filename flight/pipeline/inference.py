"""The session policy and what was commissioned, from a configuration to the processes that need them.

The supervisor's side reads records and checks their seals; the payload process, which holds no keys, is told what they
say and checks the prepared graphs by the hashes in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from flight.pipeline.process_errors import ProcessArgument
from payload_models.graph_rules import GraphLimits
from payload_models.loader import Application, application_number, load_application
from payload_models.runtime.codes import RecordRefusal
from payload_models.runtime.commissioning import Commissioned, CommissioningRecord, read_key, read_record
from payload_models.runtime.errors import CommissioningInvalid
from payload_models.runtime.policy import (
    DEFAULT_POLICY,
    InferencePolicy,
    InferenceTable,
    Machine,
    policy_of,
    this_machine,
)

MAX_RECORDS = 32
MAX_ARGUMENT_BYTES = 1 << 16


class RefusedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A record that is not believed, in the numbers of its event."""

    application: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]  # see application_number(); 0: the folder or the key
    refusal: RecordRefusal


class _Argument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A start argument of the payload process."""

    policy: InferencePolicy
    folder: str | None = None
    records: Annotated[tuple[CommissioningRecord, ...], Meta(max_length=MAX_RECORDS)] = ()
    refused: Annotated[tuple[RefusedRecord, ...], Meta(max_length=MAX_RECORDS)] = ()


@dataclass(frozen=True, slots=True)
class InferenceSetup:
    """How graphs are run here."""

    policy: InferencePolicy = DEFAULT_POLICY
    commissioned: Commissioned | None = None
    refused: tuple[RefusedRecord, ...] = ()  # on a satellite; elsewhere such a record is an error

    def application(self, name_or_folder: str | Path) -> Application:
        """An application, its graphs checked against the memory that is allowed, in its commissioned forms."""
        limits = GraphLimits(peak_bytes=self.policy.memory_mb << 20)
        found = load_application(name_or_folder, check_graphs=True, limits=limits)
        return self.applied(found)

    def applied(self, application: Application) -> Application:
        """The application with the forms of its graphs that are run here."""
        if self.commissioned is None or self.policy.precision == "float":
            return application
        return self.commissioned.applied(application)

    def to_argument(self) -> str:
        """As the payload process is told. Raises CommissioningInvalid where it is too long."""
        folder = str(self.commissioned.folder) if self.commissioned is not None else None
        records = self.commissioned.records if self.commissioned is not None else ()
        argument = _Argument(policy=self.policy, folder=folder, records=records, refused=self.refused)
        text = msgspec.json.encode(argument).decode()
        if len(text) > MAX_ARGUMENT_BYTES:
            reason = f"records of more than {MAX_ARGUMENT_BYTES} characters"
            raise CommissioningInvalid(str(folder), reason, RecordRefusal.TOO_LARGE)
        return text

    @classmethod
    def from_argument(cls, text: str) -> InferenceSetup:
        """What a start argument says. Raises ProcessArgument."""
        if len(text) > MAX_ARGUMENT_BYTES:
            raise ProcessArgument("--inference", f"longer than {MAX_ARGUMENT_BYTES} characters")
        try:
            found = msgspec.json.decode(text, type=_Argument)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ProcessArgument("--inference", str(error)) from error
        commissioned = Commissioned(Path(found.folder), found.records) if found.folder is not None else None
        return cls(found.policy, commissioned, found.refused)


FLOAT_ON_CPU = InferenceSetup()


def setup_of(table: InferenceTable, base: Path, machine: Callable[[], Machine] = this_machine) -> InferenceSetup:
    """A configuration's table; paths in it are relative to `base`. Raises CommissioningInvalid."""
    policy = policy_of(table, machine())
    if not table.commissioned:
        return InferenceSetup(policy)
    key, paths = _places(table, base)
    found = (read_record(path.parent, path.stem, key) for path in paths)
    return InferenceSetup(policy, _commissioned(table, base, found))


def flown_setup(
    table: InferenceTable,
    base: Path,
    tell: Callable[[CommissioningInvalid], None],
    machine: Callable[[], Machine] = this_machine,
) -> InferenceSetup:
    """As setup_of(), for a satellite: a record that does not hold disables itself, and is among the refused.

    tell: is given the reason in words, for the log.
    """
    policy = policy_of(table, machine())
    if not table.commissioned:
        return InferenceSetup(policy)
    try:
        key, paths = _places(table, base)
    except CommissioningInvalid as error:
        tell(error)
        return InferenceSetup(policy, None, (RefusedRecord(application=0, refusal=error.refusal),))
    found, refused = [], []
    for path in paths:
        try:
            found.append(read_record(path.parent, path.stem, key))
        except CommissioningInvalid as error:
            tell(error)
            refused.append(RefusedRecord(application=application_number(path.stem), refusal=error.refusal))
    return InferenceSetup(policy, _commissioned(table, base, found), tuple(refused))


def _places(table: InferenceTable, base: Path) -> tuple[bytes | None, list[Path]]:
    """The key, and where the records lie. Raises CommissioningInvalid."""
    folder = (base / table.commissioned).resolve()
    if not folder.is_dir():
        reason = "no such folder; `swath models bench APP --commission DIR` makes it"
        raise CommissioningInvalid(str(folder), reason, RecordRefusal.FILE_UNUSABLE)
    key = read_key(base / table.commissioning_key) if table.commissioning_key else None
    paths = sorted(folder.glob("*.json"))
    if len(paths) > MAX_RECORDS:
        raise CommissioningInvalid(str(folder), f"more than {MAX_RECORDS} records", RecordRefusal.TOO_MANY)
    return key, paths


def _commissioned(table: InferenceTable, base: Path, records: Iterable[CommissioningRecord | None]) -> Commissioned:
    folder = (base / table.commissioned).resolve()
    return Commissioned(folder, tuple(record for record in records if record is not None))

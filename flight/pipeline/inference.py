"""The session policy and what was commissioned, from a configuration to the processes that need them.

The supervisor's side reads records and checks their seals; the payload process, which holds no keys, is told what they
say and checks the prepared graphs by the hashes in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from flight.pipeline.process_errors import ProcessArgument
from payload_models.graph_rules import GraphLimits
from payload_models.loader import Application, load_application
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


class _Argument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A start argument of the payload process."""

    policy: InferencePolicy
    folder: str | None = None
    records: Annotated[tuple[CommissioningRecord, ...], Meta(max_length=MAX_RECORDS)] = ()


@dataclass(frozen=True, slots=True)
class InferenceSetup:
    """How graphs are run here."""

    policy: InferencePolicy = DEFAULT_POLICY
    commissioned: Commissioned | None = None

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
        text = msgspec.json.encode(_Argument(policy=self.policy, folder=folder, records=records)).decode()
        if len(text) > MAX_ARGUMENT_BYTES:
            raise CommissioningInvalid(str(folder), f"records of more than {MAX_ARGUMENT_BYTES} characters")
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
        return cls(found.policy, commissioned)


FLOAT_ON_CPU = InferenceSetup()


def setup_of(table: InferenceTable, base: Path, machine: Callable[[], Machine] = this_machine) -> InferenceSetup:
    """A configuration's table; paths in it are relative to `base`. Raises CommissioningInvalid."""
    policy = policy_of(table, machine())
    if not table.commissioned:
        return InferenceSetup(policy)
    folder = (base / table.commissioned).resolve()
    if not folder.is_dir():
        raise CommissioningInvalid(str(folder), "no such folder; `swath models bench APP --commission DIR` makes it")
    key = read_key(base / table.commissioning_key) if table.commissioning_key else None
    paths = sorted(folder.glob("*.json"))
    if len(paths) > MAX_RECORDS:
        raise CommissioningInvalid(str(folder), f"more than {MAX_RECORDS} records")
    records = (read_record(folder, path.stem, key) for path in paths)
    return InferenceSetup(policy, Commissioned(folder, tuple(record for record in records if record is not None)))

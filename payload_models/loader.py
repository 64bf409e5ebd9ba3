"""Finding an application and reading its files, none of which is believed before its hash fits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from payload_models.errors import ApplicationUnknown, HashMismatch, ModelFileUnreadable
from payload_models.graph_guard import check_application
from payload_models.graph_rules import GraphLimits
from payload_models.manifest import GraphForm, Manifest, Variant, load_manifest

MANIFEST_NAME = "manifest.toml"
MAX_MODEL_BYTES = 64 << 20
ROOT = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Application:
    """A folder with a valid manifest. Its graphs are read, and their hashes checked, when asked for."""

    manifest: Manifest
    folder: Path
    chosen: tuple[int, ...] = ()  # by variant: the form of the graph that was commissioned; empty: float

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def variants(self) -> tuple[Variant, ...]:
        return tuple(self.manifest.variant)

    def read(self, relative: str, limit: int) -> bytes:
        """A file of the folder, at most `limit` bytes. Raises ModelFileUnreadable."""
        path = self.folder / relative
        try:
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise ModelFileUnreadable(str(path), "lies outside the application's folder")
            with path.open("rb") as stream:
                octets = stream.read(limit + 1)
        except ModelFileUnreadable:
            raise
        except OSError as error:
            raise ModelFileUnreadable(str(path), error.strerror or str(error)) from error
        if len(octets) > limit:
            raise ModelFileUnreadable(str(path), f"larger than {limit} bytes")
        return octets

    def form(self, variant: int) -> GraphForm:
        """The form of a variant's graph that is run here."""
        return self.manifest.variant[variant].forms[self.chosen[variant] if self.chosen else 0]

    def model_bytes(self, variant: int, form: int | None = None) -> bytes:
        """The graph of one variant: the form that is run here, or another. Raises ModelFileUnreadable, HashMismatch."""
        entry = self.form(variant) if form is None else self.manifest.variant[variant].forms[form]
        octets = self.read(entry.model, MAX_MODEL_BYTES)
        found = hashlib.sha256(octets).hexdigest()
        if found != entry.sha256:
            raise HashMismatch(str(self.folder / entry.model), entry.sha256, found)
        return octets


def application_number(name: str) -> int:
    """What names an application in events, where only numbers go: the first four octets of its name's SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def applications() -> dict[str, Path]:
    """The applications that came with this installation: name -> folder, by name."""
    return {path.parent.name: path.parent for path in sorted(ROOT.glob(f"*/{MANIFEST_NAME}"))}


def load_application(
    name_or_folder: str | Path, *, check_graphs: bool, limits: GraphLimits | None = None
) -> Application:
    """An application by name, or by the path of its folder.

    With `check_graphs` every graph passes the graph guard (a limited child process) first. limits: None takes the
    guard's own.
    Raises ApplicationUnknown, ConfigError (manifest), ModelFileUnreadable, HashMismatch, GraphRefused.
    """
    known = applications()
    folder = known.get(str(name_or_folder), Path(name_or_folder))
    if not (folder / MANIFEST_NAME).is_file():
        raise ApplicationUnknown(str(name_or_folder), sorted(known))
    application = Application(load_manifest(folder / MANIFEST_NAME), folder)
    if check_graphs:
        check_application(application, limits)
    return application

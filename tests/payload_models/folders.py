"""An application's folder to break: a copy of `water`, or one made from scratch."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from payload_models.loader import applications


def copy_of(name: str, where: Path) -> Path:
    """A writable copy of a built-in application."""
    return Path(shutil.copytree(applications()[name], where / name))


def edit(folder: Path, old: str, new: str) -> int:
    """Replace text in the manifest once; returns the line (from 1) that the new text is on."""
    path = folder / "manifest.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def exchange_graph(folder: Path, model: str, octets: bytes) -> None:
    """Another graph under a name that the manifest knows, with its hash brought up to date."""
    before = hashlib.sha256((folder / model).read_bytes()).hexdigest()
    (folder / model).write_bytes(octets)
    edit(folder, before, hashlib.sha256(octets).hexdigest())

"""A file appears whole or not at all, and what the system refuses is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from flight.product.errors import ExportNotWritten


def make_folder(folder: Path) -> None:
    """The folder and those above it, if they are not there. Raises ExportNotWritten."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportNotWritten(str(folder), error.strerror or str(error)) from error


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A stream to write `path` with; it takes its name when the block ends well. Raises ExportNotWritten."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w+b") as stream:
            yield stream
        part.replace(path)
    except OSError as error:
        raise ExportNotWritten(str(path), error.strerror or str(error)) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)

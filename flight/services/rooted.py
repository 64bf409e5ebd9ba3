"""Files beneath one root: names are walked component by component, and no symbolic link is ever followed.

A root is given by the composition. One that holds, is held by or is a place that the services may not name (pixels,
strips, keys, areas of tenants) is refused before anything is opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

from flight.services.declare import ServicesError

MAX_NAME_OCTETS = 64  # of one component
MAX_DEPTH = 8
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# a FIFO or a device that took a file's place must not hold the frame
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class PathReason(IntEnum):
    """Why a name is refused. Numbers are never reused."""

    EMPTY = 1
    ABSOLUTE = 2
    DOTS = 3  # `.`, `..` or an empty component
    NAME_TOO_LONG = 4
    TOO_DEEP = 5
    CHARACTER = 6  # a NUL, a control character, or what UTF-8 cannot hold
    MISSING = 7
    LINK_OR_NO_DIRECTORY = 8  # of a component on the way, or a link at the end
    NO_FILE = 9  # a directory, a FIFO, a device
    SYSTEM = 10  # `errno` says more
    ROOT_FORBIDDEN = 11


class PathRefused(ServicesError, ValueError):
    """A name that is not used. `depth` counts components from 0; `errno` is 0 unless the system refused."""

    code = "path_refused"

    def __init__(self, reason: PathReason, depth: int = 0, errno: int = 0) -> None:
        super().__init__(f"path refused: {reason.name.lower()} at component {depth} (errno {errno})")
        self.reason, self.depth, self.errno = reason, depth, errno


def components(path: str) -> tuple[str, ...]:
    """The components of a name beneath a root, `/` between them. Raises PathRefused."""
    if not path:
        raise PathRefused(PathReason.EMPTY)
    if path.startswith("/"):
        raise PathRefused(PathReason.ABSOLUTE)
    parts = tuple(path.split("/"))
    if len(parts) > MAX_DEPTH:
        raise PathRefused(PathReason.TOO_DEEP, MAX_DEPTH)
    for depth, part in enumerate(parts):
        if part in ("", ".", ".."):
            raise PathRefused(PathReason.DOTS, depth)
        if not part.isprintable():  # surrogates are not printable either
            raise PathRefused(PathReason.CHARACTER, depth)
        if len(part.encode()) > MAX_NAME_OCTETS:
            raise PathRefused(PathReason.NAME_TOO_LONG, depth)
    return parts


class Root:
    """A directory held open: renaming it, or putting another in its place, leads nowhere else."""

    def __init__(self, path: Path, forbidden: Iterable[Path]) -> None:
        """Raises PathRefused when the root and a forbidden place have anything in common, or it cannot be opened."""
        real = path.resolve()
        for place in forbidden:
            other = place.resolve()
            if real == other or real in other.parents or other in real.parents:
                raise PathRefused(PathReason.ROOT_FORBIDDEN)
        try:
            self._directory = os.open(real, _DIRECTORY)
        except OSError as error:
            raise _refusal(error, 0) from error

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._directory)

    def open_file(self, path: str) -> int:
        """A descriptor, for reading, of the regular file of that name; the caller closes it. Raises PathRefused."""
        parts = components(path)
        here = self._directory
        try:
            for depth, part in enumerate(parts):
                last = depth == len(parts) - 1
                try:
                    below = os.open(part, _FILE if last else _DIRECTORY, dir_fd=here)
                except OSError as error:
                    raise _refusal(error, depth) from error
                if here != self._directory:
                    os.close(here)
                here = below
            if not stat.S_ISREG(os.fstat(here).st_mode):
                raise PathRefused(PathReason.NO_FILE, len(parts) - 1)
        except PathRefused:
            if here != self._directory:
                os.close(here)
            raise
        return here


def _refusal(error: OSError, depth: int) -> PathRefused:
    if error.errno == errno.ENOENT:
        return PathRefused(PathReason.MISSING, depth, errno.ENOENT)
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return PathRefused(PathReason.LINK_OR_NO_DIRECTORY, depth, error.errno)
    return PathRefused(PathReason.SYSTEM, depth, error.errno or 0)

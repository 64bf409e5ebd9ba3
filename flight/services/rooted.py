"""Files beneath one root: names are walked component by component, and no symbolic link is ever followed.

A root is given by the composition. One that holds, is held by or is a place that the services may not name (pixels,
strips, keys, areas of tenants) is refused before anything is opened.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from enum import IntEnum
from errno import ELOOP, ENOENT, ENOTDIR
from pathlib import Path

from flight.services.declare import ServicesError

MAX_NAME_OCTETS = 64  # of one component
MAX_DEPTH = 8
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
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
    FORBIDDEN = 12  # beneath the root, and not to be named; or to be moved, and a forbidden place lies beneath


class PathRefused(ServicesError, ValueError):
    """A name that is not used. `depth` counts components from 0; `errno` is 0 unless the system refused."""

    code = "path_refused"

    def __init__(self, reason: PathReason, depth: int = 0, errno: int = 0) -> None:
        super().__init__(f"path refused: {reason.name.lower()} at component {depth} (errno {errno})")
        self.reason, self.depth, self.errno = reason, depth, errno

    @classmethod
    def by_system(cls, error: OSError, depth: int = 0) -> PathRefused:
        """What the system's refusal of one component means."""
        if error.errno == ENOENT:
            return cls(PathReason.MISSING, depth, ENOENT)
        if error.errno in (ELOOP, ENOTDIR):
            return cls(PathReason.LINK_OR_NO_DIRECTORY, depth, error.errno)
        return cls(PathReason.SYSTEM, depth, error.errno or 0)


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


def plain_components(path: str) -> tuple[str, ...]:
    """components(), of letters, digits and `._-` alone. Raises PathRefused."""
    parts = components(path)
    for depth, part in enumerate(parts):
        if not _PLAIN.fullmatch(part):
            raise PathRefused(PathReason.CHARACTER, depth)
    return parts


def forbidden_beneath(root: Path, forbidden: Iterable[Path]) -> tuple[str, ...]:
    """The forbidden places that lie beneath `root`, as names there. Raises PathRefused when it is in or is one."""
    here, found = root.resolve(), set[str]()
    for place in forbidden:
        for other in (place.resolve(), place.absolute()):
            if here == other or other in here.parents:
                raise PathRefused(PathReason.ROOT_FORBIDDEN)
            if here in other.parents:
                found.add(other.relative_to(here).as_posix())
    return tuple(sorted(found))


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
            raise PathRefused.by_system(error, 0) from error

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._directory)

    def open_directory(self, parts: Sequence[str]) -> int:
        """A descriptor of the directory of these components, none of them a link; the caller closes it.

        Raises PathRefused. No components: the root itself.
        """
        here = os.dup(self._directory)
        for depth, part in enumerate(parts):
            try:
                below = os.open(part, _DIRECTORY, dir_fd=here)
            except OSError as error:
                raise PathRefused.by_system(error, depth) from error
            finally:
                os.close(here)
            here = below
        return here

    def open_file(self, path: str) -> int:
        """A descriptor, for reading, of the regular file of that name; the caller closes it. Raises PathRefused."""
        parts = components(path)
        last = len(parts) - 1
        folder = self.open_directory(parts[:last])
        try:
            file = os.open(parts[last], _FILE, dir_fd=folder)
        except OSError as error:
            raise PathRefused.by_system(error, last) from error
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise PathRefused(PathReason.NO_FILE, last)
        return file

"""A tree on a medium that loses power: what copies and moves are made of, over a CutFolder."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from flight.services.file_tree import NEW, Found, Kind, Reader
from tests.flight.cut_folder import CutFolder, Inode


@dataclass
class Folder(CutFolder):
    """A CutFolder of which files can be removed."""

    def remove(self, name: str) -> None:
        def effect() -> None:
            del self._names[name]
            self._renames.append(dict(self._names))

        self._call(name, effect)


def folder_with(files: dict[str, bytes], cut_at: int = 1 << 30, after: bool = True) -> Folder:
    return Folder({name: Inode(octets, octets) for name, octets in files.items()}, cut_at, after)


class Octets:
    """A file held open."""

    def __init__(self, octets: bytes) -> None:
        self._left, self.octets = octets, len(octets)

    def read(self, count: int) -> bytes:
        octets, self._left = self._left[:count], self._left[count:]
        return octets

    def close(self) -> None:
        return None


class CutTree:
    """Tree, of one folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._new = b""

    def stat(self, path: str) -> Found:
        return Found(Kind.FILE, len(self._read(path)), 0)

    def names(self, path: str) -> Generator[str, None, None]:
        yield from self._folder.contents()

    def entry(self, path: str, name: str) -> Found:
        return self.stat(name)

    def open(self, path: str) -> Reader:
        return Octets(self._read(path))

    def new(self) -> None:
        self.drop()
        self._new = b""
        self._folder.write(NEW, b"")

    def write(self, octets: bytes) -> None:
        self._new += octets
        self._folder.write(NEW, self._new)

    def sync(self) -> None:
        self._folder.sync(NEW)

    def publish(self, path: str) -> None:
        self.move(NEW, path, over=False)

    def drop(self) -> None:
        if NEW in self._folder.contents():
            self._folder.remove(NEW)

    def move(self, path: str, to: str, over: bool) -> None:
        self._folder.rename(path, to)
        self._folder.sync_folder()

    def delete(self, path: str) -> None:
        self._folder.remove(path)
        self._folder.sync_folder()

    def make(self, path: str) -> None:
        raise NotADirectoryError(20, "one folder")

    def remove(self, path: str) -> None:
        raise NotADirectoryError(20, "one folder")

    def space(self) -> tuple[int, int]:
        return 1 << 40, 1 << 40

    def _read(self, path: str) -> bytes:
        octets = self._folder.read(path, 1 << 30)
        if octets is None:
            raise FileNotFoundError(2, "no such file")
        return octets

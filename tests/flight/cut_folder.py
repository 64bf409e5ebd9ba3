"""A folder on a medium that loses power: what was not synced is kept, lost or torn, as a test decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

TEMPORARY = "critical.new"


class PowerCut(BaseException):
    """Not an Exception: no code gets to handle it."""


@dataclass
class Inode:
    """One file: what is on the medium, and what the running software sees."""

    durable: bytes = b""
    seen: bytes = b""
    synced: bool = True


@dataclass
class CutFolder:
    """CriticalFiles that counts its calls. The power fails in call number `cut_at`, before or after it took effect."""

    durable: dict[str, Inode] = field(default_factory=dict)
    cut_at: int = 1 << 30
    after: bool = True  # the call that is cut has reached the medium's cache
    fail_at: int = 1 << 30  # this call and those behind it raise OSError
    calls: int = 0
    touched: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._names = dict(self.durable)
        self._renames: list[dict[str, Inode]] = []  # the folder after each step that is not yet durable

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        self.touched.add(name)
        inode = self._names.get(name)
        return None if inode is None else inode.seen[:limit_bytes]

    def write(self, name: str, octets: bytes) -> None:
        def effect() -> None:
            if name not in self._names:
                self._names[name] = Inode()
                self._renames.append(dict(self._names))
            self._names[name].seen, self._names[name].synced = octets, False

        self._call(name, effect)

    def sync(self, name: str) -> None:
        def effect() -> None:
            inode = self._names[name]
            inode.durable, inode.synced = inode.seen, True

        self._call(name, effect)

    def rename(self, name: str, to: str) -> None:
        def effect() -> None:
            self._names[to] = self._names.pop(name)
            self._renames.append(dict(self._names))

        self.touched.add(to)
        self._call(name, effect)

    def sync_folder(self) -> None:
        def effect() -> None:
            self.durable = dict(self._names)
            self._renames.clear()

        self._call(TEMPORARY, effect)

    def close(self) -> None:
        return None

    def contents(self) -> dict[str, bytes]:
        """What the running software sees."""
        return {name: inode.seen for name, inode in self._names.items()}

    def after_cut(self, names_kept: int, torn: Callable[[bytes, bytes], bytes]) -> CutFolder:
        """The medium when the power is back.

        names_kept: how many of the folder's undurable steps the file system had written; torn(durable, seen): what is
        left of a file that was not synced.
        """
        steps = [self.durable, *self._renames]
        kept = steps[min(names_kept, len(steps) - 1)]
        files = {
            name: inode.durable if inode.synced else torn(inode.durable, inode.seen) for name, inode in kept.items()
        }
        return folder_of(files)

    def _call(self, name: str, effect: Callable[[], None]) -> None:
        self.touched.add(name)
        self.calls += 1
        if self.calls >= self.fail_at:
            raise OSError(28, "No space left on device")
        if self.calls == self.cut_at:
            if self.after:
                effect()
            raise PowerCut
        effect()


def folder_of(files: dict[str, bytes]) -> CutFolder:
    """A medium that holds these files, and power that does not fail."""
    return CutFolder({name: Inode(octets, octets) for name, octets in files.items()})

"""A CFDP receiver's store in memory, durable at once: the ground's disk in virtual time."""

from __future__ import annotations

from collections.abc import Iterator

from flight.link.cfdp.store import Key, confined


class MemoryFile:
    """One file under reception (flight.link.cfdp.store.StoredFile)."""

    def __init__(self, store: MemoryReceiverStore) -> None:
        self._store = store
        self._data = bytearray()
        self.durable = 0

    def write(self, offset: int, data: bytes) -> None:
        self._data.extend(bytes(max(0, offset + len(data) - len(self._data))))
        self._data[offset : offset + len(data)] = data

    def read(self, offset: int, count: int) -> bytes:
        return bytes(self._data[offset : offset + count])

    def commit(self, record: bytes) -> int:
        self.durable += 1
        return self.durable

    def publish(self, name: str) -> str:
        self._store.published.setdefault(confined(name), bytes(self._data))
        return name

    def discard(self) -> None:
        self._data.clear()

    def forget(self) -> None:
        self.discard()


class MemoryReceiverStore:
    """All files of one receiver that lives as long as the simulation does."""

    def __init__(self) -> None:
        self.published: dict[str, bytes] = {}

    def create(self, key: Key) -> MemoryFile:
        return MemoryFile(self)

    def free_name(self, name: str, key: Key) -> str:
        return f"{name[:40]}-{key[0]}-{key[1]}" if name in self.published else confined(name)

    def stored(self) -> Iterator[tuple[Key, bytes, MemoryFile]]:
        """Nothing was there before."""
        return iter(())

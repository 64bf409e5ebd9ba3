"""A receiver's store in memory that knows what a power cut would leave, and may be slow to become durable."""

from __future__ import annotations

import random
from collections.abc import Iterator

from flight.link.cfdp.store import Key, confined


class MemoryFile:
    def __init__(self, store: MemoryStore, key: Key) -> None:
        self.store, self.key = store, key
        self.data = bytearray(store.disk_data.get(key, b""))
        self.waiting: list[tuple[bytes, bytes]] = []
        self.durable = 0
        self.discarded = False

    def write(self, offset: int, data: bytes) -> None:
        if len(self.data) < offset + len(data):
            self.data.extend(bytes(offset + len(data) - len(self.data)))
        self.data[offset : offset + len(data)] = data

    def read(self, offset: int, count: int) -> bytes:
        return bytes(self.data[offset : offset + count])

    def commit(self, record: bytes) -> int:
        self.store.commits += 1
        self.waiting.append((bytes(self.data), record))
        if not self.store.slow:
            self.sync()
        return self.durable + len(self.waiting)

    def sync(self) -> None:
        for data, record in self.waiting:
            if self.key not in self.store.published_keys and not self.discarded:
                self.store.disk_data[self.key] = data
            self.store.disk_records[self.key] = record
            self.durable += 1
        self.waiting.clear()

    def publish(self, name: str) -> str:
        if self.key in self.store.disk_data:
            assert name not in self.store.published, "a published file was overwritten"
            self.store.published[name] = self.store.disk_data.pop(self.key)
            self.store.published_keys.add(self.key)
        return name

    def discard(self) -> None:
        self.discarded = True
        self.data.clear()
        self.store.disk_data.pop(self.key, None)

    def forget(self) -> None:
        self.discard()
        self.store.disk_records.pop(self.key, None)
        self.store.files.pop(self.key, None)


class MemoryStore:
    def __init__(self, *, slow: bool = False) -> None:
        self.slow = slow
        self.commits = 0
        self.disk_data: dict[Key, bytes] = {}
        self.disk_records: dict[Key, bytes] = {}
        self.published: dict[str, bytes] = {}
        self.published_keys: set[Key] = set()
        self.files: dict[Key, MemoryFile] = {}

    def create(self, key: Key) -> MemoryFile:
        self.files[key] = MemoryFile(self, key)
        return self.files[key]

    def free_name(self, name: str, key: Key) -> str:
        return f"{confined(name)}-{key[0]}-{key[1]}" if name in self.published else confined(name)

    def stored(self) -> Iterator[tuple[Key, bytes, MemoryFile]]:
        for key, record in list(self.disk_records.items()):
            yield key, record, self.create(key)

    def sync(self) -> None:
        """The slow disk has caught up."""
        for file in self.files.values():
            file.sync()

    def cut(self, rng: random.Random) -> None:
        """Power fails: of what was not durable, any part of the data may have reached the disk, and no record."""
        for key, file in self.files.items():
            durable = self.disk_data.get(key)
            if durable is not None and len(file.data) > len(durable) and rng.random() < 0.5:
                end = rng.randrange(len(durable), len(file.data))
                self.disk_data[key] = durable + bytes(file.data[len(durable) : end])
        self.files.clear()

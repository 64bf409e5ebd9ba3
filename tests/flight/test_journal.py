"""The journal's format, the torn tail, and a lying disk."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.services.journal import (
    MAX_PAYLOAD_BYTES,
    FileJournal,
    FileStorage,
    JournalMissing,
    JournalNoSpace,
    JournalReader,
    JournalRecord,
    JournalStorageFailed,
    MemoryStorage,
    RecordTooLarge,
    read_journal,
)
from flight.services.records import RecordKind


def crc32c_bit_by_bit(octets: bytes) -> int:
    value = 0xFFFFFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def records_of(storage: FileStorage | MemoryStorage | LyingDisk) -> list[JournalRecord]:
    return list(JournalReader(storage))


class LyingDisk:
    """Keeps for sure only what was synced; of the rest a power cut keeps any pieces of any writes, in any order."""

    def __init__(self, durable: bytes = b"") -> None:
        self._durable = durable
        self._seen = bytearray(durable)
        self._unsynced: list[tuple[int, bytes | None]] = []  # (offset, octets) or (size, None) for a cut
        self.calls_left = 1 << 30  # the power fails in the call that takes it to zero

    def size(self) -> int:
        return len(self._seen)

    def read(self, offset: int, count: int) -> bytes:
        return bytes(self._seen[offset : offset + count])

    def write(self, offset: int, octets: bytes) -> None:
        self._unsynced.append((offset, octets))
        self._apply(self._seen, offset, octets)
        self._maybe_fail()

    def sync(self) -> None:
        self._maybe_fail()
        self._durable = bytes(self._seen)
        self._unsynced.clear()

    def cut(self, size: int, *, aside: bool = True) -> None:
        self._unsynced.append((size, None))
        del self._seen[size:]
        self._maybe_fail()
        self._durable = bytes(self._seen)
        self._unsynced.clear()

    def close(self) -> None:
        return None

    def after_power_cut(self, draw: st.DataObject) -> LyingDisk:
        pieces: list[tuple[int, bytes | None]] = []
        for offset, octets in self._unsynced:
            if octets is None:
                pieces.append((offset, None))
                continue
            sector = draw.draw(st.integers(1, 40), label="sector")
            pieces += [(offset + at, octets[at : at + sector]) for at in range(0, len(octets), sector)]
        kept = [piece for piece in pieces if draw.draw(st.booleans(), label="kept")]
        medium = bytearray(self._durable)
        for offset, octets in draw.draw(st.permutations(kept), label="order"):
            if octets is None:
                del medium[offset:]
            else:
                self._apply(medium, offset, octets)
        return LyingDisk(bytes(medium))

    @staticmethod
    def _apply(medium: bytearray, offset: int, octets: bytes) -> None:
        medium.extend(bytes(max(0, offset - len(medium))))
        medium[offset : offset + len(octets)] = octets

    def _maybe_fail(self) -> None:
        self.calls_left -= 1
        if self.calls_left <= 0:
            raise PowerCut


class PowerCut(BaseException):
    """Not an Exception: no code gets to handle it."""


def test_the_record_is_these_octets() -> None:
    octets = JournalRecord(sequence=3, kind=RecordKind.JOB, payload=b"\xa1\x01\x02").pack()
    body = bytes.fromhex("53574a31 00000003 0000000000000003 0b a10102".replace(" ", ""))
    assert octets == body + struct.pack(">I", crc32c_bit_by_bit(body))


@given(st.lists(st.tuples(st.sampled_from(list(RecordKind)), st.binary(max_size=200)), max_size=20))
def test_what_was_appended_is_read_back_in_order(facts: list[tuple[RecordKind, bytes]]) -> None:
    storage = MemoryStorage()
    journal = FileJournal(storage)
    sequences = [journal.append(kind, payload) for kind, payload in facts]
    assert sequences == list(range(1, len(facts) + 1))
    assert [(record.kind, record.payload) for record in records_of(storage)] == facts
    assert FileJournal(storage).poll() == len(facts)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_power_cut_anywhere_loses_nothing_that_was_reported_durable(data: st.DataObject) -> None:
    disk = LyingDisk()
    appended: list[bytes] = []  # what the journal holds at least up to `reported`, by the writer's own account
    reported = 0
    for life in range(data.draw(st.integers(1, 4), label="lives")):
        disk.calls_left = data.draw(st.integers(1, 14), label="power fails at call")
        try:
            journal = FileJournal(disk)
            assert journal.poll() >= reported
            appended = appended[: journal.poll()]
            while True:
                group = data.draw(st.lists(st.binary(max_size=60), min_size=1, max_size=4), label="group")
                group = [struct.pack(">BH", life, len(appended) + index) + octets for index, octets in enumerate(group)]
                first = journal.poll() + 1
                records = [JournalRecord(first + index, 11, octets) for index, octets in enumerate(group)]
                appended += group
                journal.commit(b"".join(record.pack() for record in records), records[-1].sequence)
                reported = journal.poll()
                assert reported == len(appended)
        except PowerCut:
            disk = disk.after_power_cut(data)
        found = records_of(disk)
        assert len(found) >= reported, f"{reported} were reported durable, {len(found)} found"
        assert [record.payload for record in found] == appended[: len(found)], "not a prefix of what was written"
        assert [record.sequence for record in found] == list(range(1, len(found) + 1))


@settings(max_examples=200)
@given(octets=st.binary(max_size=200), keep=st.integers(0, 3))
def test_any_octets_after_the_records_are_a_torn_tail(octets: bytes, keep: int) -> None:
    storage = MemoryStorage()
    journal = FileJournal(storage)
    for index in range(keep):
        journal.append(RecordKind.BOOT, bytes([index]))
    end = storage.size()
    storage.write(end, octets)
    reader = JournalReader(storage)
    assert len(list(reader)) == keep
    assert (reader.end, reader.torn_bytes, reader.last_sequence) == (end, len(octets), keep)
    assert FileJournal(storage).torn_bytes == len(octets)
    assert storage.size() == end


@given(st.data())
def test_a_flipped_bit_ends_the_reading_there(data: st.DataObject) -> None:
    storage = MemoryStorage()
    journal = FileJournal(storage)
    ends = [0]
    for index in range(4):
        journal.append(RecordKind.JOB, bytes(range(index * 3)))
        ends.append(storage.size())
    bit = data.draw(st.integers(0, storage.size() * 8 - 1))
    damaged = bytearray(storage.read(0, storage.size()))
    damaged[bit // 8] ^= 1 << bit % 8
    storage.write(0, bytes(damaged))
    whole = sum(end <= bit // 8 for end in ends[1:])
    assert len(records_of(storage)) == whole


def test_a_record_of_a_stale_earlier_life_is_not_taken_for_the_next_one() -> None:
    storage = MemoryStorage()
    journal = FileJournal(storage)
    journal.append(RecordKind.JOB, b"one")
    storage.write(storage.size(), JournalRecord(7, RecordKind.JOB, b"stale").pack())
    assert [record.payload for record in records_of(storage)] == [b"one"]


def test_what_is_cut_off_a_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = FileJournal.open(path)
    journal.append(RecordKind.JOB, b"one")
    journal.close()
    with path.open("ab") as stream:
        stream.write(b"half a rec")
    reader = read_journal(path)
    assert [record.payload for record in reader] == [b"one"]
    assert reader.torn_bytes == 10
    again = FileJournal.open(path)
    assert (again.poll(), again.torn_bytes) == (1, 10)
    again.close()
    assert (tmp_path / "journal.torn").read_bytes() == b"half a rec"
    assert read_journal(path).torn_bytes == 0


def test_after_a_failed_sync_nothing_more_is_accepted() -> None:
    class FullDisk(MemoryStorage):
        full = False

        def sync(self) -> None:
            if self.full:
                raise OSError(28, "No space left on device")

    disk = FullDisk()
    journal = FileJournal(disk)
    journal.append(RecordKind.JOB, b"one")
    disk.full = True
    with pytest.raises(JournalStorageFailed, match="No space left"):
        journal.append(RecordKind.JOB, b"two")
    disk.full = False
    with pytest.raises(JournalStorageFailed):
        journal.append(RecordKind.JOB, b"two")
    assert journal.poll() == 1
    assert [record.payload for record in records_of(disk)] == [b"one"]


class SmallDisk(MemoryStorage):
    """Has room for `room` octets; a write beyond it leaves a part behind."""

    room = 1 << 30

    def write(self, offset: int, octets: bytes) -> None:
        fits = max(0, self.room - offset)
        super().write(offset, octets[:fits])
        if fits < len(octets):
            raise OSError(errno.ENOSPC, "No space left on device")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=60), st.integers(0, 120)), min_size=1, max_size=12))
def test_without_space_nothing_is_half_written_and_the_same_goes_on_when_there_is_some(
    appended: list[tuple[bytes, int]],
) -> None:
    disk = SmallDisk()
    journal = FileJournal(disk)
    written: list[bytes] = []
    for payload, room in appended:
        disk.room = disk.size() + room
        try:
            journal.append(RecordKind.JOB, payload)
        except JournalNoSpace:
            assert [record.payload for record in records_of(disk)] == written
            assert JournalReader(disk).torn_bytes == 0
            disk.room = 1 << 30
            journal.append(RecordKind.JOB, payload)
        written.append(payload)
        assert [record.payload for record in records_of(disk)] == written
    assert journal.poll() == len(written)


def test_another_failure_of_a_write_is_the_end_of_the_journal() -> None:
    class BrokenDisk(MemoryStorage):
        broken = False

        def write(self, offset: int, octets: bytes) -> None:
            if self.broken:
                raise OSError(errno.EIO, "Input/output error")
            super().write(offset, octets)

    disk = BrokenDisk()
    journal = FileJournal(disk)
    disk.broken = True
    with pytest.raises(JournalStorageFailed, match="Input/output"):
        journal.append(RecordKind.JOB, b"one")
    disk.broken = False
    with pytest.raises(JournalStorageFailed):
        journal.append(RecordKind.JOB, b"one")


def test_a_record_of_16_mib_is_kept_and_a_larger_one_refused(tmp_path: Path) -> None:
    journal = FileJournal.open(tmp_path / "journal")
    large = bytes(range(256)) * (MAX_PAYLOAD_BYTES // 256)
    journal.append(RecordKind.PRODUCT, large)
    with pytest.raises(RecordTooLarge) as refused:
        journal.append(RecordKind.PRODUCT, large + b"x")
    assert refused.value.size == MAX_PAYLOAD_BYTES + 1
    journal.close()
    assert [record.payload == large for record in read_journal(tmp_path / "journal")] == [True]


def test_a_missing_journal_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(JournalMissing):
        read_journal(tmp_path / "nothing")

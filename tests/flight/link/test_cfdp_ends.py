"""Each end by itself: order, timers, limits, bounds, contradictions, hostile peers, and the folder that keeps files."""

from __future__ import annotations

import contextlib
import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.link.cfdp.checksum import FileChecksum, file_checksum
from flight.link.cfdp.codes import ChecksumKind, Condition, Directive, FileStatus, TransactionStatus
from flight.link.cfdp.errors import (
    NameRefused,
    PduUnexpected,
    ReceiverFull,
    SourceShort,
    StoreFailed,
    TransactionUnknown,
)
from flight.link.cfdp.pdu import Ack, Eof, FileData, Finished, Metadata, Nak, Pdu, Transaction, decode, encode
from flight.link.cfdp.receiver import Receiver
from flight.link.cfdp.reception import ReceiverConfig
from flight.link.cfdp.records import SenderRecord
from flight.link.cfdp.sender import Sender, SenderConfig, acknowledge_closed
from flight.link.cfdp.store import FolderStore
from flight.link.errors import LinkError
from tests.flight.link.memory_store import MemoryStore
from tests.flight.link.test_cfdp_pdu import units

CONTENT = bytes(range(100))
TRANSACTION = Transaction(2, 9, 1)
CHECKSUM = file_checksum(ChecksumKind.CRC_32, 100, lambda at, n: CONTENT[at : at + n])
COMPLETE = Finished(Condition.NO_ERROR, True, FileStatus.RETAINED)
METADATA = Metadata("answer.swp", 100, ChecksumKind.CRC_32, closure=True)
EOF = Eof(CHECKSUM.value, 100)


def read(offset: int, count: int) -> bytes:
    return CONTENT[offset : offset + count]


def sender(**config: float) -> Sender:
    chosen = SenderConfig(segment_bytes=40, eof_timer_s=config.get("eof_timer_s", 10.0), limit_s=100.0)
    return Sender(chosen, TRANSACTION, "answer.swp", 100, read, CHECKSUM, 0.0)


def emitted(end: Sender, now_s: float = 0.0, max_bytes: int = 1000) -> list[Pdu]:
    units = []
    while (unit := end.next_pdu(now_s, max_bytes)) is not None:
        units.append(decode(unit)[1])
    return units


def tell(end: Sender, pdu: Pdu, now_s: float = 0.0) -> None:
    end.receive(encode(TRANSACTION, pdu), now_s)


FIRST_PASS = [METADATA, FileData(0, CONTENT[:40]), FileData(40, CONTENT[40:80]), FileData(80, CONTENT[80:]), EOF]


def test_the_first_pass_is_metadata_the_file_in_order_and_its_end() -> None:
    assert emitted(sender()) == FIRST_PASS


def test_only_what_a_nak_asks_for_is_repeated() -> None:
    end = sender()
    emitted(end)
    tell(end, Nak((0, 100), ((10, 20), (90, 95)), metadata=True))
    assert emitted(end) == [METADATA, FileData(10, CONTENT[10:20]), FileData(90, CONTENT[90:95])]
    assert end.acknowledged_bytes == 85


def test_a_stale_nak_does_not_make_acknowledged_octets_go_again() -> None:
    end = sender()
    emitted(end)
    tell(end, Nak((0, 100), ((10, 20),)))
    emitted(end)
    tell(end, Nak((0, 100), ((0, 100),)))
    assert emitted(end) == [FileData(10, CONTENT[10:20])]


def test_octets_that_are_acknowledged_before_they_were_repeated_are_not_repeated() -> None:
    end = sender()
    emitted(end)
    tell(end, Nak((0, 100), ((0, 50),)))
    tell(end, Nak((0, 60), ((0, 10),)))
    assert emitted(end) == [FileData(0, CONTENT[:10])]


def test_a_restored_sender_repeats_its_ends_and_waits_to_be_asked() -> None:
    first = sender()
    emitted(first)
    tell(first, Nak((0, 100), ((10, 20),)))
    assert first.dirty
    record = SenderRecord.decode(first.snapshot().encode())
    second = Sender.restore(first.config, record, read, 0.0)
    assert emitted(second) == [METADATA, EOF]
    tell(second, Nak((0, 100), ((5, 20),)))
    assert emitted(second) == [FileData(10, CONTENT[10:20])]


def test_the_end_is_repeated_until_it_is_acknowledged() -> None:
    end = sender()
    emitted(end)
    assert emitted(end, 9.9) == []
    assert emitted(end, 10.0) == [EOF]
    tell(end, Ack(Directive.EOF, Condition.NO_ERROR, TransactionStatus.ACTIVE), 11.0)
    assert emitted(end, 50.0) == []


@pytest.mark.parametrize(
    ("acknowledged", "condition"), [(False, Condition.POSITIVE_ACK_LIMIT), (True, Condition.INACTIVITY)]
)
def test_a_receiver_that_stays_silent_is_given_up(acknowledged: bool, condition: Condition) -> None:
    end = sender()
    emitted(end)
    if acknowledged:
        tell(end, Ack(Directive.EOF, Condition.NO_ERROR, TransactionStatus.ACTIVE))
    emitted(end, 99.0)
    assert not end.finished
    assert emitted(end, 100.0) == []
    assert (end.condition, end.delivered) == (condition, False)


def test_time_without_a_contact_does_not_count() -> None:
    end = sender()
    emitted(end)
    end.freeze(5.0)
    assert emitted(end, 5000.0) == []
    end.resume(5000.0)
    assert emitted(end, 5000.0) == [EOF]
    assert emitted(end, 5009.0) == []
    assert not end.finished


def test_finished_is_answered_every_time_also_after_a_restart() -> None:
    end = sender()
    emitted(end)
    tell(end, COMPLETE)
    assert (end.finished, end.delivered, end.acknowledged_bytes) == (True, True, 100)
    assert emitted(end) == [Ack(Directive.FINISHED, Condition.NO_ERROR, TransactionStatus.ACTIVE)]
    again = Sender.restore(end.config, SenderRecord.decode(end.snapshot().encode()), read, 0.0)
    assert emitted(again) == []
    tell(again, COMPLETE)
    assert emitted(again) == [Ack(Directive.FINISHED, Condition.NO_ERROR, TransactionStatus.TERMINATED)]
    stranger = decode(acknowledge_closed(TRANSACTION, COMPLETE))
    assert stranger == (TRANSACTION, Ack(Directive.FINISHED, Condition.NO_ERROR, TransactionStatus.UNRECOGNIZED))


def test_a_failed_delivery_is_finished_and_not_delivered() -> None:
    end = sender()
    tell(end, Finished(Condition.CHECKSUM_FAILURE, False, FileStatus.DISCARDED))
    assert (end.finished, end.delivered, end.condition) == (True, False, Condition.CHECKSUM_FAILURE)


def test_no_unit_is_longer_than_the_room_for_it() -> None:
    end = sender()
    got = []
    for room in [0, 10, 30, 44, 19, 20, 25, 60, 60, 60, 60, 60, 60]:
        unit = end.next_pdu(0.0, room)
        assert unit is None or len(unit) <= room
        if unit is not None and isinstance(pdu := decode(unit)[1], FileData):
            got.append(pdu)
    assert b"".join(one.data for one in got) == CONTENT


def test_a_file_that_shrinks_while_it_is_sent_is_an_error_with_numbers() -> None:
    end = Sender(SenderConfig(), TRANSACTION, "a", 100, lambda at, n: b"", CHECKSUM, 0.0)
    end.next_pdu(0.0, 1000)
    with pytest.raises(SourceShort) as problem:
        end.next_pdu(0.0, 1000)
    assert (problem.value.offset, problem.value.asked, problem.value.got) == (0, 100, 0)


def test_a_cancelled_transaction_says_so_and_sends_nothing_else() -> None:
    end = sender()
    end.cancel()
    assert emitted(end) == [Eof(0, 0, Condition.CANCELLED)]
    assert (end.finished, end.delivered) == (True, False)


@pytest.mark.parametrize(
    ("transaction", "pdu", "error"),
    [
        (Transaction(2, 8, 1), COMPLETE, TransactionUnknown),
        (Transaction(2, 9, 3), COMPLETE, PduUnexpected),
        (TRANSACTION, METADATA, PduUnexpected),
        (TRANSACTION, Ack(Directive.FINISHED, Condition.NO_ERROR, TransactionStatus.ACTIVE), PduUnexpected),
        (TRANSACTION, Nak((0, 101), ()), PduUnexpected),
        (TRANSACTION, Nak((0, 100), ((90, 101),)), PduUnexpected),
    ],
)
def test_a_unit_that_is_not_for_this_sender_changes_nothing(
    transaction: Transaction, pdu: Pdu, error: type[LinkError]
) -> None:
    end = sender()
    with pytest.raises(error):
        end.receive(encode(transaction, pdu), 0.0)
    assert emitted(end) == FIRST_PASS


@settings(max_examples=200)
@given(st.lists(units, max_size=12))
def test_a_hostile_receiver_raises_only_link_errors_and_never_makes_the_sender_run_for_ever(hostile: list[Pdu]) -> None:
    end = sender()
    for pdu in hostile:
        with contextlib.suppress(LinkError):
            tell(end, pdu)
        for _ in range(3):
            end.next_pdu(0.0, 60)
    left = 0
    while end.next_pdu(0.0, 1000) is not None:
        left += 1
        assert left < 1000


def receiver(store: MemoryStore | FolderStore | None = None, **limits: float) -> Receiver:
    config = ReceiverConfig(**limits)  # type: ignore[arg-type]
    return Receiver(config, 1, store or MemoryStore(), 0.0, sources=[2])


def give(end: Receiver, *pdus: Pdu, now_s: float = 0.0, transaction: Transaction = TRANSACTION) -> list[Pdu]:
    return [decode(unit)[1] for pdu in pdus for unit in end.receive(encode(transaction, pdu), now_s)]


def polled(end: Receiver, now_s: float) -> list[Pdu]:
    return [decode(unit)[1] for unit in end.poll(now_s)]


ACTIVE = Ack(Directive.EOF, Condition.NO_ERROR, TransactionStatus.ACTIVE)
TERMINATED = Ack(Directive.EOF, Condition.NO_ERROR, TransactionStatus.TERMINATED)
ACK_FINISHED = Ack(Directive.FINISHED, Condition.NO_ERROR, TransactionStatus.ACTIVE)


def test_a_whole_file_is_answered_with_the_acknowledgement_and_finished() -> None:
    store = MemoryStore()
    end = receiver(store)
    assert give(end, *FIRST_PASS) == [TERMINATED, COMPLETE]
    assert store.published == {"answer.swp": CONTENT}
    (file,) = end.completed()
    assert (file.name, file.path, file.size, file.transaction) == ("answer.swp", "answer.swp", 100, TRANSACTION)
    assert end.completed() == []
    assert end.open_transactions == 1
    assert give(end, ACK_FINISHED) == []
    assert end.open_transactions == 0


def test_what_is_missing_is_named_to_the_octet_metadata_included() -> None:
    assert give(receiver(), FIRST_PASS[2], EOF) == [ACTIVE, Nak((0, 100), ((0, 40), (80, 100)), metadata=True)]


def test_a_nak_is_repeated_only_when_the_sender_falls_silent() -> None:
    end = receiver()
    give(end, METADATA, EOF)
    assert give(end, FIRST_PASS[1], now_s=9.0) == []
    assert polled(end, 18.9) == []
    assert polled(end, 19.0) == [Nak((0, 100), ((40, 100),))]


def test_many_gaps_are_named_in_several_naks_whose_scopes_meet() -> None:
    end = receiver(max_pdu_bytes=60)
    answers = give(end, METADATA, *[FileData(at, b"x") for at in range(1, 100, 2)], EOF)
    naks = [one for one in answers if isinstance(one, Nak)]
    assert len(naks) == 8  # no more in one answer
    assert all(len(encode(TRANSACTION, one)) <= 60 for one in naks)
    assert all(before.scope[1] == after.scope[0] for before, after in itertools.pairwise(naks))
    assert [gap for one in naks for gap in one.gaps] == [(at, at + 1) for at in range(0, 64, 2)][
        : sum(len(one.gaps) for one in naks)
    ]


def test_the_end_that_comes_again_is_acknowledged_at_once_and_asked_for_soon() -> None:
    end = receiver()
    give(end, METADATA, EOF)
    assert give(end, EOF, now_s=1.0) == [ACTIVE]
    assert polled(end, 5.0) == [Nak((0, 100), ((0, 100),))]


def test_finished_is_repeated_until_it_is_acknowledged() -> None:
    end = receiver()
    give(end, *FIRST_PASS)
    assert polled(end, 9.9) == []
    assert polled(end, 10.0) == [COMPLETE]
    give(end, ACK_FINISHED, now_s=11.0)
    assert polled(end, 1000.0) == []


def test_a_sender_that_restarts_late_is_answered_and_not_served_again() -> None:
    store = MemoryStore()
    end = receiver(store)
    give(end, *FIRST_PASS, ACK_FINISHED)
    end = receiver(store)  # both have restarted
    assert polled(end, 0.0) == []
    assert give(end, METADATA, EOF) == [TERMINATED, COMPLETE]
    assert list(store.published) == ["answer.swp"]


def test_a_restart_tells_of_a_finished_file_again() -> None:
    store = MemoryStore()
    give(receiver(store), *FIRST_PASS)
    end = receiver(store)
    assert polled(end, 0.0) == [TERMINATED, COMPLETE]
    assert [file.path for file in end.completed()] == ["answer.swp"]


def test_a_wrong_checksum_discards_the_file_and_says_so(tmp_path: Path) -> None:
    end = receiver(FolderStore(tmp_path))
    answers = give(end, *FIRST_PASS[:-1], Eof(1, 100))
    assert answers[-1] == Finished(Condition.CHECKSUM_FAILURE, False, FileStatus.DISCARDED)
    give(end, ACK_FINISHED)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["2-9.record"]


def test_a_large_file_is_checked_in_bounded_steps() -> None:
    end = receiver(check_bytes=30)
    assert give(end, *FIRST_PASS) == [ACTIVE]
    assert [len(polled(end, 0.0)) for _ in range(5)] == [0, 0, 1, 0, 0]


def test_a_silent_sender_is_given_up_and_its_octets_go() -> None:
    store = MemoryStore()
    end = receiver(store, limit_s=50.0)
    give(end, METADATA, FIRST_PASS[1])
    assert polled(end, 49.0) == []
    assert polled(end, 50.0) == [Finished(Condition.INACTIVITY, False, FileStatus.DISCARDED)]
    assert store.disk_data == {}


def test_a_cancelled_file_is_discarded() -> None:
    store = MemoryStore()
    end = receiver(store)
    cancelled = give(end, *FIRST_PASS[:2], Eof(0, 0, Condition.CANCELLED))
    assert cancelled == [
        Ack(Directive.EOF, Condition.CANCELLED, TransactionStatus.TERMINATED),
        Finished(Condition.CANCELLED, False, FileStatus.DISCARDED),
    ]
    assert store.disk_data == store.published == {}


@pytest.mark.parametrize("name", ["../../escape", "/etc/cron.d/x", ".bashrc", "a/b", "", "x" * 65])
def test_a_name_that_leaves_the_folder_is_refused_and_nothing_is_kept(name: str, tmp_path: Path) -> None:
    end = receiver(FolderStore(tmp_path / "in"))
    octets = bytearray(encode(Transaction(2, 9, 1, crc=False), Metadata("n", 0, ChecksumKind.NULL)))
    octets[-4:] = (bytes([len(name)]) + name.encode()) * 2
    octets[1:3] = (7 - 1 + 2 * (1 + len(name))).to_bytes(2, "big")
    with pytest.raises(NameRefused):
        end.receive(bytes(octets), 0.0)
    assert end.open_transactions == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("transaction", "pdu", "error"),
    [
        (Transaction(2, 9, 3), METADATA, PduUnexpected),
        (Transaction(7, 9, 1), METADATA, PduUnexpected),
        (Transaction(2, 10, 1), ACK_FINISHED, TransactionUnknown),
        (Transaction(2, 10, 1), Eof(0, 0, Condition.CANCELLED), TransactionUnknown),
        (TRANSACTION, Nak((0, 1), ()), PduUnexpected),
        (TRANSACTION, Metadata("other", 100, ChecksumKind.CRC_32, True), PduUnexpected),
        (TRANSACTION, Metadata("answer.swp", 101, ChecksumKind.CRC_32, True), PduUnexpected),
        (TRANSACTION, FileData(99, b"xy"), ReceiverFull),
        (TRANSACTION, Eof(CHECKSUM.value, 99), PduUnexpected),
        (TRANSACTION, ACK_FINISHED, PduUnexpected),
        (Transaction(2, 10, 1), Metadata("big", 1001, ChecksumKind.NULL), ReceiverFull),
        (Transaction(2, 10, 1), FileData(1000, b"x"), ReceiverFull),
        (Transaction(2, 10, 1), Metadata("sum", 950, ChecksumKind.NULL), ReceiverFull),
    ],
)
def test_a_unit_that_may_not_be_changes_nothing(transaction: Transaction, pdu: Pdu, error: type[LinkError]) -> None:
    store = MemoryStore()
    end = receiver(store, max_file_bytes=1000, max_total_bytes=1000)
    give(end, *FIRST_PASS[:3])
    with pytest.raises(error):
        give(end, pdu, transaction=transaction)
    assert end.open_transactions == 1
    assert give(end, *FIRST_PASS[3:]) == [TERMINATED, COMPLETE]
    assert store.published == {"answer.swp": CONTENT}


def test_octets_that_have_come_are_not_overwritten() -> None:
    store = MemoryStore()
    end = receiver(store)
    give(end, *FIRST_PASS[:3], FileData(0, bytes(100)))
    # octets 80.. of the forged unit came first and are kept: the checksum finds them out, 0..80 are the true ones
    assert bytes(end._receptions[TRANSACTION.key]._file.read(0, 80)) == CONTENT[:80]


def test_transactions_and_the_memory_of_closed_ones_are_bounded() -> None:
    store = MemoryStore()
    end = receiver(store, max_transactions=3, max_closed=4)
    for sequence in range(3):
        give(end, FIRST_PASS[1], transaction=Transaction(2, sequence, 1))
    with pytest.raises(ReceiverFull):
        give(end, FIRST_PASS[1], transaction=Transaction(2, 3, 1))
    end = receiver(store := MemoryStore(), max_transactions=3, max_closed=4)
    for sequence in range(20):
        give(end, *FIRST_PASS, ACK_FINISHED, transaction=Transaction(2, sequence, 1))
    assert len(store.published) == 20
    assert len(store.disk_records) <= 5


def test_segments_that_would_make_too_many_holes_are_dropped_and_asked_for_again() -> None:
    end = receiver(max_extents=4)
    give(end, METADATA, *[FileData(at, CONTENT[at : at + 1]) for at in range(1, 100, 2)])
    assert give(end, EOF)[-1] == Nak((0, 100), ((0, 1), (2, 3), (4, 5), (6, 7), (8, 100)))
    answers = [one for at in range(100) for one in give(end, FileData(at, CONTENT[at : at + 1]))]
    assert answers == [COMPLETE]


def test_two_files_of_one_name_are_both_kept(tmp_path: Path) -> None:
    end = receiver(FolderStore(tmp_path))
    for sequence in (1, 2):
        give(end, *FIRST_PASS, transaction=Transaction(2, sequence, 1))
    assert sorted(Path(file.path).name for file in end.completed()) == ["answer-2-2.swp", "answer.swp"]


def test_a_file_of_nothing_is_a_file(tmp_path: Path) -> None:
    end = receiver(FolderStore(tmp_path))
    assert give(end, Metadata("empty", 0, ChecksumKind.MODULAR), Eof(0, 0)) == [TERMINATED, COMPLETE]
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_folder_goes_on_where_the_process_before_stopped(tmp_path: Path) -> None:
    rng = random.Random(1)
    content = rng.randbytes(5000)
    checksum = file_checksum(ChecksumKind.CRC_32C, 5000, lambda at, n: content[at : at + n])
    eof = Eof(checksum.value, 5000)
    first = receiver(FolderStore(tmp_path))
    give(first, Metadata("f.swp", 5000, ChecksumKind.CRC_32C), FileData(0, content[:2000]))
    give(first, FileData(3000, content[3000:]), eof)
    give(first, FileData(2000, content[2000:2500]))  # written, but told to nobody
    second = receiver(FolderStore(tmp_path))
    assert polled(second, 0.0) == [ACTIVE, Nak((0, 5000), ((2000, 3000),))]
    assert give(second, FileData(2000, content[2000:3000])) == [COMPLETE]
    assert (tmp_path / "f.swp").read_bytes() == content
    (tmp_path / "f.swp").rename(tmp_path / "taken")  # the owner took it
    third = receiver(FolderStore(tmp_path))
    assert polled(third, 0.0) == [TERMINATED, COMPLETE]
    assert not (tmp_path / "f.swp").exists()


def test_a_damaged_record_costs_its_transaction_and_no_other(tmp_path: Path) -> None:
    end = receiver(FolderStore(tmp_path))
    for sequence in (1, 2):
        give(end, *FIRST_PASS[:3], EOF, transaction=Transaction(2, sequence, 1))
    (tmp_path / ".reception" / "2-1.record").write_bytes(b"\xff\xff")
    end = receiver(FolderStore(tmp_path))
    assert (end.unreadable_records, end.open_transactions) == (1, 1)
    assert give(end, *FIRST_PASS, transaction=Transaction(2, 1, 1)) == [TERMINATED, COMPLETE]


def test_a_full_disk_is_a_link_error_and_the_file_comes_when_there_is_room() -> None:
    store = MemoryStore()
    end = receiver(store)
    give(end, METADATA)
    file = store.files[TRANSACTION.key]
    write, file.write = file.write, _no_space  # type: ignore[method-assign]
    with pytest.raises(StoreFailed):
        give(end, FIRST_PASS[1])
    file.write = write  # type: ignore[method-assign]
    assert give(end, *FIRST_PASS) == [TERMINATED, COMPLETE]


def test_a_commit_that_fails_makes_no_promise_and_is_tried_again() -> None:
    store = MemoryStore()
    end = receiver(store)
    give(end, *FIRST_PASS[:-1])
    file = store.files[TRANSACTION.key]
    commit, file.commit = file.commit, _no_space  # type: ignore[method-assign,assignment]
    assert give(end, EOF) == []
    assert end.store_failures == 1
    file.commit = commit  # type: ignore[method-assign]
    assert polled(end, 0.1) == [TERMINATED, COMPLETE]


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_nothing_is_said_before_the_disk_has_it() -> None:
    store = MemoryStore(slow=True)
    end = receiver(store)
    assert give(end, METADATA, EOF) == []
    assert polled(end, 0.1) == []
    store.sync()
    assert polled(end, 0.2) == [ACTIVE, Nak((0, 100), ((0, 100),))]


def test_a_peer_is_answered_in_its_own_field_widths() -> None:
    narrow = Transaction(2, 9, 1, entity_bytes=1, sequence_bytes=2, crc=False)
    end = receiver()
    answers = [unit for pdu in FIRST_PASS for unit in end.receive(encode(narrow, pdu), 0.0)]
    assert [decode(unit)[0] for unit in answers] == [narrow, narrow]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 3), units), max_size=15))
def test_a_hostile_sender_raises_only_link_errors_and_keeps_nothing_it_may_not(hostile: list[tuple[int, Pdu]]) -> None:
    store = MemoryStore()
    end = receiver(store, max_file_bytes=2000, max_total_bytes=3000, max_transactions=2)
    for number, (sequence, pdu) in enumerate(hostile):
        with contextlib.suppress(LinkError):
            end.receive(encode(Transaction(2, sequence, 1), pdu), float(number))
        end.poll(float(number))
    assert sum(len(file.data) for file in store.files.values()) <= 3000
    assert end.open_transactions <= 4


def test_a_full_memory_of_files_is_checked_against_the_null_checksum_too() -> None:
    store = MemoryStore()
    end = receiver(store)
    give(end, Metadata("n", 100, ChecksumKind.NULL), *FIRST_PASS[1:4], Eof(0, 100))
    assert store.published == {"n": CONTENT}
    assert FileChecksum(ChecksumKind.NULL, 0).value == 0

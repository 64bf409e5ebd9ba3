"""A journal without room holds decisions back: no strip, no transfer and no application that is gone is lost by it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from flight.link.cfdp.codes import Condition, FileStatus
from flight.link.cfdp.pdu import Finished, Transaction, encode
from flight.link.cfdp.sender import SenderConfig
from flight.link.downlink import Downlink
from flight.pipeline.answer_slots import AnswerReader, AnswerWriter, create_answer_memory
from flight.pipeline.answers import AnswerDesk
from flight.pipeline.control import PayloadReport
from flight.services.journal import JournalFull
from flight.services.records import RecordKind
from payload_models.errors import ApplicationUnknown
from tests.faults.hostile_bench import MemoryJournal, water
from tests.faults.hostile_peers import META

JOB, CAPTURE = b"j" * 32, b"c" * 16


class FullAtTimes(MemoryJournal):
    """Refuses while `full` is set."""

    full = False

    def append(self, kind: RecordKind, payload: bytes) -> int:
        if self.full:
            raise JournalFull(len(payload), 1, 1)
        return super().append(kind, payload)


def begun(journal: MemoryJournal, reader: AnswerReader, lines: int) -> AnswerDesk:
    desk = AnswerDesk(journal, reader, {"water": water()})
    desk.describe(CAPTURE, META)
    desk.begin(job=JOB, capture=CAPTURE, application="water", parameters={}, area=(), start_s=0.0, lines=lines)
    return desk


def encode_all(desk: AnswerDesk) -> None:
    """What the slots between two reports do."""
    while desk.advance(JOB):
        pass


def test_a_strip_that_found_no_room_is_written_before_the_next_and_never_acknowledged_early() -> None:
    journal = FullAtTimes()
    descriptor = create_answer_memory(2, 1 << 20)
    writer = AnswerWriter(descriptor)
    desk = begun(journal, AnswerReader(descriptor), lines=128)
    rows = np.zeros((64, META.columns), np.uint8)
    before = len(journal.records)

    def report(index: int) -> PayloadReport:
        offer = writer.put(index % 2, JOB, index, index * 64, rows)
        return PayloadReport(incarnation=1, state="running", job=JOB, strips=(offer,))

    journal.full = True
    with pytest.raises(JournalFull):
        desk.take(report(0))
    desk.made_durable(1 << 40)
    assert desk.order(JOB).acked_strips == 0, "acknowledged without a record"
    journal.full = False
    encode_all(desk)
    assert desk.take(report(1))
    assert len(journal.records) - before == 2, "both strips are with the journal"
    desk.made_durable(len(journal.records))
    assert desk.order(JOB).acked_strips == 2
    encode_all(desk)
    assert desk.whole(JOB)


def test_a_transfer_whose_record_finds_no_room_sends_nothing_and_begins_later() -> None:
    journal = FullAtTimes()
    downlink = Downlink(SenderConfig(segment_bytes=100), 300, 1, journal)
    downlink.contact(True, 0.0)
    content = bytes(1000)

    def read(offset: int, count: int) -> bytes:
        return content[offset : offset + count]

    journal.full = True
    with pytest.raises(JournalFull):
        downlink.start("a.swx", len(content), read, 0.0)
    assert downlink.next_unit(0.0, 500, 1 << 40) is None
    journal.full = False
    downlink.start("a.swx", len(content), read, 1.0)
    assert downlink.next_unit(1.0, 500, 0) is None, "its number is not durable yet"
    assert downlink.next_unit(1.0, 500, len(journal.records)) is not None


def test_a_job_whose_application_is_gone_after_a_restart_is_a_reason() -> None:
    journal = MemoryJournal()
    desk = AnswerDesk(journal, AnswerReader(create_answer_memory(2, 1 << 16)), {})
    desk.describe(CAPTURE, msgspec.structs.replace(META))
    with pytest.raises(ApplicationUnknown) as gone:
        desk.begin(job=JOB, capture=CAPTURE, application="water", parameters={}, area=(), start_s=0.0, lines=64)
    assert gone.value.code == "application_unknown"


def test_a_transfer_that_ends_while_there_is_no_room_is_told_once_there_is() -> None:
    journal = FullAtTimes()
    downlink = Downlink(SenderConfig(segment_bytes=100), 300, 1, journal)
    downlink.contact(True, 0.0)
    downlink.start("a.swx", 50, lambda offset, count: bytes(count), 0.0)
    assert downlink.next_unit(0.0, 500, len(journal.records)) is not None
    transaction = Transaction(300, 1, 1)
    end = Finished(Condition.NO_ERROR, complete=True, status=FileStatus.RETAINED)
    journal.full = True
    downlink.receive(encode(transaction, end), 1.0)
    assert downlink.finished() == []
    assert downlink.active == 1
    journal.full = False
    assert downlink.finished() == [("a.swx", True)]
    assert downlink.finished() == []
    assert downlink.next_unit(2.0, 500, len(journal.records)) is not None, "the closing acknowledgement leaves"


def test_the_description_of_a_capture_that_found_no_room_is_written_when_it_is_said_again() -> None:
    journal = FullAtTimes()
    desk = AnswerDesk(journal, AnswerReader(create_answer_memory(2, 1 << 16)), {"water": water()})
    journal.full = True
    with pytest.raises(JournalFull):
        desk.describe(CAPTURE, META)
    journal.full = False
    desk.describe(CAPTURE, META)
    assert len(journal.records) == 1

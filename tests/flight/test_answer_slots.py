"""What the flight process takes out of answer slots, and what a hostile payload process cannot make it take."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindings.crc import crc32c
from flight.pipeline.answer_slots import AnswerGeometry, AnswerReader, AnswerWriter, create_answer_memory
from flight.pipeline.control import StripOffer
from flight.pipeline.process_errors import (
    AnswerClassInvalid,
    AnswerCorrupt,
    AnswerError,
    AnswerOutOfRange,
    AnswerStale,
    MemoryRefused,
)
from flight.pipeline.shared_memory import SharedMemory

JOB = bytes(range(32))
WIDTH, ROWS = 40, 64
GEOMETRY = AnswerGeometry(job=JOB, width=WIDTH, strip_rows=ROWS, scene_rows=150, classes=2)


def strip(rows: int = ROWS) -> np.ndarray:
    return (np.arange(rows * WIDTH).reshape(rows, WIDTH) % 3 == 0).astype(np.uint8)


@pytest.fixture
def ends() -> Iterator[tuple[AnswerWriter, AnswerReader, int]]:
    descriptor = create_answer_memory(4, ROWS * WIDTH)
    writer, reader = AnswerWriter(descriptor), AnswerReader(descriptor)
    yield writer, reader, descriptor
    writer.close()
    reader.close()
    os.close(descriptor)


def test_a_strip_arrives_as_it_was_put(ends) -> None:
    writer, reader, _ = ends
    rows = strip()
    rows[3, 5] = 255
    offer = writer.put(1, JOB, 1, ROWS, rows)
    assert np.array_equal(reader.take(offer, GEOMETRY), rows)


def test_the_last_strip_is_as_short_as_the_scene_says(ends) -> None:
    writer, reader, _ = ends
    offer = writer.put(2, JOB, 2, 2 * ROWS, strip(22))
    assert reader.take(offer, GEOMETRY).shape == (22, WIDTH)
    with pytest.raises(AnswerOutOfRange):
        reader.take(writer.put(2, JOB, 2, 2 * ROWS, strip(21)), GEOMETRY)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"crc32c": 1}, AnswerOutOfRange),
        ({"slot": 4}, AnswerOutOfRange),
        ({"slot": 0}, AnswerStale),
        ({"generation": 9}, AnswerStale),
        ({"first_row": 0}, AnswerOutOfRange),
        ({"index": 3, "first_row": 3 * ROWS}, AnswerOutOfRange),
        ({"rows": 0}, AnswerOutOfRange),
        ({"rows": 63}, AnswerOutOfRange),
        ({"rows": 4096}, AnswerOutOfRange),
        ({"index": 2, "first_row": 2 * ROWS}, AnswerOutOfRange),
    ],
)
def test_an_offer_that_is_not_what_lies_in_the_slot_is_refused(ends, change, error) -> None:
    writer, reader, _ = ends
    offer = writer.put(1, JOB, 1, ROWS, strip())
    with pytest.raises(error):
        reader.take(msgspec.structs.replace(offer, **change), GEOMETRY)


def test_rows_that_do_not_have_the_offered_crc_are_refused(ends) -> None:
    writer, reader, descriptor = ends
    offer = writer.put(1, JOB, 1, ROWS, strip())
    with SharedMemory(descriptor, writable=True, least_bytes=1) as shared:
        shared.octets[64 * 5 + ROWS * WIDTH + 7] ^= 1
    with pytest.raises(AnswerCorrupt):
        reader.take(offer, GEOMETRY)


def test_a_slot_that_is_written_again_while_it_is_copied_is_refused(ends) -> None:
    writer, reader, _ = ends
    offer = writer.put(1, JOB, 1, ROWS, strip())
    checked = reader._check_head
    calls = []

    def overtaken(*arguments: object) -> None:
        if calls:
            writer.put(1, JOB, 1, ROWS, strip())
        calls.append(1)
        checked(*arguments)

    reader._check_head = overtaken  # type: ignore[method-assign]
    with pytest.raises(AnswerStale):
        reader.take(offer, GEOMETRY)


def test_a_strip_of_another_job_is_refused(ends) -> None:
    writer, reader, _ = ends
    offer = writer.put(1, b"\xff" * 32, 1, ROWS, strip())
    with pytest.raises(AnswerOutOfRange):
        reader.take(offer, GEOMETRY)


def test_a_class_that_the_application_does_not_declare_is_refused(ends) -> None:
    writer, reader, _ = ends
    rows = strip()
    rows[9, 9] = 2
    with pytest.raises(AnswerClassInvalid) as caught:
        reader.take(writer.put(1, JOB, 1, ROWS, rows), GEOMETRY)
    assert caught.value.value == 2


def test_generations_go_on_when_the_payload_process_restarts(ends) -> None:
    writer, reader, descriptor = ends
    old = writer.put(1, JOB, 1, ROWS, strip())
    again = AnswerWriter(descriptor).put(1, JOB, 1, ROWS, strip())
    assert again.generation == old.generation + 1
    with pytest.raises(AnswerStale):
        reader.take(old, GEOMETRY)
    assert np.array_equal(reader.take(again, GEOMETRY), strip())


@settings(max_examples=300, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 5) | st.integers(0, 2**31), min_size=5, max_size=5),
    head=st.lists(st.integers(0, 70) | st.integers(0, 2**64 - 1), min_size=8, max_size=8),
    known_end=st.booleans(),
)
def test_no_offer_and_no_slot_gives_more_than_a_strip_of_the_scene(numbers, head, known_end) -> None:
    descriptor = create_answer_memory(2, ROWS * WIDTH)
    try:
        reader = AnswerReader(descriptor)
        with SharedMemory(descriptor, writable=True, least_bytes=1) as shared:
            shared.words(64, 8)[:] = np.array(head, dtype=np.uint64)
            shared.words(0, 4)[2:] = np.array(
                head[:2], dtype=np.uint64
            )  # slots and their size, changed after the check
        index, slot, generation, first_row, rows = numbers
        offer = StripOffer(
            index=index, slot=slot, generation=generation, first_row=first_row, rows=rows, crc32c=head[5] & 0xFFFFFFFF
        )
        geometry = msgspec.structs.asdict(offer) and AnswerGeometry(JOB, WIDTH, ROWS, 150 if known_end else None, 2)
        try:
            taken = reader.take(offer, geometry)
        except AnswerError:
            return
        assert taken.shape[0] <= ROWS and taken.shape[1] == WIDTH
        assert crc32c(taken.tobytes()) == offer.crc32c
    finally:
        os.close(descriptor)


def test_memory_that_holds_no_slots_is_refused() -> None:
    descriptor = create_answer_memory(2, 64)
    with SharedMemory(descriptor, writable=True, least_bytes=1) as shared:
        shared.words(0, 4)[2] = 3
    with pytest.raises(MemoryRefused):
        AnswerReader(descriptor)
    os.close(descriptor)

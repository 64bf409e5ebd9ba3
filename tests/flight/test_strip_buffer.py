"""The ring of sensor lines: what a reader may believe, whatever the writer does."""

from __future__ import annotations

import contextlib
import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindings.crc import crc32c
from flight.pipeline.process_errors import MemoryRefused, StripInvalid, StripLapped, StripTooWide
from flight.pipeline.shared_memory import SharedMemory, read_only
from flight.pipeline.strip_buffer import (
    HEADER_BYTES,
    StripFormat,
    StripReader,
    StripWriter,
    capacity_of,
    create_strip_memory,
    merge_ranges,
)

CAPTURE, OTHER = b"c" * 16, b"o" * 16
FORM = StripFormat(5, 3, "uint16")


def ring(lines: int, form: StripFormat = FORM) -> int:
    size = HEADER_BYTES + 64 + lines * (form.line_stride + 16)
    return create_strip_memory(max(size, 2 * HEADER_BYTES))


@pytest.fixture
def memory():
    descriptor = create_strip_memory(2 * HEADER_BYTES)
    yield descriptor
    os.close(descriptor)


def scene(first: int, count: int) -> np.ndarray:
    """Line n holds n in every sample, with the column and band mixed in."""
    lines = np.arange(first, first + count, dtype=np.uint16)[:, None, None]
    return (lines * 16 + np.arange(15, dtype=np.uint16).reshape(5, 3)).astype(np.uint16)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.one_of(st.integers(1, 20), st.integers(-20, -1)), min_size=1, max_size=25),
    windows=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60)), min_size=1, max_size=10),
)
def test_a_reader_gets_the_lines_as_written_or_is_told_that_they_are_gone(steps, windows) -> None:
    descriptor = ring(40)
    try:
        writer, reader = StripWriter(descriptor), StripReader(read_only(descriptor))
        capacity = writer.begin(CAPTURE, FORM).capacity
        expected, lost = np.zeros((0, 5, 3), dtype=np.uint16), set()
        for step in steps:
            if step > 0:
                lines = scene(len(expected), step)
                writer.append(lines)
            else:
                lines = FORM.empty(-step)
                lost |= set(range(len(expected), len(expected) - step))
                writer.append_lost(-step)
            expected = np.concatenate([expected, lines])
        for first, count in windows:
            inside = max(0, len(expected) - capacity) <= first and first + count <= len(expected)
            if not inside:
                with pytest.raises(StripLapped):
                    reader.read(CAPTURE, first, count)
                continue
            pixels, ranges = reader.read(CAPTURE, first, count)
            assert np.array_equal(pixels, expected[first : first + count])
            named = {line for start, length in ranges for line in range(start, start + length)}
            assert named == lost & set(range(first, first + count))
    finally:
        os.close(descriptor)


def test_a_reader_that_is_lapped_while_it_copies_notices(memory: int) -> None:
    writer, reader = StripWriter(memory), StripReader(memory)
    capacity = writer.begin(CAPTURE, FORM).capacity
    writer.append(scene(0, capacity))
    states = iter([reader.state()])
    real = reader.state

    def overtaken():
        """The header as it was; then the writer runs on before the copy is checked."""
        for state in states:
            return state
        writer.append(scene(capacity, 1))
        return real()

    reader.state = overtaken  # type: ignore[method-assign]
    with pytest.raises(StripLapped):
        reader.read(CAPTURE, 0, capacity)


def test_a_line_that_changes_under_the_reader_is_not_believed(memory: int) -> None:
    writer, reader = StripWriter(memory), StripReader(memory)
    writer.begin(CAPTURE, FORM)
    writer.append(scene(0, 4))
    with SharedMemory(memory, writable=True, least_bytes=1) as shared:
        where = shared.octets.tobytes().find(scene(2, 1).tobytes())
        shared.octets[where] ^= 1
    with pytest.raises(StripLapped):
        reader.read(CAPTURE, 2, 1)
    assert np.array_equal(reader.read(CAPTURE, 0, 2)[0], scene(0, 2))


def test_a_restarted_writer_begins_another_generation_and_old_lines_are_gone(memory: int) -> None:
    reader = StripReader(memory)
    first = StripWriter(memory)
    before = first.begin(CAPTURE, FORM)
    first.append(scene(0, 10))
    first.close()
    second = StripWriter(memory)
    after = second.begin(CAPTURE, FORM, base=10, lost=0)
    second.append(scene(10, 3))
    assert after.generation == before.generation + 1
    assert np.array_equal(reader.read(CAPTURE, 10, 3)[0], scene(10, 3))
    with pytest.raises(StripLapped):
        reader.read(CAPTURE, 9, 2)


def test_a_reader_that_starts_anew_sees_the_same_strip(memory: int) -> None:
    writer = StripWriter(memory)
    writer.begin(CAPTURE, FORM)
    writer.append(scene(0, 7))
    writer.end()
    one, two = StripReader(memory), StripReader(read_only(memory))
    assert one.state() == two.state()
    one.close()
    assert np.array_equal(two.read(CAPTURE, 0, 7)[0], scene(0, 7))
    state = two.state()
    assert state is not None and state.ended and state.written == 7


def test_a_header_that_a_killed_writer_left_half_written_says_nothing(memory: int) -> None:
    writer, reader = StripWriter(memory), StripReader(memory)
    generation = writer.begin(CAPTURE, FORM).generation
    with SharedMemory(memory, writable=True, least_bytes=1) as shared:
        shared.words(64, 1)[0] |= np.uint64(1)
    assert reader.state() is None
    assert StripWriter(memory).begin(CAPTURE, FORM).generation == generation + 1
    assert reader.state() is not None


def test_lines_of_another_capture_are_never_given(memory: int) -> None:
    writer, reader = StripWriter(memory), StripReader(memory)
    writer.begin(OTHER, FORM)
    writer.append(scene(0, 5))
    with pytest.raises(StripLapped):
        reader.read(CAPTURE, 0, 5)


@settings(max_examples=200, deadline=None)
@given(words=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 300), min_size=12, max_size=12))
def test_no_header_makes_a_reader_look_outside_the_memory(words: list[int]) -> None:
    """A hostile writer with a good CRC: the reader answers with lines, or one of its two errors."""
    descriptor = create_strip_memory(2 * HEADER_BYTES)
    try:
        with SharedMemory(descriptor, writable=True, least_bytes=1) as shared:
            record = np.array(words, dtype=np.uint64)
            shared.words(72, 12)[:] = record
            shared.words(168, 1)[0] = crc32c(record.data)
            shared.words(64, 1)[0] = 2
        reader = StripReader(descriptor)
        capture = words[1].to_bytes(8, "little") + words[2].to_bytes(8, "little")
        with contextlib.suppress(StripInvalid, StripLapped):
            reader.read(capture, 0, 1)
        reader.close()
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("form", [StripFormat(65_536, 64, "float32"), StripFormat(4000, 1, "uint8")])
def test_a_format_of_which_no_two_lines_fit_is_refused(form: StripFormat, memory: int) -> None:
    with pytest.raises(StripTooWide):
        StripWriter(memory).begin(CAPTURE, form)


def test_entries_and_lines_lie_inside_the_memory_for_every_size_and_format() -> None:
    for size in range(2 * HEADER_BYTES, 2 * HEADER_BYTES + 300):
        for form in (FORM, StripFormat(1, 1, "uint8"), StripFormat(33, 1, "float32")):
            capacity = capacity_of(form, size)
            lines_at = (HEADER_BYTES + capacity * 16 + 63) & ~63
            assert lines_at + capacity * form.line_stride <= size


def test_memory_whose_size_can_change_is_refused() -> None:
    descriptor = os.memfd_create("open", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, 4 * HEADER_BYTES)
    with pytest.raises(MemoryRefused):
        StripReader(descriptor)
    os.close(descriptor)


def test_the_supervisors_memory_cannot_be_shrunk_and_a_readers_descriptor_cannot_write(memory: int) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(memory, 0)
    with pytest.raises(MemoryRefused):
        StripWriter(read_only(memory))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9))))
def test_merged_ranges_name_the_same_lines(ranges) -> None:
    merged = merge_ranges(ranges)
    assert {n for f, c in merged for n in range(f, f + c)} == {n for f, c in ranges for n in range(f, f + c)}
    assert all(a + n < b for (a, n), (b, _) in itertools.pairwise(merged))

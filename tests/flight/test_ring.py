"""Buffers in pages of their own: aligned, there before they are needed, given back whoever still holds an array."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.pipeline.ring import PAGE_BYTES, Pages, RingClosed, RingUnavailable, pages_for


@settings(max_examples=50, deadline=None)
@given(
    wanted=st.lists(
        st.tuples(
            st.lists(st.integers(1, 40), min_size=1, max_size=4),
            st.sampled_from(["uint8", "uint16", "float32", "int8"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_arrays_begin_at_pages_and_share_nothing(wanted: list[tuple[list[int], str]]) -> None:
    with pages_for(*wanted) as pages:
        arrays = [pages.take(*one) for one in wanted]
        for number, array in enumerate(arrays):
            assert array.ctypes.data % PAGE_BYTES == 0 and array.flags.c_contiguous and array.flags.writeable
            assert not array.any()
            array.fill(number + 1)
        for number, array in enumerate(arrays):
            assert (array == number + 1).all()
        with pytest.raises(RingUnavailable):
            pages.take((PAGE_BYTES + 1,), np.uint8)


def resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES // 1024


def test_memory_is_there_before_it_is_written_and_goes_back_although_an_array_is_held() -> None:
    gc.collect()
    before = resident_kb()
    pages = Pages(64 << 20)
    held = pages.take((8, 1024, 1024), np.float32)
    assert resident_kb() - before > 60_000
    held.fill(1)
    pages.close()
    assert resident_kb() - before < 8_000
    assert not held.any(), "what was given back reads as zeros, not as another's memory"
    pages.close()
    with pytest.raises(RingClosed):
        pages.take((1,), np.uint8)


def test_huge_buffers_begin_at_huge_pages() -> None:
    with Pages(5 << 20) as pages:
        assert pages.take((5 << 20,), np.uint8).ctypes.data % (2 << 20) == 0


@pytest.mark.parametrize("size", [0, -1, 1 << 62])
def test_what_the_system_cannot_give_is_a_typed_error(size: int) -> None:
    with pytest.raises(RingUnavailable) as refused:
        Pages(size)
    assert refused.value.size == size and refused.value.code == "ring_unavailable"

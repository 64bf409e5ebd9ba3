"""Crash loops: counted over resets and cuts, one level after the other, and forgotten after a long life."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.executive.crash_loop import BLOCKS, RECOVERY, CrashLoop, Recovery
from flight.services.critical_store import COPY_NAMES, CriticalStore
from flight.services.reset_budget import RESET_BUDGET
from tests.flight.cut_folder import CutFolder, PowerCut, folder_of


def loop_on(files: CutFolder, limit: int = 3) -> CrashLoop:
    return CrashLoop(CriticalStore(files, BLOCKS), limit)


def test_each_level_has_its_starts_and_the_last_one_is_tried_for_ever() -> None:
    files = folder_of({})
    levels = []
    for _ in range(12):
        levels.append(int(loop_on(files).begin()))
        files = folder_of(files.contents())
    assert levels == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2]


def test_a_long_life_or_an_end_as_commanded_begins_anew_and_writes_once() -> None:
    files = folder_of({})
    loop = loop_on(files)
    for _ in range(5):
        loop.begin()
    assert loop.level is Recovery.SAFE
    loop.end()
    calls = files.calls
    loop.end()
    assert files.calls == calls
    again = loop_on(folder_of(files.contents()))
    assert [int(again.begin()) for _ in range(4)] == [0, 0, 0, 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=25))
def test_power_cuts_at_any_call_neither_skip_a_level_nor_give_starts_away_for_nothing(cuts: list[int]) -> None:
    """A start whose count was not durable may come again: never more than that, and no level is left out."""
    files = folder_of({})
    CriticalStore(files, BLOCKS)
    counted, level = 0, Recovery.AS_CONFIGURED
    for cut in cuts:
        files = folder_of(files.contents())
        loop = loop_on(files)
        assert level <= loop.level <= level + 1
        assert loop.level * 3 + loop.budget.performed in (counted, counted + 1)
        counted, level = loop.level * 3 + loop.budget.performed, loop.level
        files.cut_at = files.calls + cut
        try:
            loop.begin()
        except PowerCut:
            files = files.after_cut(3, lambda durable, seen: durable)
        if counted >= 9:
            return


@pytest.mark.parametrize("block", [RESET_BUDGET, RECOVERY])
def test_octets_that_disagree_with_their_complement_are_not_believed(block: object) -> None:
    files = folder_of({})
    store = CriticalStore(files, BLOCKS)
    values = {RESET_BUDGET: bytes.fromhex("00030003fffcfffc"), RECOVERY: b"\x02\xfd"}
    store.commit({**values, block: bytes(len(values[block]))})  # type: ignore[index, dict-item]
    loop = loop_on(folder_of(files.contents()))
    if block is RECOVERY:
        assert (loop.level, loop.budget.performed) == (Recovery.AS_CONFIGURED, 3)
    else:
        assert (loop.level, loop.budget.performed) == (Recovery.GOLDEN, 0)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(COPY_NAMES), st.integers(0, 400))
def test_a_flipped_bit_in_either_copy_changes_nothing(name: str, bit: int) -> None:
    files = folder_of({})
    loop = loop_on(files)
    for _ in range(4):
        loop.begin()
    contents = files.contents()
    octets = bytearray(contents[name])
    octets[bit // 8 % len(octets)] ^= 1 << bit % 8
    reports: list[object] = []
    again = CrashLoop(CriticalStore(folder_of({**contents, name: bytes(octets)}), BLOCKS), 3, reports.append)
    assert (again.level, again.budget.performed) == (Recovery.SAFE, 1)
    assert len(reports) == 1


def test_a_medium_that_refuses_is_reported_and_the_starts_are_counted_in_memory() -> None:
    files = folder_of({})
    reports: list[object] = []
    loop = CrashLoop(CriticalStore(files, BLOCKS), 1, reports.append)
    files.fail_at = files.calls + 1
    assert [int(loop.begin()) for _ in range(3)] == [0, 1, 2]
    assert sum("message" in report for report in reports) == 1  # type: ignore[operator]

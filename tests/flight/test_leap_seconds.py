"""UTC on board against an independent library, through inserted and left-out seconds, and tables that are refused."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.services.leap_seconds import PRESENT_LEAPS, LeapTable, LeapTableRefused, UtcTime

S = 1_000_000_000
MIDNIGHT_S = 1_483_228_800  # 2017-01-01, after a second was inserted
SHORT = LeapTable(((0, 10), (86_400 * 365, 11), (86_400 * 730, 10)), 86_400 * 1000)  # the last one left out


def test_the_inserted_second_of_2016_is_passed_twice_and_told_apart() -> None:
    first_ns = (MIDNIGHT_S + 36) * S
    assert PRESENT_LEAPS.utc(first_ns - 1) == UtcTime(MIDNIGHT_S * S - 1, leaping=False)
    assert PRESENT_LEAPS.utc(first_ns) == UtcTime(MIDNIGHT_S * S, leaping=True)
    assert PRESENT_LEAPS.utc(first_ns + S - 1) == UtcTime((MIDNIGHT_S + 1) * S - 1, leaping=True)
    assert PRESENT_LEAPS.utc(first_ns + S) == UtcTime(MIDNIGHT_S * S, leaping=False)


def test_a_second_left_out_is_jumped_over() -> None:
    midnight_s = 86_400 * 730
    last_ns = (midnight_s - 1 + 11) * S
    assert SHORT.utc(last_ns - 1).mission_ns == (midnight_s - 1) * S - 1
    assert SHORT.utc(last_ns) == UtcTime(midnight_s * S, leaping=False)


# IERS Bulletins C 49 and C 52: 2015-07-01 and 2017-01-01, 0 h UTC, begin with TAI - UTC = 36 s and 37 s
@pytest.mark.parametrize(
    ("utc", "tai_minus_utc_s"),
    [
        (datetime(2015, 6, 30, 23, 59, 59, tzinfo=timezone.utc), 35),
        (datetime(2015, 7, 1, tzinfo=timezone.utc), 36),
        (datetime(2016, 12, 31, 23, 59, 59, tzinfo=timezone.utc), 36),
        (datetime(2017, 1, 1, tzinfo=timezone.utc), 37),
        (datetime(2026, 11, 24, 4, 30, tzinfo=timezone.utc), 37),
    ],
)
def test_the_present_table_is_that_of_the_bulletins(utc: datetime, tai_minus_utc_s: int) -> None:
    mission_ns = round(utc.timestamp()) * S
    assert PRESENT_LEAPS.utc(mission_ns + tai_minus_utc_s * S) == UtcTime(mission_ns, leaping=False)


@given(st.sampled_from([PRESENT_LEAPS, SHORT]), st.integers(-(10**18), 2 * 10**18))
def test_there_and_back_again(table: LeapTable, tai_ns: int) -> None:
    assert table.tai_ns(table.utc(tai_ns)) == tai_ns


@given(
    st.sampled_from([PRESENT_LEAPS, SHORT]),
    st.integers(0, 2),
    st.lists(st.integers(-3 * S, 3 * S), min_size=2, max_size=20),
)
def test_near_a_step_the_pair_of_count_and_flag_is_in_order_and_comes_back(
    table: LeapTable, number: int, offsets: list[int]
) -> None:
    midnight_s, offset_s = table.steps[min(number, len(table.steps) - 1)]
    moments = sorted({(midnight_s + offset_s) * S + each for each in offsets})
    for moment in moments:
        assert table.tai_ns(table.utc(moment)) == moment
    for before, after in pairwise(moments):
        earlier, later = table.utc(before), table.utc(after)
        assert earlier.mission_ns < later.mission_ns or (earlier.leaping and not later.leaping)


@pytest.mark.parametrize(
    ("steps", "expires_s", "said"),
    [
        ((), 1, "0 steps"),
        (tuple((86_400 * each, each) for each in range(65)), 86_400 * 70, "65 steps"),
        (((1, 10),), 86_400, "is no midnight"),
        (((86_400, 10), (86_400, 11)), 86_400, "does not come after"),
        (((0, 10), (86_400, 12)), 86_400, "a step from 10 to 12"),
        (((0, 10), (86_400, 10)), 86_400, "a step from 10 to 10"),
        (((0, 10), (86_400, 11)), 86_399, "expires before"),
    ],
)
def test_a_table_that_cannot_be_is_refused(steps: tuple[tuple[int, int], ...], expires_s: int, said: str) -> None:
    with pytest.raises(LeapTableRefused, match=said):
        LeapTable(steps, expires_s)


def test_only_a_table_that_keeps_the_past_and_lasts_longer_replaces_another() -> None:
    longer = LeapTable((*PRESENT_LEAPS.steps, (1_830_297_600, 38)), 1_840_000_000)
    assert PRESENT_LEAPS.replaced(longer) is longer
    with pytest.raises(LeapTableRefused, match="does not last longer"):
        PRESENT_LEAPS.replaced(PRESENT_LEAPS)
    with pytest.raises(LeapTableRefused, match="contradicts the known step at 1483228800"):
        PRESENT_LEAPS.replaced(LeapTable((*PRESENT_LEAPS.steps[:2], (1_830_297_600, 37)), 1_840_000_000))

"""The account of what activities take: every run in one bin, the worst of late and ever as a plain list has them."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from bisect import bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindings.activity_account import BINS, MOST_ACTIVITIES, MOST_RECENT_RUNS, ActivityAccount, Spent, bin_from_ns
from bindings.faults import GeometryRefused, OrderMismatch

EDGES = [bin_from_ns(index) for index in range(BINS)]
spent = st.one_of(st.integers(-5, 5_000), st.integers(0, 10**7), st.integers(0, 2**55), st.sampled_from(EDGES))


@pytest.mark.parametrize(
    ("name", "setup"),
    [
        ("count", {"count": 0}),
        ("count", {"count": MOST_ACTIVITIES + 1}),
        ("recent_runs", {"count": 1, "recent_runs": 0}),
        ("recent_runs", {"count": 1, "recent_runs": MOST_RECENT_RUNS + 1}),
        ("ignored_runs", {"count": 1, "ignored_runs": -1}),
    ],
)
def test_a_setup_out_of_range_is_refused_by_name(name: str, setup: dict[str, int]) -> None:
    with pytest.raises(GeometryRefused, match=name):
        ActivityAccount(**setup)


@pytest.mark.parametrize("wrong", [-1, 2])
def test_an_activity_that_is_not_there_is_refused(wrong: int) -> None:
    account = ActivityAccount(2)
    for call in (account.begin, account.end, account.leave, account.times, account.worst_us, account.last_cpu_us):
        with pytest.raises(IndexError, match=f"no activity {wrong}: there are 2"):
            call(wrong)
    with pytest.raises(IndexError):
        account.declare(wrong, 1)
    with pytest.raises(IndexError):
        account.note(wrong, 1, 1)
    with pytest.raises(ValueError, match="-1 us"):
        account.declare(0, -1)


def test_only_the_activity_that_began_last_can_end_and_only_once() -> None:
    account = ActivityAccount(2)
    with pytest.raises(OrderMismatch, match="activity 0"):
        account.end(0)
    account.begin(0)
    account.begin(1)
    with pytest.raises(OrderMismatch):
        account.end(0)
    account.end(1)
    with pytest.raises(OrderMismatch):
        account.end(1)
    account.begin(0)
    account.leave(0)
    with pytest.raises(OrderMismatch):
        account.leave(0)
    assert (account.times(0).runs, account.times(1).runs) == (0, 1)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(spent, spent), max_size=60),
    st.integers(1, 12),
    st.integers(0, 5),
    st.integers(0, 10_000),
)
def test_the_account_is_that_of_a_plain_list(
    runs: list[tuple[int, int]], recent_runs: int, ignored_runs: int, declared_us: int
) -> None:
    account = ActivityAccount(3, recent_runs=recent_runs, ignored_runs=ignored_runs)
    account.declare(1, declared_us)
    for wall_ns, cpu_ns in runs:
        account.note(1, wall_ns, cpu_ns)
    walls, cpus = ([max(0, run[kind]) for run in runs] for kind in (0, 1))

    def worst(of: slice) -> Spent:
        return Spent(max(walls[of], default=0), max(cpus[of], default=0))

    times = account.times(1)
    assert (times.runs, times.ignored) == (len(runs), min(len(runs), ignored_runs))
    assert times.over == sum(wall // 1000 > declared_us for wall in walls)
    assert times.worst == worst(slice(ignored_runs, None))
    assert account.last_cpu_us(1) == (cpus[-1] // 1000 if runs else 0)
    assert account.worst_us(1) == times.worst.wall_ns // 1000
    assert times.recent == worst(slice(max(0, len(runs) - recent_runs), None))
    assert times.total == Spent(sum(walls), sum(cpus))
    if runs:
        assert times.last == Spent(walls[-1], cpus[-1])
    for counted, of in ((times.wall, walls), (times.cpu, cpus)):
        expected = [0] * BINS
        for ns in of:
            expected[bisect_right(EDGES, ns) - 1] += 1
        assert list(counted) == expected
    assert account.times(0).runs == account.times(2).runs == 0


def test_bins_grow_by_at_most_a_quarter_and_reach_beyond_ten_seconds() -> None:
    assert EDGES[:2] == [0, 256]
    assert all(low < high <= low * 1.25 for low, high in itertools.pairwise(EDGES[1:]))
    assert EDGES[-1] > 10 * 10**9


def test_what_nobody_declared_is_never_over() -> None:
    account = ActivityAccount(1)
    account.note(0, 2**60, 0)
    assert account.times(0).over == 0


def test_a_run_that_sleeps_takes_the_wall_and_one_that_computes_takes_the_processor() -> None:
    account = ActivityAccount(2)
    began = account.begin(0)
    time.sleep(0.02)
    ended = account.end(0)
    account.begin(1)
    deadline = time.thread_time() + 0.02
    while time.thread_time() < deadline:
        pass
    account.end(1)
    slept, computed = account.times(0).last, account.times(1).last
    assert slept.wall_ns == ended - began >= 20_000_000
    assert slept.cpu_ns < slept.wall_ns // 2
    assert computed.cpu_ns >= 19_900_000
    assert computed.cpu_ns <= computed.wall_ns + 100_000


def test_accounting_allocates_nothing_that_stays() -> None:
    account = ActivityAccount(4)

    def run(times: int) -> None:
        for _ in range(times):
            account.begin(2)
            account.end(2)

    run(100)
    tracemalloc.start()
    try:
        run(100)
        before, _ = tracemalloc.get_traced_memory()
        run(5_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 512
    assert account.times(2).runs == 5_200

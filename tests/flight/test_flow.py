"""The governor of the flow: never overlapped without cores or gain, and back to what is faster, whatever that is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.pipeline.flow import BLOCK_TILES, Flow, FlowMode, Governor


def flown(governor: Governor, tiles: int, serial_s: float, overlapped_s: float, beside_s: float = 0.001) -> float:
    """Time that so many tiles take, told to the governor as the engine tells it."""
    now_s = 0.0
    for _ in range(tiles):
        now_s += overlapped_s if governor.overlapped else serial_s
        governor.tile(now_s, beside_s, serial_s - beside_s)
    return now_s


@pytest.mark.parametrize("flow", [Flow(), Flow(cores=1), Flow(cores=4, slots=1), Flow(cores=8, mode=FlowMode.SERIAL)])
def test_one_core_one_slot_or_an_order_means_serial(flow: Flow) -> None:
    governor = Governor(flow)
    flown(governor, 500, serial_s=0.1, overlapped_s=0.01)
    assert not governor.overlapped and not governor.may_overlap


def test_with_cores_and_something_to_gain_it_overlaps_from_the_first_tile_to_the_last() -> None:
    governor = Governor(Flow(cores=2))
    assert flown(governor, 1000, serial_s=0.020, overlapped_s=0.019) == pytest.approx(1000 * 0.019)


def test_stages_so_short_that_handing_over_costs_more_are_left_in_a_row() -> None:
    governor = Governor(Flow(cores=8))
    flown(governor, 2 * BLOCK_TILES, serial_s=0.00008, overlapped_s=0.00012, beside_s=0.00004)
    took_s = flown(governor, 10_000, serial_s=0.00008, overlapped_s=0.00012, beside_s=0.00004)
    assert took_s == pytest.approx(10_000 * 0.00008)


def test_a_handover_that_loses_is_given_up_after_one_block_and_rarely_tried_again() -> None:
    governor = Governor(Flow(cores=2))
    took_s = flown(governor, 10_000, serial_s=0.010, overlapped_s=0.013)
    assert not governor.overlapped
    assert took_s < 10_000 * 0.010 * 1.01


def test_it_follows_when_the_other_core_is_taken_and_given_back() -> None:
    governor = Governor(Flow(cores=2))
    flown(governor, 100, serial_s=0.010, overlapped_s=0.009)
    assert governor.overlapped
    flown(governor, 3 * BLOCK_TILES, serial_s=0.010, overlapped_s=0.012)
    assert not governor.overlapped
    flown(governor, 4000, serial_s=0.010, overlapped_s=0.009)
    assert governor.overlapped


def test_when_everything_becomes_slower_it_stays_with_what_is_less_slow() -> None:
    governor = Governor(Flow(cores=2))
    flown(governor, 100, serial_s=0.010, overlapped_s=0.009)
    took_s = flown(governor, 2000, serial_s=0.020, overlapped_s=0.018)
    assert governor.overlapped
    assert took_s < 2000 * 0.018 * 1.02


def test_a_slower_run_of_the_graph_beside_the_other_stages_is_seen_without_having_run_in_a_row() -> None:
    """The shortest run stands for the graph alone: 10 ms beside and 30 ms in the graph, which then takes 45."""
    governor = Governor(Flow(cores=2))
    now_s = 0.0
    for tile in range(BLOCK_TILES + 1):
        now_s += 0.045
        governor.tile(now_s, 0.010, 0.030 if tile == 5 else 0.045)
    assert not governor.overlapped


def test_waiting_for_lines_is_not_taken_for_a_slow_form() -> None:
    governor = Governor(Flow(cores=2))
    flown(governor, 10, serial_s=0.010, overlapped_s=0.009)
    now_s = 0.0
    for tile in range(400):
        now_s += 0.009
        if tile % 7 == 0:
            now_s += 5.0
            governor.interrupted()
        governor.tile(now_s, 0.001, 0.009)
    assert governor.overlapped


@settings(max_examples=100, deadline=None)
@given(
    serial_us=st.integers(100, 50_000),
    overlapped_us=st.integers(100, 50_000),
    share=st.floats(0.01, 0.99),
)
def test_over_many_tiles_it_never_loses_more_than_its_trials(serial_us: int, overlapped_us: int, share: float) -> None:
    serial_s, overlapped_s = serial_us / 1e6, overlapped_us / 1e6
    governor = Governor(Flow(cores=2))
    took_s = flown(governor, 3000, serial_s, overlapped_s, beside_s=serial_s * share)
    trials = 7 * (BLOCK_TILES + 1)  # with their doubled distances, 3000 tiles hold no more
    assert took_s <= 3000 * serial_s + trials * max(0.0, overlapped_s - serial_s) + 1e-6


def test_what_no_machine_has_is_refused() -> None:
    for wrong in ({"cores": 0}, {"slots": 0}, {"slots": 65}):
        with pytest.raises(ValueError):
            Flow(**wrong)  # type: ignore[arg-type]

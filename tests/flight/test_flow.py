"""The governor of the flow: never overlapped without cores or gain, and back to what is faster, whatever that is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.pipeline.flow import BLOCK_TILES, TRIAL_TILES, Flow, FlowMode, Governor


def flown(governor: Governor, tiles: int, serial_s: float, overlapped_s: float, beside_s: float = 0.001) -> float:
    """Time that so many tiles take, told to the governor as the engine tells it."""
    governor.interrupted()  # what came before was long ago
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


def test_with_cores_and_something_to_gain_it_overlaps_but_for_rare_trials() -> None:
    governor = Governor(Flow(cores=2))
    assert governor.overlapped
    assert flown(governor, 128, serial_s=0.020, overlapped_s=0.019) == pytest.approx(128 * 0.019)
    took_s = flown(governor, 10_000, serial_s=0.020, overlapped_s=0.019)
    assert governor.overlapped
    assert took_s < 10_000 * 0.019 + 10 * (BLOCK_TILES + 1) * 0.001


def test_stages_so_short_that_handing_over_costs_more_are_left_in_a_row() -> None:
    governor = Governor(Flow(cores=8))
    flown(governor, 2 * BLOCK_TILES, serial_s=0.00008, overlapped_s=0.00012, beside_s=0.00004)
    took_s = flown(governor, 10_000, serial_s=0.00008, overlapped_s=0.00012, beside_s=0.00004)
    assert took_s == pytest.approx(10_000 * 0.00008)


def test_overlapping_that_loses_is_given_up_after_its_trial_and_rarely_tried_again() -> None:
    governor = Governor(Flow(cores=2))
    flown(governor, TRIAL_TILES + 2 * (BLOCK_TILES + 1), serial_s=0.010, overlapped_s=0.013)
    assert not governor.overlapped
    took_s = flown(governor, 20_000, serial_s=0.010, overlapped_s=0.013)
    assert took_s < 20_000 * 0.010 * 1.004


def test_it_follows_when_the_other_core_is_taken_and_given_back() -> None:
    governor = Governor(Flow(cores=2))
    flown(governor, 5000, serial_s=0.010, overlapped_s=0.009)
    assert governor.overlapped
    flown(governor, TRIAL_TILES, serial_s=0.010, overlapped_s=0.012)  # an upset: tried soon
    assert not governor.overlapped
    flown(governor, 4000, serial_s=0.010, overlapped_s=0.009)
    assert governor.overlapped


def test_when_everything_becomes_slower_it_stays_with_what_is_less_slow() -> None:
    governor = Governor(Flow(cores=2))
    flown(governor, 100, serial_s=0.010, overlapped_s=0.009)
    took_s = flown(governor, 2000, serial_s=0.020, overlapped_s=0.018)
    assert governor.overlapped
    assert took_s < 2000 * 0.018 * 1.01


def test_waiting_for_lines_is_not_taken_for_a_slow_form() -> None:
    governor = Governor(Flow(cores=2))
    flown(governor, 10, serial_s=0.010, overlapped_s=0.009)
    now_s = 0.0
    for tile in range(4000):
        now_s += 0.009 if governor.overlapped else 0.010
        if tile % 40 == 0:
            now_s += 5.0
            governor.interrupted()
        governor.tile(now_s, 0.001, 0.009)
        assert governor.overlapped or tile > TRIAL_TILES
    assert governor.overlapped


@settings(max_examples=100, deadline=None)
@given(
    serial_us=st.integers(100, 50_000),
    overlapped_us=st.integers(100, 50_000),
    share=st.floats(0.01, 0.99),
)
def test_over_many_tiles_it_loses_no_more_than_its_trials(serial_us: int, overlapped_us: int, share: float) -> None:
    """Against the better form: the start in the other one, and one block after 128, 256, 512, ... tiles."""
    serial_s, overlapped_s = serial_us / 1e6, overlapped_us / 1e6
    beside_s = serial_s * share
    worth = min(beside_s, serial_s - beside_s) > 60e-6 + 0.003 * serial_s
    governor = Governor(Flow(cores=2))
    took_s = flown(governor, 3000, serial_s, overlapped_s, beside_s)
    best_s = min(serial_s, overlapped_s) if worth else serial_s
    lost_tiles = TRIAL_TILES + 7 * (BLOCK_TILES + 1)
    assert took_s <= 3000 * best_s + lost_tiles * abs(overlapped_s - serial_s) + 1e-6


def test_what_no_machine_has_is_refused() -> None:
    for wrong in ({"cores": 0}, {"slots": 0}, {"slots": 65}):
        with pytest.raises(ValueError):
            Flow(**wrong)  # type: ignore[arg-type]

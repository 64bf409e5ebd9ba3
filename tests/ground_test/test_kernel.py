"""The event kernel: order, virtual time, streams; and the link that loses."""

from __future__ import annotations

import pytest

from ground_test.sim.kernel import EventKernel, KernelError
from ground_test.sim.link import LinkConfig, LinkConfigError, LossyLink
from hal.clock import SimulatedClock


def kernel(seed: int = 1) -> EventKernel:
    return EventKernel(seed, SimulatedClock(100.0))


def test_events_run_in_time_order_and_those_of_one_instant_as_they_were_asked_for() -> None:
    one, ran = kernel(), list[str]()
    for at, name in [(103.0, "c"), (101.0, "a"), (103.0, "d"), (102.0, "b")]:
        one.at(at, lambda name=name: ran.append(f"{name}{one.now_s:.0f}"))  # type: ignore[misc]
    one.run(200.0)
    assert ran == ["a101", "b102", "c103", "d103"]
    assert one.now_s == 200.0


def test_an_event_may_ask_for_more_events_also_at_its_own_instant() -> None:
    one, ran = kernel(), list[float]()
    one.after(1.0, lambda: (ran.append(one.now_s), one.after(0.0, lambda: ran.append(-one.now_s)))[0])
    one.run(101.0)
    assert ran == [101.0, -101.0]


def test_events_behind_the_end_wait_for_the_next_run() -> None:
    one, ran = kernel(), list[float]()
    one.every(10.0, lambda: ran.append(one.now_s))
    one.run(125.0)
    assert (ran, one.now_s, one.pending) == ([100.0, 110.0, 120.0], 125.0, 1)
    one.run(130.0)
    assert ran[-1] == 130.0


def test_an_event_in_the_past_is_refused() -> None:
    for at in (99.0, float("nan")):
        with pytest.raises(KernelError):
            kernel().at(at, lambda: None)


def test_a_run_that_would_not_end_is_ended() -> None:
    one = kernel()

    def again() -> None:
        one.after(0.0, again)

    again()
    with pytest.raises(KernelError):
        one.run(101.0, max_events=1000)
    with pytest.raises(KernelError):
        one.every(0.0, lambda: None)


def test_a_run_stops_behind_the_event_that_asks_for_it() -> None:
    one, ran = kernel(), list[float]()
    one.every(1.0, lambda: ran.append(one.now_s))
    one.run(200.0, stop=lambda: len(ran) == 3)
    assert (len(ran), one.now_s) == (3, 102.0)


def test_a_stream_depends_on_the_seed_and_its_name_only() -> None:
    alone, beside = kernel(), kernel()
    beside.stream("other").random()
    assert alone.stream("mine").random() == beside.stream("mine").random()
    assert alone.stream("mine") is alone.stream("mine")
    assert kernel(1).stream("mine").random() != kernel(2).stream("mine").random()
    assert kernel(1).stream("mine").random() != kernel(1).stream("other").random()
    assert kernel(7).stream("pinned").randrange(10**6) == 78454  # equal on every machine and in every version


def flown(config: LinkConfig, frames: int, seed: int = 1) -> tuple[LossyLink, list[tuple[float, bytes]]]:
    one, got = kernel(seed), list[tuple[float, bytes]]()
    link = LossyLink(one, "x", config, lambda frame: got.append((one.now_s, frame)))
    for number in range(frames):
        one.at(100.0 + number, lambda number=number: link.send(bytes([number % 256]) * 125))  # type: ignore[misc]
    one.run(1e6)
    return link, got


def test_a_good_link_delivers_in_order_after_rate_and_delay() -> None:
    _, got = flown(LinkConfig(delay_s=0.25, rate_bps=2000.0), 3)
    assert got == [(100.75 + number, bytes([number]) * 125) for number in range(3)]


def test_loss_is_as_often_as_it_is_said_to_be() -> None:
    link, got = flown(LinkConfig(loss=0.2), 5000)
    assert 850 < link.lost < 1150
    assert len(got) == 5000 - link.lost == link.delivered


def test_frames_are_repeated_and_come_out_of_order() -> None:
    _, got = flown(LinkConfig(duplicate=0.5, reorder=0.5, reorder_s=3.0), 200)
    numbers = [frame[0] for _, frame in got]
    assert 250 < len(numbers) < 350
    assert set(numbers) == set(range(200))
    assert numbers != sorted(numbers)


def test_outside_its_windows_there_is_no_link() -> None:
    link, got = flown(LinkConfig(windows=[(102.0, 104.0), (106.0, 107.0)]), 10)
    assert [frame[0] for _, frame in got] == [2, 3, 6]
    assert link.refused == 7


def test_what_does_not_fit_the_backlog_is_refused() -> None:
    one, got = kernel(), list[bytes]()
    link = LossyLink(one, "x", LinkConfig(rate_bps=1000.0, backlog_s=2.0), got.append)
    assert [link.send(bytes(125)) for _ in range(5)] == [True, True, True, False, False]
    one.run(200.0)
    assert len(got) == 3
    assert link.ready


@pytest.mark.parametrize("wrong", [{"loss": 1.1}, {"rate_bps": 0.0}, {"delay_s": -1.0}, {"duplicate": -0.1}])
def test_a_link_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(LinkConfigError):
        LinkConfig(**wrong)  # type: ignore[arg-type]

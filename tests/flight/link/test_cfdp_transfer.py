"""Files fly whole over links that lose, repeat, reorder and pause, with both ends killed at random."""

from __future__ import annotations

import random

import pytest

from flight.link.cfdp.codes import ChecksumKind, Condition, FileStatus
from flight.link.cfdp.pdu import Finished, encode
from tests.flight.link.transfer import Case, Transfer


def drawn(seed: int) -> Case:
    """One of the cases of the long row: every hardship, mixed."""
    rng = random.Random(seed)
    gaps = rng.random() < 0.3
    return Case(
        seed,
        size=rng.choice([0, 1, 499, 500, 501, 7_000, 20_000]),
        segment=rng.choice([100, 500, 900]),
        loss=rng.choice([0.0, 0.01, 0.05, 0.2]),
        duplicate=rng.choice([0.0, 0.1]),
        reorder=rng.choice([0.0, 0.1, 0.5]),
        sender_restarts=rng.choice([0, 0, 1, 3]),
        receiver_restarts=rng.choice([0, 0, 1, 3]),
        slow_disk=rng.random() < 0.2,
        windows=((1.0, 1.5), (20.0, 20.8), (50.0, 400.0)) if gaps else None,
        checksum=rng.choice(list(ChecksumKind)),
    )


@pytest.mark.parametrize("block", range(8))
def test_files_arrive_whole_and_no_acknowledged_octet_is_sent_again(block: int) -> None:
    verdicts = [Transfer(drawn(seed)).run().verdict() for seed in range(block * 30, block * 30 + 30)]
    assert [verdict for verdict in verdicts if verdict] == []


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05, 0.2])
def test_what_is_sent_is_the_file_and_little_more_than_what_was_lost(loss: float) -> None:
    flown = Transfer(Case(1, size=80_000, loss=loss)).run()
    assert flown.verdict() == ""
    assert flown.data_sent <= flown.case.size * (1 + loss) * (1 + 2 * loss)
    if loss == 0:
        assert flown.data_sent == flown.case.size


def test_a_restart_of_the_sender_sends_only_what_was_not_received() -> None:
    flown = Transfer(Case(3, size=100_000))
    flown.kernel.run(1002.0)  # half of the file
    before = flown.data_sent
    assert 0 < before < 100_000
    flown.restart_sender()
    flown.run()
    assert flown.verdict() == ""
    # without loss everything that went out before the restart was received, so nothing of it goes again
    assert flown.data_sent == 100_000


def test_a_restart_of_the_receiver_costs_only_what_was_not_acknowledged() -> None:
    flown = Transfer(Case(4, size=100_000, loss=0.05))
    flown.kernel.run(1000.0 + 4.6)  # the first pass is over and NAKs have been answered
    acknowledged = sum(flown.acknowledged)
    assert acknowledged > 0
    sent = flown.data_sent
    flown.restart_receiver()
    flown.run()
    assert flown.verdict() == ""
    assert flown.data_sent - sent <= 1.5 * (100_000 - acknowledged)  # a repeat may be lost as well


def test_nothing_is_sent_and_no_timer_runs_between_contacts() -> None:
    flown = Transfer(Case(5, size=60_000, windows=((0.0, 1.0), (1_000.0, 1_100.0)), limit_s=1_100.0))
    flown.run()
    assert flown.verdict() == ""  # the limits are 300 s: they would have ended it in the gap
    assert flown.down.refused == flown.up.refused == 0


def test_a_case_is_the_same_to_the_event_when_it_is_flown_again() -> None:
    case = drawn(12345)
    first, second = Transfer(case).run(), Transfer(case).run()
    assert (first.kernel.events_run, first.down.sent, first.up.sent, first.data_sent) == (
        second.kernel.events_run,
        second.down.sent,
        second.up.sent,
        second.data_sent,
    )


def test_the_watch_sees_an_acknowledged_octet_that_is_sent_again() -> None:
    flown = Transfer(Case(6, size=20_000, loss=0.2))
    flown.acknowledged[5_000:5_001] = b"\1"  # as if a NAK had said so
    assert "sent again" in flown.run().verdict()


def test_the_watch_sees_a_promise_that_is_not_on_the_disk() -> None:
    flown = Transfer(Case(7, size=20_000)).run()
    assert flown.verdict() == ""
    flown.store.published["answer.swp"] = bytes(20_000)
    flown._check_promise(encode(flown.transaction, Finished(Condition.NO_ERROR, True, FileStatus.RETAINED)))
    assert "told before it was durable" in flown.verdict()

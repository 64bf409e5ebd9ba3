"""Which table flies, against a model: never one that was not staged, always a good one to return to."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flight.executive.table_swap import Misbehaviour, Move, Outcome, Probation, ProbationInvalid, Refusal, TableSwap

QUIET = (False, 0, True)


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"overruns": 0}])
def test_a_probation_that_ends_before_it_begins_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ProbationInvalid):
        Probation(**wrong)


def flown(frames: int = 10, overruns: int = 3, *, healthy: bool = True) -> TableSwap:
    """One where `new` begins to fly at frame 0."""
    swap = TableSwap("old", Probation(frames, overruns))
    swap.stage("new")
    assert swap.boundary(0, True, healthy) is Move.ACTIVATE
    return swap


def test_a_staged_table_waits_for_the_major_frame_and_is_good_after_its_probation() -> None:
    swap = TableSwap("old", Probation(2, 1))
    swap.stage("new")
    assert swap.boundary(7, False, True) is Move.STAY
    assert swap.active == "old"
    assert swap.boundary(8, True, True) is Move.ACTIVATE
    assert (swap.active, swap.good, swap.staged) == ("new", "old", "")
    assert [swap.ended(frame, *QUIET) for frame in (8, 9, 10)] == [Outcome.NOTHING, Outcome.KEPT, Outcome.NOTHING]
    assert swap.good == "new"


def test_what_flies_or_is_on_probation_refuses_another() -> None:
    swap = flown()
    assert swap.may_stage("third") is Refusal.PROBATION
    with pytest.raises(ValueError, match="third"):
        swap.stage("third")
    assert TableSwap("old", Probation()).may_stage("old") is Refusal.SAME


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        ((True, 0, True), Misbehaviour.CRITICAL_MISSED),
        ((False, 3, True), Misbehaviour.OVERRUNS),
        ((False, 0, False), Misbehaviour.UNHEALTHY),
    ],
)
def test_a_table_that_misbehaves_is_given_up_and_the_good_one_flies_next(
    frame: tuple[bool, int, bool], why: Misbehaviour
) -> None:
    swap = flown()
    assert swap.ended(0, *frame) is Outcome.GIVEN_UP
    assert swap.misbehaviour is why
    assert swap.boundary(1, False, True) is Move.RETURN
    assert (swap.active, swap.good) == ("old", "old")
    assert swap.ended(1, True, 99, False) is Outcome.NOTHING, "there is nothing to return to"


def test_a_table_that_began_in_ill_health_may_be_the_cure() -> None:
    swap = flown(healthy=False)
    assert [swap.ended(frame, False, 0, healthy) for frame, healthy in enumerate((False, False, True))] == [
        Outcome.NOTHING
    ] * 3
    assert swap.ended(3, False, 0, False) is Outcome.GIVEN_UP


def test_by_command_a_table_on_probation_is_given_up_and_a_staged_one_is_forgotten() -> None:
    swap = flown()
    assert swap.give_up()
    assert not swap.give_up()
    assert swap.boundary(1, True, True) is Move.RETURN
    assert not swap.give_up()
    assert not swap.unstage()
    swap.stage("new")
    assert swap.unstage()
    assert swap.boundary(10, True, True) is Move.STAY


class Tables(RuleBasedStateMachine):
    """Frames, in any health, with tables staged, forgotten and given up at any time."""

    @initialize(frames=st.integers(1, 6), overruns=st.integers(1, 4))
    def begin(self, frames: int, overruns: int) -> None:
        self.swap = TableSwap("0", Probation(frames, overruns))
        self.frames, self.overruns = frames, overruns
        self.frame = 0
        self.staged_ever = {"0"}
        self.good_ever = ["0"]
        self.seen: list[tuple[bool, int, bool]] = []  # frames under the present table
        self.healthy_before = True

    @rule(table=st.sampled_from("0123"))
    def stage(self, table: str) -> None:
        refused = self.swap.may_stage(table)
        assert (refused is Refusal.SAME) == (table == self.swap.active and not self.swap.on_probation)
        if refused is None:
            self.swap.stage(table)
            self.staged_ever.add(table)
        else:
            with pytest.raises(ValueError, match="staged"):
                self.swap.stage(table)

    @rule()
    def unstage(self) -> None:
        stood_by = self.swap.staged != ""
        assert self.swap.unstage() == stood_by
        assert self.swap.staged == ""

    @rule()
    def give_up(self) -> None:
        could = self.swap.on_probation and self.swap.misbehaviour is None
        assert self.swap.give_up() == could

    @rule(
        skipped=st.integers(0, 3),
        missed=st.sampled_from([False] * 5 + [True]),
        overran=st.sampled_from([0, 0, 0, 0, 1, 2]),
        healthy=st.sampled_from([True] * 5 + [False]),
        major=st.booleans(),
    )
    def frame_passes(self, skipped: int, missed: bool, overran: int, healthy: bool, major: bool) -> None:
        swap, before = self.swap, self.swap.active
        given_up, staged = swap.misbehaviour is not None, swap.staged
        self.frame += 1 + skipped
        move = swap.boundary(self.frame, major, self.healthy_before)
        assert move is (Move.RETURN if given_up else Move.ACTIVATE if major and staged else Move.STAY)
        assert swap.active == {Move.RETURN: self.good_ever[-1], Move.ACTIVATE: staged, Move.STAY: before}[move]
        if move is not Move.STAY:
            self.since, self.seen, self.began_healthy = self.frame, [], self.healthy_before
        was_on_probation = swap.on_probation
        outcome = swap.ended(self.frame, missed, overran, healthy)
        self.healthy_before = healthy
        self.seen.append((missed, overran, healthy))
        if not was_on_probation:
            assert outcome is Outcome.NOTHING
            return
        had_health = self.began_healthy or any(each[2] for each in self.seen[:-1])
        bad = missed or sum(each[1] for each in self.seen) >= self.overruns or (had_health and not healthy)
        passed = self.frame + 1 >= self.since + self.frames
        assert outcome is (Outcome.GIVEN_UP if bad else Outcome.KEPT if passed else Outcome.NOTHING)
        if outcome is Outcome.KEPT:
            self.good_ever.append(swap.active)

    @invariant()
    def there_is_a_good_table_and_only_staged_ones_fly(self) -> None:
        if not hasattr(self, "swap"):
            return
        assert self.swap.good == self.good_ever[-1]
        assert self.swap.active in self.staged_ever
        assert self.swap.on_probation or self.swap.misbehaviour is None
        assert not (self.swap.on_probation and self.swap.staged)


Tables.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestTables = Tables.TestCase

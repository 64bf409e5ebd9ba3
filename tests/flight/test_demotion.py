"""Repeat offenders by a rule, against a plain list of the runs that counts them anew each time."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flight.executive.demotion import DemotionInvalid, DemotionRule, Offender, Step, Verdict
from flight.executive.schedule import Criticality


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"overruns": 0}, "0 overruns"),
        ({"overruns": 5, "window_runs": 4}, "5 overruns of 4 runs"),
        ({"window_runs": 65}, "65 runs"),
        ({"clean_runs": 0}, "0 clean runs"),
        ({"ignored_runs": -1}, "-1 ignored"),
        ({"ladder": ()}, "a step"),
        ({"ladder": (Step.DISABLE, Step.LOWER)}, "none after"),
        ({"ladder": (Step.DISABLE, Step.DISABLE)}, "none after"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(wrong: dict[str, object], match: str) -> None:
    with pytest.raises(DemotionInvalid, match=match):
        DemotionRule(**wrong)  # type: ignore[arg-type]


def test_down_the_ladder_and_up_again() -> None:
    offender = Offender(DemotionRule(overruns=2, window_runs=4, clean_runs=3, ignored_runs=1), Criticality.HIGH, 5)
    verdicts = [offender.ended(over) for over in (True, True, False, True)]
    assert verdicts == [Verdict.NOTHING, Verdict.NOTHING, Verdict.NOTHING, Verdict.DEMOTE], "the first is ignored"
    assert offender.standing().criticality is Criticality.NORMAL
    assert [offender.ended(True) for _ in range(2)] == [Verdict.NOTHING, Verdict.DEMOTE]
    assert (offender.standing().period, offender.standing().enabled) == (10, True)
    assert [offender.ended(False) for _ in range(4)] == [Verdict.NOTHING] * 2 + [Verdict.RESTORE, Verdict.NOTHING]
    assert offender.standing().period == 5


def test_what_has_the_lowest_criticality_goes_straight_to_half_the_rate() -> None:
    rule_ = DemotionRule()
    assert rule_.steps_for(Criticality.LOW) == (Step.HALVE, Step.DISABLE)
    twice = DemotionRule(ladder=(Step.LOWER, Step.LOWER, Step.HALVE, Step.HALVE))
    assert twice.steps_for(Criticality.NORMAL) == (Step.LOWER, Step.HALVE, Step.HALVE)
    assert rule_.steps_for(Criticality.CRITICAL) == ()


def test_what_is_disabled_comes_back_by_command_alone() -> None:
    offender = Offender(
        DemotionRule(overruns=1, window_runs=1, clean_runs=1, ignored_runs=0, ladder=(Step.DISABLE,)),
        Criticality.LOW,
        1,
    )
    assert not offender.restore()
    assert offender.ended(True) is Verdict.DEMOTE
    assert not offender.standing().enabled
    assert offender.restore()
    assert offender.standing().enabled


class Runs(RuleBasedStateMachine):
    """A model with every run since the last verdict in a list."""

    @initialize(
        overruns=st.integers(1, 4),
        extra=st.integers(0, 5),
        clean=st.integers(1, 6),
        ignored=st.integers(0, 3),
        criticality=st.sampled_from(Criticality),
        ladder=st.lists(st.sampled_from([Step.LOWER, Step.HALVE]), min_size=1, max_size=4),
        disable=st.booleans(),
    )
    def begin(
        self,
        overruns: int,
        extra: int,
        clean: int,
        ignored: int,
        criticality: Criticality,
        ladder: list[Step],
        disable: bool,
    ) -> None:
        steps = (*ladder, Step.DISABLE) if disable else tuple(ladder)
        self.rule = DemotionRule(overruns, overruns + extra, clean, ignored, steps)
        self.criticality = criticality
        self.offender = Offender(self.rule, criticality, 3)
        self.ignored = ignored
        self.window: list[bool] = []  # since the last verdict or command
        self.clean = 0
        self.level = 0

    @precondition(lambda self: self.offender.standing().enabled)
    @rule(over=st.booleans())
    def run(self, over: bool) -> None:
        verdict = self.offender.ended(over)
        if self.ignored:
            self.ignored -= 1
            assert verdict is Verdict.NOTHING
            return
        self.window.append(over)
        self.clean = 0 if over else self.clean + (self.level > 0)
        expected = Verdict.NOTHING
        if over and sum(self.window[-self.rule.window_runs :]) >= self.rule.overruns:
            self.window = []
            if self.criticality is Criticality.CRITICAL:
                expected = Verdict.SAFE
            elif self.level < len(self.offender.steps):
                expected, self.level = Verdict.DEMOTE, self.level + 1
        elif self.level and self.clean == self.rule.clean_runs:
            expected, self.level, self.clean = Verdict.RESTORE, self.level - 1, 0
        assert verdict is expected

    @rule()
    def command(self) -> None:
        assert self.offender.restore() == (self.level > 0)
        self.level, self.window, self.clean = 0, [], 0

    @invariant()
    def standing_is_that_of_the_steps_taken(self) -> None:
        if not hasattr(self, "offender"):
            return
        standing = self.offender.standing()
        assert self.offender.level == self.level
        assert standing.period in (3, 6, 12, 24, 48)
        assert Criticality.LOW <= standing.criticality <= self.criticality
        if self.level == 0:
            assert (standing.period, standing.criticality, standing.enabled) == (3, self.criticality, True)
        if self.criticality is Criticality.CRITICAL:
            assert self.level == 0, "what is critical is never demoted"


Runs.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestRuns = Runs.TestCase

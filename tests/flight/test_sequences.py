"""Stored sequences: when a step is due, what a failure does, and that a restart never does a step twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flight.services.packed_state import StateReason, StateRefused
from flight.services.sequence_format import (
    ABSOLUTE_A,
    ABSOLUTE_B,
    LoadReason,
    LoadRefused,
    Sequence,
    SequenceStep,
    StepFlag,
)
from flight.services.sequence_state import FrameWentBack, Happening, RunReason, SequenceRefused
from flight.services.sequences import MAX_DISPATCHES, Sequences
from tests.flight.onboard_cases import COMMANDS, POINT, STARTS, absolute, note, relative, step

POINTED = COMMANDS.command(POINT.opcode, roll=1.5)


def service(*sequences: Sequence) -> Sequences:
    """With these sequences loaded and enabled."""
    made = Sequences(COMMANDS, STARTS)
    for sequence in sequences:
        made.load(sequence.pack())
        made.enable(sequence.number)
    return made


def restarted(before: Sequences, frame: int, *sequences: Sequence) -> Sequences:
    """A new boot: the sequences loaded again, the state as it was last made durable."""
    made = Sequences(COMMANDS, STARTS)
    for sequence in sequences:
        made.load(sequence.pack())
    made.restore(before.pack_state(), frame)
    return made


def happenings(of: Sequences) -> list[tuple[Happening, int]]:
    return [(report.happening, report.step) for report in of.reports]


# --- what is refused


@pytest.mark.parametrize("number", [0, 65, 200, 203, -1])
def test_a_number_that_no_sequence_can_have_is_refused(number: int) -> None:
    with pytest.raises(SequenceRefused) as caught:
        service().start(number, 0)
    assert caught.value.reason is RunReason.NUMBER


def test_a_sequence_that_is_not_there_not_enabled_or_running_already_is_not_started() -> None:
    made = service(relative(1, step(9)))
    made.load(relative(2, step(0)).pack())
    made.start(1, 0)
    for number, reason in ((3, RunReason.NOT_LOADED), (2, RunReason.DISABLED), (1, RunReason.RUNNING)):
        with pytest.raises(SequenceRefused) as caught:
            made.start(number, 0)
        assert caught.value.reason is reason
    with pytest.raises(SequenceRefused) as caught:
        made.stop(2)
    assert caught.value.reason is RunReason.NOT_RUNNING


def test_a_load_over_a_running_sequence_is_refused_and_what_runs_goes_on() -> None:
    made = service(relative(1, step(5)))
    made.start(1, 0)
    with pytest.raises(LoadRefused) as caught:
        made.load(relative(1, step(0), step(0)).pack())
    assert caught.value.reason is LoadReason.RUNNING
    assert len(made.due(5)) == 1


def test_a_refused_load_leaves_the_sequence_that_was_there() -> None:
    made = service(relative(1, step(0)))
    with pytest.raises(LoadRefused):
        made.load(relative(1, step(0)).pack()[:-1] + b"\0")
    made.start(1, 0)
    assert len(made.due(0)) == 1


def test_a_load_disables_until_it_is_enabled_again() -> None:
    made = service(relative(1, step(0)))
    made.load(relative(1, step(1)).pack())
    with pytest.raises(SequenceRefused):
        made.start(1, 0)


def test_a_frame_count_that_goes_back_is_refused() -> None:
    made = service(relative(1, step(0)))
    made.due(10)
    for call in (lambda: made.due(9), lambda: made.start(1, 9), lambda: made.completed(1, True, 9)):
        with pytest.raises(FrameWentBack):
            call()
    assert not made.is_running(1)


# --- relative


def test_relative_time_runs_from_the_completion_of_the_step_before() -> None:
    made = service(relative(1, step(2), step(10)))
    made.start(1, 100)
    assert made.due(101) == []
    (first,) = made.due(102)
    assert made.due(120) == [], "the second waits for the outcome of the first"
    assert made.completed(first.token, True, 130)
    assert made.due(139) == []
    assert [each.step for each in made.due(140)] == [1]


def test_a_failure_stops_the_sequence_unless_the_step_says_continue() -> None:
    stops, goes_on = relative(1, step(0), step(0)), relative(2, step(0, flags=StepFlag.CONTINUE), step(0))
    made = service(stops, goes_on)
    made.start(1, 0)
    made.start(2, 0)
    for dispatch in made.due(0):
        made.completed(dispatch.token, False, 0)
    assert not made.is_running(1)
    assert [(each.number, each.step) for each in made.due(1)] == [(2, 1)]
    assert made.counters.stopped_by_failure == 1


def test_a_step_that_never_completes_fails_after_its_timeout() -> None:
    made = service(relative(1, step(0, timeout=20), step(0)))
    made.start(1, 0)
    (dispatch,) = made.due(0)
    assert made.due(20) == [] and made.is_running(1)
    assert made.due(21) == [] and not made.is_running(1)
    assert happenings(made) == [(Happening.STEP_TIMED_OUT, 0), (Happening.STOPPED_BY_FAILURE, 0)]
    assert not made.completed(dispatch.token, True, 22), "an outcome that comes too late is counted, not believed"
    assert made.counters.unknown_completions == 1


def test_the_outcome_of_a_run_that_was_stopped_does_not_count_for_the_next() -> None:
    made = service(relative(1, step(0), step(0)))
    made.start(1, 0)
    (old,) = made.due(0)
    made.stop(1)
    made.start(1, 1)
    (new,) = made.due(1)
    assert not made.completed(old.token, True, 2)
    assert made.completed(new.token, True, 2)


def test_no_frame_gets_more_than_the_bound_and_the_lower_number_goes_first() -> None:
    made = service(*(relative(number, step(0)) for number in range(1, 13)))
    for number in reversed(range(1, 13)):
        made.start(number, 0)
    assert [each.number for each in made.due(0)] == list(range(1, MAX_DISPATCHES + 1))
    assert [each.number for each in made.due(1)] == list(range(MAX_DISPATCHES + 1, 13))


def test_a_chain_of_starts_ends() -> None:
    made = service(*(relative(number, step(99)) for number in range(1, 8)))
    made.start(1, 0)
    for number in range(2, 6):
        made.start(number, 0, by=number - 1)
    with pytest.raises(SequenceRefused) as caught:
        made.start(6, 0, by=5)
    assert caught.value.reason is RunReason.TOO_DEEP


# --- absolute


def test_absolute_steps_whose_time_has_passed_are_skipped_and_counted() -> None:
    made = service(absolute(ABSOLUTE_A, step(10), step(20), step(30)))
    made.start(ABSOLUTE_A, 20)
    (dispatch,) = made.due(20)
    assert dispatch.step == 1
    assert made.counters.skipped == 1 and happenings(made) == [(Happening.STEP_SKIPPED, 0)]


def test_a_step_whose_frame_was_lost_is_done_late_not_skipped() -> None:
    made = service(absolute(ABSOLUTE_A, step(10)))
    made.start(ABSOLUTE_A, 5)
    made.due(9)
    assert [each.step for each in made.due(14)] == [0]


def test_an_absolute_sequence_that_is_all_past_is_not_started() -> None:
    made = service(absolute(ABSOLUTE_A, step(10)))
    with pytest.raises(SequenceRefused) as caught:
        made.start(ABSOLUTE_A, 11)
    assert caught.value.reason is RunReason.ALL_PAST


def test_the_idle_buffer_is_loaded_and_switched_to_while_the_other_runs() -> None:
    made = service(absolute(ABSOLUTE_A, step(10), step(50)))
    made.start(ABSOLUTE_A, 0)
    made.load(absolute(ABSOLUTE_B, step(5), step(40)).pack())
    with pytest.raises(SequenceRefused) as caught:
        made.switch(20)
    assert caught.value.reason is RunReason.DISABLED and made.running_absolute == ABSOLUTE_A
    made.enable(ABSOLUTE_B)
    with pytest.raises(SequenceRefused) as caught:
        made.start(ABSOLUTE_B, 20)
    assert caught.value.reason is RunReason.OTHER_BUFFER_RUNNING
    assert made.switch(20) == ABSOLUTE_B == made.running_absolute
    assert made.due(39) == [] and [each.number for each in made.due(60)] == [ABSOLUTE_B]


def test_there_is_nothing_to_switch_when_none_runs() -> None:
    with pytest.raises(SequenceRefused) as caught:
        service(absolute(ABSOLUTE_A, step(10))).switch(0)
    assert caught.value.reason is RunReason.NOTHING_TO_SWITCH


# --- restarts


def test_a_step_that_was_out_is_not_done_again_after_a_restart() -> None:
    sequence = relative(1, step(0, flags=StepFlag.CONTINUE), step(10))
    before = service(sequence)
    before.start(1, 100)
    before.due(100)
    after = restarted(before, 200, sequence)
    assert happenings(after) == [(Happening.STEP_LOST, 0)]
    assert after.due(209) == [] and [each.step for each in after.due(210)] == [1]


def test_a_lost_outcome_is_a_failure_and_stops_a_sequence_that_does_not_continue() -> None:
    sequence = relative(1, step(0), step(0))
    before = service(sequence)
    before.start(1, 100)
    before.due(100)
    after = restarted(before, 101, sequence)
    assert not after.is_running(1) and after.due(101) == []


def test_a_repeatable_step_is_dispatched_once_more() -> None:
    sequence = relative(1, step(500, POINTED, flags=StepFlag.REPEATABLE), step(0))
    before = service(sequence)
    before.start(1, 0)
    (first,) = before.due(500)
    after = restarted(before, 501, sequence)
    (again,) = after.due(501)
    assert again.step == 0 and again.token != first.token
    assert after.due(502) == []


def test_absolute_steps_that_fell_due_while_the_computer_was_down_are_skipped() -> None:
    sequence = absolute(ABSOLUTE_A, step(10), step(20), step(30))
    before = service(sequence)
    before.start(ABSOLUTE_A, 0)
    after = restarted(before, 25, sequence)
    assert after.due(29) == [] and [each.step for each in after.due(30)] == [2]
    assert after.counters.skipped == 2


def test_a_state_about_other_octets_leaves_the_sequence_stopped_and_disabled() -> None:
    before = service(relative(1, step(0)))
    before.start(1, 0)
    after = restarted(before, 1, relative(1, step(1)))
    assert not after.is_running(1) and happenings(after) == [(Happening.STATE_OF_ANOTHER, 0)]
    with pytest.raises(SequenceRefused):
        after.start(1, 1)


def test_a_state_of_a_later_frame_is_refused() -> None:
    before = service(relative(1, step(0)))
    before.due(1000)
    with pytest.raises(StateRefused) as caught:
        service().restore(before.pack_state(), 999)
    assert caught.value.reason is StateReason.FRAME_WENT_BACK


@given(
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.lists(st.tuples(st.sampled_from(["done", "failed", "silent"]), st.booleans()), min_size=20, max_size=20),
)
def test_no_step_is_dispatched_twice_wherever_the_power_fails(again: list[bool], fate: list[tuple[str, bool]]) -> None:
    """The state is durable as it was before the dispatch: what was completed since is forgotten by a power failure."""
    steps = [
        step(1, POINTED if each else note(), flags=StepFlag.CONTINUE | each * StepFlag.REPEATABLE) for each in again
    ]
    sequence = relative(1, *steps)
    made = service(sequence)
    made.start(1, 0)
    times = [0] * len(steps)
    durable = made.pack_state()
    for frame, (outcome, power_fails) in enumerate(fate):
        dispatches = made.due(frame)
        if dispatches:
            durable = made.pack_state()
        for dispatch in dispatches:
            times[dispatch.step] += 1
            if outcome != "silent":
                made.completed(dispatch.token, outcome == "done", frame)
        if power_fails:
            made = Sequences(COMMANDS, STARTS)
            made.load(sequence.pack())
            made.restore(durable, frame)
    assert [count for count, each in zip(times, again, strict=True) if not each and count > 1] == []


# --- against a plain model, through restarts


class Plain:
    """One relative run as a list: the plainest thing that can be right."""

    def __init__(self, sequence: Sequence, frame: int) -> None:
        self.steps = list(enumerate(sequence.steps))
        self.wait_from = frame
        self.out: tuple[int, SequenceStep, int] | None = None  # (index, step, dispatched frame)
        self.at_once = False

    def failed(self, frame: int) -> None:
        assert self.out is not None
        keep = self.out[1].flags & StepFlag.CONTINUE
        self.out, self.wait_from = None, frame
        if not keep:
            self.steps = []

    @property
    def over(self) -> bool:
        return self.out is None and not self.steps


STEPS = st.builds(
    lambda frames, timeout, keep, again: step(
        frames,
        POINTED if again else note(frames),
        timeout=timeout,
        flags=keep * StepFlag.CONTINUE | again * StepFlag.REPEATABLE,
    ),
    st.integers(0, 6),
    st.integers(1, 8),
    st.booleans(),
    st.booleans(),
)


class SequencesAgainstAModel(RuleBasedStateMachine):
    """Three relative sequences; frames pass, outcomes come or do not, the computer restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.made = Sequences(COMMANDS, STARTS)
        self.held: dict[int, Sequence] = {}
        self.enabled: dict[int, bool] = {}
        self.runs: dict[int, Plain] = {}
        self.tokens: dict[int, int] = {}  # token -> number
        self.all_tokens: set[int] = set()
        self.frame = 0

    def teardown(self) -> None:
        assert not self.made.counters.unknown_completions

    @rule(number=st.integers(1, 3), steps=st.lists(STEPS, min_size=1, max_size=4))
    def load(self, number: int, steps: list[SequenceStep]) -> None:
        sequence = relative(number, *steps)
        try:
            self.made.load(sequence.pack())
        except LoadRefused:
            assert number in self.runs
            return
        assert number not in self.runs
        self.held[number], self.enabled[number] = sequence, False

    @rule(number=st.integers(1, 3), allowed=st.booleans())
    def allow(self, number: int, allowed: bool) -> None:
        try:
            (self.made.enable if allowed else self.made.disable)(number)
        except SequenceRefused as refused:
            assert refused.reason is RunReason.NOT_LOADED and number not in self.held
            return
        self.enabled[number] = allowed

    @rule(number=st.integers(1, 3))
    def start(self, number: int) -> None:
        can = self.enabled.get(number, False) and number not in self.runs
        try:
            self.made.start(number, self.frame)
        except SequenceRefused:
            assert not can
            return
        assert can
        self.runs[number] = Plain(self.held[number], self.frame)

    @rule(number=st.integers(1, 3))
    def stop(self, number: int) -> None:
        try:
            self.made.stop(number)
        except SequenceRefused:
            assert number not in self.runs
            return
        del self.runs[number]
        self.tokens = {token: owner for token, owner in self.tokens.items() if owner != number}

    @rule(frames=st.integers(0, 5))
    def pass_frames(self, frames: int) -> None:
        self.frame += frames
        expected = []
        for number, run in sorted(self.runs.items()):
            if run.out and self.frame - run.out[2] > run.out[1].timeout_frames:
                run.failed(self.frame)
                self.tokens = {token: owner for token, owner in self.tokens.items() if owner != number}
            if run.out is None and run.steps:
                index, first = run.steps[0]
                if run.at_once or self.frame >= run.wait_from + first.frames:
                    run.steps.pop(0)
                    run.out, run.at_once = (index, first, self.frame), False
                    expected.append((number, index, first.command))
        self.forget_what_is_over()
        got = self.made.due(self.frame)
        assert [(each.number, each.step, each.command) for each in got] == expected
        for each in got:
            assert each.token not in self.all_tokens
            self.all_tokens.add(each.token)
            self.tokens[each.token] = each.number

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), ok=st.booleans())
    def complete(self, data: st.DataObject, ok: bool) -> None:
        token = data.draw(st.sampled_from(sorted(self.tokens)))
        run = self.runs[self.tokens.pop(token)]
        assert self.made.completed(token, ok, self.frame)
        if ok:
            run.out, run.wait_from = None, self.frame
        else:
            run.failed(self.frame)
        self.forget_what_is_over()

    @rule(down=st.integers(0, 9))
    def restart(self, down: int) -> None:
        octets = self.made.pack_state()
        self.frame += down
        self.made = Sequences(COMMANDS, STARTS)
        for sequence in self.held.values():
            self.made.load(sequence.pack())
        self.made.restore(octets, self.frame)
        for run in self.runs.values():
            if run.out and run.out[1].flags & StepFlag.REPEATABLE:
                run.steps.insert(0, run.out[:2])
                run.out, run.at_once = None, True
            elif run.out:
                run.failed(self.frame)
        self.tokens.clear()
        self.forget_what_is_over()

    def forget_what_is_over(self) -> None:
        self.runs = {number: run for number, run in self.runs.items() if not run.over}

    @invariant()
    def the_same_ones_run(self) -> None:
        assert [number for number in (1, 2, 3) if self.made.is_running(number)] == sorted(self.runs)


SequencesAgainstAModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSequencesAgainstAModel = SequencesAgainstAModel.TestCase

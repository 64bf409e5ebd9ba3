"""Limit checks: what is no table is refused; a NaN never passes; a response fires once; a plain model agrees."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flight.services.declare import Component, Field
from flight.services.limit_expression import (
    ExpressionInvalid,
    ExpressionReason,
    Operator,
    Truth,
    check_expression,
    evaluate,
)
from flight.services.limit_format import (
    Action,
    ActionState,
    Comparison,
    LimitRefused,
    LimitTable,
    TableReason,
    Watchpoint,
    unpack_table,
)
from flight.services.limits import MAX_FIRINGS, Firing, Limits, Verdict
from flight.services.packed_state import StateReason, StateRefused, seal_state
from flight.services.sequence_state import FrameWentBack
from tests.flight.onboard_cases import resealed

BATTERY = Component("battery", 90, telemetry=(Field("volt", "f32", "V"), Field("cycles", "u64")))
COMPONENTS = {BATTERY.number: BATTERY}
LOW = Watchpoint(90, 0, Comparison.LESS, 6.5, stale_frames=100)
OLD = Watchpoint(90, 1, Comparison.GREATER_EQUAL, 5000.0, stale_frames=100)
NAN = math.nan
AND, OR, XOR, NOT = Operator.AND, Operator.OR, Operator.XOR, Operator.NOT


def limits(*watchpoints: Watchpoint, actions: tuple[Action, ...] = (Action(3, (0,)),)) -> Limits:
    made = Limits(COMPONENTS)
    made.load(LimitTable(watchpoints or (LOW,), actions).pack())
    return made


def refusal(table: LimitTable) -> tuple[TableReason, int]:
    with pytest.raises(LimitRefused) as caught:
        unpack_table(table.pack(), COMPONENTS)
    return caught.value.reason, caught.value.record


# --- what is refused


@pytest.mark.parametrize(
    ("watchpoint", "reason"),
    [
        (replace(LOW, component=91), TableReason.FIELD),
        (replace(LOW, field=2), TableReason.FIELD),
        (replace(OLD, comparison=Comparison.NOT_A_NUMBER), TableReason.COMPARISON),
        (replace(LOW, needed=0), TableReason.WINDOW),
        (replace(LOW, needed=3, window=2), TableReason.WINDOW),
        (replace(LOW, window=33), TableReason.WINDOW),
        (replace(LOW, threshold=NAN), TableReason.THRESHOLD),
        (replace(LOW, threshold=math.inf), TableReason.THRESHOLD),
        (replace(LOW, stale_frames=0), TableReason.STALE_FRAMES),
    ],
)
def test_a_watchpoint_that_cannot_be_is_refused_with_its_number(watchpoint: Watchpoint, reason: TableReason) -> None:
    assert refusal(LimitTable((LOW, watchpoint))) == (reason, 1)


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (Action(0, (0,)), TableReason.SEQUENCE),
        (Action(201, (0,)), TableReason.SEQUENCE),
        (Action(1, ()), TableReason.EXPRESSION),
        (Action(1, (1,)), TableReason.EXPRESSION),
        (Action(1, (0,) * 21), TableReason.EXPRESSION),
    ],
)
def test_an_action_that_cannot_be_is_refused_with_its_number(action: Action, reason: TableReason) -> None:
    assert refusal(LimitTable((LOW,), (Action(1, (0,)), action))) == (reason, 1)


@pytest.mark.parametrize(
    ("tokens", "reason", "at"),
    [
        ((), ExpressionReason.EMPTY, 0),
        ((0,) * 21, ExpressionReason.TOO_LONG, 21),
        ((0, 2, AND), ExpressionReason.NO_SUCH_TOKEN, 1),
        ((0, 0xFFF4), ExpressionReason.NO_SUCH_TOKEN, 1),
        ((-1,), ExpressionReason.NO_SUCH_TOKEN, 0),
        ((NOT,), ExpressionReason.OPERAND_MISSING, 0),
        ((0, XOR, 1), ExpressionReason.OPERAND_MISSING, 1),
        ((0, 1), ExpressionReason.OPERATOR_MISSING, 2),
    ],
)
def test_tokens_that_are_no_expression_are_refused_with_their_number(
    tokens: tuple[int, ...], reason: ExpressionReason, at: int
) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        check_expression(tokens, 2)
    assert (caught.value.reason, caught.value.token) == (reason, at)


def test_a_state_or_a_comparison_that_there_is_not_is_refused() -> None:
    body = bytearray(LimitTable((LOW,), (Action(1, (0,)),)).pack())
    for at, reason in ((5 + 2 + 2, TableReason.COMPARISON), (5 + 2 + 17 + 1, TableReason.STATE)):
        broken = bytearray(body)
        broken[at] = 99
        with pytest.raises(LimitRefused) as caught:
            unpack_table(resealed(bytes(broken)), COMPONENTS)
        assert caught.value.reason is reason


def test_a_refused_table_leaves_the_old_one_in_force() -> None:
    made = limits()
    with pytest.raises(LimitRefused):
        made.load(LimitTable((replace(LOW, threshold=NAN),)).pack())
    made.sample(90, (6.0, 0), 1)
    assert made.evaluate(1) == [Firing(0, 3, dry=False)]


@pytest.mark.parametrize(("component", "values"), [(91, (1.0, 2)), (90, (1.0,)), (90, (1.0, 2, 3))])
def test_a_sample_that_nobody_declared_is_refused(component: int, values: tuple[float, ...]) -> None:
    with pytest.raises(LimitRefused) as caught:
        limits().sample(component, values, 1)
    assert caught.value.reason is TableReason.SAMPLE


def test_a_frame_count_that_goes_back_is_refused_by_limits() -> None:
    made = limits()
    made.evaluate(10)
    with pytest.raises(FrameWentBack):
        made.evaluate(9)
    with pytest.raises(FrameWentBack):
        made.sample(90, (6.0, 0), 9)


def test_an_action_that_is_not_there_cannot_be_armed() -> None:
    for number in (-1, 1):
        with pytest.raises(LimitRefused):
            limits().set_state(number, ActionState.ACTIVE)


# --- octets

TABLE = LimitTable((replace(LOW, needed=2, window=3), OLD), (Action(3, (0, 1, NOT, OR), ActionState.DRY),))
GOLDEN = bytes.fromhex(
    "53574c4d 01 02 01"  # SWLM, format 1, two watchpoints, one action
    "5a 00 01 02 03 401a000000000000 00000064"
    "5a 01 04 01 01 40b3880000000000 00000064"
    "03 03 04 0000 0001 fff3 fff1"
    "5be7505b"
)
GOLDEN_STATE = bytes.fromhex(
    "53574c53 01 7d32180d 01 01"
    "00000002 00000001 00000001 00000000 00000000"  # two samples, one low, one crossing
    "02 01 00000001 00000000 00000000"  # passive, true, fired once
    "38cfa2ea"
)


def test_a_golden_table_is_written_and_read_to_the_octet() -> None:
    assert TABLE.pack() == GOLDEN
    assert unpack_table(GOLDEN, COMPONENTS) == TABLE


def test_a_golden_limit_state_is_written_to_the_octet_and_believed() -> None:
    made = limits()
    made.sample(90, (7.0, 0), 1)
    made.sample(90, (6.0, 0), 2)
    made.evaluate(2)
    assert made.pack_state() == GOLDEN_STATE
    after = limits()
    after.restore(GOLDEN_STATE)
    assert after.pack_state() == GOLDEN_STATE


@given(st.binary(max_size=120))
def test_any_octets_are_a_table_or_a_typed_refusal(octets: bytes) -> None:
    for candidate in (octets, seal_state(b"SWLM", 1, octets)):
        try:
            table = unpack_table(candidate, COMPONENTS)
        except (StateRefused, LimitRefused):
            continue
        assert table.pack() == candidate


@given(st.binary(min_size=20, max_size=20), st.binary(min_size=14, max_size=14))
def test_any_octets_are_a_limit_state_or_a_typed_refusal(counts: bytes, action: bytes) -> None:
    made = limits()
    candidate = seal_state(b"SWLS", 1, GOLDEN_STATE[5:11] + counts + action)
    before = made.pack_state()
    try:
        made.restore(candidate)
    except StateRefused:
        assert made.pack_state() == before
    else:
        assert made.pack_state() == candidate


@given(st.sampled_from([GOLDEN, GOLDEN_STATE]), st.data())
def test_limit_octets_with_any_octet_changed_are_refused(golden: bytes, data: st.DataObject) -> None:
    changed = bytearray(golden)
    changed[data.draw(st.integers(0, len(golden) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StateRefused):
        limits().restore(bytes(changed)) if golden is GOLDEN_STATE else unpack_table(bytes(changed), COMPONENTS)


def test_a_state_about_another_table_is_refused() -> None:
    with pytest.raises(StateRefused) as caught:
        limits(replace(LOW, threshold=6.6)).restore(limits().pack_state())
    assert caught.value.reason is StateReason.CONTENT


# --- expressions


def plain(tokens: tuple[int, ...], truths: tuple[bool, ...]) -> bool:
    stack: list[bool] = []
    for token in tokens:
        if token < AND:
            stack.append(truths[token])
        elif token == NOT:
            stack.append(not stack.pop())
        else:
            right, left = stack.pop(), stack.pop()
            stack.append({AND: left and right, OR: left or right, XOR: left != right}[Operator(token)])
    return stack[0]


EXPRESSIONS = st.recursive(
    st.integers(0, 2).map(lambda number: (number,)),
    lambda inner: st.one_of(
        inner.map(lambda each: (*each, NOT)),
        st.tuples(inner, inner, st.sampled_from([AND, OR, XOR])).map(lambda each: (*each[0], *each[1], each[2])),
    ),
    max_leaves=6,
).filter(lambda tokens: len(tokens) <= 20)


@given(EXPRESSIONS, st.tuples(*[st.sampled_from(Truth)] * 3))
def test_an_unknown_value_decides_nothing_that_its_being_true_or_false_could_change(
    tokens: tuple[int, ...], truths: tuple[Truth, ...]
) -> None:
    check_expression(tokens, 3)
    options = [(False, True) if each is Truth.UNKNOWN else (bool(each),) for each in truths]
    possible = {plain(tokens, world) for world in itertools.product(*options)}
    found = evaluate(tokens, truths)
    assert found is Truth.UNKNOWN or possible == {bool(found)}
    if Truth.UNKNOWN not in truths:
        assert bool(found) == plain(tokens, tuple(bool(each) for each in truths))


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        ((0, 1, AND), "FFF FTU FUU"),
        ((0, 1, OR), "FTU TTT UTU"),
        ((0, 1, XOR), "FTU TFU UUU"),
    ],
)
def test_the_truth_tables_are_those_of_kleene(tokens: tuple[int, ...], found: str) -> None:
    rows = [
        "".join(evaluate(tokens, (left, right)).name[0] for right in (Truth.FALSE, Truth.TRUE, Truth.UNKNOWN))
        for left in (Truth.FALSE, Truth.TRUE, Truth.UNKNOWN)
    ]
    assert " ".join(rows) == found


# --- watchpoints


def test_never_seen_stale_and_not_a_number_are_neither_true_nor_false() -> None:
    made = limits(LOW, actions=(Action(1, (0,)), Action(2, (0, NOT))))
    assert made.verdict(0) is Verdict.NEVER_SEEN and made.evaluate(1) == []
    made.sample(90, (NAN, 0), 1)
    assert made.evaluate(1) == [] and made.verdict(0) is Verdict.NOT_A_NUMBER
    made.evaluate(101)
    assert made.verdict(0) is Verdict.NOT_A_NUMBER
    assert made.evaluate(102) == [] and made.verdict(0) is Verdict.STALE
    assert made.watch_counters(0).stales == 1
    made.sample(90, (7.0, 0), 103)
    assert made.evaluate(103) == [Firing(1, 2, dry=False)]


@given(st.sampled_from([each for each in Comparison if each is not Comparison.NOT_A_NUMBER]), st.floats(-9, 9))
def test_a_nan_never_passes_a_limit_whatever_is_compared(comparison: Comparison, threshold: float) -> None:
    watchpoint = replace(LOW, comparison=comparison, threshold=threshold)
    made = limits(watchpoint, actions=(Action(1, (0,)), Action(2, (0, NOT))))
    made.sample(90, (NAN, 0), 1)
    assert made.evaluate(1) == []
    assert made.watch_counters(0).not_numbers == 1


def test_a_nan_can_be_watched_for_and_breaks_no_row() -> None:
    made = limits(replace(LOW, comparison=Comparison.NOT_A_NUMBER), replace(LOW, needed=2, window=2))
    for frame, (volt, verdicts) in enumerate(
        [
            (6.0, (Verdict.FALSE, Verdict.FALSE)),
            (NAN, (Verdict.TRUE, Verdict.NOT_A_NUMBER)),
            (6.0, (Verdict.FALSE, Verdict.TRUE)),
        ]
    ):
        made.sample(90, (volt, 0), frame)
        assert (made.verdict(0), made.verdict(1)) == verdicts


def test_so_many_in_a_row_and_so_many_out_of_how_many() -> None:
    made = limits(replace(LOW, needed=3, window=3), replace(LOW, needed=2, window=4))
    found = []
    for frame, volt in enumerate([6, 6, 7, 6, 6, 6, 7, 7, 7]):
        made.sample(90, (float(volt), 0), frame)
        found.append((int(made.verdict(0)), int(made.verdict(1))))
    assert found == [(0, 0), (0, 1), (0, 1), (0, 1), (0, 1), (1, 1), (0, 1), (0, 1), (0, 0)]
    assert made.watch_counters(0).crossings == 1 and made.watch_counters(0).trues == 5


def test_a_gap_breaks_a_row() -> None:
    made = limits(replace(LOW, needed=2, window=2))
    made.sample(90, (6.0, 0), 1)
    made.sample(90, (6.0, 0), 102)
    assert made.verdict(0) is Verdict.FALSE


def test_large_whole_numbers_are_compared_exactly() -> None:
    made = limits(replace(OLD, comparison=Comparison.GREATER, threshold=2.0**63))
    made.sample(90, (0.0, 2**63), 1)
    assert made.verdict(0) is Verdict.FALSE
    made.sample(90, (0.0, 2**63 + 1), 2)
    assert made.verdict(0) is Verdict.TRUE


# --- actions


def test_a_response_fires_once_until_it_is_armed_again_also_after_a_restart() -> None:
    made = limits()
    for frame in range(5):
        made.sample(90, (6.0, 0), frame)
        assert made.evaluate(frame) == ([Firing(0, 3, dry=False)] if frame == 0 else [])
    after = limits()
    after.restore(made.pack_state())
    after.sample(90, (6.0, 0), 5)
    assert after.evaluate(5) == []
    after.set_state(0, ActionState.ACTIVE)
    assert after.evaluate(6) == [Firing(0, 3, dry=False)]
    assert after.action_counters(0).fired == 2


def test_a_dry_action_tells_and_starts_nothing_and_a_disabled_one_does_neither() -> None:
    made = limits(LOW, actions=(Action(3, (0,), ActionState.DRY), Action(4, (0,), ActionState.DISABLED)))
    for frame, volt in enumerate([6.0, 6.0, 7.0, 6.0]):
        made.sample(90, (volt, 0), frame)
        assert made.evaluate(frame) == ([Firing(0, 3, dry=True)] if frame in (0, 3) else [])
    assert made.action_counters(0).dry == 2 and made.state(0) is ActionState.DRY


def test_what_does_not_fit_a_frame_fires_in_the_next() -> None:
    made = limits(LOW, actions=tuple(Action(number, (0,)) for number in range(1, 7)))
    made.sample(90, (6.0, 0), 0)
    assert [each.sequence for each in made.evaluate(0)] == list(range(1, MAX_FIRINGS + 1))
    assert [each.sequence for each in made.evaluate(1)] == [5, 6]


# --- against a plain model

COMPARED: dict[Comparison, Callable[[float, float], bool]] = {
    Comparison.LESS: operator.lt,
    Comparison.LESS_EQUAL: operator.le,
    Comparison.GREATER: operator.gt,
    Comparison.GREATER_EQUAL: operator.ge,
    Comparison.EQUAL: operator.eq,
    Comparison.NOT_EQUAL: operator.ne,
    Comparison.NOT_A_NUMBER: lambda value, threshold: False,
}
WATCHPOINTS = st.builds(
    lambda comparison, threshold, stale, window: Watchpoint(
        90, 0, comparison, threshold, stale, needed=window[0], window=window[1]
    ),
    st.sampled_from(Comparison),
    st.sampled_from([0.0, 1.0, 2.0]),
    st.integers(1, 6),
    st.tuples(st.integers(1, 4), st.integers(1, 4)).map(lambda pair: (min(pair), max(pair))),
)


class LimitsAgainstAModel(RuleBasedStateMachine):
    """Two watchpoints and one action; the model keeps every sample and looks at all of them each time."""

    @initialize(watchpoints=st.tuples(WATCHPOINTS, WATCHPOINTS), expression=EXPRESSIONS)
    def load(self, watchpoints: tuple[Watchpoint, Watchpoint], expression: tuple[int, ...]) -> None:
        self.watchpoints = watchpoints
        self.expression = tuple(token % 2 if token < AND else token for token in expression)
        self.table = LimitTable(watchpoints, (Action(9, self.expression),))
        self.made = Limits(COMPONENTS)
        self.made.load(self.table.pack())
        self.frame, self.samples = 0, list[tuple[int, float]]()
        self.state, self.was_true = ActionState.ACTIVE, False
        self.fired = self.blocked = self.dry = 0

    def verdict(self, watchpoint: Watchpoint) -> Verdict:
        if not self.samples:
            return Verdict.NEVER_SEEN
        if self.frame - self.samples[-1][0] > watchpoint.stale_frames:
            return Verdict.STALE
        unbroken = [self.samples[-1]]
        for earlier in reversed(self.samples[:-1]):
            if unbroken[0][0] - earlier[0] > watchpoint.stale_frames:
                break
            unbroken.insert(0, earlier)
        wants_nan = watchpoint.comparison is Comparison.NOT_A_NUMBER
        if math.isnan(unbroken[-1][1]) and not wants_nan:
            return Verdict.NOT_A_NUMBER
        compared = [
            math.isnan(value) if wants_nan else COMPARED[watchpoint.comparison](value, watchpoint.threshold)
            for _, value in unbroken
            if wants_nan or not math.isnan(value)
        ]
        return Verdict(sum(compared[-watchpoint.window :]) >= watchpoint.needed)

    @rule(value=st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, math.inf, NAN]), frames=st.integers(0, 4))
    def sample(self, value: float, frames: int) -> None:
        self.frame += frames
        self.samples.append((self.frame, value))
        self.made.sample(90, (value, 0), self.frame)

    @rule(frames=st.integers(0, 4))
    def evaluate(self, frames: int) -> None:
        self.frame += frames
        verdicts = [self.verdict(watchpoint) for watchpoint in self.watchpoints]
        truth = evaluate(self.expression, [Truth(each) if each < 2 else Truth.UNKNOWN for each in verdicts])
        expected: list[Firing] = []
        if self.state is not ActionState.DISABLED and truth is not Truth.UNKNOWN:
            rises = truth is Truth.TRUE and not self.was_true
            self.was_true = truth is Truth.TRUE
            if truth is Truth.TRUE and self.state is ActionState.ACTIVE:
                expected, self.state, self.fired = [Firing(0, 9, dry=False)], ActionState.PASSIVE, self.fired + 1
            elif rises and self.state is ActionState.DRY:
                expected, self.dry = [Firing(0, 9, dry=True)], self.dry + 1
            elif rises:
                self.blocked += 1
        assert self.made.evaluate(self.frame) == expected
        assert [self.made.verdict(0), self.made.verdict(1)] == verdicts

    @rule(state=st.sampled_from(ActionState))
    def set_state(self, state: ActionState) -> None:
        self.made.set_state(0, state)
        if state is not self.state:
            self.state, self.was_true = state, False

    @rule()
    def restart(self) -> None:
        octets = self.made.pack_state()
        self.made = Limits(COMPONENTS)
        self.made.load(self.table.pack())
        self.made.restore(octets)
        self.samples.clear()

    @invariant()
    def the_same_counters(self) -> None:
        counters = self.made.action_counters(0)
        assert (counters.fired, counters.blocked, counters.dry) == (self.fired, self.blocked, self.dry)
        assert self.made.state(0) is self.state


LimitsAgainstAModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLimitsAgainstAModel = LimitsAgainstAModel.TestCase

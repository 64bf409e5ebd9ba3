"""Two-step arming: what is refused, what disarms, and that no number works twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flight.services.arming import (
    MAX_ARMED,
    MAX_ARMED_OF_ONE,
    MAX_SOURCES,
    Armed,
    Arming,
    ArmingReason,
    ArmingRefused,
    digest_of,
)
from flight.services.command_set import Command
from flight.services.packed_state import StateRefused, seal_state
from flight.services.sequence_state import FrameWentBack
from tests.flight.onboard_cases import COMMANDS, DEPLOY, NOTE, note

WINDOW = 10
FIRST, SECOND = (COMMANDS.command(DEPLOY.opcode, panel=panel) for panel in (1, 2))
GOLDEN_STATE = bytes.fromhex("53574152 01 01 00000007 02 00000100 247e076f")  # SWAR: source 1 used 7, source 2 used 256


def armed(source: int = 1, number: int = 7, frame: int = 0) -> Arming:
    made = Arming(COMMANDS, WINDOW)
    made.arm(source, number, DEPLOY.opcode, digest_of(FIRST), frame)
    return made


def reason_of(call: Callable[..., object], *arguments: object) -> ArmingReason:
    with pytest.raises(ArmingRefused) as caught:
        call(*arguments)
    return caught.value.reason


@pytest.mark.parametrize(
    ("source", "number", "opcode", "digest", "reason"),
    [
        (1, 8, 0xFFFF, digest_of(FIRST), ArmingReason.OPCODE_UNKNOWN),
        (1, 8, NOTE.opcode, digest_of(note()), ArmingReason.NOT_DANGEROUS),
        (1, 7, DEPLOY.opcode, digest_of(FIRST), ArmingReason.NUMBER_USED),
        (1, 6, DEPLOY.opcode, digest_of(FIRST), ArmingReason.NUMBER_USED),
        (1, 0, DEPLOY.opcode, digest_of(FIRST), ArmingReason.NUMBER_RANGE),
        (1, 1 << 32, DEPLOY.opcode, digest_of(FIRST), ArmingReason.NUMBER_RANGE),
        (1, 8, DEPLOY.opcode, digest_of(FIRST)[:-1], ArmingReason.DIGEST_SIZE),
        (256, 8, DEPLOY.opcode, digest_of(FIRST), ArmingReason.SOURCE_RANGE),
    ],
)
def test_what_cannot_be_armed_is_refused_and_what_was_armed_stays(
    source: int, number: int, opcode: int, digest: bytes, reason: ArmingReason
) -> None:
    made = armed()
    assert reason_of(made.arm, source, number, opcode, digest, 0) is reason
    assert made.execute(1, 7, FIRST, 1).number == 7


def test_a_command_that_nobody_armed_is_not_executed() -> None:
    assert reason_of(Arming(COMMANDS, WINDOW).execute, 1, 7, FIRST, 0) is ArmingReason.NOT_ARMED
    assert reason_of(armed(source=2).execute, 1, 7, FIRST, 0) is ArmingReason.NOT_ARMED


def test_a_wrong_number_is_refused_and_disarms_nothing() -> None:
    made = armed()
    assert reason_of(made.execute, 1, 8, FIRST, 0) is ArmingReason.WRONG_NUMBER
    assert made.execute(1, 7, FIRST, 0).opcode == DEPLOY.opcode


@pytest.mark.parametrize("changed", [SECOND, note()])
def test_changed_arguments_or_another_command_are_refused_and_disarm(changed: object) -> None:
    made = armed()
    assert reason_of(made.execute, 1, 7, changed, 0) is ArmingReason.CHANGED
    assert reason_of(made.execute, 1, 7, FIRST, 0) is ArmingReason.NOT_ARMED


def test_an_armed_command_is_executed_once() -> None:
    made = armed()
    made.execute(1, 7, FIRST, 0)
    assert reason_of(made.execute, 1, 7, FIRST, 0) is ArmingReason.NOT_ARMED


def test_the_window_ends_after_its_last_frame() -> None:
    assert armed(frame=5).execute(1, 7, FIRST, 5 + WINDOW).last_frame == 15
    made = armed(frame=5)
    assert reason_of(made.execute, 1, 7, FIRST, 6 + WINDOW) is ArmingReason.EXPIRED
    assert made.counters.expired == 1
    made = armed(frame=5)
    assert [each.number for each in made.expire(6 + WINDOW)] == [7]
    assert reason_of(made.execute, 1, 7, FIRST, 6 + WINDOW) is ArmingReason.EXPIRED, "also when it was swept before"


def test_another_command_disarms_what_its_own_source_armed_and_nothing_of_others() -> None:
    made = armed()
    made.arm(2, 1, DEPLOY.opcode, digest_of(SECOND), 0)
    assert [each.source for each in made.other_command(1)] == [1]
    assert reason_of(made.execute, 1, 7, FIRST, 1) is ArmingReason.NOT_ARMED
    assert made.execute(2, 1, SECOND, 1).source == 2


def test_no_more_than_the_bounds_are_armed() -> None:
    made = Arming(COMMANDS, WINDOW)
    for number in range(1, MAX_ARMED_OF_ONE + 1):
        for source in (1, 2):
            made.arm(source, number, DEPLOY.opcode, digest_of(FIRST), 0)
    assert len(made.armed_by(1)) + len(made.armed_by(2)) == MAX_ARMED
    for source in (1, 3):
        full = ArmingReason.TOO_MANY_ARMED
        assert reason_of(made.arm, source, 9, DEPLOY.opcode, digest_of(FIRST), 0) is full
    made.arm(1, 9, DEPLOY.opcode, digest_of(FIRST), WINDOW + 1)


def test_one_source_cannot_take_every_place() -> None:
    made = Arming(COMMANDS, WINDOW)
    for number in range(1, MAX_ARMED_OF_ONE + 1):
        made.arm(1, number, DEPLOY.opcode, digest_of(FIRST), 0)
    assert reason_of(made.arm, 1, 9, DEPLOY.opcode, digest_of(FIRST), 0) is ArmingReason.TOO_MANY_ARMED
    made.arm(2, 1, DEPLOY.opcode, digest_of(FIRST), 0)


def test_no_more_sources_than_can_be_remembered_are_served() -> None:
    made = Arming(COMMANDS, WINDOW)
    for source in range(MAX_SOURCES):
        made.arm(source, 1, DEPLOY.opcode, digest_of(FIRST), source * (WINDOW + 1))
    late = MAX_SOURCES * (WINDOW + 1)
    assert reason_of(made.arm, 99, 1, DEPLOY.opcode, digest_of(FIRST), late) is ArmingReason.TOO_MANY_SOURCES
    made.arm(0, 2, DEPLOY.opcode, digest_of(FIRST), late)


def test_a_frame_count_that_goes_back_is_refused_by_arming() -> None:
    made = armed(frame=5)
    for call in (
        lambda: made.execute(1, 7, FIRST, 4),
        lambda: made.expire(4),
        lambda: made.arm(1, 8, DEPLOY.opcode, digest_of(FIRST), 4),
    ):
        with pytest.raises(FrameWentBack):
            call()
    assert made.execute(1, 7, FIRST, 5)


def test_a_window_of_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="a window of 0 frames"):
        Arming(COMMANDS, 0)


# --- the state


def test_a_golden_arming_state_is_written_to_the_octet_and_after_a_restart_nothing_is_armed() -> None:
    made = armed()
    made.arm(2, 256, DEPLOY.opcode, digest_of(FIRST), 0)
    assert made.pack_state() == GOLDEN_STATE
    after = Arming(COMMANDS, WINDOW)
    after.restore(GOLDEN_STATE)
    assert after.pack_state() == GOLDEN_STATE
    assert reason_of(after.execute, 1, 7, FIRST, 0) is ArmingReason.NOT_ARMED
    assert reason_of(after.arm, 1, 7, DEPLOY.opcode, digest_of(FIRST), 0) is ArmingReason.NUMBER_USED


@given(st.binary(max_size=60))
def test_any_octets_are_an_arming_state_or_a_typed_refusal(octets: bytes) -> None:
    for candidate in (octets, seal_state(b"SWAR", 1, octets)):
        made = armed()
        before = made.pack_state()
        try:
            made.restore(candidate)
        except StateRefused:
            assert made.pack_state() == before
        else:
            assert made.pack_state() == candidate


@given(st.integers(0, len(GOLDEN_STATE) - 1), st.integers(1, 255))
def test_an_arming_state_with_any_octet_changed_is_refused(at: int, change: int) -> None:
    changed = bytearray(GOLDEN_STATE)
    changed[at] ^= change
    with pytest.raises(StateRefused):
        Arming(COMMANDS, WINDOW).restore(bytes(changed))


# --- against a plain model

SOURCES = st.integers(1, 3)
NUMBERS = st.integers(1, 6)
PANELS = st.sampled_from([FIRST, SECOND])


class ArmingAgainstAModel(RuleBasedStateMachine):
    """The model keeps a list of what is armed, and every number that was ever accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.made = Arming(COMMANDS, WINDOW)
        self.frame = 0
        self.armed: list[tuple[int, int, Command, int]] = []  # source, number, command, last frame
        self.used: dict[int, int] = {}
        self.executed: set[tuple[int, int]] = set()

    @rule(frames=st.integers(0, WINDOW))
    def pass_frames(self, frames: int) -> None:
        self.frame += frames
        over = [each for each in self.armed if each[3] < self.frame]
        self.armed = [each for each in self.armed if each not in over]
        assert {(each.source, each.number) for each in self.made.expire(self.frame)} == {each[:2] for each in over}

    @rule(source=SOURCES, number=NUMBERS, command=PANELS)
    def arm(self, source: int, number: int, command: Command) -> None:
        fresh = number > self.used.get(source, 0)
        room = len(self.armed) < MAX_ARMED and sum(each[0] == source for each in self.armed) < MAX_ARMED_OF_ONE
        try:
            self.made.arm(source, number, DEPLOY.opcode, digest_of(command), self.frame)
        except ArmingRefused as refused:
            assert refused.reason is (ArmingReason.TOO_MANY_ARMED if fresh else ArmingReason.NUMBER_USED)
            assert not (fresh and room)
            return
        assert fresh and room
        self.armed.append((source, number, command, self.frame + WINDOW))
        self.used[source] = number

    @rule(source=SOURCES, number=NUMBERS, command=PANELS)
    def execute(self, source: int, number: int, command: Command) -> None:
        held = [each for each in self.armed if each[:2] == (source, number)]
        self.armed = [each for each in self.armed if each not in held]
        try:
            self.made.execute(source, number, command, self.frame)
        except ArmingRefused:
            assert not held or held[0][2] != command
            return
        assert held[0][2] == command
        assert (source, number) not in self.executed, "a one-time number worked twice"
        self.executed.add((source, number))

    @rule(source=SOURCES)
    def another(self, source: int) -> None:
        self.made.other_command(source)
        self.armed = [each for each in self.armed if each[0] != source]

    @rule()
    def restart(self) -> None:
        octets = self.made.pack_state()
        self.made = Arming(COMMANDS, WINDOW)
        self.made.restore(octets)
        self.armed.clear()

    @invariant()
    def the_same_is_armed(self) -> None:
        found: list[Armed] = [each for source in (1, 2, 3) for each in self.made.armed_by(source)]
        assert sorted((each.source, each.number, each.last_frame) for each in found) == sorted(
            (source, number, last) for source, number, _, last in self.armed
        )


ArmingAgainstAModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestArmingAgainstAModel = ArmingAgainstAModel.TestCase

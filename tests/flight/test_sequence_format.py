"""What is refused before a sequence is kept, with reason and step; and the layout to the octet."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.services.command_set import Command, CommandInvalid, CommandReason, CommandSet
from flight.services.declare import DeclarationInvalid
from flight.services.packed_state import StateReason, StateRefused
from flight.services.sequence_format import (
    ABSOLUTE_A,
    ABSOLUTE_B,
    MAX_OCTETS,
    LoadReason,
    LoadRefused,
    Sequence,
    SequenceKind,
    SequenceStep,
    StepFlag,
    unpack_sequence,
)
from flight.services.sequence_state import SequencesState, SlotState
from tests.flight.onboard_cases import (
    COMMANDS,
    DEPLOY,
    GROUND_ONLY,
    NOTE,
    POINT,
    START,
    STARTS,
    absolute,
    note,
    relative,
    resealed,
    step,
)

GOLDEN = bytes.fromhex(
    "53575351 01 02 05 0002"  # SWSQ, format 1, relative, number 5, two steps
    "000000000000000a 00000032 0a01 01 04 00000007"  # 10 frames after the start, continue, note 7
    "0000000000000000 00000001 0a02 02 04 c0200000"  # at once, repeatable, point -2.5
    "97636257"
)


def load(octets: bytes) -> Sequence:
    return unpack_sequence(octets, COMMANDS, STARTS)


def refusal(octets: bytes) -> tuple[LoadReason, int]:
    with pytest.raises(LoadRefused) as caught:
        load(octets)
    return caught.value.reason, caught.value.step


def broken(offset: int, octets: bytes) -> bytes:
    whole = bytearray(relative(5, step(0), step(3)).pack())
    whole[offset : offset + len(octets)] = octets
    return resealed(bytes(whole))


SECOND = 9 + 16 + 4  # where the second step begins


@pytest.mark.parametrize(
    ("octets", "reason", "at"),
    [
        (b"", LoadReason.TOO_SHORT, -1),
        (bytes(MAX_OCTETS + 1), LoadReason.TOO_LONG, -1),
        (broken(0, b"SWSX"), LoadReason.MAGIC, -1),
        (broken(4, b"\x02"), LoadReason.FORMAT, -1),
        (relative(5, step(0)).pack()[:-1] + b"\0", LoadReason.CRC, -1),
        (broken(5, b"\x03"), LoadReason.KIND, -1),
        (broken(6, b"\x00"), LoadReason.NUMBER, -1),
        (broken(6, b"\x41"), LoadReason.NUMBER, -1),
        (broken(6, bytes([ABSOLUTE_A])), LoadReason.NUMBER, -1),
        (broken(7, b"\0\0"), LoadReason.STEP_COUNT, -1),
        (broken(7, b"\1\1"), LoadReason.STEP_COUNT, -1),
        (broken(7, b"\0\1"), LoadReason.TRAILING_OCTETS, -1),
        (broken(7, b"\0\3"), LoadReason.STEP_CUT_SHORT, 2),
        (broken(SECOND + 15, b"\x05"), LoadReason.STEP_CUT_SHORT, 1),
        (broken(SECOND + 14, b"\x04"), LoadReason.FLAGS, 1),
        (broken(SECOND + 14, b"\x02"), LoadReason.NOT_REPEATABLE, 1),
        (broken(SECOND + 12, b"\xff\xff"), LoadReason.OPCODE_UNKNOWN, 1),
        (broken(SECOND + 12, DEPLOY.opcode.to_bytes(2, "big")), LoadReason.NOT_STORABLE, 1),
        (broken(SECOND + 12, GROUND_ONLY.opcode.to_bytes(2, "big")), LoadReason.NOT_STORABLE, 1),
        (broken(SECOND + 12, START.opcode.to_bytes(2, "big")), LoadReason.ARGUMENTS, 1),
        (broken(SECOND + 8, bytes(4)), LoadReason.TIMEOUT_RANGE, 1),
        (broken(SECOND, b"\xff"), LoadReason.TIME_RANGE, 1),
        (
            relative(5, SequenceStep(0, Command(POINT.opcode, b"\x7f\xc0\0\0"), 1)).pack(),
            LoadReason.ARGUMENTS,
            0,
        ),
        (absolute(ABSOLUTE_B, step(9), step(8)).pack(), LoadReason.TIME_NOT_MONOTONIC, 1),
        (absolute(ABSOLUTE_B, step(9), step(1 << 63)).pack(), LoadReason.TIME_RANGE, 1),
        (
            relative(5, *(step(0, COMMANDS.command(START.opcode, number=6)) for _ in range(5))).pack(),
            LoadReason.TOO_MANY_STARTS,
            4,
        ),
    ],
)
def test_what_is_no_sequence_is_refused_with_reason_and_step(octets: bytes, reason: LoadReason, at: int) -> None:
    assert refusal(octets) == (reason, at)


def test_a_golden_sequence_is_written_and_read_to_the_octet() -> None:
    sequence = relative(
        5,
        SequenceStep(10, note(7), 50, StepFlag.CONTINUE),
        SequenceStep(0, COMMANDS.command(POINT.opcode, roll=-2.5), 1, StepFlag.REPEATABLE),
    )
    assert sequence.pack() == GOLDEN
    assert load(GOLDEN) == sequence


@given(st.binary(max_size=200))
def test_any_octets_are_a_sequence_or_a_typed_refusal(octets: bytes) -> None:
    for candidate in (octets, b"SWSQ\x01" + octets, resealed(b"SWSQ\x01\x02\x05\0" + octets + bytes(4))):
        try:
            sequence = load(candidate)
        except LoadRefused:
            continue
        assert sequence.pack() == candidate


@given(st.data())
def test_a_sequence_with_any_octet_changed_is_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOLDEN) - 1))
    changed = bytearray(GOLDEN)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(LoadRefused):
        load(bytes(changed))


STEPS = st.builds(
    SequenceStep,
    st.integers(0, 0xFFFF_FFFF),
    st.one_of(
        st.integers(0, 0xFFFF_FFFF).map(note),
        st.floats(width=32, allow_nan=False).map(lambda roll: Command(POINT.opcode, struct.pack(">f", roll))),
    ),
    st.integers(1, 8_640_000),
    st.sampled_from([StepFlag.NONE, StepFlag.CONTINUE]),
)


@given(st.lists(STEPS, min_size=1, max_size=12), st.integers(1, 64))
def test_every_relative_sequence_comes_back_as_it_was_written(steps: list[SequenceStep], number: int) -> None:
    sequence = Sequence(SequenceKind.RELATIVE, number, tuple(steps))
    assert load(sequence.pack()) == sequence


# --- the state

STATE = SequencesState(
    1000,
    3,
    (SlotState(5, 0x01020304, True, True, True, 1, 990, 0), SlotState(ABSOLUTE_A, 5, True, False, False, 0, 0, 0)),
)
GOLDEN_STATE = bytes.fromhex(
    "53575353 01 00000000000003e8 00000003 02"  # SWSS, format 1, frame 1000, token 3, two sequences
    "05 01020304 07 0001 00000000000003de 00"
    "c9 00000005 01 0000 0000000000000000 00"
    "50f8b9ad"
)


def test_a_golden_state_is_written_and_read_to_the_octet() -> None:
    assert STATE.pack() == GOLDEN_STATE
    assert SequencesState.unpack(GOLDEN_STATE) == STATE


@given(st.binary(max_size=120))
def test_any_octets_are_a_state_or_a_typed_refusal(octets: bytes) -> None:
    for candidate in (octets, resealed(b"SWSS\x01" + octets + bytes(4))):
        try:
            state = SequencesState.unpack(candidate)
        except StateRefused:
            continue
        assert state.pack() == candidate


@given(st.integers(0, len(GOLDEN_STATE) - 1), st.integers(1, 255))
def test_a_state_with_any_octet_changed_is_refused(at: int, change: int) -> None:
    changed = bytearray(GOLDEN_STATE)
    changed[at] ^= change
    with pytest.raises(StateRefused):
        SequencesState.unpack(bytes(changed))


@pytest.mark.parametrize(
    "slots",
    [
        (SlotState(0, 0, False, False, False, 0, 0, 0),),
        (SlotState(5, 0, False, False, True, 0, 0, 0),),
        (SlotState(5, 0, True, True, False, 257, 0, 0),),
        (SlotState(5, 0, True, True, False, 0, 1001, 0),),
        (SlotState(5, 0, True, True, False, 0, 0, 5),),
        (SlotState(6, 0, True, True, False, 0, 0, 0), SlotState(5, 0, True, True, False, 0, 0, 0)),
        tuple(SlotState(number, 0, True, True, False, 0, 0, 0) for number in (ABSOLUTE_A, ABSOLUTE_B)),
    ],
)
def test_a_sound_state_that_no_service_would_write_is_refused(slots: tuple[SlotState, ...]) -> None:
    with pytest.raises(StateRefused) as caught:
        SequencesState.unpack(SequencesState(1000, 1, slots).pack())
    assert caught.value.reason is StateReason.CONTENT


# --- commands


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"\x0a", CommandReason.TOO_SHORT),
        (b"\xff\xff", CommandReason.OPCODE_UNKNOWN),
        (b"\x0a\x01\0\0\0", CommandReason.ARGUMENT_SIZE),
        (b"\x0a\x01\0\0\0\0\0", CommandReason.ARGUMENT_SIZE),
        (b"\x0a\x02\x7f\xc0\0\0", CommandReason.NOT_A_NUMBER),
    ],
)
def test_octets_that_are_no_command_are_refused(octets: bytes, reason: CommandReason) -> None:
    with pytest.raises(CommandInvalid) as caught:
        COMMANDS.unpack(octets)
    assert caught.value.reason is reason


@given(st.binary(max_size=20))
def test_any_octets_are_a_command_or_a_typed_refusal(octets: bytes) -> None:
    try:
        command = COMMANDS.unpack(octets)
    except CommandInvalid:
        return
    assert command.pack() == octets


def test_an_opcode_or_a_name_that_is_used_twice_is_no_command_set() -> None:
    with pytest.raises(DeclarationInvalid):
        CommandSet((NOTE, NOTE))

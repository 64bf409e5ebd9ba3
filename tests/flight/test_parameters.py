"""Parameter tables: nothing unsound or out of range is ever current; several change in one step or not at all."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bindings.crc import crc32c
from flight.services.critical_store import CriticalStore
from flight.services.declare import DeclarationInvalid
from flight.services.parameter_table import (
    Parameter,
    ParameterTable,
    Refusal,
    TableRefused,
    Values,
    check_ranges,
    pack_image,
    unpack_image,
)
from flight.services.parameters import Activation, ImageChoice, Origin, ParameterTables
from tests.flight.cut_folder import folder_of
from tests.flight.test_critical_store import cut_everywhere
from tests.shared_data import ROOT

CAMERA = ParameterTable(
    1, "camera", (Parameter("gain", "f32", "", 0.0, 8.0, 1.0), Parameter("offset", "i32", "DN", -100, 100, 0))
)
BATTERY = ParameterTable(
    2,
    "battery",
    (Parameter("low", "u8", "%", 0, 100, 30), Parameter("high", "u8", "%", 0, 100, 90)),
    ordered=(("low", "high"),),
)
TABLES = (CAMERA, BATTERY)
GOOD: dict[int, dict[str, Any]] = {1: {"gain": 2.5, "offset": -7}, 2: {"low": 10, "high": 20}}


def image(number: int, **changes: Any) -> bytes:
    return pack_image(TABLES[number - 1], {**GOOD[number], **changes})


def staged(*numbers: int) -> ParameterTables:
    tables = ParameterTables(TABLES)
    for number in numbers:
        tables.load(image(number))
        tables.validate(number)
    return tables


def refusal(call: Any, *arguments: Any) -> Refusal:
    with pytest.raises(TableRefused) as caught:
        call(*arguments)
    return caught.value.reason


# --- what is refused


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", Refusal.IMAGE_SHORT),
        (image(1)[:8], Refusal.IMAGE_SHORT),
        (b"SWT2" + image(1)[4:], Refusal.IMAGE_MAGIC),
        (b"SWT1\x09" + image(1)[5:], Refusal.UNKNOWN_TABLE),
        (image(1)[:-1], Refusal.IMAGE_LENGTH),
        (image(1) + b"\0", Refusal.IMAGE_LENGTH),
        (image(1)[:-1] + bytes((image(1)[-1] ^ 1,)), Refusal.IMAGE_CRC),
    ],
)
def test_octets_that_are_no_image_are_refused_and_nothing_is_staged(octets: bytes, reason: Refusal) -> None:
    tables = ParameterTables(TABLES)
    assert refusal(tables.load, octets) is reason
    assert refusal(tables.validate, 1) is Refusal.NOTHING_STAGED


def test_an_image_made_for_another_declaration_is_refused() -> None:
    wider = ParameterTable(1, "camera", (Parameter("gain", "f32", "", 0.0, 9.0, 1.0), CAMERA.parameters[1]))
    assert refusal(ParameterTables(TABLES).load, pack_image(wider, GOOD[1])) is Refusal.OTHER_DECLARATION


@pytest.mark.parametrize(
    ("number", "changes", "reason", "parameter"),
    [
        (1, {"gain": math.nan}, Refusal.NOT_A_NUMBER, 1),
        (1, {"gain": math.inf}, Refusal.ABOVE_MAXIMUM, 1),
        (1, {"gain": -0.5}, Refusal.BELOW_MINIMUM, 1),
        (1, {"offset": 101}, Refusal.ABOVE_MAXIMUM, 2),
        (2, {"low": 50, "high": 40}, Refusal.OUT_OF_ORDER, 1),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_place_and_the_image_dropped(
    number: int, changes: dict[str, Any], reason: Refusal, parameter: int
) -> None:
    tables = ParameterTables(TABLES)
    tables.load(image(number, **changes))
    with pytest.raises(TableRefused) as caught:
        tables.validate(number)
    assert (caught.value.reason, caught.value.table, caught.value.parameter) == (reason, number, parameter)
    assert refusal(tables.activate, [number]) is Refusal.NOTHING_STAGED
    assert dict(tables.values(number)) == dict(TABLES[number - 1].defaults())


def test_steps_out_of_order_are_refused_each_with_its_reason() -> None:
    tables = ParameterTables(TABLES)
    assert refusal(tables.activate, []) is Refusal.NO_TABLE_NAMED
    assert refusal(tables.activate, [9]) is Refusal.UNKNOWN_TABLE
    assert refusal(tables.values, 9) is Refusal.UNKNOWN_TABLE
    tables.load(image(1))
    assert refusal(tables.activate, [1]) is Refusal.NOT_VALIDATED
    tables.validate(1)
    activation = tables.activate([1])
    assert refusal(tables.activate, [2]) is Refusal.ACTIVATION_UNDER_WAY
    assert refusal(tables.load, image(1)) is Refusal.ACTIVATION_UNDER_WAY
    tables.abandon(activation)
    assert refusal(tables.durable, activation) is Refusal.ACTIVATION_NOT_UNDER_WAY
    assert tables.frame_boundary() == ()


def test_one_of_several_that_is_not_ready_keeps_all_from_being_activated() -> None:
    tables = staged(1)
    assert refusal(tables.activate, [1, 2]) is Refusal.NOTHING_STAGED
    assert tables.frame_boundary() == ()
    assert dict(tables.values(1)) == dict(CAMERA.defaults())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Parameter("Gain", "f32", "", 0, 1, 0),
        lambda: Parameter("gain", "f32", "", 0, math.inf, 0),
        lambda: Parameter("gain", "u8", "", 0, 300, 0),
        lambda: Parameter("gain", "u8", "", 5, 9, 4),
        lambda: ParameterTable(0, "camera", CAMERA.parameters),
        lambda: ParameterTable(1, "camera", ()),
        lambda: ParameterTable(1, "camera", (CAMERA.parameters[0],) * 2),
        lambda: ParameterTable(1, "camera", CAMERA.parameters, ordered=(("gain", "missing"),)),
        lambda: ParameterTables((CAMERA, CAMERA)),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(make: Any) -> None:
    with pytest.raises(DeclarationInvalid):
        make()


# --- the octets


def test_an_image_is_these_octets_and_the_page_shows_them() -> None:
    body = b"SWT1\x02" + struct.pack(">I", BATTERY.declaration_crc) + bytes((10, 20))
    assert image(2) == body + struct.pack(">I", crc32c(body))
    assert image(2).hex(" ") in (ROOT / "docs" / "critical-store.md").read_text()


@given(st.integers(0, 8 * len(image(1)) - 1))
def test_any_flipped_bit_of_an_image_is_noticed(bit: int) -> None:
    octets = bytearray(image(1))
    octets[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TableRefused):
        ParameterTables(TABLES).load(bytes(octets))


@given(st.binary(max_size=64))
def test_any_octets_are_an_image_or_refused(octets: bytes) -> None:
    with pytest.raises(TableRefused):
        ParameterTables(TABLES).load(octets)


# --- over cuts


def values_of(tables: ParameterTables) -> tuple[dict[str, Any], dict[str, Any]]:
    return dict(tables.values(1)), dict(tables.values(2))


def test_a_cut_at_any_write_of_an_activation_leaves_all_its_tables_old_or_all_new() -> None:
    first = ParameterTables(TABLES)
    files = folder_of({})
    CriticalStore(files, first.blocks)
    old = values_of(first)
    new = (GOOD[1], GOOD[2])
    seen = set()
    activation = staged(1, 2).activate([1, 2])
    for medium in cut_everywhere(
        files.contents(), lambda medium: CriticalStore(medium, first.blocks).commit(activation.blocks)
    ):
        begun = ParameterTables(TABLES)
        restored = begun.restore(CriticalStore(medium, begun.blocks).read)
        assert [each.origin for each in restored] == [Origin.STORED] * 2
        assert values_of(begun) in (old, new)
        seen.add(values_of(begun) == new)
    assert seen == {False, True}


def test_a_stored_image_that_is_not_sound_gives_way_to_the_previous_one_and_then_to_the_defaults() -> None:
    tables = staged(1)
    activation = tables.activate([1])
    tables.durable(activation)
    tables.frame_boundary()
    block = tables.blocks[0]
    octets = activation.blocks[block]
    half = len(octets) // 2
    begun = ParameterTables(TABLES)
    (first, second) = begun.restore(lambda asked: bytes(half) + octets[half:] if asked == block else asked.default)
    assert (first.origin, first.refusal) == (Origin.PREVIOUS, Refusal.IMAGE_MAGIC)
    assert (second.origin, second.refusal) == (Origin.STORED, None)
    assert dict(begun.values(1)) == dict(CAMERA.defaults())
    (first, _) = begun.restore(lambda asked: bytes(asked.size) if asked == block else asked.default)
    assert first.origin is Origin.DEFAULT


# --- the machine


class Tables(RuleBasedStateMachine):
    """Two tables and a store against plain dictionaries; a reset may come between any two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.files = folder_of({})
        self.tables = ParameterTables(TABLES)
        self.store = CriticalStore(self.files, self.tables.blocks)
        self.active: dict[int, Values] = {table.number: table.defaults() for table in TABLES}
        self.previous = dict(self.active)
        self.staged: dict[int, tuple[Values, bool]] = {}
        self.pending: tuple[Activation, dict[int, Values], dict[int, Values]] | None = None
        self.committed = False

    @rule(number=st.sampled_from([1, 2]), first=st.integers(0, 120), second=st.integers(-120, 120))
    def load(self, number: int, first: int, second: int) -> None:
        low, high = (first / 10, second) if number == 1 else (first, abs(second))
        names = [parameter.name for parameter in TABLES[number - 1].parameters]
        octets = pack_image(TABLES[number - 1], dict(zip(names, (low, high), strict=True)))
        if self.pending and number in self.pending[0].tables:
            assert refusal(self.tables.load, octets) is Refusal.ACTIVATION_UNDER_WAY
            return
        assert self.tables.load(octets) == number
        self.staged[number] = (unpack_image(TABLES[number - 1], octets), False)

    @rule(number=st.sampled_from([1, 2]))
    def validate(self, number: int) -> None:
        if (self.pending and number in self.pending[0].tables) or number not in self.staged:
            with pytest.raises(TableRefused):
                self.tables.validate(number)
            return
        values, _ = self.staged[number]
        try:
            check_ranges(TABLES[number - 1], values)
        except TableRefused:
            with pytest.raises(TableRefused):
                self.tables.validate(number)
            del self.staged[number]
            return
        self.tables.validate(number)
        self.staged[number] = (values, True)

    @precondition(lambda self: self.pending is None)
    @rule(numbers=st.sets(st.sampled_from([1, 2]), min_size=1))
    def activate(self, numbers: set[int]) -> None:
        if not all(self.staged.get(number, (None, False))[1] for number in numbers):
            with pytest.raises(TableRefused):
                self.tables.activate(numbers)
            return
        active = {number: self.staged[number][0] for number in numbers}
        self.pending = self.tables.activate(numbers), active, {number: self.active[number] for number in numbers}

    @precondition(lambda self: self.pending is None)
    @rule(numbers=st.sets(st.sampled_from([1, 2]), min_size=1))
    def return_to_previous(self, numbers: set[int]) -> None:
        active = {number: self.previous[number] for number in numbers}
        previous = {number: self.active[number] for number in numbers}
        self.pending = self.tables.return_to_previous(numbers), active, previous

    @precondition(lambda self: self.pending is not None and not self.committed)
    @rule(works=st.booleans())
    def commit(self, works: bool) -> None:
        assert self.pending is not None
        if works:
            self.store.commit(self.pending[0].blocks)
            self.tables.durable(self.pending[0])
            self.committed = True
        else:
            self.tables.abandon(self.pending[0])
            self.pending = None

    @rule()
    def frame(self) -> None:
        done = self.tables.frame_boundary()
        if not self.committed:
            assert done == ()
            return
        assert self.pending is not None
        assert done == self.pending[0].tables
        for number in done:
            if number in self.staged and self.staged[number][0] == self.pending[1][number]:
                staged = self.staged[number]
                try:
                    self.tables.dump(number, ImageChoice.STAGED)
                except TableRefused:
                    del self.staged[number]
                else:
                    self.staged[number] = staged
        self._take()

    def _take(self) -> None:
        assert self.pending is not None
        self.active.update(self.pending[1])
        self.previous.update(self.pending[2])
        self.pending, self.committed = None, False

    @rule()
    def reset(self) -> None:
        """What was committed counts, whether its frame boundary came or not."""
        self.tables = ParameterTables(TABLES)
        self.store = CriticalStore(folder_of(self.files.contents()), self.tables.blocks)
        self.files = self.store._files  # type: ignore[assignment]
        assert {each.origin for each in self.tables.restore(self.store.read)} == {Origin.STORED}
        self.staged.clear()
        if self.committed:
            self._take()
        self.pending = None

    @invariant()
    def both_images_are_as_expected_and_can_be_dumped_and_taken_again(self) -> None:
        for table in TABLES:
            assert dict(self.tables.values(table.number)) == dict(self.active[table.number])
            check_ranges(table, self.tables.values(table.number))
            assert unpack_image(table, self.tables.dump(table.number)) == self.active[table.number]
            previous = self.tables.dump(table.number, ImageChoice.PREVIOUS)
            assert unpack_image(table, previous) == self.previous[table.number]


Tables.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTables = Tables.TestCase

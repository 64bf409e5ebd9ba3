"""The critical store: old or new after a cut at any call, mended after any flipped bit, and its octets."""

from __future__ import annotations

import ast
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flight.services.critical_files import FolderFiles
from flight.services.critical_format import MAX_BLOCK_BYTES, Block, pack_copy, unpack_copy
from flight.services.critical_store import (
    COPY_NAMES,
    NEW_NAME,
    BlockLost,
    BlockSizeWrong,
    BlockUnknown,
    CriticalStore,
    CriticalStoreError,
    CriticalStoreFailed,
    Finding,
    FindingKind,
)
from flight.services.declare import DeclarationInvalid
from flight.services.reset_budget import RESET_BUDGET, ComplementMismatch, ResetBudget, ResetBudgetSpent
from tests.flight.cut_folder import CutFolder, PowerCut, folder_of
from tests.shared_data import ROOT

A = Block(1, "counter", bytes(4))
B = Block(7, "words", b"none.")
C = Block(300, "late_comer", b"\xff\xfe")
BLOCKS = (A, B)
OLD = {A: b"old!", B: b"olden"}
NEW = {A: b"new!", B: b"newer"}


def crc32c_bit_by_bit(octets: bytes) -> int:
    value = 0xFFFFFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def held(store: CriticalStore, blocks: tuple[Block, ...] = BLOCKS) -> dict[Block, bytes]:
    return {block: store.read(block) for block in blocks}


def committed(values: dict[Block, bytes], blocks: tuple[Block, ...] = BLOCKS) -> dict[str, bytes]:
    files = folder_of({})
    CriticalStore(files, blocks).commit(values)
    return files.contents()


def kinds(store: CriticalStore) -> list[tuple[FindingKind, int, int]]:
    return [(finding.kind, finding.block, finding.copy) for finding in store.findings]


# --- the octets


def test_a_copy_is_these_octets() -> None:
    directory = bytes.fromhex("53574331 0002 0001 0004 0007 0005")
    first = bytes.fromhex("0000000000000003") + b"new!"
    second = bytes.fromhex("0000000000000003") + b"newer"

    def crc(octets: bytes) -> bytes:
        return struct.pack(">I", crc32c_bit_by_bit(octets))

    expected = (
        directory
        + crc(directory)
        + first
        + crc(bytes.fromhex("00010004") + first)
        + second
        + crc(bytes.fromhex("00070005") + second)
    )
    assert pack_copy(BLOCKS, 3, {1: b"new!", 7: b"newer"}) == expected
    assert len(expected) == 51


def test_the_page_shows_the_octets_that_are_written() -> None:
    page = (ROOT / "docs" / "critical-store.md").read_text()
    assert pack_copy((RESET_BUDGET,), 1, {1: ResetBudget(2, 3).pack()}).hex(" ") in page


def test_both_copies_are_equal_after_a_commit_and_nothing_else_is_named() -> None:
    files = folder_of({})
    store = CriticalStore(files, BLOCKS)
    store.commit(NEW)
    contents = files.contents()
    assert contents == dict.fromkeys(COPY_NAMES, pack_copy(BLOCKS, 2, {1: b"new!", 7: b"newer"}))
    assert files.touched == {*COPY_NAMES, NEW_NAME}


@given(st.binary(max_size=200))
def test_any_octets_are_read_without_an_error_and_without_belief(octets: bytes) -> None:
    assert unpack_copy(octets, BLOCKS).sound == {}
    store = CriticalStore(folder_of(dict.fromkeys(COPY_NAMES, octets)), BLOCKS)
    assert kinds(store) == [(FindingKind.LOST, 1, 0), (FindingKind.LOST, 7, 0)]


# --- cuts


def tears(durable: bytes, seen: bytes) -> Iterator[bytes]:
    """What may be left of a file that was not synced: as before, a prefix, zeros, or a hole in it."""
    yield durable
    for end in range(len(seen) + 1):
        yield seen[:end]
        yield seen[:end] + bytes(len(seen) - end)
        yield bytes(end) + seen[end:]


def cut_everywhere(begin: dict[str, bytes], act: Callable[[CutFolder], object]) -> Iterator[CutFolder]:
    """Every medium that a cut at any call of `act` may leave."""
    whole = folder_of(begin)
    act(whole)
    for cut_at in range(1, whole.calls + 1):
        for after in (False, True):
            files = folder_of(begin)
            files.cut_at, files.after = cut_at, after
            with pytest.raises(PowerCut):
                act(files)
            longest = max(len(octets) for octets in files.contents().values()) if files.contents() else 0
            for names_kept in range(4):
                for index in range(3 * longest + 4):

                    def torn(durable: bytes, seen: bytes, index: int = index) -> bytes:
                        every = list(tears(durable, seen))
                        return every[min(index, len(every) - 1)]

                    yield files.after_cut(names_kept, torn)


def test_after_a_cut_at_any_call_and_any_tear_the_state_is_old_or_new() -> None:
    begin = committed(OLD)
    outcomes = set()
    for files in cut_everywhere(begin, lambda medium: CriticalStore(medium, BLOCKS).commit(NEW)):
        store = CriticalStore(files, BLOCKS)
        found = held(store)
        assert found in (OLD, NEW)
        outcomes.add(found == NEW)
        assert {kind for kind, _, _ in kinds(store)} <= {FindingKind.CAUGHT_UP}
        assert CriticalStore(folder_of(files.contents()), BLOCKS).findings == ()
    assert outcomes == {False, True}


def test_a_cut_in_the_very_first_start_leaves_the_defaults() -> None:
    for files in cut_everywhere({}, lambda medium: CriticalStore(medium, BLOCKS)):
        store = CriticalStore(files, BLOCKS)
        assert held(store) == {A: A.default, B: B.default}
        assert FindingKind.LOST not in {kind for kind, _, _ in kinds(store)}


@pytest.mark.parametrize("copy", [0, 1])
def test_a_cut_while_a_copy_is_mended_loses_nothing(copy: int) -> None:
    begin = committed(NEW)
    begin[COPY_NAMES[copy]] = begin[COPY_NAMES[copy]][:20]
    for files in cut_everywhere(begin, lambda medium: CriticalStore(medium, BLOCKS)):
        assert held(CriticalStore(files, BLOCKS)) == NEW


def test_what_commit_has_returned_for_survives_the_loss_of_either_copy() -> None:
    for name in COPY_NAMES:
        files = committed(NEW)
        del files[name]
        store = CriticalStore(folder_of(files), BLOCKS)
        assert held(store) == NEW
        assert kinds(store) == [(FindingKind.CAUGHT_UP, 0, COPY_NAMES.index(name))]


@pytest.mark.parametrize("fail_at", range(1, 9))
def test_a_medium_that_refuses_is_told_and_nothing_more_is_written(fail_at: int) -> None:
    files = folder_of(committed(OLD))
    store = CriticalStore(files, BLOCKS)
    files.fail_at = fail_at
    with pytest.raises(CriticalStoreFailed, match="No space left"):
        store.commit(NEW)
    assert isinstance(CriticalStoreFailed("x"), OSError)
    files.fail_at = 1 << 30
    with pytest.raises(CriticalStoreFailed, match="earlier call failed"):
        store.commit(NEW)
    with pytest.raises(CriticalStoreFailed):
        store.scrub()
    assert held(CriticalStore(files, BLOCKS)) in (OLD, NEW)


# --- flipped bits


def flipped(octets: bytes, bit: int) -> bytes:
    damaged = bytearray(octets)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


@pytest.mark.parametrize("copy", [0, 1])
def test_every_bit_that_flips_in_one_copy_is_found_and_mended_from_the_other(copy: int) -> None:
    sound = committed(NEW)
    name = COPY_NAMES[copy]
    for bit in range(len(sound[name]) * 8):
        files = folder_of({**sound, name: flipped(sound[name], bit)})
        store = CriticalStore(files, BLOCKS)
        assert held(store) == NEW
        octet = bit // 8
        expected = (
            (FindingKind.DIRECTORY_REPAIRED, 0)
            if octet < 18
            else (FindingKind.REPAIRED, 1)
            if octet < 34
            else (FindingKind.REPAIRED, 7)
        )
        assert store.findings == (Finding(*expected, copy),)
        assert files.contents() == sound


def test_a_bad_block_in_each_copy_is_mended_when_they_are_not_the_same() -> None:
    sound = committed(NEW)
    files = folder_of(
        {COPY_NAMES[0]: flipped(sound[COPY_NAMES[0]], 22 * 8), COPY_NAMES[1]: flipped(sound[COPY_NAMES[1]], 40 * 8)}
    )
    store = CriticalStore(files, BLOCKS)
    assert held(store) == NEW
    assert kinds(store) == [(FindingKind.REPAIRED, 1, 0), (FindingKind.REPAIRED, 7, 1)]
    assert files.contents() == sound


def test_a_block_bad_in_both_copies_is_lost_by_name_and_the_others_are_kept() -> None:
    damaged = {name: flipped(octets, 22 * 8 + 1) for name, octets in committed(NEW).items()}
    files = folder_of(damaged)
    store = CriticalStore(files, BLOCKS)
    assert (FindingKind.LOST, 1, 0) in kinds(store)
    with pytest.raises(BlockLost) as lost:
        store.read(A)
    assert (lost.value.number, lost.value.name, lost.value.default) == (1, "counter", A.default)
    assert isinstance(lost.value, (LookupError, CriticalStoreError))
    assert store.read(B) == b"newer"
    store.commit({A: b"mend"})
    assert store.read(A) == b"mend"
    again = CriticalStore(files, BLOCKS)
    assert (again.findings, held(again)) == ((), {A: b"mend", B: b"newer"})


def test_a_cut_between_the_copies_and_damage_in_the_newer_gives_the_older_state_whole() -> None:
    older, newer = committed(OLD)[COPY_NAMES[1]], pack_copy(BLOCKS, 3, {1: b"new!", 7: b"newer"})
    files = folder_of({COPY_NAMES[0]: flipped(newer, 22 * 8), COPY_NAMES[1]: older})
    store = CriticalStore(files, BLOCKS)
    assert held(store) == OLD
    assert kinds(store) == [(FindingKind.ROLLED_BACK, 0, 0)]
    assert store.generation == 4, "above the damaged copy's"
    assert CriticalStore(files, BLOCKS).findings == ()


def test_damage_in_copies_of_two_generations_keeps_the_newest_of_each_block_and_says_so() -> None:
    older, newer = committed(OLD)[COPY_NAMES[1]], pack_copy(BLOCKS, 3, {1: b"new!", 7: b"newer"})
    files = folder_of({COPY_NAMES[0]: flipped(newer, 22 * 8), COPY_NAMES[1]: flipped(older, 40 * 8)})
    store = CriticalStore(files, BLOCKS)
    assert held(store) == {A: b"old!", B: b"newer"}
    assert kinds(store) == [(FindingKind.MIXED, 0, 0)]


def test_scrubbing_mends_even_both_copies_while_the_store_is_open() -> None:
    files = folder_of({})
    store = CriticalStore(files, BLOCKS)
    store.commit(NEW)
    sound = files.contents()
    assert store.scrub() == ()
    for name in COPY_NAMES:
        files.write(name, flipped(sound[name], 22 * 8))
    assert [(each.kind, each.block, each.copy) for each in store.scrub()] == [
        (FindingKind.REPAIRED, 1, 0),
        (FindingKind.REPAIRED, 1, 1),
    ]
    assert files.contents() == sound
    assert held(store) == NEW


# --- other software


def test_a_new_block_begins_with_its_default_beside_what_was_kept() -> None:
    store = CriticalStore(folder_of(committed(NEW)), (*BLOCKS, C))
    assert held(store, (*BLOCKS, C)) == {**NEW, C: C.default}
    assert kinds(store) == [(FindingKind.CREATED, 300, 0)]


@pytest.mark.parametrize("other", [(A,), (A, Block(7, "words", b"other size"))])
def test_a_block_that_is_gone_or_has_another_size_is_told(other: tuple[Block, ...]) -> None:
    store = CriticalStore(folder_of(committed(NEW)), other)
    assert store.read(A) == b"new!"
    assert (FindingKind.RETIRED, 7, 0) in kinds(store)
    assert all(store.read(block) == block.default for block in other[1:])


# --- what is refused


@pytest.mark.parametrize(
    "arguments",
    [(0, "a", b"x"), (65536, "a", b"x"), (1, "Not", b"x"), (1, "a", b""), (1, "a", bytes(MAX_BLOCK_BYTES + 1))],
)
def test_a_block_that_cannot_be_is_not_declared(arguments: tuple[int, str, bytes]) -> None:
    with pytest.raises(DeclarationInvalid):
        Block(*arguments)


@pytest.mark.parametrize("blocks", [(), (A, Block(1, "twin", b"x"))])
def test_a_store_of_no_blocks_or_of_twins_is_refused(blocks: tuple[Block, ...]) -> None:
    with pytest.raises(DeclarationInvalid):
        CriticalStore(folder_of({}), blocks)


def test_a_commit_with_one_wrong_block_changes_nothing() -> None:
    files = folder_of({})
    store = CriticalStore(files, BLOCKS)
    before = files.contents()
    with pytest.raises(BlockSizeWrong) as wrong:
        store.commit({A: b"good", B: b"long, long"})
    assert (wrong.value.number, wrong.value.expected, wrong.value.size) == (7, 5, 10)
    with pytest.raises(BlockUnknown, match="late_comer"):
        store.commit({A: b"good", C: b"xx"})
    with pytest.raises(BlockUnknown):
        store.read(Block(1, "counter", bytes(8)))
    assert files.contents() == before


# --- the machine


class StoreMachine(RuleBasedStateMachine):
    """Commits, cuts, restarts and single flips in any order against a plain dictionary."""

    @initialize()
    def start(self) -> None:
        self.files = folder_of({})
        self.store = CriticalStore(self.files, BLOCKS)
        self.model = {A: A.default, B: B.default}

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        values = self.drawn(data)
        self.store.commit(values)
        self.model |= values

    @rule(data=st.data())
    def commit_and_cut(self, data: st.DataObject) -> None:
        values = self.drawn(data)
        self.files.cut_at = self.files.calls + data.draw(st.integers(1, 8), label="cut at")
        self.files.after = data.draw(st.booleans(), label="after")
        with pytest.raises(PowerCut):
            self.store.commit(values)
        self.files = self.files.after_cut(
            data.draw(st.integers(0, 4), label="names kept"),
            lambda durable, seen: data.draw(st.sampled_from(list(tears(durable, seen))), label="torn"),
        )
        self.store = CriticalStore(self.files, BLOCKS)
        assert held(self.store) in (self.model, {**self.model, **values})
        self.model = held(self.store)

    @rule(copy=st.sampled_from(COPY_NAMES), where=st.floats(0, 1, exclude_max=True), restart=st.booleans())
    def flip(self, copy: str, where: float, restart: bool) -> None:
        contents = self.files.contents()
        contents[copy] = flipped(contents[copy], int(where * len(contents[copy]) * 8))
        if restart:
            self.files = folder_of(contents)
            self.store = CriticalStore(self.files, BLOCKS)
            findings = self.store.findings
        else:
            self.files.write(copy, contents[copy])
            findings = self.store.scrub()
        assert [finding.copy for finding in findings] == [COPY_NAMES.index(copy)]

    @rule()
    def restart(self) -> None:
        self.files = folder_of(self.files.contents())
        self.store = CriticalStore(self.files, BLOCKS)
        assert self.store.findings == ()

    @invariant()
    def it_holds_what_was_committed(self) -> None:
        assert held(self.store) == self.model

    @staticmethod
    def drawn(data: st.DataObject) -> dict[Block, bytes]:
        chosen = data.draw(st.lists(st.sampled_from(BLOCKS), min_size=1, unique=True), label="blocks")
        return {block: data.draw(st.binary(min_size=block.size, max_size=block.size)) for block in chosen}


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


# --- the folder


def test_a_folder_keeps_the_store_and_shows_nothing_outside_it(tmp_path: Path) -> None:
    store = CriticalStore(FolderFiles(tmp_path / "critical"), BLOCKS)
    store.commit(NEW)
    store.close()
    assert sorted(path.name for path in (tmp_path / "critical").iterdir()) == list(COPY_NAMES)
    files = FolderFiles(tmp_path / "critical")
    store = CriticalStore(files, BLOCKS)
    assert (store.findings, held(store)) == ((), NEW)
    for name in ("../strips.x", "/etc/passwd", "a.b.c", "strips", "..", "a\n.b"):
        with pytest.raises(PermissionError):
            files.read(name, 1)
        with pytest.raises(PermissionError):
            files.write(name, b"x")
        with pytest.raises(PermissionError):
            files.rename(COPY_NAMES[0], name)
    store.close()


def test_a_symbolic_link_in_the_folder_leads_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"key")
    (tmp_path / "critical").mkdir()
    (tmp_path / "critical" / NEW_NAME).symlink_to(secret)
    with pytest.raises(CriticalStoreFailed):
        CriticalStore(FolderFiles(tmp_path / "critical"), BLOCKS)
    assert secret.read_bytes() == b"key"


@pytest.mark.parametrize(
    "module",
    ["critical_files", "critical_format", "critical_store", "parameter_table", "parameters", "reset_budget"],
)
def test_no_store_nor_table_service_can_name_pixels_strips_keys_or_tenants(module: str) -> None:
    """What it may import has none of them; the whole list is here, so that a new one is a decision."""
    source = (ROOT / "flight" / "services" / f"{module}.py").read_text()
    named = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert {name for name in named if name and name.startswith(("flight", "hal", "payload_models", "bindings"))} <= {
        "bindings.crc",
        "flight.services.critical_files",
        "flight.services.critical_format",
        "flight.services.critical_store",
        "flight.services.declare",
        "flight.services.parameter_table",
    }


# --- the reset budget


def test_the_budget_is_spent_one_by_one_and_then_refuses() -> None:
    budget = ResetBudget.unpack(RESET_BUDGET.default)
    for performed in range(1, 4):
        budget = budget.spend()
        assert ResetBudget.unpack(budget.pack()) == budget == ResetBudget(performed, 3)
    with pytest.raises(ResetBudgetSpent) as spent:
        budget.spend()
    assert (spent.value.performed, spent.value.limit) == (3, 3)
    assert budget.cleared() == ResetBudget(0, 3)


def test_any_flipped_bit_of_the_budget_is_seen_by_the_complements_alone() -> None:
    octets = ResetBudget(2, 3).pack()
    assert octets.hex() == "00020003fffdfffc"
    for bit in range(len(octets) * 8):
        with pytest.raises(ComplementMismatch):
            ResetBudget.unpack(flipped(octets, bit))


@given(st.binary(max_size=12))
def test_any_octets_are_a_budget_or_a_typed_refusal(octets: bytes) -> None:
    try:
        assert ResetBudget.unpack(octets).pack() == octets
    except ComplementMismatch as refused:
        assert refused.octets_hex == octets.hex()

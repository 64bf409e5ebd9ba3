"""The scrubber finds every change by the next pass, within its budget, and reads nothing that it was not given."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bindings.crc import crc32c
from flight.services import scrub_component as told
from flight.services.command_set import CommandSet
from flight.services.declare import DeclarationInvalid, Event
from flight.services.dictionary import describe
from flight.services.events import EventRecord, EventRing
from flight.services.rooted import PathReason, Root
from flight.services.scrub_region import (
    MAX_MEMORY_OCTETS,
    FileSource,
    MemorySource,
    Outcome,
    Region,
    Unreadable,
    UnreadableReason,
)
from flight.services.scrubber import BLOCK_OCTETS, SCRUB_COMMANDS, Scrubber, Verdict, scrub_handlers
from hal.clock import SimulatedClock
from tests.shared_data import ROOT


def ring() -> EventRing:
    return EventRing(256, SimulatedClock())


def of(events: EventRing, event: Event) -> list[EventRecord]:
    return [record for record in events.drain(256) if record.matches(event)]


def one_pass(scrubber: Scrubber) -> Verdict:
    before = scrubber.passes
    while scrubber.passes == before:
        scrubber.step()
    assert scrubber.verdict is not None
    return scrubber.verdict


def nothing() -> Outcome:
    return Outcome.FAILED


def memory(octets: bytes | bytearray, expected: bytes = b"") -> Scrubber:
    scrubber = Scrubber([Region(1, MemorySource(lambda: octets), nothing, expected)], 1000, ring())
    scrubber.start()
    return scrubber


# --- what it can not reach


def test_the_scrubber_loads_no_pixels_no_strips_no_keys_and_no_tenants() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import flight.services.scrubber, sys; print(*sorted(sys.modules))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = ended.stdout.split()
    assert "flight.services.rooted" in loaded
    rooms = ("flight.pipeline", "flight.product", "flight.agent", "flight.link", "payload_models", "hal.sensor")
    assert [name for name in loaded if name.startswith(rooms)] == []
    assert {"mmap", "multiprocessing.shared_memory", "socket", "nacl", "cryptography"} & set(loaded) == set()


# --- what cannot be declared or read


def test_declarations_that_mean_nothing_are_refused() -> None:
    source = MemorySource(lambda: b"")
    for number in (0, 256):
        with pytest.raises(DeclarationInvalid):
            Region(number, source, nothing)
    with pytest.raises(DeclarationInvalid):
        Region(1, source, nothing, b"12345")
    region = Region(1, source, nothing)
    for regions, budget in (((), 1), ((region, region), 1), ((region,), 0)):
        with pytest.raises(DeclarationInvalid):
            Scrubber(regions, budget, ring())
    scrubber = Scrubber([region], 1, ring())
    with pytest.raises(DeclarationInvalid):
        scrubber.rebaseline(2)
    with pytest.raises(DeclarationInvalid):
        scrubber.rebaseline(1, b"1")


@pytest.mark.parametrize("given_", [memoryview(b"pixels"), bytearray(MAX_MEMORY_OCTETS + 1), None])
def test_memory_that_is_no_table_is_not_read(given_: object) -> None:
    source = MemorySource(lambda: given_)  # type: ignore[arg-type,return-value]
    with pytest.raises(Unreadable) as refused:
        source.begin()
    assert refused.value.reason == UnreadableReason.NOT_OCTETS


def test_a_bytearray_that_shrinks_is_told_and_its_owner_may_resize_it() -> None:
    octets = bytearray(5000)
    scrubber = memory(octets)
    scrubber.step()
    del octets[2000:]
    assert one_pass(scrubber) == Verdict(1, 1000 + 1000, (), (1,))


# --- changes are found


@given(
    st.integers(1, 3 * BLOCK_OCTETS),
    st.integers(0, 7),
    st.integers(1, 5000),
    st.sampled_from(("", "crc", "sha")),
    st.data(),
)
def test_a_flipped_bit_anywhere_is_found_by_the_next_pass_and_its_block_named(
    size: int, bit: int, budget: int, digest: str, data: st.DataObject
) -> None:
    octets = bytearray(range(256)) * (size // 256 + 1)
    del octets[size:]
    expected = {"": b"", "crc": crc32c(octets).to_bytes(4, "big"), "sha": hashlib.sha256(octets).digest()}[digest]
    events = ring()
    scrubber = Scrubber([Region(9, MemorySource(lambda: octets), nothing, expected)], max(budget, size // 50), events)
    scrubber.start()
    assert one_pass(scrubber) == Verdict(1, size, (), ())
    where = data.draw(st.integers(0, size - 1))
    octets[where] ^= 1 << bit
    assert one_pass(scrubber).changed == (9,)
    block = where // BLOCK_OCTETS
    assert [record.values for record in of(events, told.BLOCK_CHANGED)] == [(9, block, block * BLOCK_OCTETS)]
    octets[where] ^= 1 << bit
    assert one_pass(scrubber).sound and scrubber.mismatches == 1


@pytest.mark.parametrize("expected", [b"\0" * 4, b"\0" * 32])
def test_weights_that_were_never_what_the_manifest_states_become_no_baseline(expected: bytes) -> None:
    scrubber = memory(b"weights", expected)
    assert [one_pass(scrubber).changed for _ in range(2)] == [(1,), (1,)]
    scrubber.rebaseline(1, hashlib.sha256(b"weights").digest())
    assert one_pass(scrubber).sound


def test_a_file_that_vanished_grew_or_came_back_is_told_and_no_descriptor_is_left(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(b"w" * 9000)
    events, root = ring(), Root(tmp_path, [])
    table = bytearray(10)
    scrubber = Scrubber(
        [Region(1, FileSource(root, "weights"), nothing), Region(2, MemorySource(lambda: table), nothing)], 4096, events
    )
    before = len(os.listdir("/proc/self/fd"))
    scrubber.start()
    assert one_pass(scrubber) == Verdict(1, 9010, (), ())
    weights.rename(tmp_path / "away")
    assert one_pass(scrubber) == Verdict(2, 10, (), (1,))
    assert [record.values for record in of(events, told.UNREADABLE)] == [(1, PathReason.MISSING, 2)]
    weights.write_bytes(b"w" * 9001)
    assert one_pass(scrubber) == Verdict(3, 10, (1,), ())
    assert [record.values for record in of(events, told.SIZE_CHANGED)] == [(1, 9001, 9000)]
    scrubber.rebaseline(1)
    assert one_pass(scrubber).sound
    scrubber.step()
    os.truncate(weights, 4096)
    assert one_pass(scrubber).unreadable == (1,)
    assert [record.values[1] for record in of(events, told.UNREADABLE)] == [UnreadableReason.CUT_SHORT]
    scrubber.step()
    scrubber.stop()
    assert len(os.listdir("/proc/self/fd")) == before
    root.close()


def test_a_change_made_known_half_way_is_no_mismatch() -> None:
    octets = bytearray(5000)
    scrubber = memory(octets)
    one_pass(scrubber)
    scrubber.step()
    octets[:] = b"\1" * 5000
    scrubber.rebaseline(1)
    assert one_pass(scrubber).sound and one_pass(scrubber).sound
    assert scrubber.mismatches == 0


# --- reactions


@pytest.mark.parametrize(
    ("outcome", "calls"), [(Outcome.REPAIRED, 3), (Outcome.FAILED, 3), (Outcome.WITHDRAWN, 1), (OSError(5, "io"), 3)]
)
def test_a_reaction_is_called_again_unless_it_withdrew_what_needs_the_region(
    outcome: Outcome | OSError, calls: int
) -> None:
    octets, called = bytearray(8), []

    def reaction() -> Outcome:
        called.append(1)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    events = ring()
    scrubber = Scrubber([Region(1, MemorySource(lambda: octets), reaction)], 8, events)
    scrubber.start()
    one_pass(scrubber)
    octets[3] = 1
    for _ in range(3):
        one_pass(scrubber)
    assert len(called) == calls
    ended = outcome if isinstance(outcome, Outcome) else Outcome.FAILED
    assert {record.values for record in of(events, told.REACTED)} == {(1, ended)}
    octets[3] = 0
    assert one_pass(scrubber).sound
    octets[3] = 1
    one_pass(scrubber)
    assert len(called) == calls + 1


def test_a_good_copy_that_is_put_back_is_sound_in_the_next_pass() -> None:
    good = bytes(range(200))
    octets = bytearray(good)

    def reload() -> Outcome:
        octets[:] = good
        return Outcome.REPAIRED

    scrubber = Scrubber([Region(1, MemorySource(lambda: octets), reload)], 64, ring())
    scrubber.start()
    one_pass(scrubber)
    octets[100] ^= 0x80
    assert one_pass(scrubber).changed == (1,)
    assert one_pass(scrubber).sound and scrubber.repaired == 1


# --- commands


def test_commands_start_stop_and_tell() -> None:
    events = ring()
    scrubber = Scrubber([Region(n, MemorySource(lambda: bytes(10)), nothing) for n in (1, 2)], 4, events)
    handlers, commands = scrub_handlers(scrubber), CommandSet(SCRUB_COMMANDS)
    assert {each.opcode >> 8 for each in commands} == {told.SCRUBBER.number}
    assert not handlers[0x4201]({"region": 3}) and scrubber.step() == 0
    assert handlers[0x4201]({"region": 2})
    assert one_pass(scrubber).octets == 10 and not scrubber.running
    assert handlers[0x4201]({"region": 0})
    scrubber.step()
    assert handlers[0x4203]({})
    assert [describe(record) for record in of(events, told.STATUS)] == [
        "scrubber: scrubbing 1, at region 1, offset 4, 1 passes"
    ]
    assert handlers[0x4202]({}) and scrubber.step() == 0
    assert set(scrubber.telemetry()) == {each.name for each in told.SCRUBBER.telemetry}


# --- any order of changes, rebaselines, starts and steps


class Scrubbed(RuleBasedStateMachine):
    """A model that knows, for each region, what it was when it was last believed."""

    def __init__(self) -> None:
        super().__init__()
        self.octets = {1: bytearray(b"a" * 5000), 2: bytearray(b"b" * 10), 3: bytearray()}
        self.believed: dict[int, bytes | None] = dict.fromkeys(self.octets)

    @initialize(budget=st.integers(500, 9000))
    def begin(self, budget: int) -> None:
        self.budget = budget
        regions = [
            Region(number, MemorySource(lambda held=held: held), nothing)  # type: ignore[misc]
            for number, held in self.octets.items()
        ]
        self.scrubber = Scrubber(regions, budget, ring())

    @rule(number=st.sampled_from((1, 2)), place=st.integers(0, 4999), mask=st.integers(1, 255))
    def flip(self, number: int, place: int, mask: int) -> None:
        self.octets[number][place % len(self.octets[number])] ^= mask
        self.scrubber.stop()  # a change between passes: what a pass sees half of is tested above

    @rule(number=st.sampled_from((1, 2, 3)))
    def rebaseline(self, number: int) -> None:
        self.scrubber.rebaseline(number)
        self.believed[number] = None
        self.scrubber.stop()

    @rule()
    def whole_pass(self) -> None:
        self.scrubber.start()
        before, read, changed = self.scrubber.passes, 0, []
        while self.scrubber.passes == before:
            step = self.scrubber.step()
            assert step <= self.budget
            read += step
        for number, held in self.octets.items():
            if self.believed[number] is None:
                self.believed[number] = bytes(held)
            elif self.believed[number] != bytes(held):
                changed.append(number)
        assert self.scrubber.verdict == Verdict(before + 1, read, tuple(changed), ())

    @precondition(lambda self: self.scrubber.running)
    @rule()
    def stop(self) -> None:
        self.scrubber.stop()

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "scrubber"):
            assert self.scrubber.unreadable == 0


TestScrubbed = Scrubbed.TestCase

"""Last words and the time without ground contact: written whole, read once, and told when they are damaged."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from flight.executive.component import HEALTHY, UNHEALTHY
from flight.executive.health_contact import (
    ContactAction,
    ContactFile,
    ContactRule,
    ContactState,
    ContactStateInvalid,
    ContactTimer,
)
from flight.executive.health_last_words import (
    MAX_EVENTS,
    RECORD_OCTETS,
    Damage,
    EndReason,
    LastWords,
    LastWordsFile,
    LastWordsInvalid,
)
from flight.services import dictionary
from flight.services.events import EventRecord, EventRing
from hal.clock import SimulatedClock


def some_events(count: int) -> tuple[EventRecord, ...]:
    ring = EventRing(max(1, count), SimulatedClock())
    for number in range(count):
        ring.emit(HEALTHY, frame=number)
    return tuple(ring.drain(count))


def ring() -> EventRing:
    return EventRing(100, SimulatedClock())


def said(events: EventRing) -> list[str]:
    return [dictionary.describe(record) for record in events.drain(100)]


WORDS = LastWords(EndReason.WATCHDOG, 2, 12_345, 6_000_000, some_events(3))

# --- last words: bad input first


@pytest.mark.parametrize(
    ("octets", "damage"),
    [
        (b"", Damage.SIZE),
        (bytes(RECORD_OCTETS + 1), Damage.SIZE),
        (b"\1" * RECORD_OCTETS, Damage.CRC),
        (WORDS.pack()[:-1] + bytes([WORDS.pack()[-1] ^ 1]), Damage.CRC),
    ],
)
def test_what_is_no_record_is_refused(octets: bytes, damage: Damage) -> None:
    with pytest.raises(LastWordsInvalid) as refused:
        LastWords.unpack(octets)
    assert refused.value.damage is damage


@given(st.integers(0, RECORD_OCTETS - 1), st.integers(1, 255))
def test_no_changed_octet_passes(position: int, change: int) -> None:
    octets = bytearray(WORDS.pack())
    octets[position] ^= change
    with pytest.raises(LastWordsInvalid):
        LastWords.unpack(bytes(octets))


@given(st.integers(0, RECORD_OCTETS))
def test_a_write_that_is_cut_is_the_old_the_new_or_damaged_and_never_something_else(cut: int) -> None:
    torn = WORDS.pack()[:cut] + bytes(RECORD_OCTETS - cut)
    with contextlib.suppress(LastWordsInvalid):
        assert LastWords.unpack(torn) in (None, WORDS)


@given(
    st.sampled_from(EndReason),
    st.integers(0, 255),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 60),
)
def test_last_words_come_out_as_they_went_in(
    reason: EndReason, mode: int, frame: int, time_us: int, count: int
) -> None:
    events = some_events(count)
    octets = LastWords(reason, mode, frame, time_us, events).pack()
    assert len(octets) == RECORD_OCTETS
    assert LastWords.unpack(octets) == LastWords(reason, mode, frame, time_us, events[-MAX_EVENTS:])


def test_numbers_that_do_not_fit_are_kept_at_the_largest() -> None:
    found = LastWords.unpack(LastWords(EndReason.FATAL, 1, 1 << 70, -5).pack())
    assert found is not None and (found.frame, found.time_us) == (2**64 - 1, 0)


# --- the file


def test_the_next_boot_tells_the_last_words_and_forgets_them(tmp_path: Path) -> None:
    path = tmp_path / "last_words"
    first = LastWordsFile(path, ring())
    assert path.stat().st_size == RECORD_OCTETS and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.tell() is None
    assert first.say(EndReason.STOPPED, mode=2, frame=77, time_us=5, events=some_events(1))
    assert not first.say(EndReason.FATAL, mode=0, frame=78, time_us=6), "the first words are kept"
    first.close()
    events = ring()
    second = LastWordsFile(path, events)
    words = second.tell()
    assert words is not None and (words.reason, words.frame) == (EndReason.STOPPED, 77)
    assert said(events) == [
        "health: the boot before ended in frame 77, mode 2, reason 1",
        f"health: its last words: event 1.{HEALTHY.number} at {words.events[0].time_us} us",
    ]
    assert second.tell() is None and said(events) == []
    second.close()
    second.close()


def test_words_about_a_withheld_watchdog_are_taken_back_when_it_is_healthy_again(tmp_path: Path) -> None:
    words = LastWordsFile(tmp_path / "w", ring())
    words.take_back()
    assert words.say(EndReason.WATCHDOG, mode=1, frame=1, time_us=1)
    words.take_back()
    assert words.tell() is None
    assert words.say(EndReason.STOPPED, mode=1, frame=2, time_us=2)


@pytest.mark.parametrize("octets", [b"short", b"\5" * RECORD_OCTETS, bytes(RECORD_OCTETS) + b"\1"])
def test_damaged_words_are_told_and_the_file_is_good_again(tmp_path: Path, octets: bytes) -> None:
    path, events = tmp_path / "w", ring()
    path.write_bytes(octets)
    words = LastWordsFile(path, events)
    assert words.tell() is None
    assert ["are damaged" in line for line in said(events)] == [True]
    assert path.read_bytes() == bytes(RECORD_OCTETS)
    assert words.say(EndReason.FATAL, mode=1, frame=2, time_us=3)


def test_a_medium_that_fails_is_told_and_stops_nothing(tmp_path: Path) -> None:
    events = ring()
    words = LastWordsFile(tmp_path, events)  # a folder
    assert words.tell() is None and not words.say(EndReason.FATAL, mode=0, frame=0, time_us=0)
    words.take_back()
    words.close()
    assert ["could not be written" in line for line in said(events)] == [True]
    full = LastWordsFile(Path("/dev/full"), events)
    assert not full.say(EndReason.FATAL, mode=0, frame=0, time_us=0)
    full.close()
    assert any("could not be written" in line for line in said(events))


def test_events_of_the_executive_are_among_the_last_words() -> None:
    events = ring()
    events.emit(UNHEALTHY, activity=3, silent=50)
    record = events.drain(1)
    found = LastWords.unpack(LastWords(EndReason.WATCHDOG, 1, 2, 3, tuple(record)).pack())
    assert found is not None and found.events == tuple(record)


# --- ground contact

RULE = ContactRule(((100.0, ContactAction.RADIO_RESET), (200.0, ContactAction.SAFE_MODE)), repeat_s=50.0, save_s=10.0)


@pytest.mark.parametrize(
    ("steps", "repeat_s", "save_s"),
    [
        ((), 1.0, 1.0),
        (((0.0, ContactAction.SAFE_MODE),), 1.0, 1.0),
        (((5.0, ContactAction.SAFE_MODE), (5.0, ContactAction.SAFE_MODE)), 1.0, 1.0),
        (((5.0, ContactAction.SAFE_MODE),), 0.0, 1.0),
        (((5.0, ContactAction.SAFE_MODE),), 1.0, 0.0),
    ],
)
def test_a_rule_that_cannot_be_is_refused(
    steps: tuple[tuple[float, ContactAction], ...], repeat_s: float, save_s: float
) -> None:
    with pytest.raises(ValueError, match="above zero"):
        ContactRule(steps, repeat_s, save_s)


@given(st.binary(max_size=40) | st.binary(min_size=29, max_size=29))
def test_any_octets_are_a_saved_timer_or_refused(octets: bytes) -> None:
    with contextlib.suppress(ContactStateInvalid):
        assert ContactState.unpack(octets).pack() == octets


@given(st.floats(0, 1e11), st.integers(0, 1 << 31), st.integers(0, 1 << 63), st.integers(0, 28), st.integers(1, 255))
def test_a_saved_timer_comes_out_as_it_went_in_and_no_changed_octet_passes(
    silent_s: float, taken: int, sequence: int, position: int, change: int
) -> None:
    state = ContactState(silent_s, taken, sequence)
    octets = bytearray(state.pack())
    assert ContactState.unpack(bytes(octets)) == state
    octets[position % len(octets)] ^= change
    with pytest.raises(ContactStateInvalid):
        ContactState.unpack(bytes(octets))


@given(st.integers(0, ContactFile.SLOT))
def test_a_save_that_is_cut_leaves_the_old_or_the_new_time(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "contact"
    states = [ContactState(float(number), number, number) for number in (6, 7, 8)]
    file = ContactFile(path)
    assert file.new and file.load() is None
    for state in states[:2]:
        file.save(state)
    octets = bytearray(path.read_bytes())
    octets[:cut] = states[2].pack().ljust(ContactFile.SLOT, b"\0")[:cut]
    path.write_bytes(octets)
    assert file.load() in states[1:]
    file.close()


def test_contact_lost_and_found_again_is_told_and_done(tmp_path: Path) -> None:
    events, done = ring(), list[ContactAction]()
    file = ContactFile(tmp_path / "contact")
    timer = ContactTimer(RULE, None, file.save, done.append, events, 0.0, first=True)
    for second in range(1, 311):
        timer.step(float(second))
    assert done == [ContactAction.RADIO_RESET] + [ContactAction.SAFE_MODE] * 3
    timer.heard()
    assert said(events) == [
        "health: no valid telecommand for 100 s: action 2",
        "health: no valid telecommand for 200 s: action 1",
        "health: no valid telecommand for 250 s: action 1",
        "health: no valid telecommand for 300 s: action 1",
        "health: a valid telecommand after 310 s",
    ]
    saved = file.load()
    assert saved is not None and (saved.silent_s, saved.taken) == (0.0, 0)
    file.close()


def test_a_state_that_is_lost_is_told_a_medium_or_an_action_that_fails_stops_nothing() -> None:
    def fail(_: object) -> None:
        raise OSError("no")

    events = ring()
    timer = ContactTimer(RULE, None, fail, fail, events, 0.0)
    timer.step(60.0)
    timer.step(120.0)
    assert timer.actions == 1
    lines = said(events)
    assert lines[0] == "health: the time without contact is not known: it counts from now"
    assert "health: the time without contact could not be saved" in lines
    assert "health: no valid telecommand for 120 s: action 2" in lines


class Contact(RuleBasedStateMachine):
    """Restarts at any moment, clocks that jump: no action is lost, and none comes before its time."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: ContactState | None = None
        self.now_s = self.true_s = self.least_s = 0.0
        self.restarts = 0
        self.done: list[ContactAction] = []
        self.boot(first=True)

    def boot(self, *, first: bool = False) -> None:
        self.timer = ContactTimer(RULE, self.saved, self._save, self.done.append, ring(), self.now_s, first=first)

    def _save(self, state: ContactState) -> None:
        self.saved = ContactState.unpack(state.pack())

    @rule(passed_s=st.floats(0, 50))
    def passes(self, passed_s: float) -> None:
        self.now_s += passed_s
        self.true_s += passed_s
        before = len(self.done)
        due = self.timer.silent_s + passed_s >= RULE.due_s(before) + 1e-6
        self.timer.step(self.now_s)
        assert len(self.done) - before == 1 or not due, "one action a step, and none is left out"
        self._holds()

    @rule(jump_s=st.floats(-1e6, 0))
    def the_clock_of_another_boot(self, jump_s: float) -> None:
        self.now_s += jump_s
        self.restarts += 1
        self.boot()
        self._holds()

    @rule()
    def contact(self) -> None:
        self.timer.heard()
        self.true_s, self.restarts = 0.0, 0
        self.done.clear()
        assert self.timer.silent_s == 0.0

    def _holds(self) -> None:
        assert self.timer.silent_s <= self.true_s + (self.restarts + 1) * RULE.save_s + 1e-6, "none before its time"
        assert self.timer.silent_s >= self.true_s - 1e-6, "no time is lost"
        if self.done:
            assert self.timer.silent_s + 1e-6 >= RULE.due_s(len(self.done) - 1)


TestContact = Contact.TestCase


def test_a_satellite_that_restarts_again_and_again_acts_all_the_same() -> None:
    done: list[ContactAction] = []
    saved: list[ContactState | None] = [None]
    for boot in range(40):
        timer = ContactTimer(RULE, saved[-1], saved.append, done.append, ring(), 0.0, first=boot == 0)
        timer.step(0.5)
    assert done[0] is ContactAction.RADIO_RESET and ContactAction.SAFE_MODE in done

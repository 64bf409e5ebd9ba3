"""What must count and does not leads up its ladder, each action bounded and with its pause."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flight.executive.health_counts import CountUnknown, CountWatch
from flight.executive.health_ladder import Ladder, Verdict
from flight.executive.health_table import ActionName, Kind, Step, Watched, load_counts, parse_counts
from flight.executive.modes import Mode
from flight.services import dictionary
from flight.services.events import EventRing
from hal.clock import SimulatedClock
from hal.toml_records import ConfigError

TABLE = """name = "counts"

[[watched]]
name = "agent.step"
kind = "activity"
number = 4
window_frames = 10
expected = 5
modes = ["nominal"]
clean_windows = 2
action = [
  { do = "event", cooldown_frames = 10, times = 2 },
  { do = "restart_activity", cooldown_frames = 20 },
  { do = "restart_process", cooldown_frames = 10, process = "payload" },
  { do = "sequence", cooldown_frames = 10, sequence = 7 },
  { do = "reset", cooldown_frames = 10 },
]

[[watched]]
name = "payload"
kind = "process"
number = 200
window_frames = 50
expected = 1
[[watched.action]]
do = "restart_process"
cooldown_frames = 100
"""


@pytest.mark.parametrize(
    ("before", "after", "line", "reason"),
    [
        ("expected = 5", "expected = 0", 8, ">= 1"),
        ("window_frames = 10", 'window_frames = "10"', 7, "int"),
        ("number = 200", "number = 4", 19, "used twice"),
        ('name = "payload"', 'name = "agent.step"', 19, "watched twice"),
        ('"nominal"', '"nominel"', 3, "no mode `nominel`"),
        ('do = "restart_process"\n', 'do = "restart_activity"\n', 19, "for an activity"),
        ('"event"', '"reset"', 3, "stronger"),
        (", sequence = 7", "", 3, "names a sequence"),
        ('"payload" }', '"" }', 3, "names its `process`"),
        ("times = 2", 'times = 2, process = "payload"', 3, "belongs to"),
        ("clean_windows", "clean_window", 10, "unknown field"),
        ("cooldown_frames = 100", "cooldown_frames = 0", 27, ">= 1"),
        ('name = "counts"', "name = ", 1, "not valid TOML"),
    ],
)
def test_a_table_that_cannot_be_is_refused_with_its_line(before: str, after: str, line: int, reason: str) -> None:
    assert before in TABLE
    with pytest.raises(ConfigError, match=reason) as refused:
        parse_counts(TABLE.replace(before, after, 1), "counts.toml")
    assert refused.value.line == line


def test_a_table_is_read_from_its_file_and_a_missing_one_says_so(tmp_path: Path) -> None:
    (tmp_path / "counts.toml").write_text(TABLE)
    assert load_counts(tmp_path / "counts.toml") == parse_counts(TABLE, "here")
    with pytest.raises(ConfigError, match="No such file"):
        load_counts(tmp_path / "none.toml")


class Recorded:
    """Does as it is told, and notes it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.refuses = False

    def _note(self, what: str) -> bool:
        self.done.append(what)
        if self.refuses:
            raise RuntimeError(what)
        return True

    def restart_activity(self, name: str) -> bool:
        return self._note(f"activity {name}")

    def restart_process(self, name: str) -> bool:
        return self._note(f"process {name}")

    def start_sequence(self, number: int) -> bool:
        return self._note(f"sequence {number}")

    def reset(self) -> bool:
        return self._note("reset")


def test_the_whole_ladder_is_climbed_told_and_ends() -> None:
    events, reactions, totals = EventRing(200, SimulatedClock()), Recorded(), {"agent.step": 0, "payload": 0}
    watch = CountWatch(
        parse_counts(TABLE, "here"), {name: partial(totals.__getitem__, name) for name in totals}, reactions, events
    )
    for frame in range(120):
        totals["payload"] += 1
        watch.step(frame, Mode.NOMINAL)
    assert reactions.done == ["activity agent.step", "process payload", "sequence 7", "reset"]
    said = [dictionary.describe(record) for record in events.drain(200)]
    taken = [line.partition("action ")[2] for line in said if ": action" in line]
    assert taken[:3] == ["1, 1 times", "1, 2 times", "2, 1 times"]
    assert watch.taken == 6 and watch.failed == 0
    assert sum("every action was taken" in line for line in said) == 1
    assert "health: watched 4: 0 of 5 in its window" in said
    for frame in range(120, 160):
        totals["agent.step"] += 1
        watch.step(frame, Mode.NOMINAL)
    assert "health: watched 4 counts as declared again" in [dictionary.describe(r) for r in events.drain(200)]


def test_a_reaction_that_fails_is_told_and_the_next_one_still_comes() -> None:
    events, reactions = EventRing(200, SimulatedClock()), Recorded()
    reactions.refuses = True
    table = parse_counts(TABLE, "here")
    watch = CountWatch(table, {"agent.step": lambda: 0, "payload": lambda: 0}, reactions, events)
    for frame in range(300):
        watch.step(frame, Mode.NOMINAL)
    assert reactions.done.count("reset") == 1 and watch.failed == len(reactions.done)
    assert "health: watched 4: action 5 could not be taken" in [dictionary.describe(r) for r in events.drain(200)]


def test_in_a_mode_in_which_it_need_not_count_nothing_is_missed() -> None:
    events, reactions = EventRing(200, SimulatedClock()), Recorded()
    table = parse_counts(TABLE, "here")
    watch = CountWatch(table, {"agent.step": lambda: 0, "payload": iter(range(9999)).__next__}, reactions, events)
    for frame in range(300):
        watch.step(frame, Mode.SAFE if frame % 10 == 9 else Mode.NOMINAL)  # no window of it is ever whole
    assert (watch.missed, reactions.done) == (0, [])


def test_what_nothing_counts_cannot_be_watched() -> None:
    with pytest.raises(CountUnknown, match="payload"):
        CountWatch(parse_counts(TABLE, "here"), {"agent.step": lambda: 0}, Recorded(), EventRing(9, SimulatedClock()))


class Climb(RuleBasedStateMachine):
    """Against a ladder written down as a list of actions."""

    @initialize(
        steps=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 3)), min_size=1, max_size=4),
        window=st.integers(1, 8),
        expected=st.integers(1, 4),
        clean=st.integers(1, 3),
    )
    def begin(self, steps: list[tuple[int, int]], window: int, expected: int, clean: int) -> None:
        actions = tuple(
            Step(do, cooldown, times) for do, (cooldown, times) in zip(list(ActionName), steps, strict=False)
        )
        self.ladder = Ladder(Watched("a", Kind.ACTIVITY, 1, window, expected, actions, ("nominal",), clean))
        self.rungs = [step for step in actions for _ in range(step.times)]
        self.frame = self.total = self.climbed = self.clean = 0
        self.began: tuple[int, int] | None = None
        self.acted: tuple[int, Step] | None = None
        self.spent = False

    @rule(skipped=st.integers(1, 12), ran=st.integers(0, 6), mode=st.sampled_from([Mode.NOMINAL] * 9 + [Mode.SAFE]))
    def frames(self, skipped: int, ran: int, mode: Mode) -> None:
        self.frame, self.total = self.frame + skipped, self.total + ran
        watched = self.ladder.watched
        due = self.ladder.is_due(self.frame, mode)
        decision = self.ladder.judge(self.frame, mode, self.total)
        assert due or decision is None
        if mode is Mode.SAFE:
            self.began = None
        elif self.began is None:
            self.began = self.frame, self.total
        elif self.frame - self.began[0] >= watched.window_frames:
            assert decision is not None
            well = self.total - self.began[1] >= watched.expected
            assert well == (decision.verdict in (Verdict.WELL, Verdict.RESTORED))
            self.began = self.frame, self.total
            self._ended(well, decision.verdict, decision.step)
            return
        assert decision is None

    def _ended(self, well: bool, verdict: Verdict, step: Step | None) -> None:
        if well:
            self.clean += 1
            restored = bool(self.climbed) and self.clean >= self.ladder.watched.clean_windows
            assert (verdict is Verdict.RESTORED) == restored
            if restored:
                self.climbed, self.acted, self.spent = 0, None, False
            return
        self.clean = 0
        if self.acted is not None and self.frame < self.acted[0] + self.acted[1].cooldown_frames:
            assert verdict is Verdict.MISSING
        elif self.climbed < len(self.rungs):
            assert (verdict, step) == (Verdict.ACT, self.rungs[self.climbed])
            self.acted = self.frame, self.rungs[self.climbed]
            self.climbed += 1
        else:
            assert verdict is (Verdict.MISSING if self.spent else Verdict.SPENT)
            self.spent = True

    @rule()
    def started_anew(self) -> None:
        """What counts begins at zero again; the window that this falls into holds what was counted since."""
        self.total = 0
        if self.began is not None:
            self.began = self.began[0], 0
            self.ladder._total = 0  # as a total below the last one is read

    @invariant()
    def bounded(self) -> None:
        if hasattr(self, "ladder"):
            assert self.ladder.climbed == (self.climbed > 0)


TestClimb = Climb.TestCase


def test_a_total_that_begins_again_counts_from_zero() -> None:
    ladder = Ladder(Watched("a", Kind.ACTIVITY, 1, 10, 5, (Step(ActionName.EVENT, 10),)))
    assert ladder.judge(0, Mode.NOMINAL, 100) is None
    decision = ladder.judge(10, Mode.NOMINAL, 3)
    assert decision is not None and (decision.verdict, decision.counted) == (Verdict.ACT, 3)

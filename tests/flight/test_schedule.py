"""The analysis against a plain enumeration and against the frame loop itself; `swath schedule check`."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.cli import answer, build_parser
from flight.executive.frame_source import SimulatedFrames
from flight.executive.health import HealthGate
from flight.executive.loop import FrameLoop
from flight.executive.modes import Mode, ModeManager
from flight.executive.recovery import recovery
from flight.executive.schedule import Criticality, Entry, Overrun, ScheduleTable, analyse, load, modes_of, parse
from flight.services.events import EventRing
from hal.clock import SimulatedClock
from hal.toml_records import ConfigError

ROOT = Path(__file__).resolve().parents[2]
NOMINAL = ROOT / "examples" / "schedules" / "nominal.toml"

TEXT = """[table]
major_us = 100_000
minor_us = 10_000

[[entry]]
activity = "first"
period = 1
slot = 0
wcet_us = 2_000
modes = ["safe", "nominal"]

[[entry]]
activity = "second"
period = 5
phase = 2
slot = 1
wcet_us = 3_000
deadline_us = 9_000
modes = ["nominal"]
criticality = "high"
overrun = "next"
"""


def swath(*arguments: str) -> int:
    return answer(build_parser("swath", ["flight.executive.commands"], ""), arguments)


@st.composite
def tables(draw: st.DrawFn) -> ScheduleTable:
    minor = 10_000
    entries = []
    for number in range(draw(st.integers(1, 7))):
        period = draw(st.sampled_from([1, 2, 4, 5, 10, 20, 40, 60]))
        wcet = draw(st.integers(100, 6_000))
        entries.append(
            Entry(
                activity=f"activity_{number}",
                period=period,
                phase=draw(st.integers(0, period - 1)),
                slot=draw(st.integers(number, number + 1)),
                wcet_us=wcet,
                deadline_us=draw(st.sampled_from([wcet + 600, 5_000, 9_000, 10_000])),
                criticality=draw(st.sampled_from(list(Criticality))),
                modes=tuple(draw(st.sets(st.sampled_from(["safe", "nominal", "imaging"]), min_size=1))),
                overrun=draw(st.sampled_from(list(Overrun))),
                line=number + 1,
            )
        )
    return ScheduleTable("random", 20 * minor, minor, 40, 500, tuple(entries), "0")


def enumerated(table: ScheduleTable) -> tuple[int, bool]:
    """The fullest frame's use, and whether everything fits: job by job, without any of the analysis' shortcuts."""
    fullest, fits = 0, True
    for mode in Mode:
        for frame in range(math.lcm(20, *(entry.period for entry in table.entries))):
            jobs = [entry for entry in table.entries if mode in modes_of(entry) and frame % entry.period == entry.phase]
            fits = fits and len({job.slot for job in jobs}) == len(jobs)
            end = 500
            for job in sorted(jobs, key=lambda job: job.slot):
                end += 40 + job.wcet_us
                fits = fits and end <= job.deadline_us
            fullest = max(fullest, end)
    return fullest, fits and fullest <= 10_000


@settings(max_examples=100, deadline=None)
@given(tables())
def test_the_analysis_accepts_exactly_what_an_enumeration_of_every_job_accepts(table: ScheduleTable) -> None:
    analysis = analyse(table)
    fullest, fits = enumerated(table)
    assert analysis.worst_frame.used_us == fullest
    wrong = any(
        entry.wcet_us > entry.deadline_us
        or (entry.criticality is Criticality.CRITICAL and entry.overrun is Overrun.SHED)
        for entry in table.entries
    )
    assert analysis.ok == (fits and not wrong), analysis.problems


@settings(max_examples=100, deadline=None)
@given(tables(), st.sampled_from([Mode.SAFE, Mode.NOMINAL, Mode.IMAGING]))
def test_an_accepted_table_flown_at_its_worst_case_drops_nothing_and_is_never_late(
    table: ScheduleTable, mode: Mode
) -> None:
    analysis = analyse(table)
    if not analysis.ok:
        return
    clock = SimulatedClock()
    events = EventRing(100, clock)
    frames = SimulatedFrames(clock, table.minor_us)
    spend = {entry.activity: (lambda _, wcet=entry.wcet_us: clock.advance(wcet / 1e6)) for entry in table.entries}
    loop = FrameLoop(table, spend, frames, clock, events, ModeManager(events, mode), HealthGate(events))
    frames.start()
    for _ in range(analysis.hyperperiod):
        slot = frames.wait(table.minor_us)
        assert slot is not None
        loop.run_frame(slot)
    for entry in table.entries:
        counters = loop.counters()[entry.activity]
        expected = analysis.hyperperiod // entry.period if mode in modes_of(entry) else 0
        assert counters.run == counters.due == expected, f"{entry.activity}: each job exactly once per period"
        assert (counters.overran, counters.late) == (0, 0)
    assert frames.counters().late == frames.counters().skipped == 0


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ('activity = "second"', 'activity = "first"', 13, "`first` is already at line 5"),
        ('["safe", "nominal"]', '["safe", "nominel"]', 10, "no mode `nominel`; did you mean `nominal`?"),
        ('["nominal"]', '["nominal", "nominal"]', 19, "names a mode twice"),
        ("phase = 2", "phase = 5", 15, "phase 5 is not below the period of 5 frames"),
        ("wcet_us = 3_000", "wcet_us = 9_001", 17, "worst case 9001 us is above the deadline 9000 us"),
        ("deadline_us = 9_000", "deadline_us = 5_000", 18, "may end 5580 us after release, its deadline is 5000 us"),
        ("deadline_us = 9_000", "deadline_us = 60_000", 18, "deadline 60000 us is after the next start"),
        ("slot = 1", "slot = 0", 16, "slot 0 is taken by `first`"),
        ("period = 5", "period = 7", 14, "period 7 neither divides the major frame of 10 frames"),
        ("period = 5", "period = 1_000_000", 14, "repeats only after 1000000 frames"),
        ("major_us = 100_000", "major_us = 105_000", 1, "no whole number of minor frames"),
        ("minor_us = 10_000", "minor_us = 10_000\nmargin_us = 10_000", 1, "leaves nothing of a minor frame"),
        ("wcet_us = 2_000", "wcet_us = 7_000", 9, "frame 2 in mode nominal needs 10580 of 10000 us"),
    ],
)
def test_each_mistake_is_named_with_its_line(old: str, new: str, line: int, reason: str) -> None:
    assert analyse(parse(TEXT, "t.toml")).ok
    assert old in TEXT
    analysis = analyse(parse(TEXT.replace(old, new), "t.toml"))
    assert not analysis.ok
    assert any(problem.line == line and reason in problem.reason for problem in analysis.problems), analysis.problems


def test_an_activity_that_does_not_exist_is_named_where_the_activities_are_known() -> None:
    problems = analyse(parse(TEXT, "t.toml"), ["first", "seconds"]).problems
    assert [(problem.line, problem.reason) for problem in problems] == [
        (13, "no activity `second`; did you mean `seconds`?")
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("period = 5", "perod = 5", 14),
        ("wcet_us = 3_000", "wcet_us = 0", 17),
        ('overrun = "next"', 'overrun = "nxt"', 21),
        ("slot = 1", "slot = ", 16),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(old: str, new: str, line: int) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(TEXT.replace(old, new), "t.toml")
    assert refused.value.line == line


def test_the_hash_is_of_the_content_not_of_comments_or_of_defaults_written_out() -> None:
    plain = parse(TEXT, "t.toml").hash
    assert parse("# a comment\n" + TEXT.replace("slot = 0", 'slot = 0\noverrun = "skip"'), "u.toml").hash == plain
    assert parse(TEXT.replace("2_000", "2_001"), "t.toml").hash != plain


def test_the_example_fits_and_one_overrun_is_recovered() -> None:
    table = load(NOMINAL)
    analysis = analyse(table)
    assert analysis.ok, analysis.problems
    found = recovery(table, analysis, 12_000)
    assert 1 <= found.frames <= 5
    assert recovery(table, analysis, 52_000).frames >= found.frames + 3, "five frames long cannot end in the same time"


def test_check_answers_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert swath("schedule", "check", str(NOMINAL), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert {"ok", "hash", "utilisation", "worst_frame", "problems"} <= set(said)
    assert set(said["worst_frame"]) == {"index", "used_us", "budget_us"}
    assert said["ok"] is True
    assert said["problems"] == []
    assert 0 < said["utilisation"] < 1
    assert said["hash"] == load(NOMINAL).hash
    assert said["verified"] is True
    assert len(said["frames_us"]) == said["hyperperiod"] == 100
    assert max(said["frames_us"]) == said["worst_frame"]["used_us"]
    assert all(0 < response["worst_us"] <= response["deadline_us"] for response in said["responses"])
    assert said["recovery"]["overrun_us"] == 12_000
    assert set(said["recovery"]["policies"]) == {"skip", "next", "shed", "safe"}


def test_check_says_why_it_fits_in_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert swath("schedule", "check", str(NOMINAL)) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("nominal.toml  100 frames of 10 ms  not harmonic  utilisation ")
    assert second.startswith("fits: every activity meets its deadline; one overrun of up to 12 ms is recovered within ")


def test_check_answers_1_with_line_and_reason_when_it_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "full.toml"
    table.write_text(TEXT.replace("wcet_us = 2_000", "wcet_us = 8_000"))
    assert swath("schedule", "check", str(table)) == 1
    out = capsys.readouterr().out
    assert "full.toml:9: frame 2 in mode nominal needs 11580 of 10000 us" in out
    assert "    9 | wcet_us = 8_000" in out
    assert swath("schedule", "check", str(table), "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert said["worst_frame"] == {"index": 2, "used_us": 11580, "budget_us": 10000}
    assert {problem["line"] for problem in said["problems"]} == {9, 18}


def test_check_answers_2_when_there_is_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert swath("schedule", "check", str(tmp_path / "none.toml"), "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "config_error"
    typo = tmp_path / "typo.toml"
    typo.write_text(TEXT.replace("criticality", "criticalty"))
    assert swath("schedule", "check", str(typo)) == 2
    assert "did you mean `criticality`?" in capsys.readouterr().err


@pytest.mark.parametrize("wcet", ["2_000", "8_000"])
def test_the_gantt_is_a_picture_that_shows_whether_a_frame_is_too_full(tmp_path: Path, wcet: str) -> None:
    table = tmp_path / "t.toml"
    table.write_text(TEXT.replace("2_000", wcet))
    swath("schedule", "check", str(table), "--png", str(tmp_path / "t.png"))
    picture = np.asarray(cv2.imread(str(tmp_path / "t.png")))
    assert picture.shape[1] == 1400
    red = np.all(picture == (40, 39, 214), axis=2).sum()
    assert (red > 500) == (wcet == "8_000")

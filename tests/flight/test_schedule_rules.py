"""Each rule of a schedule table refuses by line and reason; one that fits is sealed, and the board flies no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.cli import answer, build_parser
from flight.errors import FlightError
from flight.executive.errors import ScheduleRefused, TableNotVerified
from flight.executive.schedule import Rule, analyse, parse
from flight.executive.verified import load_verified, sealed
from hal.toml_records import ConfigError
from tests.shared_data import ROOT

NOMINAL = ROOT / "flight" / "executive" / "nominal.toml"
TEXT = """[table]
major_us = 100_000
minor_us = 10_000
core = 0

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
after = ["first"]
group = "extras"

[[window]]
partition = "payload"
core = 1
period = 2
start_us = 1_000
length_us = 15_000

[[window]]
partition = "camera"
core = 0
period = 5
phase = 3
start_us = 4_000
length_us = 5_000
"""
HASH = "0" * 64

CASES: dict[Rule, list[tuple[str, str, int, str]]] = {
    Rule.FRAME_SIZE: [
        ("major_us = 100_000", "major_us = 105_000", 1, "no whole number of minor frames"),
        ("core = 0\n\n", "margin_us = 10_000\n\n", 1, "leaves nothing of a minor frame"),
        (
            "core = 0\n\n",
            "jitter_us = 6_000\nblocking_us = 4_000\n\n",
            1,
            "margin with jitter and blocking of 10500 us",
        ),
    ],
    Rule.NAME: [
        ('activity = "second"', 'activity = "first"', 14, "`first` is already at line 6"),
        ('["safe", "nominal"]', '["safe", "nominel"]', 11, "no mode `nominel`; did you mean `nominal`?"),
        ('["nominal"]', '["nominal", "nominal"]', 20, "names a mode twice"),
    ],
    Rule.PERIOD: [
        ("period = 5\nphase = 2", "period = 7\nphase = 2", 15, "period 7 neither divides the major frame of 10 frames"),
        ("period = 5\nphase = 2", "period = 1_000_000\nphase = 2", 15, "repeats only after 1000000 frames"),
        ("period = 2\n", "period = 3\n", 29, "period 3 neither divides"),
    ],
    Rule.PHASE: [
        ("phase = 2", "phase = 5", 16, "phase 5 is not below the period of 5 frames"),
        ("phase = 3", "phase = 6", 37, "phase 6 is not below the period of 5 frames"),
    ],
    Rule.SLOT: [("slot = 1", "slot = 0", 17, "slot 0 is taken by `first` (line 6) in a common frame and mode")],
    Rule.BOUNDS: [
        ("wcet_us = 3_000", "wcet_us = 9_001", 18, "worst case 9001 us is above the deadline 9000 us"),
        (
            "deadline_us = 9_000",
            "deadline_us = 60_000",
            19,
            "deadline 60000 us is after the next start, 50000 us later",
        ),
    ],
    Rule.CRITICALITY: [
        (
            'criticality = "high"\noverrun = "next"',
            'criticality = "critical"\noverrun = "shed"',
            22,
            "gives way to nothing",
        ),
        ('criticality = "high"', 'criticality = "critical"', 24, "cannot be switched off with group `extras`"),
    ],
    Rule.PRECEDENCE: [
        ('after = ["first"]', 'after = ["frist"]', 23, "`frist`, which has no entry; did you mean `first`?"),
        ('after = ["first"]', 'after = ["second"]', 23, "`second` cannot run after itself"),
        ('modes = ["nominal"]', 'modes = ["nominal", "imaging"]', 23, "`first`, which does not run in mode imaging"),
        (
            "period = 1\nslot = 0",
            "period = 10\nslot = 0",
            23,
            "starts in frame 7, slot 1, without a run of `first` since",
        ),
    ],
    Rule.WINDOW: [
        ("start_us = 1_000", "start_us = 10_000", 30, "start 10000 us is not inside a minor frame of 10000 us"),
        ("length_us = 15_000", "length_us = 20_001", 31, "length 20001 us is longer than the period of 20000 us"),
        ("length_us = 5_000", "length_us = 6_001", 39, "on the cycle's core 0 a window ends with its frame"),
        ("core = 0\nperiod = 5", "core = 1\nperiod = 5", 38, "core 1 is then given to `payload` (line 26) as well"),
    ],
    Rule.VERIFIED: [("core = 0\n\n", f'verified = "{HASH}"\n\n', 4, "carries the hash 000000000000 of another table")],
    Rule.FRAME: [("wcet_us = 2_000", "wcet_us = 7_000", 10, "frame 2 in mode nominal needs 10580 of 10000 us")],
    Rule.DEADLINE: [
        ("deadline_us = 9_000", "deadline_us = 5_000", 19, "may end 5580 us after release, its deadline is 5000 us")
    ],
    Rule.UTILISATION: [
        ("core = 0\n\n", "utilisation_limit = 0.2\n\n", 4, "core 0 is asked for 36.5% of its time, the limit is 20.0%")
    ],
    Rule.CYCLE_WINDOW: [
        ("start_us = 4_000", "start_us = 2_000", 38, "opens 2000 us into frame 3, whose activities may end at 2540 us")
    ],
}


@pytest.mark.parametrize(
    ("rule", "old", "new", "line", "reason"),
    [(rule, *case) for rule, cases in CASES.items() for case in cases],
)
def test_each_rule_refuses_with_line_and_reason(rule: Rule, old: str, new: str, line: int, reason: str) -> None:
    assert TEXT.count(old) >= 1
    problems = analyse(parse(TEXT.replace(old, new, 1), "t.toml")).problems
    assert any(each.rule is rule and each.line == line and reason in each.reason for each in problems), problems


def test_no_rule_is_without_a_case_and_the_table_itself_is_good() -> None:
    assert set(CASES) == set(Rule)
    assert analyse(parse(TEXT, "t.toml")).problems == ()


def test_the_page_has_every_rule() -> None:
    page = (ROOT / "docs" / "schedule.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.M)) == {rule.name for rule in Rule}


def swath(*arguments: str) -> int:
    return answer(build_parser("swath", ["flight.executive.commands"], ""), arguments)


def test_a_table_is_sealed_by_the_command_and_flown_only_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.toml"
    path.write_text(TEXT)
    with pytest.raises(TableNotVerified, match="--seal") as refused:
        load_verified(path)
    assert isinstance(refused.value, FlightError)
    assert swath("schedule", "check", str(path)) == 0
    assert "carries no hash, so that no board flies it: --seal writes it" in capsys.readouterr().out
    assert swath("schedule", "check", "--seal", str(path)) == 0
    assert "carries no hash" not in capsys.readouterr().out
    table = load_verified(path)
    assert table.verified == table.hash == parse(TEXT, "t.toml").hash
    before = path.read_text()
    assert swath("schedule", "check", "--seal", str(path)) == 0
    assert path.read_text() == before
    path.write_text(before.replace("2_000", "2_001"))
    with pytest.raises(TableNotVerified):
        load_verified(path)
    assert swath("schedule", "check", str(path)) == 1
    path.write_text("# a comment changes nothing\n" + before)
    load_verified(path)


def test_a_table_that_does_not_fit_is_not_sealed(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(TEXT.replace("2_000", "7_000"))
    assert swath("schedule", "check", "--seal", str(path)) == 1
    assert "verified" not in path.read_text()
    with pytest.raises(ScheduleRefused):
        sealed(path.read_text(), "t.toml")
    with pytest.raises(ConfigError, match="no place for the hash"):
        sealed("table = {major_us = 10_000, minor_us = 10_000}\n" + TEXT[TEXT.index("[[entry]]") :], "t.toml")


def test_a_link_to_a_table_stays_one(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(TEXT)
    (tmp_path / "link.toml").symlink_to("t.toml")
    assert swath("schedule", "check", "--seal", str(tmp_path / "link.toml")) == 0
    assert (tmp_path / "link.toml").is_symlink()
    load_verified(tmp_path / "t.toml")


def test_the_shipped_table_is_sealed() -> None:
    assert load_verified(NOMINAL).verified


@given(st.data())
def test_no_change_of_a_number_goes_unnoticed(data: st.DataObject) -> None:
    text = sealed(TEXT, "t.toml")
    numbers = list(re.finditer(r"= ([\d_]+)$", text, re.M))
    chosen = data.draw(st.sampled_from(numbers))
    value = int(chosen[1].replace("_", ""))
    other = data.draw(st.integers(0, 2_000_000).filter(lambda number: number != value))
    changed = text[: chosen.start(1)] + str(other) + text[chosen.end(1) :]
    try:
        table = parse(changed, "t.toml")
    except ConfigError:
        return
    assert table.verified != table.hash
    assert not analyse(table).ok


def test_every_command_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = re.findall(r"^    swath (schedule .*)$", (ROOT / "docs" / "schedule.md").read_text("utf-8"), re.M)
    assert len(commands) == 4
    (tmp_path / "flight" / "executive").mkdir(parents=True)
    (tmp_path / "flight" / "executive" / "nominal.toml").write_text(NOMINAL.read_text("utf-8"))
    (tmp_path / "my_table.toml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    for command in commands:
        assert swath(*command.split()) == 0, command
    assert (tmp_path / "schedule.png").exists()

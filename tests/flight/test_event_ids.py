"""Event ids: none is used for another meaning, none vanishes, none is given without being listed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.services.declare import Component, Event, Severity
from flight.services.dictionary import components
from flight.services.event_ids import LIST, EventIdsInvalid, added, faults, main, parse, render, retired, reworded
from tests.shared_data import ROOT


def pump(*texts: str) -> Component:
    events = tuple(Event(number, Severity.INFO, text) for number, text in enumerate(texts, 1) if text)
    return Component("pump", 250, events=events)


BEFORE = parse("250.1 given started\n250.2 given at {flow:u16} l/h\n")


def test_the_list_of_this_software_has_no_fault() -> None:
    assert faults(parse(LIST.read_text()), components()) == []


def test_the_list_is_kept_in_order() -> None:
    text = LIST.read_text()
    assert render(parse(text)) == text


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("started", "at {flow:u16} l/h"), []),
        (("stopped", "at {flow:u16} l/h"), ["250.1 was given to `started`"]),
        (("started", "at {flow:u32} l/h"), ["250.2 was given to"]),
        (("started",), ["250.2 is not declared any more"]),
        (("started", "at {flow:u16} l/h", "dry"), ["250.3 is declared and not listed"]),
    ],
)
def test_another_meaning_a_lost_event_and_an_unlisted_one_are_faults(texts: tuple[str, ...], said: list[str]) -> None:
    found = faults(BEFORE, [pump(*texts)])
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said, strict=True))


def test_a_retired_id_is_not_declared_again_and_not_taken_out() -> None:
    after = retired(BEFORE, (250, 1), [pump("", "at {flow:u16} l/h")])
    assert faults(after, [pump("", "at {flow:u16} l/h")]) == []
    assert "retired and is declared again" in faults(after, [pump("started", "at {flow:u16} l/h")])[0]
    del after[250, 1]
    assert "no line is taken out" in faults(after, [pump("", "at {flow:u16} l/h")])[0]


def test_words_change_arguments_do_not() -> None:
    other = [pump("started", "flow {flow:u16} l/h")]
    assert faults(reworded(BEFORE, (250, 2), other), other) == []
    with pytest.raises(EventIdsInvalid, match="other arguments"):
        reworded(BEFORE, (250, 2), [pump("started", "flow {flow:u32} l/h")])
    with pytest.raises(EventIdsInvalid, match="declared still"):
        retired(BEFORE, (250, 1), other)
    with pytest.raises(EventIdsInvalid, match="never given"):
        retired(BEFORE, (250, 9), other)
    with pytest.raises(EventIdsInvalid, match="given and declared"):
        reworded(BEFORE, (250, 9), other)


@pytest.mark.parametrize(
    "line",
    ["250.1", "250.1 given", "250.1 lost text", "x.1 given a", "250 given a", "250.0 given a", "256.1 given a",
     "250.1 given {a:str}", "250.1 given a\n250.1 given b"],
)  # fmt: skip
def test_a_line_that_makes_no_sense_is_named(line: str) -> None:
    with pytest.raises(EventIdsInvalid) as refused:
        parse("# head\n" + line)
    assert refused.value.line == 2 + line.count("\n")


@given(st.text(max_size=80))
def test_any_text_is_a_list_or_refused(text: str) -> None:
    try:
        listed = parse(text)
    except EventIdsInvalid:
        return
    assert parse(render(listed)) == listed


@given(st.sets(st.integers(1, 6)), st.sets(st.integers(1, 6)))
def test_adding_never_changes_what_is_listed(listed: set[int], declared: set[int]) -> None:
    before = parse("".join(f"250.{number} given first {number}\n" for number in listed))
    component = Component("pump", 250, events=tuple(Event(n, Severity.INFO, f"now {n}") for n in sorted(declared)))
    after = added(before, [component])
    assert {key: after[key] for key in before} == before
    assert {number for (_, number), entry in after.items() if not entry.retired} == listed | declared
    assert {number for _, number in after} == set(range(1, max(listed | declared, default=0) + 1))


def test_the_command_checks_adds_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ids.txt"
    whole = LIST.read_text()
    path.write_text("\n".join(whole.splitlines()[:-1]) + "\n")
    assert main(["check", "--list", str(path)]) == 1
    assert "declared and not listed" in capsys.readouterr().out
    assert main(["add", "--list", str(path)]) == 0
    assert path.read_text() == whole
    first = next(iter(parse(whole).values()))
    assert main(["retire", f"{first.component}.{first.number}", "--list", str(path)]) == 2
    assert main(["reword", f"{first.component}.{first.number}", "--list", str(path)]) == 0
    assert main(["retire", "--list", str(path)]) == 2
    assert main(["check", "--list", str(tmp_path / "none.txt")]) == 2
    assert path.read_text() == whole


def test_the_command_on_the_page_runs() -> None:
    command = "python -m flight.services.event_ids check"
    assert command in (ROOT / "docs" / "onboard-services.md").read_text()
    ended = subprocess.run(
        [sys.executable, *command.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

"""Every command that the documents show is run, so that no document promises what does not run.

Fenced blocks marked `sh` are commands. A block that cannot be run here says so in a comment on the line above it:
`<!-- not run: reason -->`.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import flight.cli
import ground_test.cli
from tests.shared_data import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
NOT_RUN = re.compile(r"<!--\s*not run:\s*(.*?)\s*-->", re.DOTALL)
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
ACTIVATE = ". .venv/bin/activate"  # the tests' own environment stands for it
# What commands read, as links; what they write goes into a folder of the test's own.
READ = ("examples", "payload_models", "docs", "tests", "benchmarks", "bindings", "hal", "flight", "ground_test")
LONGEST_S = 120
# `swath product seal v1` and its like are what signatures begin with (docs/product-format.md), no commands.
CONTEXT = re.compile(r" v\d+$")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    line: int
    language: str
    text: str
    not_run: str | None  # the reason, where one is given

    @property
    def commands(self) -> list[str]:
        """One a line; lines ending in a backslash go on; comments and the activation left out."""
        joined = self.text.replace("\\\n", " ")
        lines = [" ".join(line.split()) for line in joined.splitlines()]
        return [line for line in lines if line and not line.startswith("#") and line != ACTIVATE]


def blocks(document: Path) -> list[Block]:
    text = document.read_text("utf-8")
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()].rstrip()
        reasons = list(NOT_RUN.finditer(before))
        reason = reasons[-1][1] if reasons and reasons[-1].end() == len(before) else None
        indent = match[1]
        body = "\n".join(line.removeprefix(indent) for line in match[3].splitlines())
        found.append(Block(text[: match.start()].count("\n") + 1, match[2], body, reason))
    return found


RUNNABLE = [
    name
    for name, path in zip(NAMES, DOCUMENTS, strict=True)
    if any(block.language == "sh" and block.not_run is None for block in blocks(path))
]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNABLE)
def test_every_command_of_a_document_runs(tmp_path: Path, name: str) -> None:
    """In order, in one folder: what a command writes, a later one may read."""
    for entry in READ:
        if (ROOT / entry).exists():
            (tmp_path / entry).symlink_to(ROOT / entry)
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
    }
    for block in blocks(ROOT / name):
        if block.language != "sh" or block.not_run is not None:
            continue
        for command in block.commands:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=LONGEST_S, check=False,
            )  # fmt: skip
            said = f"{name}:{block.line}: {command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            assert done.returncode == 0, said
            assert "Traceback" not in done.stderr, said


@pytest.mark.parametrize("name", NAMES)
def test_a_block_that_is_not_run_says_why(name: str) -> None:
    for block in blocks(ROOT / name):
        if block.not_run is not None:
            assert block.language == "sh", f"{name}:{block.line}: only `sh` blocks are run in the first place"
            assert len(block.not_run.split()) >= 3, f"{name}:{block.line}: a reason of one word is none"


@pytest.mark.parametrize("name", NAMES)
def test_no_command_hides_in_a_block_that_is_not_marked_as_commands(name: str) -> None:
    hidden = re.compile(r"^\s*(?:\$ )?(?:swath|swath-ground|python -m|make|pip|git clone) [\w./-]", re.MULTILINE)
    for block in blocks(ROOT / name):
        if block.language in ("", "console", "text", "bash", "shell"):
            found = hidden.search(block.text)
            assert found is None, f"{name}:{block.line}: `{found[0].strip()}...` in a block that nothing runs"


def parser_of(program: str) -> argparse.ArgumentParser:
    if program == "swath":
        return flight.cli.build_parser("swath", flight.cli.COMMAND_MODULES, "")
    return flight.cli.build_parser("swath-ground", ground_test.cli.COMMAND_MODULES, "")


def complaint(words: list[str]) -> str:
    """What is wrong with a command line in running text, where only its names can be checked; empty for nothing."""
    parser = parser_of(words[0])
    chosen = words[1:]
    while chosen:
        verbs = next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)
        if verbs is None or not re.fullmatch(r"[a-z]+", chosen[0]):
            break
        if chosen[0] not in verbs.choices:
            return f"`{parser.prog}` has no `{chosen[0]}`"
        parser = verbs.choices[chosen.pop(0)]
    known = {option for action in parser._actions for option in action.option_strings}
    for word in chosen:
        option = re.match(r"\[?(--[a-z][a-z-]*)", word)
        if option and option[1] not in known:
            return f"`{parser.prog}` has no `{option[1]}`"
    return ""


@pytest.mark.parametrize("name", NAMES)
def test_commands_named_in_running_text_and_in_blocks_exist(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    prose = FENCE.sub("", text)
    spans = [
        (span, f"`{span}`") for span in re.findall(r"`(swath(?:-ground)? [^`]+)`", prose) if not CONTEXT.search(span)
    ]
    for block in blocks(ROOT / name):
        if block.language == "sh":
            spans += [
                (line, f"line {block.line}: {line}") for line in block.commands if re.match(r"swath(-ground)? ", line)
            ]
    for span, where in spans:
        wrong = complaint(shlex.split(span.split("|")[0].replace("...", ""), comments=True))
        assert not wrong, f"{name}: {where}: {wrong}"


def test_the_checks_see_what_they_are_there_to_see() -> None:
    text = "a\n\n<!-- not run: for three reasons -->\n```sh\nmake fly\n```\n\n```sh\nswath run \\\n  x # why\n```\n"
    document = Path(os.devnull)
    matches = list(FENCE.finditer(text))
    assert [match[2] for match in matches] == ["sh", "sh"] and document.exists()
    assert Block(1, "sh", matches[1][3], None).commands == ["swath run x # why"]
    assert complaint(["swath", "rnu"]) == "`swath` has no `rnu`"
    assert complaint(["swath", "models", "lst"]) == "`swath models` has no `lst`"
    assert complaint(["swath", "run", "SCENE", "--appl", "x"]) == "`swath run` has no `--appl`"
    assert complaint(["swath", "run", "SCENE", "--app", "NAME"]) == ""

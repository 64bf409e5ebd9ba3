"""What must count how often, and what is done when it does not: a frozen table, from TOML, checked where it is read.

name = "counts"

[[watched]]
name = "agent.step"        # an activity of the schedule, or a process
kind = "activity"
number = 4                 # how events name it
window_frames = 500
expected = 80              # runs in a window, at least
modes = ["nominal", "imaging", "downlink"]
clean_windows = 3          # in a row, until the ladder begins at its foot again

[[watched.action]]
do = "event"
cooldown_frames = 500
times = 2
"""

from __future__ import annotations

from enum import Enum, IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from flight.executive.modes import Mode
from hal.toml_records import ConfigError, load_record, parse_record

MAX_WATCHED = 64
Frames = Annotated[int, Meta(ge=1, le=1 << 31)]


class Action(IntEnum):
    """What is done, the mildest first. Numbers go down with events and are never reused."""

    EVENT = 1  # the event alone
    RESTART_ACTIVITY = 2
    RESTART_PROCESS = 3
    SEQUENCE = 4
    RESET = 5


class ActionName(str, Enum):
    """The actions as a table writes them."""

    EVENT = "event"
    RESTART_ACTIVITY = "restart_activity"
    RESTART_PROCESS = "restart_process"
    SEQUENCE = "sequence"
    RESET = "reset"

    @property
    def action(self) -> Action:
        return Action[self.name]


class Kind(str, Enum):
    """What counts."""

    ACTIVITY = "activity"
    PROCESS = "process"


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """One rung: what is done, at most how often, and how many frames nothing else is done after it."""

    do: ActionName
    cooldown_frames: Frames
    times: Annotated[int, Meta(ge=1, le=255)] = 1
    process: str = ""  # of restart_process for an activity: which one
    sequence: Annotated[int, Meta(ge=0, le=255)] = 0  # of sequence: its number


class Watched(Struct, frozen=True, forbid_unknown_fields=True):
    """One that must count."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    kind: Kind
    number: Annotated[int, Meta(ge=0, le=255)]
    window_frames: Frames
    expected: Annotated[int, Meta(ge=1, le=1 << 31)]
    action: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=16)]
    modes: tuple[str, ...] = ()  # in the others it need not count; none named: always
    clean_windows: Annotated[int, Meta(ge=1, le=1000)] = 3

    @property
    def flown_modes(self) -> frozenset[Mode]:
        """The modes in which it must count."""
        return frozenset(Mode[name.upper()] for name in self.modes) or frozenset(Mode)


class CountTable(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that must count."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    watched: Annotated[tuple[Watched, ...], Meta(max_length=MAX_WATCHED)] = ()


def load_counts(path: Path) -> CountTable:
    """Read a table. Raises ConfigError with file and line."""
    load_record(path, CountTable)
    return parse_counts(path.read_text("utf-8"), str(path))


def parse_counts(text: str, name: str) -> CountTable:
    """The table of TOML text; `name` stands for the file in errors. Raises ConfigError with the line."""
    table = parse_record(text, CountTable, name)
    lines = text.split("\n")
    heads = [number for number, line in enumerate(lines, 1) if line.split("#")[0].strip() == "[[watched]]"]
    for index, watched in enumerate(table.watched):
        if reason := _wrong(watched, table.watched[:index]):
            line = heads[index] if len(heads) == len(table.watched) else 0  # else they are written in one line
            raise ConfigError(name, line, f"{watched.name}: {reason}", lines[line - 1] if line else "")
    return table


def _wrong(watched: Watched, before: tuple[Watched, ...]) -> str:
    """Why it cannot be so, "" when it can."""
    if any(watched.name == other.name for other in before):
        return "is watched twice"
    if any(watched.number == other.number for other in before):
        return f"number {watched.number} is used twice"
    unknown = [mode for mode in watched.modes if mode.upper() not in Mode.__members__]
    if unknown:
        return f"no mode `{unknown[0]}`"
    actions = [step.do.action for step in watched.action]
    if any(later <= earlier for earlier, later in pairwise(actions)):
        return "each action is stronger than the one before: event, restart_activity, restart_process, sequence, reset"
    for step in watched.action:
        if step.do is ActionName.RESTART_ACTIVITY and watched.kind is not Kind.ACTIVITY:
            return "restart_activity is for an activity"
        if (step.do is ActionName.SEQUENCE) != bool(step.sequence):
            return "`sequence` names a sequence above 0 exactly where the action is `sequence`"
        if step.do is ActionName.RESTART_PROCESS and watched.kind is Kind.ACTIVITY and not step.process:
            return "restart_process of an activity names its `process`"
        if step.process and (step.do is not ActionName.RESTART_PROCESS or watched.kind is Kind.PROCESS):
            return "`process` belongs to the restart_process of an activity"
    return ""

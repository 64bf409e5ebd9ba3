"""The schedule table: a major frame cut in minor frames, and what runs in them. Data, written in TOML."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hal.toml_records import MAX_FILE_BYTES, ConfigError, parse_record


class Criticality(IntEnum):
    """What gives way first when a frame is too full."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3  # never disabled; its silence withholds the watchdog


class Overrun(IntEnum):
    """What happens to an activity whose declared time does not fit what is left of its frame."""

    SKIP = 0  # dropped until its next period
    NEXT = 1  # tried again in the next frames, until its deadline
    SHED = 2  # dropped, also when it would fit but a more critical one later in the frame would then not
    SAFE = 3  # dropped, and safe mode is asked for; also when it takes longer than declared


class TableHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[table]`"""

    major_us: Annotated[int, Meta(ge=1_000, le=60_000_000, description="length of the major frame, microseconds")]
    minor_us: Annotated[int, Meta(ge=500, le=1_000_000, description="length of a minor frame, microseconds")]
    dispatch_us: Annotated[int, Meta(ge=0, le=10_000, description="cost of starting one activity")] = 40
    margin_us: Annotated[int, Meta(ge=0, le=1_000_000, description="kept free in every frame for late releases")] = 500


class EntryRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[entry]]`"""

    activity: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=48)]
    period: Annotated[int, Meta(ge=1, le=1_000_000, description="frames from one start to the next")]
    slot: Annotated[int, Meta(ge=0, le=255, description="order within a frame")]
    wcet_us: Annotated[int, Meta(ge=1, le=1_000_000, description="declared worst-case time, microseconds")]
    modes: Annotated[tuple[str, ...], Meta(min_length=1, max_length=8, description="modes in which it runs")]
    phase: Annotated[int, Meta(ge=0, le=1_000_000, description="first frame in which it starts")] = 0
    deadline_us: Annotated[int, Meta(ge=0, le=1_000_000_000, description="after its release; 0: the frame's end")] = 0
    criticality: Literal["low", "normal", "high", "critical"] = "normal"
    overrun: Literal["skip", "next", "shed", "safe"] = "skip"


class TableRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schedule file."""

    table: TableHead
    entry: Annotated[tuple[EntryRecord, ...], Meta(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class Entry:
    """One activity in the table. `modes` are names as written: the analysis judges them."""

    activity: str
    period: int  # frames
    phase: int  # frames
    slot: int
    wcet_us: int
    deadline_us: int
    criticality: Criticality
    modes: tuple[str, ...]
    overrun: Overrun
    line: int  # of its [[entry]]
    lines: tuple[tuple[str, int], ...] = ()  # of its keys

    def line_of(self, key: str) -> int:
        """Where `key` is written, else where the entry begins."""
        return dict(self.lines).get(key, self.line)


@dataclass(frozen=True, slots=True)
class ScheduleTable:
    """A table as read; whether it fits is what analyse() says. `hash` is of its content, not of its comments."""

    name: str
    major_us: int
    minor_us: int
    dispatch_us: int
    margin_us: int
    entries: tuple[Entry, ...]
    hash: str
    head_line: int = 1

    @property
    def frames(self) -> int:
        """Minor frames in a major frame."""
        return self.major_us // self.minor_us


def load(path: Path) -> ScheduleTable:
    """Read a table file. Raises ConfigError, with file and line, for what is not a table."""
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_FILE_BYTES + 1).decode("utf-8")
    except OSError as error:
        raise ConfigError(str(path), 0, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), 0, f"not UTF-8 at byte {error.start}") from error
    if len(text) > MAX_FILE_BYTES:
        raise ConfigError(str(path), 0, f"larger than {MAX_FILE_BYTES} bytes")
    return parse(text, str(path))


def parse(text: str, name: str) -> ScheduleTable:
    """Read a table from TOML text; `name` stands for the file in errors. Raises ConfigError."""
    record = parse_record(text, TableRecord, name)
    head_line, places = _places(text)
    places += [(head_line, ())] * (len(record.entry) - len(places))  # entries written as an inline array
    entries = tuple(
        Entry(
            activity=entry.activity,
            period=entry.period,
            phase=entry.phase,
            slot=entry.slot,
            wcet_us=entry.wcet_us,
            deadline_us=entry.deadline_us or record.table.minor_us,
            criticality=Criticality[entry.criticality.upper()],
            modes=entry.modes,
            overrun=Overrun[entry.overrun.upper()],
            line=line,
            lines=lines,
        )
        for entry, (line, lines) in zip(record.entry, places, strict=False)
    )
    head = record.table
    digest = hashlib.sha256(msgspec.json.encode(record)).hexdigest()
    return ScheduleTable(
        name, head.major_us, head.minor_us, head.dispatch_us, head.margin_us, entries, digest, head_line
    )


def _places(text: str) -> tuple[int, list[tuple[int, tuple[tuple[str, int], ...]]]]:
    """The line of [table], and per [[entry]] its line and those of its keys."""
    head_line = 1
    places: list[tuple[int, list[tuple[str, int]]]] = []
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*\[\[\s*entry\s*\]\]", line):
            places.append((number, []))
            inside = True
        elif header := re.match(r"\s*\[\s*([\w.]+)\s*\]", line):
            inside = False
            if header[1] == "table":
                head_line = number
        elif inside and (key := re.match(r"\s*(\w+)\s*=", line)):
            places[-1][1].append((key[1], number))
    return head_line, [(line, tuple(lines)) for line, lines in places]

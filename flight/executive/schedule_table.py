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
    jitter_us: Annotated[int, Meta(ge=0, le=1_000_000, description="how late a frame's first start may be")] = 0
    blocking_us: Annotated[
        int, Meta(ge=0, le=1_000_000, description="longest section a frame that holds up whatever is due next")
    ] = 0
    core: Annotated[int, Meta(ge=0, le=63, description="processor core of the frames' activities")] = 0
    utilisation_limit: Annotated[float, Meta(gt=0, le=1, description="most that any core may be asked for")] = 1.0
    verified: Annotated[
        str, Meta(pattern=r"^([0-9a-f]{64})?$", description="hash written by `swath schedule check --seal`")
    ] = ""


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
    after: Annotated[tuple[str, ...], Meta(max_length=8, description="activities whose run each start needs anew")] = ()
    group: Annotated[str, Meta(pattern=r"^([a-z][a-z0-9_]*)?$", max_length=32, description="switched together")] = ""


class WindowRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[window]]`"""

    partition: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=32, description="process that has it")]
    core: Annotated[int, Meta(ge=0, le=63, description="processor core")]
    period: Annotated[int, Meta(ge=1, le=1_000_000, description="frames from one opening to the next")]
    length_us: Annotated[int, Meta(ge=1, le=1_000_000_000, description="how long it stays open")]
    start_us: Annotated[int, Meta(ge=0, le=1_000_000, description="after the release of its frame")] = 0
    phase: Annotated[int, Meta(ge=0, le=1_000_000, description="first frame in which it opens")] = 0


class TableRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schedule file."""

    table: TableHead
    entry: Annotated[tuple[EntryRecord, ...], Meta(min_length=1, max_length=64)]
    window: Annotated[tuple[WindowRecord, ...], Meta(max_length=16)] = ()


Lines = tuple[tuple[str, int], ...]  # (key, line on which it is written)


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
    lines: Lines = ()
    after: tuple[str, ...] = ()
    group: str = ""

    def line_of(self, key: str) -> int:
        """Where `key` is written, else where the entry begins."""
        return dict(self.lines).get(key, self.line)


@dataclass(frozen=True, slots=True)
class Window:
    """Time on one core that belongs to a process beside the cycle."""

    partition: str
    core: int
    period: int  # frames
    phase: int  # frames
    start_us: int
    length_us: int
    line: int  # of its [[window]]
    lines: Lines = ()

    def line_of(self, key: str) -> int:
        """Where `key` is written, else where the window begins."""
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
    head_lines: Lines = ()
    jitter_us: int = 0
    blocking_us: int = 0
    core: int = 0
    utilisation_limit: float = 1.0
    windows: tuple[Window, ...] = ()
    verified: str = ""  # the hash that the table carries; empty: none

    def line_of(self, key: str) -> int:
        """Where a key of [table] is written, else where [table] begins."""
        return dict(self.head_lines).get(key, self.head_line)

    @property
    def reserve_us(self) -> int:
        """What every frame keeps free beside declared times and dispatch."""
        return self.margin_us + self.jitter_us + self.blocking_us

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
    places = _places(text)
    head_line, head_lines = places["table"][0] if places["table"] else (1, ())
    unplaced: list[_Place] = [(head_line, ())] * 64  # for what is written as an inline array
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
            after=entry.after,
            group=entry.group,
        )
        for entry, (line, lines) in zip(record.entry, places["entry"] + unplaced, strict=False)
    )
    windows = tuple(
        Window(
            window.partition,
            window.core,
            window.period,
            window.phase,
            window.start_us,
            window.length_us,
            line,
            lines,
        )
        for window, (line, lines) in zip(record.window, places["window"] + unplaced, strict=False)
    )
    head = record.table
    content = msgspec.structs.replace(record, table=msgspec.structs.replace(head, verified=""))
    return ScheduleTable(
        name=name,
        major_us=head.major_us,
        minor_us=head.minor_us,
        dispatch_us=head.dispatch_us,
        margin_us=head.margin_us,
        entries=entries,
        hash=hashlib.sha256(msgspec.json.encode(content)).hexdigest(),
        head_line=head_line,
        head_lines=head_lines,
        jitter_us=head.jitter_us,
        blocking_us=head.blocking_us,
        core=head.core,
        utilisation_limit=head.utilisation_limit,
        windows=windows,
        verified=head.verified,
    )


_Place = tuple[int, Lines]


def _places(text: str) -> dict[str, list[_Place]]:
    """Per kind of table, the line of each header and those of the keys below it."""
    places: dict[str, list[tuple[int, list[tuple[str, int]]]]] = {"table": [], "entry": [], "window": []}
    inside: list[tuple[str, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([\w.]+)\s*\]", line):
            inside = []
            if header[1] in places:
                places[header[1]].append((number, inside))
        elif key := re.match(r"\s*(\w+)\s*=", line):
            inside.append((key[1], number))
    return {kind: [(line, tuple(keys)) for line, keys in found] for kind, found in places.items()}

"""A verified table carries its hash: written on the ground when the analysis says yes, asked for on board."""

from __future__ import annotations

from pathlib import Path

from flight.executive.errors import ScheduleRefused, TableNotVerified
from flight.executive.schedule import analyse
from flight.executive.schedule_table import ScheduleTable, load, parse
from hal.toml_records import ConfigError


def load_verified(path: Path) -> ScheduleTable:
    """Read a table as a board does. Raises TableNotVerified for one that is not as it was verified, ConfigError."""
    table = load(path)
    if table.verified != table.hash:
        raise TableNotVerified(table.name, table.line_of("verified"), table.verified, table.hash)
    return table


def sealed(text: str, name: str) -> str:
    """The text of a table with its hash in it. Raises ScheduleRefused for one that does not fit, ConfigError."""
    table = parse(text, name)
    lines = text.splitlines(keepends=True)
    written = dict(table.head_lines).get("verified")
    mark = f'verified = "{table.hash}" # by swath schedule check --seal\n'
    if written:
        lines[written - 1] = mark
    else:
        lines.insert(table.head_line, mark)
    out = "".join(lines)
    try:
        checked = parse(out, name)
    except ConfigError as error:
        raise ConfigError(name, table.head_line, "no place for the hash: write [table] on a line of its own") from error
    analysis = analyse(checked)
    if not analysis.ok:
        raise ScheduleRefused(name, tuple((problem.line, problem.reason) for problem in analysis.problems))
    return out

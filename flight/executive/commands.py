"""`swath schedule check TABLE`: does it fit, before it flies."""

from __future__ import annotations

import argparse
from pathlib import Path

from flight.executive.recovery import HORIZON_FRAMES, recovery
from flight.executive.schedule import Analysis, ScheduleTable, analyse, load
from hal.command_line import CommandResult, Subcommands

OVERRUN_SHARE = 1.2  # of a minor frame: the overrun that the verdict speaks about
_MAX_LISTED = 3


def register(commands: Subcommands) -> None:
    """Add `schedule`."""
    schedule = commands.add_parser("schedule", help="schedule tables")
    actions = schedule.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="verify that a schedule table fits its frames")
    check.add_argument("table", type=Path, metavar="TABLE", help="schedule table, TOML")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.add_argument("--png", type=Path, metavar="FILE", help="draw the Gantt chart")
    check.set_defaults(run=run_check)


def run_check(arguments: argparse.Namespace) -> CommandResult:
    """Status 0: it fits; 1: it does not. Raises ConfigError (status 2) for what is no table."""
    table = load(arguments.table)
    analysis = analyse(table)
    if arguments.png is not None:
        from flight.executive.gantt import draw

        draw(table, analysis, arguments.png)
    return CommandResult(analysis.as_dict(), report(table, analysis), 0 if analysis.ok else 1)


def report(table: ScheduleTable, analysis: Analysis) -> str:
    """The verdict as a person reads it: the table in one line, then why it fits or what does not."""
    name = Path(table.name).name
    worst = analysis.worst_frame
    listed = [f"{activity} {wcet_us / 1000:.1f}" for activity, wcet_us in worst.activities]
    more = ", ..." if len(listed) > _MAX_LISTED else ""
    frames = f"{analysis.hyperperiod} frames of {table.minor_us / 1000:g} ms" if analysis.hyperperiod else "endless"
    head = (
        f"{name}  {frames}  utilisation {analysis.utilisation * 100:.0f} %  worst frame {worst.index}:"
        f" {worst.used_us / 1000:.1f} of {worst.budget_us / 1000:g} ms ({', '.join(listed[:_MAX_LISTED])}{more})"
    )
    if analysis.ok:
        return f"{head}\nfits: every activity meets its deadline; {_recovers(table, analysis)}"
    lines = Path(table.name).read_text("utf-8", "replace").splitlines()
    shown = []
    for problem in analysis.problems:
        text = lines[problem.line - 1].rstrip() if 0 < problem.line <= len(lines) else ""
        shown.append(f"{name}:{problem.line}: {problem.reason}\n{problem.line:>5} | {text}")
    count = len(analysis.problems)
    return "\n".join([head, *shown, f"does not fit: {count} problem{'s' if count > 1 else ''}"])


def _recovers(table: ScheduleTable, analysis: Analysis) -> str:
    overrun_us = round(table.minor_us * OVERRUN_SHARE)
    found = recovery(table, analysis, overrun_us)
    size = f"one overrun of up to {overrun_us / 1000:g} ms"
    if found.frames > HORIZON_FRAMES:
        return f"{size} of {found.activity} is not recovered within {HORIZON_FRAMES} frames"
    safe = " or asks for safe mode" if found.safe_mode else ""
    return f"{size} is recovered within {found.frames} frames{safe}"

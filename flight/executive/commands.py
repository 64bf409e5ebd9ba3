"""`swath schedule check TABLE`: does it fit, before it flies."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from flight.executive.recovery import HORIZON_FRAMES, MAX_OVERRUN_US, Recovery, recovery, recovery_by_policy
from flight.executive.schedule import Analysis, ScheduleTable, analyse, load
from flight.executive.verified import sealed
from hal.command_line import CommandResult, Subcommands
from hal.toml_records import ConfigError

OVERRUN_SHARE = 1.2  # of a minor frame: the overrun that the verdict speaks about if none is asked for
_MAX_LISTED = 3


def register(commands: Subcommands) -> None:
    """Add `schedule`."""
    schedule = commands.add_parser("schedule", help="schedule tables")
    actions = schedule.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="verify that a schedule table fits its frames")
    check.add_argument("table", type=Path, metavar="TABLE", help="schedule table, TOML")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.add_argument("--png", type=Path, metavar="FILE", help="draw the Gantt chart")
    check.add_argument(
        "--overrun-us", type=_overrun, metavar="US", help="simulate one overrun of this size (1.2 minor frames)"
    )
    check.add_argument("--seal", action="store_true", help="write the hash of a table that fits into it, for the board")
    check.set_defaults(run=run_check)


def run_check(arguments: argparse.Namespace) -> CommandResult:
    """Status 0: it fits; 1: it does not. Raises ConfigError (status 2) for what is no table."""
    path: Path = arguments.table
    if arguments.seal:
        _seal(path)
    table = load(path)
    analysis = analyse(table)
    if arguments.png is not None:
        from flight.executive.gantt import draw

        draw(table, analysis, arguments.png)
    said = analysis.as_dict()
    if not analysis.ok:
        return CommandResult({**said, "recovery": None}, report(table, analysis), 1)
    overrun_us = arguments.overrun_us or round(table.minor_us * OVERRUN_SHARE)
    declared = recovery(table, analysis, overrun_us)
    policies = {
        policy.name.lower(): found.as_dict()
        for policy, found in recovery_by_policy(table, analysis, overrun_us).items()
    }
    said["recovery"] = {"overrun_us": overrun_us, "declared": declared.as_dict(), "policies": policies}
    return CommandResult(said, report(table, analysis, declared), 0)


def report(table: ScheduleTable, analysis: Analysis, recovered: Recovery | None = None) -> str:
    """The verdict as a person reads it: the table in one line, then why it fits or what does not."""
    name = Path(table.name).name
    worst = analysis.worst_frame
    listed = [f"{activity} {wcet_us / 1000:.1f}" for activity, wcet_us in worst.activities]
    more = ", ..." if len(listed) > _MAX_LISTED else ""
    harmonic = "harmonic" if analysis.harmonic else "not harmonic"
    frames = f"{analysis.hyperperiod} frames of {table.minor_us / 1000:g} ms" if analysis.hyperperiod else "endless"
    others = "".join(f"  core {use.core} {use.utilisation:.0%}" for use in analysis.cores if use.core != table.core)
    head = (
        f"{name}  {frames}  {harmonic}  utilisation {analysis.utilisation * 100:.0f} %{others}  worst frame"
        f" {worst.index}: {worst.used_us / 1000:.1f} of {worst.budget_us / 1000:g} ms"
        f" ({', '.join(listed[:_MAX_LISTED])}{more})"
    )
    if recovered is not None:
        seal = "" if analysis.verified else "\ncarries no hash, so that no board flies it: --seal writes it"
        return f"{head}\nfits: every activity meets its deadline; {_recovers(recovered)}{seal}"
    lines = Path(table.name).read_text("utf-8", "replace").splitlines()
    shown = []
    for problem in analysis.problems:
        text = lines[problem.line - 1].rstrip() if 0 < problem.line <= len(lines) else ""
        shown.append(f"{name}:{problem.line}: {problem.reason}\n{problem.line:>5} | {text}")
    count = len(analysis.problems)
    return "\n".join([head, *shown, f"does not fit: {count} problem{'s' if count > 1 else ''}"])


def _recovers(found: Recovery) -> str:
    size = f"one overrun of up to {found.overrun_us / 1000:g} ms"
    if not found.recovered:
        return f"{size} of {found.activity} is not recovered within {HORIZON_FRAMES} frames after it"
    safe = " or asks for safe mode" if found.safe_mode else ""
    return f"{size} is recovered within {found.frames} frames{safe}"


def _seal(path: Path) -> None:
    """Write the hash into a table that fits; one that does not stays as it is, and the check says why."""
    table = load(path)
    if not analyse(replace(table, verified="")).ok or table.verified == table.hash:
        return
    text = sealed(path.read_text("utf-8"), str(path))
    written = path.resolve()  # a link stays one
    beside = written.with_name(f"{written.name}.sealing")
    try:
        beside.write_text(text, "utf-8")
        beside.replace(written)
    except OSError as error:
        raise ConfigError(str(path), 0, error.strerror or str(error)) from error


def _overrun(text: str) -> int:
    """Raises ArgumentTypeError for what is no size of an overrun."""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= MAX_OVERRUN_US:
        raise argparse.ArgumentTypeError(f"{text} is not a number of microseconds from 1 to {MAX_OVERRUN_US}")
    return int(text)

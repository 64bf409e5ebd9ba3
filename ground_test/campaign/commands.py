"""`swath-ground campaign run / merge / report`."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from ground_test.campaign.plan import load_plan
from ground_test.campaign.report import report, text
from ground_test.campaign.results import Run, open_results
from ground_test.campaign.runner import judge_again, run_plan
from hal.command_line import CommandResult, Subcommands

MAX_JOBS = 1024
MAX_SHARDS = 100_000


def register(commands: Subcommands) -> None:
    """Add `campaign`."""
    campaign = commands.add_parser("campaign", help="many simulations of one scenario: run, merge, report")
    actions = campaign.add_subparsers(dest="action", required=True, metavar="ACTION")

    run = actions.add_parser("run", help="run the seeds of a plan that have no result yet")
    run.add_argument("plan", type=Path, metavar="PLAN", help="TOML file, see examples/scenarios/campaign.toml")
    run.add_argument("--out", type=Path, required=True, metavar="DB", help="SQLite file of results; made if need be")
    run.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="only this share of the seeds")
    run.add_argument("--jobs", type=_jobs, default=1, metavar="N", help="worker processes; 1: none but this one")
    run.add_argument("--json", action="store_true", help="one JSON object on stdout")
    run.set_defaults(run=run_run)

    merge = actions.add_parser("merge", help="results of several files into one")
    merge.add_argument("parts", type=Path, nargs="+", metavar="DB")
    merge.add_argument("--out", type=Path, required=True, metavar="DB")
    merge.add_argument("--json", action="store_true", help="one JSON object on stdout")
    merge.set_defaults(run=run_merge)

    show = actions.add_parser("report", help="counts, delivery times, the worst runs and how to replay them")
    show.add_argument("results", type=Path, metavar="DB")
    show.add_argument("--json", action="store_true", help="one JSON object on stdout")
    show.set_defaults(run=run_report)


def run_run(arguments: argparse.Namespace) -> CommandResult:
    """Status 0 when every run of the shard passed, also those of earlier calls."""
    plan = load_plan(arguments.plan)
    seeds = plan.shard(*arguments.shard)
    with open_results(arguments.out, create=True) as results:
        ran = run_plan(plan, seeds, results, arguments.jobs, _tell)
        keys = {plan.key(seed) for seed in seeds}
        judge_again(plan, [run for run in results.runs() if run.key in keys], results)
        runs = [run for run in results.runs() if run.key in keys]
    failed = sum(not run.passed for run in runs)
    data = {"seeds": len(seeds), "ran": ran, "passed": len(runs) - failed, "failed": failed, "software": plan.software}
    said = f"{ran} runs, {len(seeds) - ran} were there; {data['passed']} of {len(seeds)} passed: {arguments.out}"
    return CommandResult(data, said, 1 if failed else 0)


def run_merge(arguments: argparse.Namespace) -> CommandResult:
    """Idempotent. Two ends of one run are an error: the simulation would not be deterministic."""
    added = known = 0
    with open_results(arguments.out, create=True) as results:
        for part in arguments.parts:
            with open_results(part, create=False) as other:
                for run in other.runs():
                    if results.put(run):
                        added += 1
                    else:
                        known += 1
    return CommandResult({"added": added, "known": known}, f"{added} runs added, {known} were there: {arguments.out}")


def run_report(arguments: argparse.Namespace) -> CommandResult:
    """Status 0 when there are runs and all passed."""
    with open_results(arguments.results, create=False) as results:
        data = report(results)
    return CommandResult(data, text(data), 0 if data["runs"] and not data["failed"] else 1)


def _tell(run: Run) -> None:
    if sys.stderr.isatty():
        print(f"seed {run.seed}: {run.why or 'passed'} ({run.seconds_wall:.1f} s)", file=sys.stderr)


def _shard(given: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", given)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count <= MAX_SHARDS:
        raise argparse.ArgumentTypeError(f"`{given}` is not I/N with 1 <= I <= N")
    return number, count


def _jobs(given: str) -> int:
    if not given.isdigit() or not 1 <= int(given) <= MAX_JOBS:
        raise argparse.ArgumentTypeError(f"`{given}` is not a number from 1 to {MAX_JOBS}")
    return int(given)

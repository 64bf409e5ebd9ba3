"""`swath models list | check | score | bench`: the applications, from the command line."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from hal.command_line import CommandResult, Subcommands
from payload_models import bench_command
from payload_models.golden import check_golden
from payload_models.graph_guard import check_application
from payload_models.loader import application_number, applications, load_application
from payload_models.scoring import CaseScore, score


def register(commands: Subcommands) -> None:
    """Add `models` and its verbs."""
    parser = commands.add_parser("models", help="the applications: list, check, score, bench")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="the applications of this installation")
    listing.set_defaults(run=_list)
    check = verbs.add_parser("check", help="manifest, hashes, graphs and golden cases of an application")
    check.set_defaults(run=_check)
    scoring = verbs.add_parser("score", help="compare an application with a truth")
    scoring.set_defaults(run=_score)
    bench = verbs.add_parser("bench", help="time per tile and memory on this board")
    bench.set_defaults(run=bench_command.bench)
    for verb in (check, scoring, bench):
        verb.add_argument("application", metavar="APP", help="a name, or the folder of an application")
    scoring.add_argument("cases", type=Path, metavar="CASES", help="folder with case.toml, or of folders with one")
    scoring.add_argument("--precision", choices=("float", "u8", "s8"), default="float", help="which form of the graph")
    bench_command.add_arguments(bench)
    for verb in (listing, check, scoring, bench):
        verb.add_argument("--json", action="store_true", help="print one JSON object")


def _list(_: argparse.Namespace) -> CommandResult:
    entries, lines = [], []
    for name, folder in applications().items():
        manifest = load_application(name, check_graphs=False).manifest
        variants = [[band.name for band in variant.bands] for variant in manifest.variant]
        entries.append(
            {
                "name": manifest.name,
                "number": application_number(manifest.name),
                "version": manifest.version,
                "summary": manifest.summary,
                "licence": manifest.licence,
                "folder": str(folder),
                "variants": [
                    {"model": variant.model, "bands": bands}
                    for variant, bands in zip(manifest.variant, variants, strict=True)
                ],
                "radiometry": manifest.input.radiometry,
                "gsd_m": manifest.input.gsd_m,
                "tile": manifest.input.tile,
                "classes": [entry.name for entry in manifest.classes],
                "products": manifest.products,
                "parameters": {parameter.name: parameter.values for parameter in manifest.parameter},
                "needs": manifest.needs,
            }
        )
        lines.append(f"{manifest.name:<12} {manifest.version:<8} {manifest.summary}")
        lines.append(f"{'':<12} {'bands':<8} {' | '.join(' '.join(bands) for bands in variants)}")
    return CommandResult({"applications": entries}, "\n".join(lines) or "no applications")


def _check(arguments: argparse.Namespace) -> CommandResult:
    application = load_application(arguments.application, check_graphs=False)
    graphs = [asdict(facts) for facts in check_application(application)]
    golden = check_golden(application)
    ok = all(result.ok for result in golden)
    cases = [{**asdict(result), "ok": result.ok} for result in golden]
    lines = [f"{application.name} {application.manifest.version}  manifest, hashes: ok"]
    models = [form.model for variant in application.variants for form in variant.forms]
    for model, graph in zip(models, graphs, strict=True):
        lines.append(
            f"  {model}  {graph['nodes']} nodes, {graph['initialiser_bytes'] / 1e3:.1f} kB of constants, "
            f"about {graph['peak_bytes'] / 1e6:.1f} MB and {graph['operations'] / 1e6:.1f} M operations a tile: ok"
        )
    for result in golden:
        state = "ok" if result.ok else "FAILED"
        lines.append(
            f"  {result.case} {result.precision:<5}  "
            f"{result.differing} of {result.pixels} pixels differ, {result.allowed} allowed: {state}"
        )
    if not golden:
        lines.append("  no golden cases")
    data = {
        "ok": ok,
        "application": application.name,
        "version": application.manifest.version,
        "graphs": [{"model": model, **graph} for model, graph in zip(models, graphs, strict=True)],
        "golden": cases,
    }
    return CommandResult(data, "\n".join(lines), 0 if ok else 1)


def _score(arguments: argparse.Namespace) -> CommandResult:
    application = load_application(arguments.application, check_graphs=True)
    scores = score(application, arguments.cases, parameters={}, precision=arguments.precision)
    lines = [f"{'case':<24} {'iou':>7} {'precis.':>7} {'recall':>7} {'f1':>7} {'accur.':>7}"]
    for entry in scores:
        values = entry.confusion.measures.values()
        lines.append(f"{entry.case:<24} " + " ".join(f"{value:7.4f}" for value in values))
    return CommandResult(
        {"application": application.name, "cases": [_plain(entry) for entry in scores]}, "\n".join(lines)
    )


def _plain(entry: CaseScore) -> dict[str, object]:
    return {
        "case": entry.case,
        "metric": entry.metric,
        "value": entry.value,
        **entry.confusion.measures,
        **asdict(entry.confusion),
        "unanswered": entry.unanswered,
        "calibrated": entry.calibrated,
    }

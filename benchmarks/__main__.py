"""`python -m benchmarks NAME [--json]`, and the soak of the executive."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Report, as_text, machine

BENCHMARKS = {
    "executive": "how frames keep time under load, the bus against pyzmq, commits, the start",
    "pixels": "tiles, stitching, mask coding and the whole pipeline on one CPU core",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark; without a name, list them. Exit status 2 for a name that there is not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(BENCHMARKS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="rounds of each comparison (default 9)")
    parser.add_argument("--quick", action="store_true", help="small inputs: shows that it runs, measures nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    soak = parser.add_argument_group("executive")
    soak.add_argument("--soak", action="store_true", help="fly --frames frames of 2 ms and account for each")
    soak.add_argument("--frames", type=int, default=1_000_000, metavar="N", help="of the soak (default 1000000)")
    soak.add_argument("--seed", type=int, default=1, metavar="N", help="of what the activities work on (default 1)")
    soak.add_argument("--report", type=Path, metavar="FILE", help="write the soak's report there, in Markdown")
    soak.add_argument("--work", type=Path, default=Path("out/soak"), metavar="DIR", help="pieces that are done")
    given = parser.parse_args(arguments)
    if given.name is None:
        if given.json:
            print(json.dumps({"benchmarks": BENCHMARKS}))
        else:
            print("\n".join(f"{name:<10} {text}" for name, text in BENCHMARKS.items()))
        return 0
    if given.soak:
        if given.name != "executive" or not 1_000 <= given.frames <= 100_000_000:
            parser.error("--soak belongs to executive, with 1000 to 100000000 --frames")
        return _soak(given)
    if not 1 <= given.rounds <= 1000:
        parser.error("--rounds takes 1 to 1000")
    report = Report()
    importlib.import_module(f"benchmarks.{given.name}").run(report, rounds=given.rounds, quick=given.quick)
    found = {"benchmark": given.name, "rounds": given.rounds, "quick": given.quick, "machine": machine()}
    if given.json:
        print(json.dumps({**dict.fromkeys(report.absent), **report.values, **found, **report.details()}))
    else:
        print(as_text(report, found))
    return 0


def _soak(given: argparse.Namespace) -> int:
    """Exit status 1 where a frame is not accounted for."""
    module = importlib.import_module("benchmarks.executive_soak")
    command = f"python -m benchmarks executive --soak --frames {given.frames} --seed {given.seed}"
    found = module.soak(module.Soak(given.frames, given.seed, given.work, command))
    text = module.as_markdown(found)
    if given.report is not None:
        given.report.write_text(text, "utf-8")
    print(json.dumps(found) if given.json else text)
    return 1 if found["frames_unaccounted"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks NAME [--json]`."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence

from benchmarks.report import Report, as_text, machine

BENCHMARKS = {
    "executive": "the bus, against pyzmq",
    "pixels": "tiles, stitching, mask coding and the whole pipeline on one CPU core",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark; without a name, list them. Exit status 2 for a name that there is not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(BENCHMARKS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="rounds of each comparison (default 9)")
    parser.add_argument("--quick", action="store_true", help="small inputs: shows that it runs, measures nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    given = parser.parse_args(arguments)
    if given.name is None:
        if given.json:
            print(json.dumps({"benchmarks": BENCHMARKS}))
        else:
            print("\n".join(f"{name:<10} {text}" for name, text in BENCHMARKS.items()))
        return 0
    if not 1 <= given.rounds <= 1000:
        parser.error("--rounds takes 1 to 1000")
    report = Report()
    importlib.import_module(f"benchmarks.{given.name}").run(report, rounds=given.rounds, quick=given.quick)
    found = {"benchmark": given.name, "rounds": given.rounds, "quick": given.quick, "machine": machine()}
    if given.json:
        print(json.dumps({**report.values, **found, **report.details()}))
    else:
        print(as_text(report, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

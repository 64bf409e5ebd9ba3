"""`make fuzz`: run the campaign, keep the fewest inputs that reach as much, write the report.

python -m tests.fuzz run [--target NAME ...] [--executions N] [--piece N]
python -m tests.fuzz minimise [--target NAME ...]
python -m tests.fuzz report
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from tests.fuzz import campaign, python_decoders, report
from tests.fuzz.python_decoders import DECODERS
from tests.fuzz.targets import ROOT, TARGETS

CLANG = """make fuzz needs clang and its runtime. On Debian 12:
    apt-get install -y --no-install-recommends clang libclang-rt-14-dev"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("command", choices=("run", "python", "minimise", "report"))
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="one of them; all if not given")
    parser.add_argument(
        "--decoder", action="append", choices=sorted(DECODERS), help="of those in Python; all if not given"
    )
    parser.add_argument("--executions", type=int, help="inputs a target; what each is meant to have if not given")
    parser.add_argument("--piece", type=int, default=1_000_000, help="inputs after which a result is kept")
    parser.add_argument("--jobs", type=int, default=1, help="pieces at a time")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "fuzz", help="where corpora and results are kept")
    asked = parser.parse_args()
    if asked.command == "report":
        print(report.write(asked.work))
        return 0
    if asked.command == "python":
        for name in asked.decoder or DECODERS:
            python_decoders.run(DECODERS[name], asked.work, piece=100_000, say=lambda line: print(line, flush=True))
        return 0
    if shutil.which("clang") is None:
        print(CLANG, file=sys.stderr)
        return 2
    for name in asked.target or TARGETS:
        target = TARGETS[name]
        if asked.command == "minimise":
            kept = campaign.minimise(target, asked.work)
            print(f"{name}: {kept} inputs, {target.corpus.stat().st_size} octets")
            continue
        report.adopt(target, asked.work)
        try:
            campaign.run(
                target,
                asked.work,
                executions=asked.executions or target.whole,
                piece=asked.piece,
                jobs=asked.jobs,
                say=lambda line: print(line, flush=True),
            )
        except (campaign.FuzzFailed, subprocess.SubprocessError) as failure:
            print(failure, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

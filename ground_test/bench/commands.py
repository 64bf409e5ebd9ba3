"""`swath-ground bench CONFIG`: do the devices of this satellite answer?"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from hal.command_line import CommandResult, Subcommands


def register(commands: Subcommands) -> None:
    """Add `bench`."""
    parser = commands.add_parser("bench", help="ask every device of a satellite's configuration")
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the file that `swath fly` takes")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> CommandResult:
    """Status 1 when a device does not answer."""
    from flight.config import load_config, make_clock
    from ground_test.bench.devices import ask_devices

    config = load_config(arguments.config)
    answers = ask_devices(config, make_clock(config.clock))
    lines = [
        f"{answer.kind:<11} {answer.driver:<10} {'ok' if answer.ok else 'FAILED':<7} "
        f"open {answer.open_ms:7.1f} ms  ask {answer.ask_ms:7.1f} ms  {answer.found}"
        for answer in answers
    ]
    status = 0 if all(answer.ok for answer in answers) else 1
    return CommandResult({"devices": [asdict(answer) for answer in answers]}, "\n".join(lines), status)

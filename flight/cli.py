"""`swath`: the command on board. Dispatches; every room registers its own commands."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from bindings.errors import SwathError
from flight import __version__
from hal.command_line import CommandResult

COMMAND_MODULES = (
    "flight.pipeline.commands",
    "flight.commands",
    "flight.executive.commands",
    "flight.product.commands",
    "payload_models.commands",
    "hal.commands",
)


def build_parser(prog: str, modules: Sequence[str], description: str) -> argparse.ArgumentParser:
    """The parser of one program, filled by the modules that own its commands."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--version", action="version", version=f"{prog} {__version__}")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="-vv shows the traceback of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in modules:
        importlib.import_module(name).register(commands)
    return parser


def answer(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse, run, print. The exit status is 0 yes, 1 it ran and says no, 2 arguments or configuration."""
    parsed = parser.parse_args(arguments)
    as_json = bool(getattr(parsed, "json", False))
    try:
        result: CommandResult = parsed.run(parsed)
    except SwathError as error:
        if parsed.verbose >= 2:
            raise
        status, said = error.exit_status, {"code": error.code, "message": str(error), **error.numbers()}
        if not as_json:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return status
        text = json.dumps({"error": said}, default=str)
    else:
        status, text = result.status, json.dumps(_plain(result.data)) if as_json else result.text
    try:
        if text:
            _print(text)
    except OSError as error:  # a full disk, say: the answer is lost, and who asked is told
        _give_up_stdout()
        print(f"{parser.prog}: the answer cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return status


def program(prog: str, modules: Sequence[str], description: str, arguments: Sequence[str] | None) -> int:
    """One program from its start to its exit status; interrupted, also while it loads its modules, 130."""
    try:
        return answer(build_parser(prog, modules, description), arguments)
    except KeyboardInterrupt:
        return 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `swath`."""
    return program("swath", COMMAND_MODULES, "Flight software for satellites that think.", arguments)


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `swath ... | head`
        _give_up_stdout()


def _give_up_stdout() -> None:
    """What is still buffered goes nowhere, so that the interpreter does not fail over it on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plain(value: Any) -> Any:
    """NaN and infinity are not JSON: they become null."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


if __name__ == "__main__":
    sys.exit(main())

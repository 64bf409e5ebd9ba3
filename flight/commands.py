"""`swath fly CONFIG`, `swath config check | show | schema` and `swath doctor`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from hal.command_line import CommandResult, Subcommands

KINDS = ("config", "schedule", "manifest", "camera")


def register(commands: Subcommands) -> None:
    """Add `fly`, `config` and `doctor`."""
    fly = commands.add_parser("fly", help="the satellite: starts its processes and keeps them running")
    fly.add_argument("config", type=Path, metavar="CONFIG")
    fly.add_argument("--json", action="store_true", help="one JSON object on stdout at the end")
    fly.set_defaults(run=run_fly)

    config = commands.add_parser("config", help="configuration files: check, show, schema")
    actions = config.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in (
        ("check", "validate one file"),
        ("show", "the whole of one file, defaults filled in"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("file", type=Path, metavar="FILE")
        action.add_argument("--kind", choices=KINDS, default="config")
        action.add_argument("--json", action="store_true", help="one JSON object on stdout")
        action.set_defaults(run=run_check if name == "check" else run_show)
    schema = actions.add_parser("schema", help="JSON Schema of a kind of file, for editors")
    schema.add_argument("--kind", choices=KINDS, required=True)
    schema.add_argument("--json", action="store_true", help="one JSON object on stdout")
    schema.set_defaults(run=run_schema)

    doctor = commands.add_parser("doctor", help="what this computer offers to flight software")
    doctor.add_argument("--config", type=Path, metavar="FILE", help="a satellite's configuration, for [inference]")
    doctor.add_argument("--json", action="store_true", help="one JSON object on stdout")
    doctor.set_defaults(run=run_doctor)


def run_fly(arguments: argparse.Namespace) -> CommandResult:
    """Supervise one satellite until its flight process ends or a signal comes."""
    from flight.config import load_config, make_clock
    from flight.executive.run_paths import RunPaths
    from flight.executive.supervisor import Supervisor

    path = arguments.config.resolve()
    config = load_config(path)
    paths = RunPaths((path.parent / config.run_dir).resolve())
    status = Supervisor(config, path, paths, make_clock(config.clock), _log).run()
    return CommandResult({"satellite": config.satellite.name, "status": status}, status=status)


def run_check(arguments: argparse.Namespace) -> CommandResult:
    """Validate; an error names file and line."""
    _load(arguments.file, arguments.kind)
    return CommandResult({"ok": True, "file": str(arguments.file)}, f"{arguments.file}: valid {arguments.kind}")


def run_show(arguments: argparse.Namespace) -> CommandResult:
    """Everything in force, defaults included."""
    shown = msgspec.to_builtins(_load(arguments.file, arguments.kind))
    return CommandResult(shown, json.dumps(shown, indent=1))


def run_schema(arguments: argparse.Namespace) -> CommandResult:
    """The schema that editors use."""
    from hal.toml_records import schema_of

    schema = schema_of(_record(arguments.kind))
    return CommandResult(schema, json.dumps(schema, indent=1))


def run_doctor(arguments: argparse.Namespace) -> CommandResult:
    """Status 0 whatever it finds: it advises, it does not judge."""
    from flight.doctor import as_text, examine
    from hal.clock import SystemClock

    table, base = None, Path()
    if arguments.config is not None:
        from flight.config import load_config

        table, base = load_config(arguments.config).inference, arguments.config.parent
    checks = examine(SystemClock(), Path.cwd(), table=table, base=base)
    data = [{"name": c.name, "ok": c.ok, "found": c.found, "advice": c.advice} for c in checks]
    return CommandResult({"checks": data}, as_text(checks))


def _record(kind: str) -> type[msgspec.Struct]:
    if kind == "schedule":
        from flight.executive.schedule_table import TableRecord

        return TableRecord
    if kind == "manifest":
        from payload_models.manifest import Manifest

        return Manifest
    if kind == "camera":
        from hal.sensor.camera_file import CameraFile

        return CameraFile
    from flight.config import SatelliteConfig

    return SatelliteConfig


def _load(path: Path, kind: str) -> msgspec.Struct:
    if kind == "config":
        from flight.config import load_config

        return load_config(path)
    from hal.toml_records import load_record

    return load_record(path, _record(kind))


def _log(record: Mapping[str, Any]) -> None:
    """One line per event: JSON when not a terminal."""
    if sys.stderr.isatty():
        print("swath fly: " + " ".join(f"{name}={value}" for name, value in record.items()), file=sys.stderr)
    else:
        print(json.dumps(record), file=sys.stderr, flush=True)

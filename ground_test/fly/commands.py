"""`swath-ground fly`: the demonstration mission, start to end."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
from pathlib import Path
from types import FrameType
from typing import Any

from flight import __version__
from ground_test.fly.first_flight import FirstFlight
from ground_test.fly.mission import BUILT_IN, Mission, load_mission
from ground_test.fly.pace import HOLD
from ground_test.fly.processes import Processes
from ground_test.fly.progress import Progress
from ground_test.fly.report import missing, row, table
from ground_test.fly.workspace import Workspace, make_keys, open_workspace, write_configs
from hal.command_line import CommandResult, Subcommands
from hal.shared_clock import SharedClockMaster
from payload_models.loader import applications

MAX_SPEED = 2000.0
HOST, USUAL_PORT = "127.0.0.1", 8080
GATEWAY_READY = "url"  # file that the gateway writes its address to


def register(commands: Subcommands) -> None:
    """Add `fly`."""
    fly = commands.add_parser("fly", help="the demonstration mission: gateway and one simulated satellite")
    fly.add_argument("--out", type=Path, default=Path("out/fly"), metavar="DIR", help="default out/fly")
    fly.add_argument("--speed", type=_speed, metavar="N", help="mission seconds per second; default: adapted")
    fly.add_argument("--port", type=int, help="of the gateway, 0 picks a free one; default: 8080, a free one if taken")
    fly.add_argument("--mission", type=Path, default=BUILT_IN, metavar="DIR", help="folder with a mission.toml")
    fly.add_argument("--json", action="store_true", help="one JSON object on stdout")
    fly.set_defaults(run=run_fly)


def run_fly(arguments: argparse.Namespace) -> CommandResult:
    """Fly. Status 0 when every order was delivered, verified and exported."""
    mission = load_mission(arguments.mission)
    previous = signal.signal(signal.SIGTERM, _as_interrupt)  # so that a kill, too, stops what was started
    try:
        with open_workspace(arguments.out) as workspace:
            report = _fly(arguments, mission, workspace)
            workspace.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    finally:
        signal.signal(signal.SIGTERM, previous)
    return CommandResult(report, _text(report, workspace), 0 if report["ok"] else 1)


def _fly(arguments: argparse.Namespace, mission: Mission, workspace: Workspace) -> dict[str, Any]:
    ordered = {order.application for order in mission.orders}
    available = [name for name in sorted(applications()) if name in ordered]
    tenant = make_keys(workspace, mission, os.urandom)
    write_configs(workspace, mission, available)
    clock = SharedClockMaster(workspace.clock, mission.start_s, HOLD)
    began_s = clock.host_s()
    progress = Progress()
    with Processes(workspace.logs) as processes:
        flight = _start(arguments, mission, workspace, processes, clock)
        progress.say(f"{mission.name}: {len(mission.orders)} orders, results in {workspace.root}")
        flight.wait_for_gateway(lambda: _url(workspace))
        progress.say(f"gateway at {_url(workspace)}")
        flight.submit(tenant)
        try:
            flight.fly(progress.show)
        finally:
            progress.end()
        ended_mission_s, ended_s = clock.mission_s(), clock.host_s()
    rows = [row(result, flight.timeline) for result in flight.results()]
    lacking = missing(rows)
    return {
        "ok": not lacking,
        "missing": lacking,
        "software": f"swath {__version__}",
        "mission": {
            "name": mission.name,
            "start_s": mission.start_s,
            "seconds": round(ended_mission_s - mission.start_s, 1),
            "wall_seconds": round(ended_s - began_s, 1),
            "speed": arguments.speed or "adapted",
        },
        "orders": rows,
        "downlink": {"frames": flight.counts.get("frames", 0), "bytes": flight.counts.get("frame_bytes", 0)},
        "out": str(workspace.root),
    }


def _start(
    arguments: argparse.Namespace,
    mission: Mission,
    workspace: Workspace,
    processes: Processes,
    clock: SharedClockMaster,
) -> FirstFlight:
    processes.start("channel", "ground_test.sim.channel", [str(workspace.channel_config)])
    processes.start(
        "gateway",
        "ground_test.cli",
        [
            *("gateway", str(workspace.gateway_config), "--port", str(_port(arguments.port))),
            *("--url-file", str(workspace.root / "gateway" / GATEWAY_READY)),
        ],
    )
    processes.start("satellite", "flight.cli", ["fly", str(workspace.satellite_config)])
    return FirstFlight(mission, workspace, processes, clock, arguments.speed, os.urandom)


def _port(asked: int | None) -> int:
    """What was asked for; else the usual one, as long as nobody has it: the demonstration is no reason to fail."""
    if asked is not None:
        return asked
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, USUAL_PORT))
        except OSError:
            return 0
    return USUAL_PORT


def _url(workspace: Workspace) -> str | None:
    try:
        return (workspace.root / "gateway" / GATEWAY_READY).read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def _text(report: dict[str, Any], workspace: Workspace) -> str:
    mission = report["mission"]
    lines = [
        table(report["orders"]),
        "",
        f"{mission['seconds'] / 3600:.1f} h of mission time in {mission['wall_seconds']:.0f} s",
        *(file["path"] for each in report["orders"] for file in each["files"]),
        str(workspace.report),
        *(f"missing: {problem}" for problem in report["missing"]),
    ]
    return "\n".join(lines)


def _speed(text: str) -> float:
    value = float(text)
    if not 0 < value <= MAX_SPEED:
        raise argparse.ArgumentTypeError(f"a speed is above 0 and at most {MAX_SPEED:g}")
    return value


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt

"""`swath-ground sim`: a scenario in virtual time."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ground_test.sim.models import SIMULATED
from ground_test.sim.scenario import MAX_SEED, load_scenario
from ground_test.sim.simulation import FIDELITY, SimulationResult, simulate
from hal.clock import SystemClock
from hal.command_line import CommandResult, Subcommands


def register(commands: Subcommands) -> None:
    """Add `sim`."""
    sim = commands.add_parser("sim", help="a scenario in virtual time: the flight code, many satellites, one seed")
    sim.add_argument("scenario", type=Path, metavar="SCENARIO", help="TOML file, see examples/scenarios")
    sim.add_argument("--seed", type=_seed, metavar="N", help="instead of the scenario's")
    sim.add_argument("--json", action="store_true", help="one JSON object on stdout")
    sim.set_defaults(run=run_sim)


def run_sim(arguments: argparse.Namespace) -> CommandResult:
    """Run it. Status 0: it ran to its end; how the jobs fared is the answer, not a failure."""
    scenario = load_scenario(arguments.scenario)
    clock = SystemClock()
    began_s = clock.host_s()
    result = simulate(scenario, arguments.seed)
    wall_s = round(clock.host_s() - began_s, 3)
    data = {**asdict(result), "seconds_wall": wall_s, "fidelity": FIDELITY, "simulated": list(SIMULATED)}
    return CommandResult(data, _text(result, wall_s))


def _text(result: SimulationResult, wall_s: float) -> str:
    head = (
        f"{result.scenario}, seed {result.seed}: {result.seconds_virtual:.0f} s in {wall_s:.1f} s,"
        f" {result.events} events, {result.contacts} contacts, {result.restarts} restarts,"
        f" {result.frames_lost} of {result.frames_sent} frames lost"
    )
    lines = [head]
    for job in result.jobs:
        time = "" if job.seconds is None else f"{job.seconds:10.1f} s"
        reason = "" if job.reason == "none" else f" ({job.reason})"
        lines.append(f"  {job.name:<16} {job.tenant:<12} {job.satellite:<12} {job.state + reason:<28}{time}")
    lines.append(f"state {result.state_sha256}")
    return "\n".join(lines)


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"a whole number from 0 to {MAX_SEED}")
    return seed

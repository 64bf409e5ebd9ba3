"""Runs the seeds of a plan that have no result yet, here or in worker processes; the results do not depend on which."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass

import msgspec

from ground_test.campaign.errors import CampaignBroken
from ground_test.campaign.plan import AcceptTable, Plan
from ground_test.campaign.results import Results, Run
from ground_test.sim.scenario import Scenario
from ground_test.sim.simulation import SimulationResult, simulate
from hal.clock import SystemClock

DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Flown:
    """What a worker gives back; octets and numbers only."""

    seed: int
    state_sha256: str
    why: str
    result: str
    seconds_wall: float


def run_plan(plan: Plan, seeds: list[int], results: Results, jobs: int, told: Callable[[Run], None]) -> int:
    """Run what is missing; how many that was. told: hears of each run when it is kept. Raises CampaignBroken."""
    missing = [seed for seed in seeds if not results.has(plan.key(seed))]
    done = 0
    try:
        for flown in _here(plan, missing) if jobs == 1 else _in_processes(plan, missing, jobs):
            run = _run_of(plan, flown)
            results.put(run)
            done += 1
            told(run)
    except BrokenProcessPool as error:
        raise CampaignBroken(done, len(missing)) from error
    return done


def fly(scenario: Scenario, seed: int, accept: AcceptTable) -> Flown:
    """One run, judged. One that ends in an error, whichever, is a run that did not pass."""
    clock = SystemClock()
    began_s = clock.host_s()
    try:
        result = simulate(scenario, seed)
    except Exception as error:  # what a seed can break is what a campaign is to find
        return Flown(seed, "", f"{type(error).__name__}: {error}"[:500], "{}", clock.host_s() - began_s)
    why = judged(result, accept)
    return Flown(seed, result.state_sha256, why, msgspec.json.encode(asdict(result)).decode(), clock.host_s() - began_s)


def judged(result: SimulationResult, accept: AcceptTable) -> str:
    """Why a run did not pass; empty when it did."""
    delivered = [job for job in result.jobs if job.state == DELIVERED]
    slowest_s = max((job.seconds for job in delivered if job.seconds is not None), default=0.0)
    if result.refused:
        return f"the ground refused {result.refused} products"
    if len(delivered) < accept.delivered * len(result.jobs):
        others = ", ".join(f"{job.name} {job.state}" for job in result.jobs if job.state != DELIVERED)
        return f"{len(delivered)} of {len(result.jobs)} jobs delivered: {others}"
    if accept.slowest_s is not None and slowest_s > accept.slowest_s:
        return f"{slowest_s:.0f} s to deliver, {accept.slowest_s:.0f} s are allowed"
    return ""


def judge_again(plan: Plan, runs: list[Run], results: Results) -> None:
    """Hold runs that are there already against the plan as it is now."""
    for run in runs:
        if run.state_sha256:
            why = judged(msgspec.json.decode(run.result, type=SimulationResult), plan.accept)
            if why != run.why:
                results.judge(run.key, why)


def _here(plan: Plan, seeds: list[int]) -> Iterator[Flown]:
    return (fly(plan.scenario, seed, plan.accept) for seed in seeds)


def _in_processes(plan: Plan, seeds: list[int], jobs: int) -> Iterator[Flown]:
    """In order of completion; some two runs a worker are under way at a time."""
    waiting = iter(seeds)
    octets, accept = msgspec.json.encode(plan.scenario), msgspec.json.encode(plan.accept)
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        flying: set[Future[Flown]] = set()
        while True:
            for seed in waiting:
                flying.add(pool.submit(_fly_octets, octets, seed, accept))
                if len(flying) >= 2 * jobs:
                    break
            if not flying:
                return
            ended, flying = wait(flying, return_when=FIRST_COMPLETED)
            for future in ended:
                yield future.result()


def _fly_octets(scenario: bytes, seed: int, accept: bytes) -> Flown:
    return fly(msgspec.json.decode(scenario, type=Scenario), seed, msgspec.json.decode(accept, type=AcceptTable))


def _run_of(plan: Plan, flown: Flown) -> Run:
    return Run(
        key=plan.key(flown.seed),
        scenario_sha256=plan.scenario_sha256,
        scenario=plan.scenario.name,
        path=str(plan.path),
        software=plan.software,
        seed=flown.seed,
        state_sha256=flown.state_sha256,
        why=flown.why,
        result=flown.result,
        seconds_wall=flown.seconds_wall,
    )

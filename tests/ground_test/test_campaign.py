"""Campaigns: every seed once, the same results wherever they are flown, what fails is found and can be replayed."""

from __future__ import annotations

import json
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ground_test.campaign.runner as runner
from ground_test.campaign.errors import CampaignBroken, ResultsDiffer, ResultsUnreadable
from ground_test.campaign.plan import AcceptTable, Plan, load_plan, scenario_sha256, software_id
from ground_test.campaign.report import percentile, report
from ground_test.campaign.results import Run, open_results
from ground_test.campaign.runner import Flown, run_plan
from ground_test.cli import main
from ground_test.sim.scenario import parse_scenario
from tests.ground_test.sim_cases import EXAMPLE, EXAMPLES, scenario

# The flight process dies at a moment that the seed picks, and a tenth of the captures fails: seed 2 loses its job.
HEAD, TENANTS = EXAMPLE.read_text().split("[[tenant]]", 1)
JOB, FAULT = TENANTS.split("[[job]]")[1], TENANTS.split("[[fault]]")[1]
TEXT = (
    HEAD.replace("duration_s = 12_600", "duration_s = 600").replace("failure = 0.05", "failure = 0.1")
    + '[[tenant]]\nname = "lakes"\n[[job]]'
    + JOB
    + "[[fault]]"
    + FAULT.replace("at_s = 1200", "at_s = 60").replace("spread_s = 3600", "spread_s = 250")
)


def plan_of(seeds: range = range(1, 4), **accept) -> Plan:
    flying = scenario()
    return Plan(EXAMPLE, flying, scenario_sha256(flying), seeds, AcceptTable(**accept), "test")


def a_run(seed: int = 1, **changes: Any) -> Run:
    base = Run(f"key {seed}", "scenario", "s", "s.toml", "swath", seed, f"{seed:064}", "", '{"jobs": []}', 1.0)
    return replace(base, **changes)


def write_plan(folder, text: str = TEXT, seeds: int = 4, accept: str = ""):
    (folder / "scenario.toml").write_text(text)
    path = folder / "plan.toml"
    path.write_text(f'scenario = "scenario.toml"\nseeds = {seeds}\n{accept}')
    return path


def call(capsys, *arguments: object) -> tuple[int, dict]:
    capsys.readouterr()
    status = main(["campaign", *map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out)


# --- the same results


def test_serial_processes_and_shards_come_to_the_same_end_and_a_failure_replays(tmp_path, capsys) -> None:
    plan = write_plan(tmp_path, seeds=3)
    call(capsys, "run", plan, "--out", tmp_path / "serial")
    call(capsys, "run", plan, "--out", tmp_path / "processes", "--jobs", 2)
    for shard in (1, 2):
        call(capsys, "run", plan, "--out", tmp_path / f"shard{shard}", "--shard", f"{shard}/2")
    parts = (tmp_path / "shard2", tmp_path / "shard1")
    assert call(capsys, "merge", *parts, "--out", tmp_path / "merged") == (0, {"added": 3, "known": 0})
    assert call(capsys, "merge", *parts, "--out", tmp_path / "merged") == (0, {"added": 0, "known": 3})

    reports = [call(capsys, "report", tmp_path / name) for name in ("serial", "processes", "merged")]
    assert len({data["campaign_sha256"] for _, data in reports}) == 1
    status, data = reports[0]
    assert (status, data["runs"], data["errors"], data["jobs"]) == (1, 3, 0, {"delivered": 2, "failed": 1})
    assert (data["passed"], data["failed"]) == (2, 1)

    worst = data["worst"][0]
    assert (worst["passed"], worst["why"]) == (False, "0 of 1 jobs delivered: salt-lake failed")
    assert worst["replay"] == f"swath-ground sim {tmp_path / 'scenario.toml'} --seed {worst['seed']}"
    assert main([*worst["replay"].split()[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state_sha256"] == worst["state_sha256"]


def test_a_campaign_that_goes_on_runs_only_what_is_missing(tmp_path, capsys, monkeypatch) -> None:
    flown: list[int] = []

    def fly(scenario, seed, accept):
        flown.append(seed)
        return Flown(seed, f"{seed:064}", "", '{"jobs": []}', 1.0)

    monkeypatch.setattr(runner, "fly", fly)
    monkeypatch.setattr("ground_test.campaign.commands.judge_again", lambda *_: None)
    plan, out = write_plan(tmp_path), tmp_path / "out"
    assert call(capsys, "run", plan, "--out", out, "--shard", "2/2")[1]["ran"] == 2
    assert call(capsys, "run", plan, "--out", out)[1]["ran"] == 2
    assert call(capsys, "run", plan, "--out", out)[1]["ran"] == 0
    assert flown == [2, 4, 1, 3]


def test_a_worker_that_dies_leaves_what_was_finished(tmp_path, monkeypatch) -> None:
    def dying(plan, seeds, jobs):
        yield Flown(seeds[0], "state", "", "{}", 1.0)
        raise BrokenProcessPool("killed")

    monkeypatch.setattr(runner, "_in_processes", dying)
    plan = plan_of()
    with open_results(tmp_path / "out", create=True) as results:
        with pytest.raises(CampaignBroken, match="after 1 of 3 runs"):
            run_plan(plan, list(plan.seeds), results, 2, lambda run: None)
        assert [run.seed for run in results.runs()] == [1]


def test_a_seed_that_breaks_the_simulation_is_a_failed_run_and_not_the_end(tmp_path, monkeypatch) -> None:
    def simulate(scenario, seed):
        raise ZeroDivisionError("in the orbit")

    monkeypatch.setattr(runner, "simulate", simulate)
    plan = plan_of()
    with open_results(tmp_path / "out", create=True) as results:
        assert run_plan(plan, list(plan.seeds), results, 1, lambda run: None) == 3
        data = report(results)
    assert (data["failed"], data["errors"]) == (3, 3)
    assert data["worst"][0]["why"] == "ZeroDivisionError: in the orbit"


def test_another_plan_judges_runs_that_are_there_anew(tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert call(capsys, "run", write_plan(tmp_path, seeds=1), "--out", out)[0] == 0
    strict = write_plan(tmp_path, seeds=1, accept="[accept]\nslowest_s = 10\n")
    status, data = call(capsys, "run", strict, "--out", out)
    assert (status, data["ran"], data["failed"]) == (1, 0, 1)
    assert "10 s are allowed" in call(capsys, "report", out)[1]["worst"][0]["why"]


# --- keys and shards


@given(st.integers(1, 60), st.integers(1, 9))
def test_the_shards_together_are_all_seeds_each_once(seeds: int, count: int) -> None:
    plan = plan_of(range(5, 5 + seeds))
    shards = [plan.shard(number, count) for number in range(1, count + 1)]
    assert sorted(seed for shard in shards for seed in shard) == list(plan.seeds)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_result_belongs_to_scenario_seed_and_software_and_not_to_comments() -> None:
    text = EXAMPLE.read_text()
    same = parse_scenario("# another comment\n" + text.replace("seed = 1 ", "seed = 7 "), "s")
    other = parse_scenario(text.replace("loss = 0.02", "loss = 0.03"), "s")
    ours = scenario_sha256(parse_scenario(text, "s"))
    assert scenario_sha256(same) == ours != scenario_sha256(other)
    plan = plan_of()
    newer = Plan(plan.path, plan.scenario, plan.scenario_sha256, plan.seeds, plan.accept, "test 2")
    assert len({plan.key(1), plan.key(2), newer.key(1)}) == 3
    assert software_id() == software_id()


def test_two_ends_of_one_run_are_an_error_and_not_a_result(tmp_path) -> None:
    with open_results(tmp_path / "out", create=True) as results:
        assert results.put(a_run())
        assert not results.put(a_run(seconds_wall=9.0))
        with pytest.raises(ResultsDiffer, match="seed 1 ended as"):
            results.put(a_run(state_sha256="f" * 64))


# --- report


def test_the_report_is_about_one_scenario_and_software_and_counts_the_others(tmp_path) -> None:
    with open_results(tmp_path / "out", create=True) as results:
        results.put(a_run(1, key="old", software="older", why="it was bad"))
        for seed in (1, 2):
            results.put(a_run(seed))
        data = report(results)
    assert (data["runs"], data["passed"], data["failed"], data["other_runs"]) == (2, 2, 0, 1)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.sampled_from([1, 50, 90, 99, 100]))
def test_percentiles_are_those_of_numpy(values: list[float], share: int) -> None:
    assert percentile(sorted(values), share) == np.percentile(values, share, method="inverted_cdf")


def test_an_empty_or_missing_file_of_results_says_no(tmp_path, capsys) -> None:
    with pytest.raises(ResultsUnreadable, match="not there"), open_results(tmp_path / "none", create=False):
        pass
    (tmp_path / "text").write_text("this is no database, whatever its name says")
    status, data = call(capsys, "report", tmp_path / "text")
    assert (status, data["error"]["code"]) == (2, "results_unreadable")
    with open_results(tmp_path / "empty", create=True):
        pass
    status, data = call(capsys, "report", tmp_path / "empty")
    assert (status, data["runs"], data["delivery_s"]["p50"]) == (1, 0, None)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_a_shard_that_cannot_be_is_refused(shard: str, tmp_path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["campaign", "run", "plan.toml", "--out", str(tmp_path / "out"), "--shard", shard])
    assert caught.value.code == 2


def test_the_example_plan_is_one() -> None:
    plan = load_plan(EXAMPLES / "campaign.toml")
    assert plan.scenario.name == "first-sight"
    assert len(plan.seeds) == 4

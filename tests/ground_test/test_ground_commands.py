"""`swath-ground submit | watch | products | keys | grant` as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flight.agent.keys import write_private_key
from ground_test.cli import main
from ground_test.gateway.submission import sign_grant
from tests.ground_test.ground import MISSION, TENANT, a_grant
from tests.ground_test.live import Live

RING = [[-112.8, 40.7], [-112.5, 40.7], [-112.5, 41.0], [-112.8, 41.0], [-112.8, 40.7]]


@pytest.fixture
def tenant(tmp_path) -> Path:
    folder = tmp_path / "tenant"
    folder.mkdir()
    write_private_key(folder / "tenant.key", TENANT.private.private_bytes_raw())
    (folder / "grant.cose").write_bytes(sign_grant(a_grant(), MISSION))
    (folder / "area.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [RING]}))
    return folder


def run(capsys, *arguments):
    """(status, stdout as JSON where --json was asked for, else as text)."""
    status = main([str(each) for each in arguments])
    out = capsys.readouterr().out
    return status, json.loads(out) if "--json" in arguments else out


def submit_arguments(live, tenant):
    return [
        *("submit", tenant / "area.geojson", "--app", "water", "--gateway", live.url),
        *("--key", tenant / "tenant.key", "--grant", tenant / "grant.cose"),
        *("--token", live.folder / "gateway" / "token", "--bytes", "90000", "--param", "threshold=0.5"),
    ]


def test_an_order_from_the_command_line_ends_as_files(tmp_path, tenant, capsys):
    with Live(tmp_path) as live:
        status, order = run(capsys, *submit_arguments(live, tenant), "--json")
        assert (status, order["status"]) == (0, "received")
        status, text = run(capsys, "watch", order["id"], "--gateway", live.url)
        assert status == 0
        assert text.split()[1] == "received"
        assert text.splitlines()[-1].split()[1] == "completed"
        status, listed = run(capsys, "products", "list", "--gateway", live.url, "--json")
        assert [product["order"] for product in listed["products"]] == [order["id"]]
        status, written = run(
            capsys,
            "products",
            "export",
            order["id"],
            "--to",
            "geojson,png",
            "--out",
            tmp_path / "x",
            "--gateway",
            live.url,
            "--json",
        )
        assert {file["kind"] for file in written["products"]} == {"geojson", "png"}
        assert all(Path(file["path"]).stat().st_size == file["bytes"] for file in written["products"])


def test_a_refused_order_says_why_and_exits_with_1(tmp_path, tenant, capsys):
    with Live(tmp_path) as live:
        arguments = submit_arguments(live, tenant)
        arguments[arguments.index("90000")] = "99999999"
        status, answer = run(capsys, *arguments, "--json")
        assert (status, answer["error"]["code"], answer["error"]["reason"]) == (1, "gateway_refused", "over_job_bytes")


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        (("area.geojson", "{"), "order_invalid", 1),
        (("area.geojson", '{"type": "Point", "coordinates": [0, 0]}'), "order_invalid", 1),
        (("area.geojson", '{"type": "FeatureCollection", "features": []}'), "order_invalid", 1),
        (("grant.cose", "nonsense"), "order_invalid", 1),
        (("tenant.key", "12"), "key_file_invalid", 1),
    ],
)
def test_a_bad_file_is_named(tmp_path, tenant, capsys, change, code, status):
    (tenant / change[0]).write_text(change[1])
    with Live(tmp_path) as live:
        found, answer = run(capsys, *submit_arguments(live, tenant), "--json")
    assert answer["error"]["code"] == code
    assert change[0] in answer["error"]["message"]
    assert found != 0


def test_no_gateway_is_a_missing_prerequisite(tenant, tmp_path, capsys):
    (tmp_path / "token").write_text("x")
    status, answer = run(capsys, "watch", "00", "--gateway", "http://127.0.0.1:9", "--json")
    assert (status, answer["error"]["code"]) == (2, "gateway_unreachable")


def test_keys_and_a_grant_made_here_are_taken_by_the_gateway_and_never_overwritten(tmp_path, capsys):
    mission = tmp_path / "mission.key"
    write_private_key(mission, MISSION.private.private_bytes_raw())
    status, made = run(capsys, "keys", "new", tmp_path / "k", "--json")
    assert status == 0
    assert all((Path(file).stat().st_mode & 0o077 == 0) for file in made["files"] if file.endswith(".key"))
    assert run(capsys, "keys", "new", tmp_path / "k", "--json")[0] != 0
    status, shown = run(capsys, "keys", "show", tmp_path / "k" / "tenant.pub", "--json")
    assert shown["key_id"] == made["key_id"]
    status, granted = run(
        capsys,
        "grant",
        "new",
        tmp_path / "g.cose",
        "--mission-key",
        mission,
        "--tenant",
        "acme",
        "--key",
        tmp_path / "k" / "tenant.pub",
        "--reader",
        tmp_path / "k" / "tenant.reading.pub",
        "--app",
        "water",
        "--box",
        "-114",
        "39",
        "-111",
        "42",
        "--json",
    )
    assert (status, granted["boxes"]) == (0, [[-114.0, 39.0, -111.0, 42.0]])
    assert run(capsys, "grant", "show", tmp_path / "g.cose", "--json")[1] == granted


@pytest.mark.parametrize("box", ["5,0,1,1", "nan,0,1,1", "0,0,1,400"])
def test_a_box_that_is_none_is_refused(tmp_path, capsys, box):
    mission = tmp_path / "mission.key"
    write_private_key(mission, MISSION.private.private_bytes_raw())
    run(capsys, "keys", "new", tmp_path / "k", "--json")
    status, _ = run(
        capsys,
        "grant",
        "new",
        tmp_path / "g.cose",
        "--mission-key",
        mission,
        "--tenant",
        "acme",
        "--key",
        tmp_path / "k" / "tenant.pub",
        "--reader",
        tmp_path / "k" / "tenant.reading.pub",
        "--app",
        "water",
        "--box",
        *box.split(","),
        "--json",
    )
    assert status != 0
    assert not (tmp_path / "g.cose").exists()

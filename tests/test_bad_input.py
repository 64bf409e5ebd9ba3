"""The table of bad input: what a person or a program is told, through the real commands wherever there is one.

Every row damages something good (mostly a file of examples/) and names what must be said: exit status, error code,
and words of the message. Configuration errors name file and line, show the line and suggest the nearest name.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile

import flight.cli
import ground_test.cli
from bindings.errors import SwathError
from flight.agent import cose
from flight.agent.effects import ReportStatus, Uplinked
from flight.agent.job import Job
from flight.agent.reasons import Reason
from flight.link.apids import Apid
from flight.link.packet import SpacePacket, split_packets
from flight.link.tc_frame import TcDeframer, TcFramer
from payload_models.loader import ROOT as MODELS
from tests.flight.agent.world import GROUND, OTHER, T0, TENANT, World, grant, job, signed_grant, signed_job
from tests.shared_data import ROOT

SCENES = ROOT / "examples" / "scenes"
SCENE = SCENES / "sentinel2_lake_shore_12band.tif"
MISSION = ROOT / "examples" / "first_flight"
RUN = ["run", "scene.tif", "--app", "water", "--out", "out"]


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def spoil(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Replace the first `old` in a file that a preparation put there."""

    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text("utf-8")
        assert old in text, f"{name} no longer has {old!r}: the row tests nothing"
        path.write_text(text.replace(old, new, 1), "utf-8")

    return change


def cut(name: str, keep: float) -> Callable[[Path], None]:
    """Keep the first part of a file."""

    def change(folder: Path) -> None:
        octets = (folder / name).read_bytes()
        (folder / name).write_bytes(octets[: int(len(octets) * keep)])

    return change


def overwrite(name: str, at: float, octets: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        whole = bytearray((folder / name).read_bytes())
        start = int(len(whole) * at)
        whole[start : start + len(octets)] = octets
        (folder / name).write_bytes(whole)

    return change


def damaged_strip(name: str) -> Callable[[Path], None]:
    """The first octets of one strip are gone, as behind a bad sector."""

    def change(folder: Path) -> None:
        with tifffile.TiffFile(folder / name) as opened:
            starts = opened.pages[0].dataoffsets
        whole = bytearray((folder / name).read_bytes())
        whole[starts[5] : starts[5] + 64] = bytes(64)
        (folder / name).write_bytes(whole)

    return change


def write(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")

    return change


def rehash(model: str) -> Callable[[Path], None]:
    """Let the manifest vouch for the graph as it is now."""
    import hashlib

    def change(folder: Path) -> None:
        manifest = folder / "app" / "manifest.toml"
        digest = hashlib.sha256((folder / "app" / model).read_bytes()).hexdigest()
        text = re.sub(
            rf'(model = "{re.escape(model)}"\nsha256 = ")[0-9a-f]{{64}}', rf"\g<1>{digest}", manifest.read_text()
        )
        manifest.write_text(text)

    return change


def bands(**arrays: Any) -> Callable[[Path], None]:
    """An npz scene instead of the GeoTIFF."""

    def change(folder: Path) -> None:
        np.savez(folder / "other.npz", **{"img": np.ones((9, 9, 3), np.uint8), **arrays})

    return change


@dataclass(frozen=True)
class Bad:
    """One row: how the good case is damaged, the command, and what must come of it."""

    name: str
    damage: tuple[Callable[[Path], None], ...]
    command: tuple[str, ...]
    status: int
    code: str
    says: tuple[str, ...]
    main: Callable[[list[str]], int] = flight.cli.main


def row(
    name: str,
    *damage: Callable[[Path], None],
    run: list[str],
    status: int,
    code: str,
    says: tuple[str, ...],
    **more: Any,
) -> Bad:
    return Bad(name, damage, tuple(run), status, code, says, **more)


NPZ = ["run", "other.npz", *RUN[2:]]
APP = ["run", "scene.tif", "--app", "app", "--out", "out"]
CONFIG = ["config", "check", "satellite.toml"]
SCHEDULE = ["schedule", "check", "schedule.toml"]
MANIFEST = ["config", "check", "--kind", "manifest", "app/manifest.toml"]
FLY = ["fly", "--mission", "mission", "--out", "flown", "--port", "0"]
GRAPH = "green_nir_swir16.onnx"

TABLE = [
    # scenes
    row(
        "GeoTIFF cut in its pixels",
        cut("scene.tif", 0.5),
        run=RUN,
        status=1,
        code="scene_truncated",
        says=("scene.tif", "truncated", "bytes"),
    ),
    row(
        "GeoTIFF cut in its header",
        cut("scene.tif", 0.00001),
        run=RUN,
        status=1,
        code="scene_unreadable",
        says=("scene.tif",),
    ),
    row(
        "GeoTIFF whose pixels are damaged",
        damaged_strip("scene.tif"),
        run=RUN,
        status=1,
        code="scene_unreadable",
        says=("scene.tif", "strip or tile"),
    ),
    row(
        "no such scene",
        run=["run", "nosuch.tif", *RUN[2:]],
        status=1,
        code="scene_unreadable",
        says=("nosuch.tif", "No such file"),
    ),
    row(
        "text as a scene",
        write("scene.tif", "not a picture"),
        run=RUN,
        status=1,
        code="scene_unreadable",
        says=("neither a TIFF nor an npz",),
    ),
    row(
        "bands of no use",
        bands(bands=np.array(["red", "green", "blue"])),
        run=NPZ,
        status=1,
        code="missing_bands",
        says=("takes green + nir", "has red, green, blue"),
    ),
    row(
        "bands without names",
        bands(),
        run=NPZ,
        status=1,
        code="bands_ambiguous",
        says=("3 bands without names", "could be S2", "--sensor"),
    ),
    row(
        "bands that mean different things",
        bands(bands=np.array(["B04", "B03", "B02"])),
        run=NPZ,
        status=1,
        code="bands_ambiguous",
        says=("red on Sentinel-2 MSI", "nir on Landsat 7"),
    ),
    row(
        "an unknown sensor",
        run=[*RUN, "--sensor", "S3"],
        status=2,
        code="sensor_unknown",
        says=("no sensor named `S3`", "S2"),
    ),
    row(
        "samples of another type",
        bands(img=np.ones((9, 9, 3))),
        run=NPZ,
        status=1,
        code="dtype_unsupported",
        says=("float64", "only uint8"),
    ),
    row(
        "sidecar: unknown field",
        spoil("scene.toml", "sensor =", "sensr ="),
        run=RUN,
        status=2,
        code="sidecar_error",
        says=("scene.toml:", "unknown field `sensr`", "did you mean `sensor`?"),
    ),
    row(
        "sidecar: unknown radiometry",
        write("scene.toml", 'sensor = "S2"\nradiometry = "tao"\n'),
        run=RUN,
        status=2,
        code="sidecar_error",
        says=("scene.toml:2:", "invalid enum value", "did you mean `toa`?"),
    ),
    row(
        "sidecar: too few bands",
        write("scene.toml", 'sensor = "S2"\nbands = ["B02", "B03"]\n'),
        run=RUN,
        status=2,
        code="sidecar_error",
        says=("scene.toml:2:", "names 2 bands, the scene has 12"),
    ),
    row(
        "sidecar: no TOML",
        write("scene.toml", 'sensor = "S2\n'),
        run=RUN,
        status=2,
        code="sidecar_error",
        says=("scene.toml:1:", "not valid TOML"),
    ),
    # applications
    row(
        "unknown application",
        run=[*RUN[:3], "watr", *RUN[4:]],
        status=2,
        code="application_unknown",
        says=("no application named `watr`", "did you mean `water`?"),
    ),
    row(
        "corrupt graph",
        overwrite(f"app/{GRAPH}", 0.3, b"\xff" * 64),
        rehash(GRAPH),
        run=APP,
        status=1,
        code="graph_refused",
        says=("graph refused",),
    ),
    row(
        "graph cut short",
        cut(f"app/{GRAPH}", 0.6),
        rehash(GRAPH),
        run=APP,
        status=1,
        code="graph_refused",
        says=("graph refused",),
    ),
    row(
        "wrong hash",
        overwrite(f"app/{GRAPH}", 0.5, b"?"),
        run=APP,
        status=1,
        code="hash_mismatch",
        says=(GRAPH, "SHA-256 is", "the manifest says"),
    ),
    row(
        "graph missing",
        lambda folder: (folder / "app" / GRAPH).unlink(),
        run=APP,
        status=1,
        code="model_file_unreadable",
        says=(GRAPH, "No such file"),
    ),
    row(
        "graph checked by hand",
        overwrite(f"app/{GRAPH}", 0.5, b"?"),
        run=["models", "check", "app"],
        status=1,
        code="hash_mismatch",
        says=(GRAPH,),
    ),
    row(
        "manifest: unknown field",
        spoil("app/manifest.toml", "overlap =", "overlapp ="),
        run=MANIFEST,
        status=2,
        code="config_error",
        says=("app/manifest.toml:12:", "unknown field `overlapp`", "did you mean `overlap`?"),
    ),
    row(
        "manifest: wrong type",
        spoil("app/manifest.toml", "tile = 256", 'tile = "256"'),
        run=APP,
        status=2,
        code="config_error",
        says=("app/manifest.toml:11:", "expected `int`"),
    ),
    row(
        "manifest: out of the folder",
        spoil("app/manifest.toml", f'model = "{GRAPH}"', 'model = "../water.onnx"'),
        run=APP,
        status=2,
        code="config_error",
        says=("app/manifest.toml:",),
    ),
    row(
        "unknown parameter",
        run=[*RUN, "--param", "treshold=0.4"],
        status=2,
        code="parameter_refused",
        says=("`treshold`", "declared: threshold"),
    ),
    row(
        "parameter without a number",
        run=[*RUN, "--param", "threshold"],
        status=2,
        code="parameter_malformed",
        says=("NAME=NUMBER",),
    ),
    row(
        "no such area",
        run=[*RUN, "--area", "area.geojson"],
        status=2,
        code="area_invalid",
        says=("area.geojson", "No such file"),
    ),
    row(
        "area that is a point",
        write("area.geojson", '{"type": "Point", "coordinates": [1, 2]}'),
        run=[*RUN, "--area", "area.geojson"],
        status=2,
        code="area_invalid",
        says=("area.geojson", "got Point"),
    ),
    # configuration
    row(
        "config: unknown field",
        spoil("satellite.toml", "spacecraft =", "spacecrft ="),
        run=CONFIG,
        status=2,
        code="config_error",
        says=("satellite.toml:7:", "unknown field `spacecrft`", "did you mean `spacecraft`?"),
    ),
    row(
        "config: out of range",
        spoil("satellite.toml", "frame_bytes = 1024", "frame_bytes = 9"),
        run=CONFIG,
        status=2,
        code="config_error",
        says=("satellite.toml:20:", ">= 64"),
    ),
    row(
        "config: no TOML",
        spoil("satellite.toml", "[executive]", "[executive"),
        run=CONFIG,
        status=2,
        code="config_error",
        says=("satellite.toml:", "not valid TOML"),
    ),
    row(
        "config: no such file",
        run=["config", "check", "nosuch.toml"],
        status=2,
        code="config_error",
        says=("nosuch.toml", "No such file"),
    ),
    row(
        "config: flown",
        spoil("satellite.toml", "[devices.radio]", "[devices.raido]"),
        run=["fly", "satellite.toml"],
        status=2,
        code="config_error",
        says=("satellite.toml:", "`raido`", "did you mean `radio`?"),
    ),
    row(
        "schedule: unknown field",
        spoil("schedule.toml", "wcet_us = ", "wect_us = "),
        run=SCHEDULE,
        status=2,
        code="config_error",
        says=("schedule.toml:", "unknown field `wect_us`", "did you mean `wcet_us`?"),
    ),
    row(
        "schedule: unknown activity policy",
        spoil("schedule.toml", 'overrun = "skip"', 'overrun = "skp"'),
        run=SCHEDULE,
        status=2,
        code="config_error",
        says=("schedule.toml:", "did you mean `skip`?"),
    ),
    row(
        "schedule: empty",
        write("schedule.toml", ""),
        run=SCHEDULE,
        status=2,
        code="config_error",
        says=("schedule.toml", "missing required field"),
    ),
    row(
        "mission: unknown field",
        spoil("mission/mission.toml", "byte_budget", "byte_bugdet"),
        run=FLY,
        status=2,
        code="config_error",
        says=("mission.toml:40:", "unknown field `byte_bugdet`", "did you mean `byte_budget`?"),
        main=ground_test.cli.main,
    ),
    row(
        "mission: unknown folder",
        run=["fly", "--mission", "nosuch", "--out", "flown"],
        status=2,
        code="mission_missing",
        says=("nosuch", "no mission.toml"),
        main=ground_test.cli.main,
    ),
    # products
    row(
        "text as a product",
        write("answer.swp", "not a product"),
        run=["product", "show", "answer.swp"],
        status=1,
        code="not_a_product",
        says=("not a product container",),
    ),
    row(
        "product cut short",
        cut("answer.swp", 0.9),
        run=["product", "show", "answer.swp"],
        status=1,
        code="product_truncated",
        says=("bytes needed",),
    ),
    row(
        "product damaged",
        overwrite("answer.swp", 0.7, b"\0\0"),
        run=["product", "show", "answer.swp"],
        status=1,
        code="strip_damaged",
        says=("mask strip", "CRC-32C"),
    ),
    row(
        "no such product",
        run=["product", "show", "nosuch.swp"],
        status=1,
        code="product_unreadable",
        says=("nosuch.swp", "No such file"),
    ),
]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A folder with one good file of every kind."""
    shutil.copy(SCENE, tmp_path / "scene.tif")
    (tmp_path / "scene.toml").write_text('# as the sensor made it\nsensor = "S2"\n')
    shutil.copytree(MODELS / "water", tmp_path / "app")
    shutil.copy(ROOT / "examples" / "schedules" / "nominal.toml", tmp_path / "schedule.toml")
    shutil.copytree(MISSION, tmp_path / "mission")
    (tmp_path / "scenes").symlink_to(SCENES)
    shutil.copy(ROOT / "tests" / "flight" / "product" / "vectors" / "three_strips.swp", tmp_path / "answer.swp")
    filled = {"$applications": '"water"', "$orbit": "{}", "$scenes": "[]", "$stations": ""}
    text = (MISSION / "satellite.toml").read_text()
    for name, value in filled.items():
        text = text.replace(name, value)
    (tmp_path / "satellite.toml").write_text(text)
    return tmp_path


def call(bad: Bad, folder: Path, *, as_json: bool) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with working_in(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = bad.main([*bad.command, "--json"] if as_json else list(bad.command))
    return status, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_bad_input_is_named_to_people_and_to_programs(good: Path, bad: Bad) -> None:
    for damage in bad.damage:
        damage(good)
    status, out, _ = call(bad, good, as_json=True)
    assert (status, out.count("\n")) == (bad.status, 1), out
    error = json.loads(out)["error"]
    assert error["code"] == bad.code, error
    for words in bad.says:
        assert words in error["message"], error["message"]
    if bad.code in ("config_error", "sidecar_error"):
        assert Path(error["file"]).name in error["message"] and isinstance(error["line"], int)
        if error["line"] and (lines := (good / error["file"]).read_text().splitlines()):  # the line itself is shown
            shown = lines[error["line"] - 1]
            assert f"{error['line']:>5} | {shown.rstrip()}" in error["message"]
    status, out, err = call(bad, good, as_json=False)
    assert (status, out) == (bad.status, "")
    assert "Traceback" not in err
    assert err.strip().endswith(error["message"].strip())
    prefix = err[: err.index(error["message"])]
    assert prefix in ("swath: ", "swath-ground: ")
    if "config" not in bad.code and "sidecar" not in bad.code:
        assert err.count("\n") == 1, "one line"


def test_a_schedule_that_names_no_mode_is_a_problem_with_its_line_and_the_nearest_name(good: Path) -> None:
    spoil("schedule.toml", '"imaging"', '"imagin"')(good)
    bad = Bad("", (), tuple(SCHEDULE), 1, "", ())
    status, out, _ = call(bad, good, as_json=True)
    (problem,) = json.loads(out)["problems"]
    lines = (good / "schedule.toml").read_text().splitlines()
    assert status == 1 and '"imagin"' in lines[problem["line"] - 1]
    assert "no mode `imagin`; did you mean `imaging`?" in problem["reason"]
    status, out, _ = call(bad, good, as_json=False)
    assert status == 1 and f"schedule.toml:{problem['line']}: no mode `imagin`" in out


@pytest.mark.parametrize(
    "command",
    [["run", "scene.tif", "--app", "water", "--out", "out"], ["config", "check", "satellite.toml"],
     ["schedule", "check", "schedule.toml"], ["config", "check", "--kind", "manifest", "app/manifest.toml"],
     ["models", "check", "app"], ["product", "show", "answer.swp"]],
    ids=lambda command: " ".join(command[:2]),
)  # fmt: skip
def test_the_good_case_of_the_table_is_good(good: Path, command: list[str]) -> None:
    bad = Bad("", (), tuple(command), 0, "", ())
    status, out, _ = call(bad, good, as_json=True)
    assert status == 0 and "error" not in json.loads(out)


@pytest.mark.parametrize("cli", [flight.cli, ground_test.cli], ids=["swath", "swath-ground"])
def test_an_interrupt_is_no_traceback_while_the_modules_are_loaded(
    monkeypatch: pytest.MonkeyPatch, cli: ModuleType
) -> None:
    def interrupted(_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupted)
    assert cli.main(["--help"]) == 130


@pytest.mark.parametrize(
    "command", [["models", "list"], ["models", "list", "--json"], ["models", "bench", "?", "--json"]]
)
def test_an_answer_that_cannot_be_written_is_no_success(command: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "flight.cli", *command],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (
        1, "swath: the answer cannot be written: No space left on device\n",
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["rnu"], ["run"], ["run", "scene.tif", "--app"], ["config", "chek", "x"]])
def test_arguments_that_are_none_end_with_2_and_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        flight.cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: swath" in capsys.readouterr().err


# Jobs and packets come over the radio: there is no command, the satellite's own code is asked.

_SIGNED_FOR_OTHERS = signed_job(job(1), satellite_set="others")
_UNPROTECTED = cose.sign1(job(1).encode(), TENANT.private, TENANT.key_id, b"")


def _forged() -> bytes:
    """A job with one octet of its payload changed after it was signed."""
    octets = bytearray(signed_job(job(1)))
    octets[len(octets) // 2] ^= 1
    return bytes(octets)


JOBS = [
    ("expired", signed_job(job(1)), T0 + 90_000, Reason.EXPIRED),
    ("forged", _forged(), T0, Reason.BAD_SIGNATURE),
    ("signed by somebody else", signed_job(job(1), OTHER), T0, Reason.UNKNOWN_KEY),
    ("signed by the ground's key", signed_job(job(1), GROUND), T0, Reason.UNKNOWN_KEY),
    ("signed for other satellites", _SIGNED_FOR_OTHERS, T0, Reason.BAD_SIGNATURE),
    ("signed for nothing in particular", _UNPROTECTED, T0, Reason.BAD_SIGNATURE),
    ("cut short", signed_job(job(1))[:-9], T0, Reason.MALFORMED),
    ("followed by something", signed_job(job(1)) + b"\0", T0, Reason.MALFORMED),
    ("empty", b"", T0, Reason.MALFORMED),
    ("noise", bytes(range(256)), T0, Reason.MALFORMED),
    (
        "of an application that is not granted",
        signed_job(job(1, application="ships")),
        T0,
        Reason.APPLICATION_NOT_GRANTED,
    ),
    ("over its grant's bytes", signed_job(job(1, byte_budget=200_000)), T0, Reason.OVER_JOB_BYTES),
]


@pytest.mark.parametrize(("name", "octets", "now_s", "reason"), JOBS, ids=[entry[0] for entry in JOBS])
def test_a_job_that_may_not_be_done_is_answered_with_its_reason(
    name: str, octets: bytes, now_s: float, reason: Reason
) -> None:
    world = World(now_s=now_s)
    assert world.uplink(Apid.GRANT, signed_grant(grant()))
    effects = world.uplink(Apid.JOB, octets)
    assert [effect.reason for effect in effects if isinstance(effect, ReportStatus)] == [reason], name
    assert not world.core.handle(Uplinked(Apid.JOB, octets), now_s).records, "asked again, it is answered, not taken"
    assert len(reason.text) > 10 and "\n" not in reason.text


@pytest.mark.parametrize(
    ("payload", "says"),
    [(b"", ""), (b"\xa0", "job"), (job(1).encode()[:-1], "job"), (job(1).encode() + b"\0", "job"), (b"\xff" * 64, "")],
    ids=["empty", "no claims", "cut short", "followed by something", "noise"],
)
def test_a_payload_that_is_no_job_is_named(payload: bytes, says: str) -> None:
    with pytest.raises(SwathError) as refused:
        Job.decode(payload)
    assert refused.value.code == "claims_invalid" and says in str(refused.value)
    assert "\n" not in str(refused.value)


PACKET = SpacePacket(Apid.JOB, 7, b"something", telecommand=True).pack()
PACKETS = [
    ("cut in its header", PACKET[:4], "packet_too_short", "needs 6 octets, got 4"),
    ("cut in its data", PACKET[:-2], "packet_too_short", f"needs {len(PACKET)} octets, got {len(PACKET) - 2}"),
    ("followed by something", PACKET + b"\0", "packet_too_long", f"ends after {len(PACKET)}"),
    ("of another version", bytes([PACKET[0] | 0x20]) + PACKET[1:], "packet_version_unsupported", "version 1"),
    ("empty", b"", "packet_too_short", "got 0"),
]


@pytest.mark.parametrize(("name", "octets", "code", "says"), PACKETS, ids=[entry[0] for entry in PACKETS])
def test_a_malformed_packet_is_named(name: str, octets: bytes, code: str, says: str) -> None:
    with pytest.raises(SwathError) as refused:
        SpacePacket.unpack(octets)
    assert (refused.value.code, "\n" in str(refused.value)) == (code, False), name
    assert says in str(refused.value)
    if octets and code != "packet_too_long":
        with pytest.raises(SwathError):
            split_packets(octets)


def test_a_damaged_frame_is_counted_and_the_good_one_after_it_is_taken() -> None:
    framer, deframer = TcFramer(68), TcDeframer(68)
    first, second = (framer.frames(SpacePacket(Apid.JOB, n, b"x" * 40, telecommand=True).pack()) for n in (1, 2))
    damaged = bytearray(first[0])
    damaged[9] ^= 0xFF
    with pytest.raises(SwathError) as refused:
        deframer.push(bytes(damaged))
    assert refused.value.code.startswith("frame_")
    assert deframer.push(first[0]) and deframer.push(second[0])

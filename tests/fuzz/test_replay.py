"""One per cent of `make fuzz`: the committed corpora and inputs made from them, under gcc's sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fuzz import campaign, report
from tests.fuzz.python_decoders import DECODERS, Decoder, NotTyped, fuzz
from tests.fuzz.targets import CORE, CORPORA, HARNESSES, TARGETS, build, unpack

INPUTS = 100_000
CORPORA_MAX = 300_000
# No decoders: they read and write what they are given the sizes of, and refuse sizes and places without sense, which
# tests/bindings has them do under the sanitizers.
NO_HARNESS = {
    "activity_account.c", "answer.c", "bus.c", "bus_ring.c", "clock_duties.c", "clock_watchdog.c", "crc.c",
    "frame_account.c", "frame_clock.c", "gate.c", "pinches.c", "preview.c", "spectral.c", "stitch.c", "tiles.c",
}  # fmt: skip


def compiler_with_sanitizers() -> str:
    compiler = os.environ.get("CC") or "gcc"
    if shutil.which(compiler) is None:
        pytest.skip("no compiler here")
    program = "int main(void) { return 0; }"
    tried = subprocess.run(
        [compiler, "-fsanitize=address,undefined", "-x", "c", "-", "-o", os.devnull],
        input=program, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tried.returncode:
        pytest.skip(f"{compiler} has no sanitizers here: {tried.stderr.strip()[:100]}")
    return compiler


def replay(name: str, folder: Path, *, count: int, corpus: Path) -> subprocess.CompletedProcess[str]:
    binary = folder / name
    build(TARGETS[name], binary, compiler=compiler_with_sanitizers(), driver=[HARNESSES / "replay.c"],
          sanitizers="address,undefined")  # fmt: skip
    return subprocess.run(
        [binary, corpus, str(count), "1", str(TARGETS[name].longest)],
        cwd=folder, capture_output=True, text=True, errors="replace", check=False,
        env={"ASAN_OPTIONS": "detect_leaks=1:hard_rss_limit_mb=1024:max_allocation_size_mb=256"},
    )  # fmt: skip


@pytest.mark.campaign
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_corpus_and_a_hundredth_of_the_campaign_make_no_finding(name: str, tmp_path: Path) -> None:
    inputs = unpack(TARGETS[name], tmp_path / "corpus")
    count = TARGETS[name].whole // 100
    ended = replay(name, tmp_path, count=count, corpus=tmp_path / "corpus")
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert ended.stdout.startswith(f"{inputs} inputs of the corpus and {count} made from them")


def test_a_core_that_reads_one_octet_too_many_is_found_and_the_input_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = (CORE / "mask.c").read_text()
    ill = sound.replace("if (at == length)\n                return SW_MASK_CUT_SHORT;\n            class_value",
                        "class_value")  # fmt: skip
    assert ill != sound
    shutil.copytree(CORE, tmp_path / "core")
    (tmp_path / "core" / "mask.c").write_text(ill)
    monkeypatch.setattr("tests.fuzz.targets.CORE", tmp_path / "core")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "one").write_bytes(b"\0\3\0\5\1")
    ended = replay("mask", tmp_path, count=INPUTS, corpus=tmp_path / "corpus")
    assert ended.returncode != 0 and "heap-buffer-overflow" in ended.stderr
    assert (tmp_path / "failed_input").read_bytes()[0] & 1 == 0  # one that decodes


def test_every_kernel_of_the_core_has_a_harness_or_is_named_as_having_none() -> None:
    reached = {name for target in TARGETS.values() for name in target.core}
    assert {path.name for path in CORE.glob("*.c")} - reached == NO_HARNESS
    harnesses = {path.stem for path in HARNESSES.glob("*.c")} - {"replay"}
    assert harnesses == set(TARGETS)


@pytest.mark.campaign
@pytest.mark.parametrize("name", sorted(DECODERS))
def test_decoders_in_python_answer_mutated_octets_with_typed_errors(name: str) -> None:
    piece = fuzz(DECODERS[name], DECODERS[name].whole // 20, seed=1)
    assert 0 < piece.accepted < piece.inputs


def broken_look(octets: bytes) -> None:
    assert octets[1] < 256


def test_a_decoder_in_python_that_raises_anything_else_is_found() -> None:
    broken = Decoder("broken", lambda: [b"\1\2\3\4"], broken_look)
    with pytest.raises(NotTyped, match="IndexError"):
        fuzz(broken, 500, seed=1)


def test_the_report_tells_how_much_of_its_campaign_every_target_has_had() -> None:
    told = report.rows()
    whole = {name: TARGETS[name].whole for name in TARGETS} | {name: DECODERS[name].whole for name in DECODERS}
    assert set(told) == set(whole)
    assert {name: row["of"] for name, row in told.items()} == {name: f"{count:,}" for name, count in whole.items()}
    for name, count in whole.items():
        assert int(told[name]["inputs"].replace(",", "")) >= count, f"{name}: make fuzz goes on where it was stopped"
        assert told[name]["findings"] == "0"


def test_a_campaign_without_results_goes_on_where_the_report_stands_if_it_is_of_these_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = TARGETS["mask"]
    row = report.rows()[target.name] | {"sources": target.digest()}
    monkeypatch.setattr(report, "rows", lambda: {target.name: row})
    report.adopt(target, tmp_path / "here")
    (piece,) = campaign.pieces(target, tmp_path / "here")
    assert (f"{piece.executions:,}", f"1 to {piece.seed}") == (row["inputs"], row["seeds"])
    report.adopt(target, tmp_path / "here")  # what is there already is not counted twice
    assert campaign.pieces(target, tmp_path / "here") == [piece]

    row["sources"] = "of others"
    report.adopt(target, tmp_path / "there")
    assert campaign.pieces(target, tmp_path / "there") == []


def test_the_corpora_stay_small() -> None:
    assert {path.stem for path in CORPORA.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPORA.iterdir()) < CORPORA_MAX

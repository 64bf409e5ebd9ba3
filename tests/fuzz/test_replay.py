"""One per cent of `make fuzz`: the committed corpora and inputs made from them, under gcc's sanitizers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fuzz import report
from tests.fuzz.targets import CORE, CORPORA, HARNESSES, TARGETS, build, unpack

INPUTS = 100_000
WHOLE = 10_000_000
CORPORA_MAX = 300_000


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
    ended = replay(name, tmp_path, count=INPUTS, corpus=tmp_path / "corpus")
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert ended.stdout.startswith(f"{inputs} inputs of the corpus and {INPUTS} made from them")


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


def test_the_report_tells_of_ten_million_inputs_to_every_target() -> None:
    told = report.rows()
    assert set(told) == set(TARGETS)
    assert {name for name, row in told.items() if int(row["inputs"].replace(",", "")) < WHOLE} == set()
    assert all(re.fullmatch("[0-9a-f]{16}", row["sources"]) and row["findings"] == "0" for row in told.values())


def test_the_corpora_stay_small() -> None:
    assert {path.stem for path in CORPORA.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPORA.iterdir()) < CORPORA_MAX

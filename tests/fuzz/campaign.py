"""The whole proof, in pieces: libFuzzer on one target until it has executed so many inputs since its sources changed.

Everything is kept under a work folder (out/fuzz/NAME): the growing corpus, the failures, and one line a finished piece
in pieces.jsonl. A campaign that is stopped goes on at its next piece.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fuzz.targets import Target, build, pack, unpack

SANITIZERS = "fuzzer,address,undefined"
LIMITS = ("-timeout=10", "-rss_limit_mb=1024", "-malloc_limit_mb=256")
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1"}


@dataclass(frozen=True, slots=True)
class Piece:
    """What one run of libFuzzer did. edges and features are libFuzzer's cov and ft at its end."""

    digest: str
    seed: int
    executions: int
    seconds: int
    edges: int
    features: int
    corpus: int
    peak_rss_mb: int


class FuzzFailed(AssertionError):
    """An input made a harness fail; it lies in `folder`."""

    code = "fuzz_failed"

    def __init__(self, target: str, folder: Path, output: str) -> None:
        self.target, self.folder = target, folder
        super().__init__(f"{target}: see {folder}\n{output[-6000:]}")


def log_of(target: Target, work: Path) -> Path:
    """Where the finished pieces of a target are told, one a line."""
    return work / target.name / "pieces.jsonl"


def keep(log: Path, piece: Piece) -> None:
    """One more finished piece."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(piece)) + "\n")


def pieces(target: Target, work: Path) -> list[Piece]:
    """The finished pieces that are of the present sources."""
    log = log_of(target, work)
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    digest = target.digest()
    return [piece for piece in (Piece(**json.loads(line)) for line in lines) if piece.digest == digest]


def run(
    target: Target, work: Path, *, executions: int, piece: int, jobs: int, say: Callable[[str], None]
) -> list[Piece]:
    """Go on until `executions` inputs are done, `jobs` pieces at a time. Raises FuzzFailed at the first finding."""
    here = work / target.name
    corpus, failures, binary = here / "corpus", here / "failures", here / "harness"
    failures.mkdir(parents=True, exist_ok=True)
    if not corpus.exists():
        corpus.mkdir()
        if target.corpus.exists():
            unpack(target, corpus)
    done = pieces(target, work)
    total = sum(each.executions for each in done)
    if total < executions:
        build(target, binary, compiler="clang", driver=(), sanitizers=SANITIZERS)
    sizes = [min(piece, executions - begun) for begun in range(total, executions, piece)]
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        running = [
            pool.submit(_one_piece, target, here, seed=seed, executions=size)
            for seed, size in enumerate(sizes, max((each.seed for each in done), default=0) + 1)
        ]
        try:
            for future in as_completed(running):
                made = future.result()
                done.append(made)
                total += made.executions
                keep(log_of(target, work), made)
                say(f"{target.name}: {total:,} of {executions:,} inputs, {made.edges} edges, no finding")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return done


def _one_piece(target: Target, here: Path, *, seed: int, executions: int) -> Piece:
    ended = subprocess.run(
        [
            here / "harness",
            f"-runs={executions}",
            f"-seed={seed}",
            f"-max_len={target.longest}",
            *LIMITS,
            *([] if target.sees_compares else ["-entropic=0"]),
            "-print_final_stats=1",
            f"-artifact_prefix={here / 'failures'}/",
            here / "corpus",
        ],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode:
        raise FuzzFailed(target.name, here / "failures", ended.stderr)
    text = ended.stderr
    [(edges, features, corpus)] = re.findall(r"DONE +cov: (\d+) ft: (\d+) corp: (\d+)/", text)
    [seconds] = re.findall(r"Done \d+ runs in (\d+) second", text)
    [count] = re.findall(r"stat::number_of_executed_units: +(\d+)", text)
    [rss] = re.findall(r"stat::peak_rss_mb: +(\d+)", text)
    return Piece(
        target.digest(), seed, int(count), int(seconds), int(edges), int(features), int(corpus), int(rss)
    )  # fmt: skip


def minimise(target: Target, work: Path) -> int:
    """Commit the fewest inputs that reach what the whole corpus reaches. Returns how many that are."""
    here = work / target.name
    fewest = here / "fewest"
    shutil.rmtree(fewest, ignore_errors=True)
    fewest.mkdir(parents=True)
    build(target, here / "merger", compiler="clang", driver=(), sanitizers=SANITIZERS)
    subprocess.run(
        [here / "merger", "-merge=1", f"-max_len={target.longest}", *LIMITS, fewest, here / "corpus"],
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
    )
    return pack(target, fewest)

"""The fuzzed parts of the C core: which harness, from which sources, how it is built, where its corpus lies.

A corpus is kept as one zip file a target. `digest` says of which sources a result is: it does not count for others.
"""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORE = ROOT / "bindings" / "csrc"
HARNESSES = HERE / "csrc"
CORPORA = HERE / "corpus"

FLAGS = (
    "-std=c11",
    "-g",
    "-O2",
    "-fno-omit-frame-pointer",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-D_GNU_SOURCE",
    "-DSW_NO_CLONES",  # the resolvers of cloned functions run before a sanitizer is ready
    "-fno-sanitize-recover=all",
)


@dataclass(frozen=True, slots=True)
class Target:
    """One harness. `core` are the files of bindings/csrc that it calls; no input is longer than `longest` octets.

    whole: how many inputs a campaign gives it. sees_compares: whether libFuzzer is told what is compared with what, and
    weighs inputs by it; that costs more than it finds where every input sets up a model of numbers.
    """

    name: str
    core: tuple[str, ...]
    longest: int
    whole: int = 10_000_000
    sees_compares: bool = True

    @property
    def harness(self) -> Path:
        return HARNESSES / f"{self.name}.c"

    @property
    def corpus(self) -> Path:
        return CORPORA / f"{self.name}.zip"

    def sources(self) -> list[Path]:
        return [self.harness, *(CORE / name for name in self.core)]

    def digest(self) -> str:
        """Of all that the result depends on: harness, core sources and their headers."""
        mixed = hashlib.sha256()
        headers = [*HARNESSES.glob("*.h"), *CORE.glob("*.h"), *(CORE / "decl").glob("*.h")]
        for path in (*self.sources(), *sorted(headers)):
            if path.suffix == ".c" or self._includes(path):
                mixed.update(path.name.encode() + b"\0" + path.read_bytes())
        return mixed.hexdigest()[:16]

    def _includes(self, header: Path) -> bool:
        """Whether a source names the header, or a header that it names does."""
        waiting, seen = self.sources(), set[Path]()
        while waiting:
            text = (path := waiting.pop()).read_text(encoding="utf-8")
            seen.add(path)
            named = (folder / name for folder in (CORE, CORE / "decl", HARNESSES) for name in _included(text))
            waiting += [each.resolve() for each in named if each.is_file() and each.resolve() not in seen]
        return header.resolve() in seen


def _included(text: str) -> list[str]:
    lines = (line.split('"') for line in text.splitlines() if line.lstrip().startswith('#include "'))
    return [parts[1].rsplit("/", 1)[-1] for parts in lines]


KERNEL = 1_000_000  # no decoder: its data is made on board, its arguments are checked

TARGETS = {
    target.name: target
    for target in (
        Target("lzw", ("lzw.c",), 600),
        Target("mask", ("mask.c",), 600),
        Target("context", ("context_decode.c", "context_encode.c"), 150, sees_compares=False),
        Target("vectors", ("vectors.c", "rings.c"), 600),
        Target("regions", ("regions.c",), 250, KERNEL),
        Target("trace", ("trace.c",), 250, KERNEL),
        Target("runs", ("runs.c",), 600, KERNEL),
        Target("simplify", ("simplify.c", "rings.c"), 400, KERNEL),
        Target("nms", ("nms.c",), 600, KERNEL),
    )
}


class BuildFailed(RuntimeError):
    """The compiler refused a harness; the message is its own."""

    code = "fuzz_build_failed"


def build(target: Target, binary: Path, *, compiler: str, driver: Sequence[Path], sanitizers: str) -> None:
    """Build the harness, with `driver` where the sanitizers bring none (libFuzzer does)."""
    folders = [f"-I{CORE}", f"-I{HARNESSES}"]
    command = [compiler, *FLAGS, f"-fsanitize={sanitizers}", *folders, "-o", str(binary)]
    if "fuzzer" in sanitizers:
        kinds = ("sanitize", "sanitize-coverage")
        command += [f"-f{kind}-ignorelist={HARNESSES / 'not_instrumented.txt'}" for kind in kinds]
        command += [] if target.sees_compares else ["-fno-sanitize-coverage=trace-cmp"]
    sources = [str(path) for path in (*target.sources(), *driver)]
    ended = subprocess.run([*command, *sources, "-lm"], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BuildFailed(f"{target.name}: {ended.stderr}")


def unpack(target: Target, folder: Path) -> int:
    """Write the committed corpus into a folder; returns how many inputs that are."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target.corpus) as archive:
        archive.extractall(folder)
        return len(archive.namelist())


def pack(target: Target, folder: Path) -> int:
    """Make the committed corpus of a folder's inputs: the same zip for the same inputs. Returns how many."""
    inputs = sorted({path.read_bytes() for path in folder.iterdir() if path.is_file()})
    target.corpus.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(target.corpus, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for octets in inputs:
            archive.writestr(zipfile.ZipInfo(hashlib.sha256(octets).hexdigest()[:8]), octets, zipfile.ZIP_DEFLATED)
    return len(inputs)

"""The house: imports go one way, time and chance are given, prerequisites are named, nothing foreign is in the tree."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import flight
from tests.shared_data import ROOT, SHARED_DATA, needs_shared_data

PACKAGES = ("bindings", "hal", "payload_models", "flight", "ground_test")  # each may import those before it
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def tracked() -> list[Path]:
    """The files of the repository; skipped where it is not one (an unpacked archive)."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


# --- imports go one way


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def upward(package: str, source: str) -> list[str]:
    """Imports of a package that stands above `package`, or of what is never installed."""
    above = (*PACKAGES[PACKAGES.index(package) + 1 :], "tests", "benchmarks")
    return [name for name in imported(source) if name.split(".")[0] in above]


def test_the_layer_contract_is_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not in this environment")
    ended = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "1 kept, 0 broken" in ended.stdout


def test_no_module_imports_what_stands_above_it_nor_the_tests() -> None:
    assert [
        (str(path.relative_to(ROOT)), name)
        for path in MODULES
        for name in upward(path.relative_to(ROOT).parts[0], path.read_text())
    ] == []


def test_that_check_sees_a_wrong_import_in_every_form() -> None:
    for wrong in ("import flight.cli", "from ground_test.sim import kernel", "def f():\n    import tests.shared_data"):
        assert upward("hal", wrong)
    assert (
        upward("hal", "import numpy\nfrom bindings import crc\nfrom . import clock\nfrom hal.clock import Clock") == []
    )


def test_one_door_leads_to_the_c_core() -> None:
    doors = [path for path in MODULES if any(name.endswith("_swath") for name in imported(path.read_text()))]
    assert [path.relative_to(ROOT).as_posix() for path in doors] == ["bindings/ffi.py"]


# --- time and chance are given

TAKING = re.compile(
    r"""^(time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns|sleep|localtime|gmtime|strftime|ctime)
    |(datetime\.)*(datetime|date)\.(now|utcnow|today)
    |asyncio\.sleep|os\.(urandom|getrandom)|secrets\.\w+|uuid\.uuid[14]
    |random\.(?!Random$)\w+
    |(np|numpy)\.random\.(?!default_rng$|Generator$|PCG64$|SeedSequence$)\w+)$""",
    re.VERBOSE,
)
SEEDED = re.compile(r"^(random\.Random|(np|numpy)\.random\.(default_rng|PCG64|SeedSequence))$")

EDGES = {
    "hal/clock.py": "the clocks themselves: the one place where time is taken",
    "hal/shared_clock.py": "a clock",
    "flight/pipeline/commands.py": "the edge of `swath run`: randomness for the development key",
    "flight/flight_process.py": "the flight process's main: it hands the operating system's randomness in",
    "flight/services/journal_process.py": "the journal process's main: it times its own farewell",
}


def taken(source: str) -> list[str]:
    """Time, sleep or unseeded chance that a module takes by itself, calls and mere references alike."""
    tree = ast.parse(source)
    renamed = {
        name.asname or name.name: f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime", "os", "random", "secrets", "uuid")
        for name in node.names
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and node.id in renamed):
            text = ast.unparse(node)
            head, dot, rest = text.partition(".")
            name = renamed.get(head, head) + dot + rest
            if TAKING.match(name):
                found.append(name)
        if isinstance(node, ast.Call) and not node.args and not node.keywords:
            text = ast.unparse(node.func)
            if SEEDED.match(renamed.get(text, text)):
                found.append(f"{text}() without a seed")
    return found


def test_flight_and_hal_take_neither_time_nor_chance_by_themselves() -> None:
    offenders = {}
    for path in MODULES:
        name = path.relative_to(ROOT).as_posix()
        on_board = name.startswith(("flight/", "hal/")) and not name.startswith("hal/testing")
        if on_board and (found := taken(path.read_text())):
            offenders[name] = found
    assert {name: found for name, found in offenders.items() if name not in EDGES} == {}
    assert sorted(set(EDGES) - set(offenders)) == [], "an exception that nobody needs any more"


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "from time import monotonic as now\nnow()",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.now(tz=None)",
        "import os\nf(os.urandom)",
        "import random\nrandom.random()",
        "import random\nrandom.Random()",
        "from random import Random\nRandom()",
        "import numpy as np\nnp.random.default_rng()",
        "import numpy as np\nnp.random.normal(0, 1)",
        "import uuid\nuuid.uuid4()",
    ],
)
def test_that_check_sees_every_way_of_taking(source: str) -> None:
    assert taken(source)


def test_that_check_lets_given_time_and_seeded_chance_pass() -> None:
    assert taken("import random\nrandom.Random(5)\nclock.sleep_until(3)\nself._random.random()\nstep.time()") == []
    assert taken("import numpy as np\nnp.random.default_rng(7)") == []


# --- what is missing is named

PREREQUISITES = ROOT / ".ci" / "prerequisites"


def machine(
    folder: Path, *, python: str | None = "", compiler: str | None = "", tools: tuple[str, ...] = ()
) -> dict[str, str]:
    """The environment of a machine on which only these commands exist. A text is shell code run before the real one."""
    folder.mkdir()
    for name, prelude, real in (("python3", python, sys.executable), ("gcc", compiler, shutil.which("gcc"))):
        if prelude is not None and real is not None:
            path = folder / name
            path.write_text(f'#!/bin/sh\n{prelude}\nexec {real} "$@"\n')
            path.chmod(0o755)
    for name in tools:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return {"PATH": str(folder)}


NO_VENV = 'case "$2" in *ensurepip*) echo "Traceback: no module" >&2; exit 1;; esac'
NO_HEADERS = 'case "$2" in *Python.h*) exit 1;; esac'
OLD = 'case "$*" in *version_info*) exit 1;; -V) echo "Python 3.9.2"; exit 0;; esac'


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"compiler": None}, "gcc libc6-dev"),
        ({"compiler": "exit 1"}, "libc6-dev"),
        ({"python": NO_VENV}, "python3-venv"),
        ({"python": NO_HEADERS}, "python3-dev"),
        ({"python": NO_VENV + "\n" + NO_HEADERS}, "python3-venv python3-dev"),
        ({"python": None}, "python3 python3-venv python3-dev"),
        ({"python": None, "compiler": None}, "python3 python3-venv python3-dev gcc libc6-dev"),
    ],
)
def test_what_is_missing_is_named_with_the_line_that_installs_it(
    given: dict[str, Any], line: str, tmp_path: Path
) -> None:
    if shutil.which("gcc") is None and given.get("compiler", "") is not None:
        pytest.skip("no gcc on this machine")
    environment = machine(tmp_path / "bin", **given)
    ended = subprocess.run(
        ["/bin/sh", PREREQUISITES],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 2
    assert f"    apt-get install -y --no-install-recommends {line}\n" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_a_python_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    environment = machine(tmp_path / "bin", python=OLD)
    ended = subprocess.run(["/bin/sh", PREREQUISITES], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "needs Python 3.10 or newer; python3 is Python 3.9.2" in ended.stderr


@pytest.mark.parametrize("target", ["fly", "test"])
def test_make_stops_with_status_2_before_anything_is_made(target: str, tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    clone = tmp_path / "clone"
    for name in ("Makefile", ".ci/prerequisites", "setup.py", "pyproject.toml", "bindings/build.py"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    environment = machine(tmp_path / "bin", compiler=None, tools=("make", "sh", "test"))
    before = sorted(clone.rglob("*"))
    ended = subprocess.run(["make", target], cwd=clone, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "apt-get install -y --no-install-recommends gcc libc6-dev\n" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    assert sorted(clone.rglob("*")) == before


def test_the_checks_of_ci_are_those_of_make_and_ask_nobody() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "set -euo pipefail" in script and "exec </dev/null" in script
    for target in ("test", "lint", "check", "aarch64"):
        assert re.search(rf"^(step )?make {target}\b", script, re.MULTILINE)
    for path in (ROOT / ".ci").iterdir():
        assert not re.search(r"\b(sudo|curl|wget)\b", path.read_text()), path.name
        assert path.suffix or path.name == "prerequisites" or os.access(path, os.X_OK), (
            f"{path.name} cannot be executed"
        )


@pytest.mark.parametrize("version", ["3.10", "3.11"])
def test_the_pins_hold_every_requirement_with_a_hash(version: str) -> None:
    text = (ROOT / ".ci" / f"constraints-{version}.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9._-]+)==(\S+) ", text, re.MULTILINE))
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(pins) > 50
    python = {"python_version": version, "python_full_version": f"{version}.0"}
    for line in importlib.metadata.requires("swath") or []:
        needed = Requirement(line)
        if needed.marker is None or any(
            needed.marker.evaluate({**python, "extra": extra}) for extra in ("", "cpu", "ground", "test")
        ):
            assert needed.specifier.contains(pins[needed.name.lower()]), line


# --- nothing foreign is in the tree


@needs_shared_data
def test_no_shared_file_is_committed_but_those_that_may_be_shipped() -> None:
    shared = {}
    for line in (SHARED_DATA / "MANIFEST.sha256").read_text().splitlines():
        digest, name = line.split(maxsplit=1)
        shared[digest] = name.removeprefix("./")
    shipped = {shared[digest] for digest in map(sha256, tracked()) if digest in shared}
    assert shipped, "the sample scenes come from there: the comparison must see them"
    assert sorted(name for name in shipped if not name.startswith("redistributable/")) == []


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_no_file_names_a_registry_or_a_place_on_somebodys_machine() -> None:
    registries = ("py" + "pi.org", "python" + "hosted", "deb." + "debian", "download." + "pytorch", "registry." + "npm")
    places = re.compile(
        "|".join(rf"(?<![\w.]){re.escape(place)}\w" for place in ("/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/"))
    )
    found = []
    for path in tracked():
        octets = path.read_bytes()
        if b"\0" in octets:
            continue
        text = octets.decode()
        found += [(path.name, name) for name in registries if name in text]
        found += [(path.name, match[0]) for match in places.finditer(text)]
    assert found == []


def test_nothing_is_left_for_later_in_the_code() -> None:
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|HA" + r"CK)\b|NotImplemented" + r"Error\(\)")
    found = [
        (path.name, match[0])
        for path in tracked()
        if path.suffix in (".py", ".c", ".h")
        for match in marks.finditer(path.read_text())
    ]
    assert found == []


LONG: dict[str, str] = {}  # module: why it may be


def test_modules_are_small_enough_to_read() -> None:
    long = {path.relative_to(ROOT).as_posix() for path in MODULES if len(path.read_text().splitlines()) > 400}
    assert sorted(long - set(LONG)) == []
    assert sorted(set(LONG) - long) == [], "an exception that nobody needs any more"


def test_every_package_is_typed_and_every_folder_of_modules_is_a_package() -> None:
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").is_file(), package
    # an application's folder holds data and the recipe that made it; it is no package
    loose = {path.parent for path in MODULES if path.name != "recipe.py" and not (path.parent / "__init__.py").exists()}
    assert sorted(map(str, loose)) == []


@pytest.mark.parametrize(
    "name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", ".ci/run"]
)
def test_a_newcomer_finds_what_a_newcomer_looks_for(name: str) -> None:
    assert (ROOT / name).stat().st_size > 500


def test_every_file_that_a_page_names_exists() -> None:
    links = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
    paths = re.compile(
        rf"`((?:docs|examples|tests|benchmarks|{'|'.join(PACKAGES)})/[\w./-]+\.(?:py|md|toml|c|h|json|tif))\b"
    )
    missing = []
    for page in tracked():
        if page.suffix == ".md" and page.name != "SOURCES.md":  # those name files where they were found
            text = page.read_text()
            for name in (*links.findall(text), *paths.findall(text)):
                if "NAME" not in name and not any((folder / name).exists() for folder in (page.parent, ROOT)):
                    missing.append((page.relative_to(ROOT).as_posix(), name))
    assert missing == []


def test_the_version_is_declared_once_in_effect() -> None:
    assert importlib.metadata.version("swath") == flight.__version__


# --- the licence

UNTOLD = {
    "stapi-pydantic": "its wheel says nothing; the LICENSE of its repository is MIT",
}


def runtime_distributions() -> dict[str, importlib.metadata.Distribution]:
    """Everything that `pip install swath[cpu,ground]` brings into this environment."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting: list[tuple[str, frozenset[str]]] = [("swath", frozenset({"cpu", "ground"}))]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        distribution = importlib.metadata.distribution(name)
        found[re.sub(r"[-_.]+", "-", name).lower()] = distribution
        for line in distribution.requires or []:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                entry = (needed.name, frozenset(needed.extras))
                if entry not in seen:
                    seen.add(entry)
                    waiting.append(entry)
    return found


def licence(distribution: importlib.metadata.Distribution) -> str:
    described = distribution.metadata
    told = [described["License-Expression"] or ""]
    told += [line for line in described.get_all("Classifier") or [] if line.startswith("License ::")]
    if not any(told):
        told.append((described["License"] or "").split("\n")[0])
    return " ".join(told).strip()


def test_the_licence_is_apache_2() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
    assert "Version 2.0" in (ROOT / "LICENSE").read_text()[:300]
    assert licence(importlib.metadata.distribution("swath")) == "Apache-2.0"


def test_no_copyleft_distribution_is_required_at_run_time() -> None:
    distributions = runtime_distributions()
    assert {"numpy", "onnxruntime", "cryptography", "sgp4", "pystac"} <= set(distributions)
    licences = {name: licence(distribution) for name, distribution in distributions.items()}
    assert sorted(name for name, text in licences.items() if not text and name not in UNTOLD) == []
    copyleft = re.compile(r"\b[AL]?GPL|General Public|EUPL|CDDL|SSPL", re.IGNORECASE)
    assert {name: text for name, text in licences.items() if copyleft.search(text)} == {}

"""The wheel: its tag, what it holds and what it must not hold, and that it works where no checkout is.

python .ci/check_wheel.py       builds out/wheel/swath-*.whl, checks it, installs it into a scratch environment
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Iterable
from configparser import ConfigParser
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "out" / "wheel"
PACKAGES = ("bindings", "hal", "payload_models", "flight", "ground_test")
BUILT = ("__pycache__", "*.so", "*.o", "_swath.c", "*.egg-info")
SCENE = "landsat7_great_salt_lake_7band"


class WheelWrong(Exception):
    """Something about the wheel that its users would stumble over."""


def require(holds: bool, reason: str) -> None:
    if not holds:
        raise WheelWrong(reason)


def build(work: Path) -> Path:
    """The wheel of a clean copy: what an older build left in the checkout must not get into it."""
    source = work / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns(*BUILT))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    shutil.rmtree(OUT, ignore_errors=True)
    run(sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "-w", OUT, ".", cwd=source)
    found = sorted(OUT.glob("*.whl"))
    require(len(found) == 1, f"one wheel was expected, got {[path.name for path in found]}")
    return found[0]


def check_contents(wheel: Path) -> int:
    """Every promise about the wheel's contents. Returns how many files it holds. Raises WheelWrong."""
    require("-cp310-abi3-" in wheel.name, f"{wheel.name} is not tagged cp310-abi3")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [entry_points] = [name for name in names if name.endswith(".dist-info/entry_points.txt")]
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        offered = archive.read(entry_points).decode()
        described = archive.read(metadata).decode()
        manifests = {
            name: tomllib.loads(archive.read(name).decode()) for name in names if name.endswith("/manifest.toml")
        }
    top = {name.split("/")[0] for name in names if ".dist-info" not in name.split("/")[0]}
    require(top == set(PACKAGES), f"top-level names are {sorted(top)}, not {sorted(PACKAGES)}")
    require("bindings/_swath.abi3.so" in names, "the C extension is missing or not built for the limited API")
    for package in PACKAGES:
        require(f"{package}/py.typed" in names, f"{package}/py.typed is missing")
    # a recipe beside a graph says how it was trained; it is no module and stays in the checkout
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    modules = {path.relative_to(ROOT).as_posix() for path in sources if (path.parent / "__init__.py").exists()}
    require(modules == _python(names), f"modules differ: {sorted(modules ^ _python(names))}")
    applications = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("payload_models/*/manifest.toml")}
    require(bool(applications) and applications == set(manifests), f"applications are {sorted(manifests)}")
    for name, manifest in manifests.items():
        folder = name.rsplit("/", 1)[0]
        for variant in manifest["variant"]:
            require(f"{folder}/{variant['model']}" in names, f"{folder}/{variant['model']} is missing")
        for golden in manifest.get("golden", []):
            for part in (golden["input"], golden["expect"]):
                require(f"{folder}/{part}" in names, f"{folder}/{part} is missing")
    parser = ConfigParser(delimiters=("=",))
    parser.read_string(offered)
    require({"swath", "swath-ground"} <= set(parser["console_scripts"]), "a command is missing")
    require({s for s in parser.sections() if s.startswith("swath.hal.")} >= _device_kinds(), "drivers are missing")
    for section in parser.sections():
        for value in parser[section].values():
            require(f"{value.split(':')[0].replace('.', '/')}.py" in names, f"entry point {value} has no module")
    require("Requires-Python: >=3.10" in described, "Requires-Python is not >=3.10")
    require("Apache-2.0" in described, "the licence is not in the metadata")
    return len(names)


def check_installed(wheel: Path, work: Path) -> str:
    """Install it into a scratch environment that has only the dependencies, and use it outside the checkout."""
    environment = work / "venv"
    venv.create(environment, with_pip=False)
    target = next((environment / "lib").glob("python3*")) / "site-packages"
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python")
    run(*pip, "install", "-qq", "--no-deps", "--no-index", wheel)
    # the dependencies of the environment that runs this, without its editable installation of the checkout
    (target / "dependencies.pth").write_text("".join(f"{folder}\n" for folder in _dependencies(work)))
    scene = work / "scenes" / f"{SCENE}.tif"
    scene.parent.mkdir()
    for suffix in (".tif", ".toml"):
        shutil.copy(ROOT / "examples" / "scenes" / f"{SCENE}{suffix}", scene.parent)
    python, away = environment / "bin" / "python", work / "away"
    away.mkdir()
    where = run(python, "-c", "import bindings.ffi, flight; print(bindings.ffi.__file__)", cwd=away).strip()
    require(Path(where).is_relative_to(environment), f"the modules come from {where}, not from the wheel")
    version = run(environment / "bin" / "swath", "--version", cwd=away).strip()
    require(version == f"swath {wheel.name.split('-')[1]}", f"swath --version says {version!r}")
    answer = run(environment / "bin" / "swath", "run", scene, "--app", "water", "--out", away / "o", "--json", cwd=away)
    report = json.loads(answer)
    missing = [product["path"] for product in report["products"] if not Path(product["path"]).is_file()]
    require(not missing and len(report["products"]) >= 2, f"swath run promised {missing}")
    drivers = json.loads(run(environment / "bin" / "swath", "hal", "list", "--json", cwd=away))["drivers"]
    require({driver["kind"] for driver in drivers} == {k.split(".")[-1] for k in _device_kinds()}, "drivers missing")
    return f"{version}; swath run: {report['tiles']['total']} tiles, {report['bytes']['products']} bytes"


def _dependencies(work: Path) -> list[Path]:
    """A folder of links to every installed distribution but swath: a .pth entry may not bring the checkout back."""
    linked = work / "dependencies"
    linked.mkdir()
    for site in {Path(entry) for entry in sys.path if entry.endswith("site-packages")}:
        for path in site.iterdir():
            if path.suffix != ".pth" and "swath" not in path.name and not (linked / path.name).exists():
                (linked / path.name).symlink_to(path)
    return [linked]


def _device_kinds() -> set[str]:
    return {f"swath.hal.{path.parent.name}" for path in (ROOT / "hal").glob("*/protocol.py")}


def _python(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.endswith(".py")}


def run(*command: object, cwd: Path = ROOT) -> str:
    """stdout of a command. Raises WheelWrong with what it printed when it fails."""
    words = [str(word) for word in command]
    ended = subprocess.run(words, check=False, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    require(ended.returncode == 0, f"{' '.join(words)}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="swath-wheel-") as folder:
        try:
            wheel = build(Path(folder))
            files = check_contents(wheel)
            used = check_installed(wheel, Path(folder))
        except WheelWrong as error:
            print(f"wheel: {error}", file=sys.stderr)
            return 1
    print(f"wheel: {wheel.relative_to(ROOT)}, {files} files, {wheel.stat().st_size // 1024} KiB; installed: {used}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write .ci/constraints-X.Y.txt for the Python that runs this: every distribution of the extras cpu, ground and test,
pinned, with the hashes of its wheels for x86-64 and aarch64.

    python .ci/constraints.py

A reproducible installation is then
    python -m pip install --require-hashes -r .ci/constraints-X.Y.txt
    python -m pip install --no-deps --no-build-isolation -e .
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MACHINES = ("x86_64", "aarch64")
GLIBC = ("2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")  # what Debian 12 and JetPack 6 both can load
EXTRAS = ("cpu", "ground", "test")
BUILD = ("setuptools>=70", "wheel")


def requirements() -> list[str]:
    """What setup.py asks for, from the metadata that a build makes of it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "setup.py", "-q", "egg_info", "-e", folder], cwd=ROOT, check=True, capture_output=True
        )
        lines = (Path(folder) / "swath.egg-info" / "requires.txt").read_text().splitlines()
    wanted, section = list(BUILD), ""
    for line in lines:
        if line.startswith("["):
            section = line.strip("[]")
            continue
        extra, _, marker = section.partition(":")
        if line and (not extra or extra in EXTRAS):
            wanted.append(f"{line}; {marker}" if marker else line)
    return wanted


def resolve(wanted: list[str], machine: str) -> dict[str, tuple[str, str]]:
    """name -> (version, sha256) of the wheels that pip picks for one machine."""
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    platforms = [f"--platform=manylinux_{glibc}_{machine}" for glibc in GLIBC]
    platforms += [f"--platform=manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
    abis = [f"--abi={abi}" for abi in (f"cp{version}", "abi3", "none")]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed", "--target", folder]
        command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}", *abis, *platforms]
        subprocess.run([*command, "--report", str(report), *wanted], check=True)
        found = json.loads(report.read_text())["install"]
    return {
        item["metadata"]["name"].lower().replace("_", "-"): (
            item["metadata"]["version"],
            item["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for item in found
    }


def main() -> int:
    wanted = requirements()
    resolved = {machine: resolve(wanted, machine) for machine in MACHINES}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    out = [f"# Python {version}, {' and '.join(MACHINES)}: extras {', '.join(EXTRAS)}. Made by .ci/constraints.py."]
    for name in sorted({name for wheels in resolved.values() for name in wheels}):
        picked = [resolved[machine][name] for machine in MACHINES if name in resolved[machine]]
        if len({pin for pin, _ in picked}) != 1:
            print(f"{name} resolves to {picked}: no common version", file=sys.stderr)
            return 1
        hashes = sorted({digest for _, digest in picked})
        out.append(" \\\n    ".join([f"{name}=={picked[0][0]}", *(f"--hash=sha256:{digest}" for digest in hashes)]))
    path = ROOT / ".ci" / f"constraints-{version}.txt"
    path.write_text("\n".join(out) + "\n")
    print(f"{path.relative_to(ROOT)}: {len(out) - 1} distributions")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The C core compiles without a warning where nothing is written for its processor by hand, as on an ARM board."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "bindings" / "csrc"
STRICT = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-D_GNU_SOURCE", "-pthread")


def compiler() -> str:
    found = shutil.which("gcc") or shutil.which("cc")
    if found is None:
        pytest.skip("no C compiler here")
    return found


@pytest.mark.parametrize("source", sorted(CSRC.glob("*.c")), ids=lambda path: path.stem)
def test_a_source_compiles_without_what_is_written_for_avx2(source: Path, tmp_path: Path) -> None:
    portable = ("-DSW_NO_AVX2", "-DSW_NO_CLONES", f"-I{CSRC}", "-c", str(source), "-o", str(tmp_path / "portable.o"))
    done = subprocess.run([compiler(), *STRICT, *portable], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr

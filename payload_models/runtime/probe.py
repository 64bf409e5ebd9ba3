"""Whether ONNX Runtime can be imported, tried in a child process: a wheel may die with an illegal instruction."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from payload_models.runtime.errors import RuntimeUnusable

PROBE_S = 20.0
MAX_ANSWER_BYTES = 1 << 14
_CODE = "import json, onnxruntime as o; print(json.dumps([o.__version__, o.get_available_providers()]))"


@dataclass(frozen=True, slots=True)
class RuntimeFound:
    """An ONNX Runtime that can be imported."""

    version: str
    providers: tuple[str, ...]  # ONNX Runtime's own names


def probe(
    environment: Mapping[str, str] | None = None, *, python: str = sys.executable, limit_s: float = PROBE_S
) -> RuntimeFound:
    """Import ONNX Runtime in a child. environment: of the child; None: that of this process. Raises RuntimeUnusable."""
    reinstall = "install `swath[cpu]` again"
    try:
        done = subprocess.run(
            [python, "-c", _CODE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeUnusable(f"ONNX Runtime does not load within {limit_s:g} s", reinstall) from None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise RuntimeUnusable(
            f"ONNX Runtime dies with {name} when it is imported", "install one made for this processor"
        )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        missing = bool(said) and said[-1].startswith("ModuleNotFoundError: No module named 'onnxruntime'")
        reason = "ONNX Runtime is not installed" if missing else f"ONNX Runtime cannot be imported: {said[-1:]}"
        raise RuntimeUnusable(reason[:300], "install `swath[cpu]`" if missing else reinstall)
    try:
        version, providers = json.loads(done.stdout[:MAX_ANSWER_BYTES].splitlines()[-1])
        return RuntimeFound(str(version)[:32], tuple(str(name)[:64] for name in providers))
    except (ValueError, TypeError, IndexError) as error:
        raise RuntimeUnusable("ONNX Runtime says nothing sensible of itself", reinstall) from error

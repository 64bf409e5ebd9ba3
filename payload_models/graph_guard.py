"""The graph guard: an ONNX file is looked at by a limited child process before ONNX Runtime sees it.

The child, `python -m payload_models.graph_guard`, reads graphs from standard input and answers one line of JSON. It
has bounded memory, processor time and wall time, may write no file, and can open no descriptor, so no socket either.
It imports neither onnx nor ONNX Runtime. If it dies or does not answer, the graph is refused.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from payload_models.errors import GraphRefused
from payload_models.graph_rules import GraphFacts, GraphLimits, GraphSpec, examine

if TYPE_CHECKING:
    from payload_models.loader import Application

MEMORY_BYTES = 1 << 30  # address space of the child
CPU_S = 20
WALL_S = 60.0
MAX_GRAPH_BYTES = 64 << 20
MAX_GRAPHS = 24
MAX_ANSWER_BYTES = 1 << 16
ROOT = Path(__file__).resolve().parent.parent


def check_graph(octets: bytes, spec: GraphSpec, limits: GraphLimits | None = None) -> GraphFacts:
    """Check one graph in a child process. Raises GraphRefused."""
    return check_graphs([(octets, spec)], limits)[0]


def check_application(application: Application, limits: GraphLimits | None = None) -> tuple[GraphFacts, ...]:
    """Check every graph of an application in one child process: variant by variant, each with all its forms.

    Raises GraphRefused, HashMismatch.
    """
    manifest = application.manifest
    graphs = [
        (
            application.model_bytes(index, form),
            GraphSpec(len(variant.bands), manifest.planes, manifest.input.tile, kind),
        )
        for index, variant in enumerate(manifest.variant)
        for form, kind in enumerate(entry.precision for entry in variant.forms)
    ]
    return check_graphs(graphs, limits)


def check_graphs(
    graphs: Sequence[tuple[bytes, GraphSpec]], limits: GraphLimits | None = None, *, wall_s: float = WALL_S
) -> tuple[GraphFacts, ...]:
    """Check graphs in one child process. Raises GraphRefused for the first that may not fly."""
    if not 1 <= len(graphs) <= MAX_GRAPHS or any(len(octets) > MAX_GRAPH_BYTES for octets, _ in graphs):
        raise GraphRefused("file_size", f"at most {MAX_GRAPHS} graphs of at most {MAX_GRAPH_BYTES} bytes")
    request = {
        "limits": asdict(limits or GraphLimits()),
        "graphs": [{"bytes": len(octets), **asdict(spec)} for octets, spec in graphs],
    }
    stream = json.dumps(request).encode() + b"\n" + b"".join(octets for octets, _ in graphs)
    try:
        child = subprocess.run(
            [sys.executable, "-s", "-m", "payload_models.graph_guard"],
            input=stream,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=wall_s,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GraphRefused("checker_died", f"no answer within {wall_s:g} s") from error
    except OSError as error:
        raise GraphRefused("checker_died", f"cannot be started: {error.strerror}") from error
    return _believed(child.stdout, child.returncode, len(graphs))


def _believed(answer: bytes, status: int, count: int) -> tuple[GraphFacts, ...]:
    """The child's answer, validated: what read a hostile file is not believed blindly."""
    try:
        if status or len(answer) > MAX_ANSWER_BYTES:
            raise ValueError(f"status {status}")
        found = json.loads(answer)
        if "refused" in found:
            raise GraphRefused(str(found["refused"])[:64], str(found["detail"])[:500])
        facts = tuple(GraphFacts(**{**entry, "operators": tuple(entry["operators"])}) for entry in found["facts"])
        if len(facts) != count or not all(_plausible(entry) for entry in facts):
            raise ValueError(f"{len(facts)} answers")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, GraphRefused):
            raise
        raise GraphRefused("checker_died", f"the checking process gave no usable answer ({error})") from error
    return facts


def _plausible(facts: GraphFacts) -> bool:
    numbers = [value for name, value in asdict(facts).items() if name != "operators"]
    return all(isinstance(value, int) and value >= 0 for value in numbers) and all(
        isinstance(operator, str) for operator in facts.operators
    )


def _limit(kind: int, value: int) -> None:
    """Lower a limit; never above the hard limit that is already there."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _answer(stream: BinaryIO) -> dict[str, Any]:
    request = json.loads(stream.readline(1 << 16))
    limits = GraphLimits(**request["limits"])
    facts = []
    for entry in request["graphs"]:
        octets = stream.read(entry.pop("bytes"))
        facts.append(asdict(examine(octets, GraphSpec(**entry), limits)))
    return {"facts": facts}


def main() -> int:
    """The child: limits first, then the untrusted octets."""
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CPU, CPU_S)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 3)
    try:
        answer = _answer(sys.stdin.buffer)
    except GraphRefused as error:
        answer = {"refused": error.reason, "detail": error.detail}
    except (MemoryError, RecursionError) as error:
        answer = {"refused": "checker_died", "detail": type(error).__name__}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How graphs are run on this computer: one frozen record, from a TOML table over the defaults of its kind of board."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Target = Literal["pi", "jetson", "x86", "bench"]
Provider = Literal["cpu", "cuda", "tensorrt", "xnnpack", "acl"]


class InferenceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[inference]` of a configuration. What is left out takes the default of the target."""

    target: Literal["auto", "pi", "jetson", "x86", "bench"] = "auto"
    # in order of preference; one that is named and not there is an error
    providers: Annotated[tuple[Provider, ...], Meta(min_length=1, max_length=5)] | None = None
    precision: Literal["commissioned", "float"] = "commissioned"  # which form of a graph: the recorded one, or float
    threads: Annotated[int, Meta(ge=1, le=64)] | None = None
    arena: bool | None = None  # keep memory between runs
    deterministic: bool = True
    flush_denormals: bool = False  # of the thread that makes the session, for good: other code there rounds so too
    kleidiai: bool | None = None
    tile_limit_s: Annotated[float, Meta(gt=0, le=3600)] | None = None
    memory_mb: Annotated[int, Meta(ge=16, le=1_048_576)] | None = None
    commissioned: str = ""  # folder of what `swath models bench --commission` recorded; relative to the file
    commissioning_key: str = ""  # file of the key that sealed it; empty: only hashes protect it

    def __post_init__(self) -> None:
        if self.providers is not None and len(set(self.providers)) != len(self.providers):
            raise ValueError("a provider is named twice")


@dataclass(frozen=True, slots=True)
class InferencePolicy:
    """What is in force. Shapes are always fixed, spinning is always off: neither can be chosen."""

    target: Target
    providers: tuple[Provider, ...]
    precision: Literal["commissioned", "float"]
    threads: int
    arena: bool
    deterministic: bool
    flush_denormals: bool
    kleidiai: bool  # ARM's kernels that keep reordered weights, gigabytes where shapes change
    tile_limit_s: float  # what a run may take before the watchdog ends it
    memory_mb: int  # what a graph may need for a tile; also the bound of a GPU's memory

    def record(self) -> dict[str, object]:
        """As plain values, for reports."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a policy depends on."""

    architecture: str  # as uname says: x86_64, aarch64, ...
    board: str  # what the device tree calls itself; empty where there is none
    cores: int


# A Pi gives memory back rather than be 10 % faster. A Jetson that is named one is expected to have its GPU.
_DEFAULTS: dict[Target, InferencePolicy] = {
    "pi": InferencePolicy("pi", ("cpu",), "commissioned", 1, False, True, False, False, 60.0, 256),
    "jetson": InferencePolicy(
        "jetson", ("tensorrt", "cuda", "cpu"), "commissioned", 1, True, True, False, False, 20.0, 1024
    ),
    "x86": InferencePolicy("x86", ("cpu",), "commissioned", 1, True, True, False, True, 20.0, 512),
    "bench": InferencePolicy("bench", ("cpu",), "commissioned", 2, True, True, False, True, 60.0, 1024),
}
DEFAULT_POLICY = _DEFAULTS["x86"]


def this_machine(root: Path = Path("/")) -> Machine:
    """The computer that this runs on."""
    try:
        board = (root / "proc" / "device-tree" / "model").read_text(errors="replace").rstrip("\0\n")[:64]
    except OSError:
        board = ""
    return Machine(platform.machine(), board, len(os.sched_getaffinity(0)))


def target_of(machine: Machine) -> Target:
    """The kind of board. An unknown ARM board is taken for the smallest."""
    if "Jetson" in machine.board or "Orin" in machine.board or "NVIDIA" in machine.board:
        return "jetson"
    return "x86" if machine.architecture in ("x86_64", "AMD64") else "pi"


def policy_of(table: InferenceTable, machine: Machine) -> InferencePolicy:
    """The policy in force. A target that was recognised, not named, computes on its processor alone: no guess."""
    target = target_of(machine) if table.target == "auto" else table.target
    base = _DEFAULTS[target]
    providers = table.providers or (("cpu",) if table.target == "auto" else base.providers)
    threads = table.threads or min(base.threads, machine.cores)
    return InferencePolicy(
        target=target,
        providers=providers,
        precision=table.precision,
        threads=threads,
        arena=base.arena if table.arena is None else table.arena,
        deterministic=table.deterministic,
        flush_denormals=table.flush_denormals,
        kleidiai=base.kleidiai if table.kleidiai is None else table.kleidiai,
        tile_limit_s=table.tile_limit_s or base.tile_limit_s,
        memory_mb=table.memory_mb or base.memory_mb,
    )

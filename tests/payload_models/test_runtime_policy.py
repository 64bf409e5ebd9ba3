"""Session policy, execution providers and the import probe: what is configured is what runs, or it is an error."""

from __future__ import annotations

import os
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import msgspec
import onnxruntime
import pytest

from payload_models.runtime.errors import GraphRejected, ProviderMissing, RuntimeUnusable
from payload_models.runtime.policy import (
    DEFAULT_POLICY,
    InferenceTable,
    Machine,
    Provider,
    policy_of,
    target_of,
    this_machine,
)
from payload_models.runtime.probe import probe
from payload_models.runtime.providers import NAMES, check_in_force, requested, short_names
from payload_models.runtime.session import OnnxSession, session_options
from tests.payload_models.graphs import good

PC = Machine("x86_64", "", 8)
PI = Machine("aarch64", "Raspberry Pi 5 Model B Rev 1.0", 4)
ORIN = Machine("aarch64", "NVIDIA Jetson Orin Nano Developer Kit", 6)
UNKNOWN = Machine("riscv64", "", 1)


@pytest.mark.parametrize(
    ("machine", "target"), [(PC, "x86"), (PI, "pi"), (ORIN, "jetson"), (UNKNOWN, "pi")], ids=lambda item: str(item)[:30]
)
def test_a_board_is_recognised_and_guesses_no_accelerator(machine: Machine, target: str) -> None:
    policy = policy_of(InferenceTable(), machine)
    assert (target_of(machine), policy.target) == (target, target)
    assert policy.providers == ("cpu",)
    assert (policy.deterministic, policy.flush_denormals) == (True, False)


def test_a_target_that_is_named_brings_its_own_order_of_providers() -> None:
    assert policy_of(InferenceTable(target="jetson"), PC).providers == ("tensorrt", "cuda", "cpu")
    bench = policy_of(InferenceTable(target="bench"), replace(PC, cores=1))
    assert (bench.threads, bench.providers) == (1, ("cpu",))


def test_what_the_table_says_goes_before_the_target() -> None:
    table = InferenceTable(
        target="pi", providers=("xnnpack", "cpu"), threads=3, arena=True, tile_limit_s=2.5, memory_mb=99
    )
    policy = policy_of(table, PI)
    assert policy == replace(
        policy_of(InferenceTable(target="pi"), PI),
        providers=("xnnpack", "cpu"), threads=3, arena=True, tile_limit_s=2.5, memory_mb=99,
    )  # fmt: skip
    assert policy.record()["threads"] == 3


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        DEFAULT_POLICY.threads = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    "table",
    [{"threads": 0}, {"threads": 65}, {"target": "laptop"}, {"providers": []}, {"providers": ["gpu"]}, {"spin": True},
     {"providers": ["cpu", "cpu"]}, {"tile_limit_s": 0}, {"memory_mb": 1}, {"precision": "int4"}],
    ids=str,
)  # fmt: skip
def test_a_table_that_makes_no_sense_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, InferenceTable)


def test_this_machine_is_read_from_the_device_tree(tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"Raspberry Pi 4 Model B\0")
    assert this_machine(tmp_path).board == "Raspberry Pi 4 Model B"
    assert this_machine(tmp_path / "none").board == ""
    assert this_machine().cores >= 1


def entry(options: onnxruntime.SessionOptions, key: str) -> str | None:
    try:
        return str(options.get_session_config_entry(key))
    except RuntimeError:
        return None


def test_session_options_are_those_of_the_policy() -> None:
    options = session_options(DEFAULT_POLICY)
    assert (options.intra_op_num_threads, options.inter_op_num_threads, options.enable_cpu_mem_arena) == (1, 1, True)
    assert options.use_deterministic_compute
    assert entry(options, "session.intra_op.allow_spinning") == "0"
    assert entry(options, "session.set_denormal_as_zero") is None
    assert entry(options, "session.disable_cpu_ep_fallback") is None
    odd = session_options(
        replace(DEFAULT_POLICY, providers=("cuda",), flush_denormals=True, kleidiai=False, arena=False)
    )
    assert not odd.enable_cpu_mem_arena
    for key in ("session.disable_cpu_ep_fallback", "session.set_denormal_as_zero", "mlas.disable_kleidiai"):
        assert entry(odd, key) == "1"


# --- providers: the lists are given here, no accelerator is at hand


def test_providers_are_asked_for_in_the_configured_order() -> None:
    policy = replace(DEFAULT_POLICY, providers=("tensorrt", "cuda", "cpu"), memory_mb=100)
    wanted = requested(policy, ["CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"])
    assert [name for name, _ in wanted] == [NAMES["tensorrt"], NAMES["cuda"], NAMES["cpu"]]
    settings = dict(wanted)
    assert settings[NAMES["cuda"]]["gpu_mem_limit"] == str(100 << 20)
    assert settings[NAMES["cuda"]]["use_tf32"] == "0"
    assert (
        settings[NAMES["tensorrt"]]["trt_engine_cache_enable"] == "0"
    )  # no pass builds an engine or reads a stray one


def test_a_configured_provider_that_this_build_lacks_is_an_error() -> None:
    policy = replace(DEFAULT_POLICY, providers=("cuda", "cpu"))
    with pytest.raises(ProviderMissing) as missing:
        requested(policy, ["CPUExecutionProvider", "AzureExecutionProvider"])
    assert (missing.value.provider, missing.value.have, missing.value.exit_status) == ("cuda", ("cpu",), 2)


@pytest.mark.parametrize("providers", [("cuda",), ("tensorrt", "cuda", "cpu"), ("xnnpack", "cpu"), ("acl",)])
def test_no_session_falls_back_silently(providers: tuple[Provider, ...]) -> None:
    policy = replace(DEFAULT_POLICY, providers=providers)
    if all(NAMES[name] in onnxruntime.get_available_providers() for name in providers):
        pytest.skip("this build has them")
    with pytest.raises(ProviderMissing):
        OnnxSession(good(), bands=3, classes=1, policy=policy)


def test_a_provider_that_is_listed_but_cannot_be_started_is_an_error() -> None:
    """ONNX Runtime says that it has it, and makes the session without: its library does not load."""
    policy = replace(DEFAULT_POLICY, providers=("cuda", "cpu"))
    with pytest.raises((ProviderMissing, GraphRejected)):
        OnnxSession(good(), bands=3, classes=1, policy=policy, available=list(NAMES.values()))
    with pytest.raises(ProviderMissing, match="could not be started"):
        check_in_force(policy, ["CPUExecutionProvider"])
    check_in_force(policy, [NAMES["cuda"], NAMES["cpu"]])


def test_unknown_providers_are_not_named() -> None:
    assert short_names(["AzureExecutionProvider", "CPUExecutionProvider"]) == ("cpu",)


# --- the probe


def fake(folder: Path, body: str) -> dict[str, str]:
    """An environment in which `import onnxruntime` runs `body`."""
    (folder / "onnxruntime").mkdir()
    (folder / "onnxruntime" / "__init__.py").write_text(body)
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_the_probe_finds_the_runtime_of_this_installation() -> None:
    found = probe()
    assert found.version == onnxruntime.__version__ and "CPUExecutionProvider" in found.providers


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n", "dies with SIGILL"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "dies with SIGSEGV"),
        ("raise ImportError('libonnxruntime.so: GLIBC_2.38 not found')\n", "GLIBC_2.38 not found"),
        ("import time\ntime.sleep(60)\n", "does not load within"),
        ("__version__ = 1\nget_available_providers = lambda: 3\n", "nothing sensible"),
        ("import sys\nsys.exit(0)\n", "nothing sensible"),
    ],
    ids=["illegal instruction", "segmentation fault", "wrong library", "hangs", "nonsense", "leaves"],
)
def test_a_runtime_that_cannot_be_imported_is_named_and_kills_nobody(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(RuntimeUnusable) as unusable:
        probe(fake(tmp_path, body), limit_s=1.5)
    assert says in str(unusable.value) and unusable.value.exit_status == 2


def test_a_runtime_that_is_not_there_is_named(tmp_path: Path) -> None:
    environment = fake(tmp_path, "raise ModuleNotFoundError(\"No module named 'onnxruntime'\")\n")
    with pytest.raises(RuntimeUnusable, match="not installed"):
        probe(environment)

"""Execution providers by the names of the configuration. ONNX Runtime drops one silently; here that is an error."""

from __future__ import annotations

from collections.abc import Sequence

from payload_models.runtime.errors import ProviderMissing
from payload_models.runtime.policy import InferencePolicy, Provider

NAMES: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "acl": "ACLExecutionProvider",
}
# What computes in the processor's own memory: buffers that are bound once are read again at every run.
HOST_MEMORY = frozenset({NAMES["cpu"], NAMES["xnnpack"], NAMES["acl"]})


def short_names(available: Sequence[str]) -> tuple[str, ...]:
    """ONNX Runtime's names as the configuration writes them; unknown ones are left out."""
    return tuple(name for name, full in NAMES.items() if full in available)


def requested(policy: InferencePolicy, available: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """What a session is made with, in order. Raises ProviderMissing for the first that this build does not have."""
    for name in policy.providers:
        if NAMES[name] not in available:
            raise ProviderMissing(name, short_names(available), "this build of ONNX Runtime does not have it")
    return [(NAMES[name], _options(name, policy)) for name in policy.providers]


def check_in_force(policy: InferencePolicy, found: Sequence[str]) -> None:
    """Compare with what a session says that it uses. Raises ProviderMissing."""
    for name in policy.providers:
        if NAMES[name] not in found:
            raise ProviderMissing(name, short_names(found), "it could not be started")


def _options(name: Provider, policy: InferencePolicy) -> dict[str, str]:
    memory_bytes = str(policy.memory_mb << 20)
    match name:
        case "cuda":
            # results must not depend on how fast a trial was, nor on a shorter mantissa
            return {
                "device_id": "0",
                "gpu_mem_limit": memory_bytes,
                "arena_extend_strategy": "kSameAsRequested",
                "cudnn_conv_algo_search": "DEFAULT",
                "use_tf32": "0",
            }
        case "tensorrt":
            return {"device_id": "0", "trt_max_workspace_size": memory_bytes, "trt_engine_cache_enable": "0"}
        case "xnnpack":
            return {"intra_op_num_threads": str(policy.threads)}
        case _:
            return {}

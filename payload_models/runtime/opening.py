"""From an application and what was commissioned to a session; where something does not fit, the reason is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnxruntime

from payload_models.loader import Application
from payload_models.manifest import GraphForm
from payload_models.runtime.codes import Fallback, ProviderCode
from payload_models.runtime.commissioning import Commissioned, Prepared, prepared_path
from payload_models.runtime.errors import GraphRejected, ProviderMissing
from payload_models.runtime.policy import InferencePolicy
from payload_models.runtime.prepared import MAX_PREPARED_BYTES, key_of
from payload_models.runtime.providers import requested
from payload_models.runtime.session import OnnxSession

_REASONS = {
    "model_sha256": Fallback.MODEL_CHANGED,
    "runtime": Fallback.RUNTIME_CHANGED,
    "processor": Fallback.PROCESSOR_CHANGED,
    "device": Fallback.DEVICE_CHANGED,
    "provider": Fallback.NOT_PREPARED,
    "side": Fallback.TILE_CHANGED,
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, the graph that it runs, and why it is not as prepared (in order of occurrence)."""

    session: OnnxSession
    form: GraphForm
    policy: InferencePolicy  # with the providers that are really used
    optimised: bool
    fallbacks: tuple[Fallback, ...]

    @property
    def provider(self) -> ProviderCode:
        """The provider that comes first in what is really used."""
        return ProviderCode[self.policy.providers[0].upper()]


def open_session(
    application: Application,
    variant: int,
    policy: InferencePolicy,
    commissioned: Commissioned | None = None,
    *,
    host_s: Callable[[], float] | None = None,
    root: Path = Path("/"),
    available: Sequence[str] | None = None,
) -> Opened:
    """Make the session of a variant. Raises ProviderMissing, GraphRejected, HashMismatch, ModelFileUnreadable.

    The form of the graph is the recorded one, whatever else does not fit, so that it never depends on chance. An engine
    is never built here: without a fitting one, TensorRT is left out and the next provider of the policy is used. But
    every provider of the policy must be in this build, also one that would be left out.
    """
    here = list(onnxruntime.get_available_providers()) if available is None else list(available)
    requested(policy, here)
    entry, side = application.manifest.variant[variant], application.manifest.input.tile
    fallbacks: list[Fallback] = []
    record = None
    if commissioned is not None:
        record = commissioned.of(application, variant)
        if record is None and commissioned.names(application):
            fallbacks.append(Fallback.MODEL_CHANGED)
        if policy.precision == "commissioned":
            application = commissioned.applied(application)
    chosen = application.form(variant)

    def make(octets: bytes, policy: InferencePolicy, *, optimised: bool) -> OnnxSession:
        return OnnxSession(
            octets,
            bands=len(entry.bands),
            classes=application.manifest.planes,
            side=side,
            policy=policy,
            quantisation=chosen.quantisation,
            optimised=optimised,
            host_s=host_s,
            available=here,
        )

    prepared = [item for item in record.prepared if item.key.model_sha256 == chosen.sha256] if record else []
    while True:
        first = policy.providers[0]
        found: bytes | Fallback = Fallback.NOT_PREPARED
        if commissioned is not None and record is not None and first in ("cpu", "tensorrt"):
            found = _prepared_bytes(commissioned.folder, prepared, chosen.sha256, policy, side, root)
        if isinstance(found, bytes):
            try:
                session = make(found, policy, optimised=first == "cpu")
            except GraphRejected:
                found = Fallback.REJECTED
            else:
                return Opened(session, chosen, policy, True, tuple(fallbacks))
        if record is not None:
            fallbacks.append(found)
        if first != "tensorrt":
            break
        if len(policy.providers) == 1:
            raise ProviderMissing(
                "tensorrt", (), "no engine fits this board; build one: swath models bench --commission"
            )
        if record is None:
            fallbacks.append(Fallback.NOT_PREPARED)
        policy = replace(policy, providers=policy.providers[1:])
    session = make(application.model_bytes(variant), policy, optimised=False)
    return Opened(session, chosen, policy, False, tuple(fallbacks))


def _prepared_bytes(
    folder: Path, prepared: Sequence[Prepared], model_sha256: str, policy: InferencePolicy, side: int, root: Path
) -> bytes | Fallback:
    """The prepared graph for the first provider, its hash checked on the octets that are returned."""
    key = key_of(model_sha256, policy.providers[0], side, root)
    for item in prepared:
        if item.key.provider != key.provider:
            continue
        differing = item.key.differs_in(key)
        if differing:
            return _REASONS[differing[0]]
        try:
            with prepared_path(folder, item).open("rb") as stream:
                octets = stream.read(MAX_PREPARED_BYTES + 1)
        except OSError:
            return Fallback.FILE_MISSING
        return octets if hashlib.sha256(octets).hexdigest() == item.sha256 else Fallback.FILE_ALTERED
    return Fallback.NOT_PREPARED

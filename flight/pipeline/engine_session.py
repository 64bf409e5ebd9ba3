"""What the engine asks of a session: a graph bound to the buffers of a slot, or else one that takes arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bindings.tiles import Quantisation
from payload_models.runtime.errors import ModelOutputInvalid

if TYPE_CHECKING:
    from flight.pipeline.session import BoundTile


class PlainSession(Protocol):
    """A session that takes arrays: (1, bands, side, side) -> (1, planes, side, side) float32 in 0 ... 1."""

    def run(self, tile: NDArray[Any]) -> NDArray[np.float32]: ...


@runtime_checkable
class BindingSession(Protocol):
    """A session that binds buffers once for many runs. What a bound run writes is not checked by the session."""

    def bind(self, pixels: NDArray[Any], scores: NDArray[np.float32]) -> BoundTile: ...


RunningSession: TypeAlias = PlainSession | BindingSession  # binding is taken where both are offered


@dataclass(frozen=True, slots=True)
class _Copied:
    """A session without binding, made to look bound."""

    session: PlainSession
    pixels: NDArray[Any]
    scores: NDArray[np.float32]

    def run(self) -> None:
        found = self.session.run(self.pixels)
        if found.shape != self.scores.shape:
            raise ModelOutputInvalid(f"expected {self.scores.shape}, got {found.shape}")
        self.scores[...] = found


def input_of(session: RunningSession) -> tuple[np.dtype[Any], Quantisation | None]:
    """The samples that the graph takes: float32, unless the session says what it takes and how that is quantised."""
    dtype: np.dtype[Any] = np.dtype(getattr(session, "input_dtype", np.float32))
    quantisation: Quantisation | None = getattr(session, "quantisation", None)
    return dtype, quantisation


def bind_tile(session: RunningSession, pixels: NDArray[Any], scores: NDArray[np.float32]) -> BoundTile:
    """The graph bound to these buffers, by the session where it can."""
    if isinstance(session, BindingSession):
        return session.bind(pixels, scores)
    return _Copied(session, pixels, scores)

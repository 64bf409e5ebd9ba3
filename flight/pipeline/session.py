"""The sessions of the pipeline, by the names that it uses: payload_models.runtime holds them."""

from __future__ import annotations

from payload_models.runtime.errors import (
    GraphRejected,
    InferenceFailed,
    InferenceTimedOut,
    ModelOutputInvalid,
    TileMismatch,
)
from payload_models.runtime.session import BoundTile, OnnxSession, Session

__all__ = [
    "BoundTile",
    "GraphRejected",
    "InferenceFailed",
    "InferenceTimedOut",
    "ModelOutputInvalid",
    "OnnxSession",
    "Session",
    "TileMismatch",
]

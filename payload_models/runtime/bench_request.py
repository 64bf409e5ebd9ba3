"""What the process that asks for a measurement and the one that measures say to each other, in JSON."""

from __future__ import annotations

import statistics
from typing import Annotated

import msgspec
from msgspec import Meta

from payload_models.runtime.policy import InferencePolicy

WARM_UP = 3  # the first runs allocate and choose kernels


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to measure: every form of one variant."""

    folder: str
    variant: Annotated[int, Meta(ge=0, lt=8)]
    policy: InferencePolicy
    runs: Annotated[int, Meta(ge=1, le=1_000_000)]


class FormTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One form as it ran: seconds of every round, and memory."""

    precision: str
    providers: tuple[str, ...]
    took_s: tuple[float, ...]
    load_s: float  # making the session
    peak_mb: float  # of the process, the interpreter and the runtime in it, while this form was loaded and first run
    added_mb: float  # by which this form raised the process's memory


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was found, or why nothing was."""

    forms: tuple[FormTimes, ...] = ()
    code: str = ""
    message: str = ""


def over_float(times: FormTimes, reference: FormTimes) -> float:
    """How long a form takes over float: the median of the rounds' ratios."""
    return statistics.median(
        mine / max(other, 1e-9) for mine, other in zip(times.took_s, reference.took_s, strict=True)
    )

"""Errors of the applications. Each carries its numbers and is also the built-in that fits."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from bindings.errors import SwathError


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name closest to `name`, or an empty string."""
    return next(iter(difflib.get_close_matches(name, sorted(known), 1)), "")


class ModelError(SwathError):
    """Base of every error of the payload_models package."""

    code = "model_error"


class ApplicationUnknown(ModelError, KeyError):
    """Neither an application of that name nor a folder with a manifest."""

    code = "application_unknown"
    exit_status = 2

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name, self.known, self.suggestion = name, tuple(known), nearest(name, known)
        hint = f"; did you mean `{self.suggestion}`?" if self.suggestion else ""
        super().__init__(f"no application named `{name}`; known: {', '.join(known) or 'none'}{hint}")

    def __str__(self) -> str:  # KeyError would show the repr
        return str(self.args[0])


class ModelFileUnreadable(ModelError, OSError):
    """A file that a manifest names is missing, outside the folder, too large or not what it should be."""

    code = "model_file_unreadable"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return str(self.args[0])


class HashMismatch(ModelError, ValueError):
    """A model file is not the one that the manifest vouches for."""

    code = "hash_mismatch"

    def __init__(self, path: str, expected: str, found: str) -> None:
        super().__init__(f"{path}: SHA-256 is {found[:16]}..., the manifest says {expected[:16]}...")
        self.path, self.expected, self.found = path, expected, found


class GraphRefused(ModelError, ValueError):
    """A graph that may not run on board. `reason` is a stable snake_case word, `detail` says what was found."""

    code = "graph_refused"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"graph refused: {reason}: {detail}")
        self.reason, self.detail = reason, detail


class MissingBands(ModelError, ValueError):
    """No variant of the application can work with the scene's bands."""

    code = "missing_bands"

    def __init__(self, application: str, missing: Sequence[str], have: Sequence[str]) -> None:
        super().__init__(
            f"`{application}` needs band {', '.join(missing)}; the scene has {', '.join(have) or 'none that is known'}"
        )
        self.application, self.missing, self.have = application, tuple(missing), tuple(have)


class RadiometryRefused(ModelError, ValueError):
    """The pixels are of a kind that the application was not made for."""

    code = "radiometry_refused"

    def __init__(self, application: str, radiometry: str, accepted: Sequence[str]) -> None:
        super().__init__(f"`{application}` takes {', '.join(accepted)} pixels, the scene has {radiometry}")
        self.application, self.radiometry, self.accepted = application, radiometry, tuple(accepted)


class GsdRefused(ModelError, ValueError):
    """The ground sampling distance lies outside the range of the application."""

    code = "gsd_refused"

    def __init__(self, application: str, gsd_m: float, low_m: float, high_m: float) -> None:
        super().__init__(f"`{application}` works at {low_m:g} to {high_m:g} m per pixel, the scene has {gsd_m:g} m")
        self.application, self.gsd_m, self.low_m, self.high_m = application, gsd_m, low_m, high_m


class ParameterRefused(ModelError, ValueError):
    """A parameter that the manifest does not declare, or a value that is not on its list."""

    code = "parameter_refused"
    exit_status = 2

    def __init__(self, application: str, name: str, reason: str) -> None:
        super().__init__(f"`{application}`: parameter `{name}`: {reason}")
        self.application, self.name, self.reason = application, name, reason


class FormMissing(ModelError, LookupError):
    """A variant has no graph of the precision asked for."""

    code = "form_missing"
    exit_status = 2

    def __init__(self, model: str, precision: str, known: Sequence[str]) -> None:
        super().__init__(f"{model} has no form `{precision}`; it has {', '.join(known)}")
        self.model, self.precision, self.known = model, precision, tuple(known)


class FrameIncomplete(ModelError, ValueError):
    """A frame has a width and a rate of lines."""

    code = "frame_incomplete"
    exit_status = 2

    def __init__(self) -> None:
        super().__init__("--frame and --lines-per-second belong together")


class GoldenFailed(ModelError, ValueError):
    """A golden case does not come out as recorded."""

    code = "golden_failed"

    def __init__(self, case: str, reason: str) -> None:
        super().__init__(f"golden case {case}: {reason}")
        self.case, self.reason = case, reason


class InferenceRefused(ModelError, RuntimeError):
    """The inference runtime is missing, or refuses or fails on a graph."""

    code = "inference_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CaseInvalid(ModelError, ValueError):
    """A case folder whose scene, truth and metric do not belong together."""

    code = "case_invalid"

    def __init__(self, case: str, reason: str) -> None:
        super().__init__(f"{case}: {reason}")
        self.case, self.reason = case, reason

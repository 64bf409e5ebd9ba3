"""What `swath run` refuses, beyond what is wrong with the scene, the application or the product."""

from __future__ import annotations

from flight.pipeline.errors import PipelineError


class NeedsInput(PipelineError, ValueError):
    """The application cannot answer for this scene without another input."""

    def __init__(self, application: str, needed: str) -> None:
        super().__init__(f"{application} needs --{needed}")
        self.application, self.needed = application, needed

    @property
    def code(self) -> str:  # type: ignore[override]
        """needs_reference or needs_area."""
        return f"needs_{self.needed}"


class ReferenceUnsupported(PipelineError, NotImplementedError):
    """The application compares with an earlier scene, and nothing here feeds one into a graph."""

    code = "reference_unsupported"

    def __init__(self, application: str) -> None:
        super().__init__(f"{application} compares two scenes; this version runs graphs of one scene")
        self.application = application


class OutputNotWritable(PipelineError, OSError):
    """The folder for the results, or for the development key, cannot be made or written."""

    code = "output_not_writable"
    exit_status = 2

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(f"{folder}: {reason}")
        self.folder, self.reason = folder, reason


class SceneChanged(PipelineError, RuntimeError):
    """The scene file was written to while it was read: the answer would be of neither scene."""

    code = "scene_changed"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: changed while it was read")
        self.path = path


class SceneTooManyPixels(PipelineError, ValueError):
    """More pixels than a product may have."""

    code = "scene_too_large"

    def __init__(self, path: str, pixels: int, limit: int) -> None:
        super().__init__(f"{path}: {pixels} pixels, a product has at most {limit}")
        self.path, self.pixels, self.limit = path, pixels, limit


class ParameterMalformed(PipelineError, ValueError):
    """A --param that is not NAME=NUMBER."""

    code = "parameter_malformed"
    exit_status = 2

    def __init__(self, given: str) -> None:
        super().__init__(f"--param {given}: NAME=NUMBER is needed")
        self.given = given

"""The base of every error of the pipeline room."""

from __future__ import annotations

from flight.errors import FlightError


class PipelineError(FlightError):
    """Base of every error of flight.pipeline."""

    code = "pipeline_error"

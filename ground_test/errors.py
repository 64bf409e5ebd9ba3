"""The base of every error of the ground."""

from __future__ import annotations

from bindings.errors import SwathError


class GroundError(SwathError):
    """Base of every error of the ground_test package."""

    code = "ground_error"

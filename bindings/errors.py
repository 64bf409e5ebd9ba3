"""The error every package builds on, and the errors of the C boundary."""

from __future__ import annotations

from typing import Any, ClassVar


class SwathError(Exception):
    """Base of every error that Swath raises on purpose.

    `code` is a stable snake_case reason that machines read; public attributes are the numbers and
    names behind it and are printed beside it by `--json`.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1  # 1: it ran and says no; 2: arguments, configuration or a prerequisite

    def numbers(self) -> dict[str, Any]:
        """Public attributes, as they go into the `error` object of `--json`."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class BindingsError(SwathError):
    """Base of every error of the bindings package."""

    code = "bindings_error"

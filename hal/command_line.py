"""How every command answers: one result, printed as text or as one JSON object by the program that dispatches it.

A module of commands offers `register(commands)`, where `commands` is what ArgumentParser.add_subparsers() gave; each
parser sets `run`, a function from parsed arguments to a CommandResult. Errors are raised, never printed, by commands.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run: TypeAlias = "Callable[[argparse.Namespace], CommandResult]"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command found. status: 0 yes, 1 it ran and says no."""

    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    status: int = 0

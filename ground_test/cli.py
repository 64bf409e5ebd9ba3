"""`swath-ground`: the command on the ground. Dispatches; every room registers its own commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from flight.cli import program

COMMAND_MODULES = (
    "ground_test.fly.commands",
    "ground_test.gateway.commands",
    "ground_test.bench.commands",
    "ground_test.sim.commands",
    "ground_test.campaign.commands",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `swath-ground`."""
    return program("swath-ground", COMMAND_MODULES, "The ground of Swath: ask, watch, receive.", arguments)


if __name__ == "__main__":
    sys.exit(main())

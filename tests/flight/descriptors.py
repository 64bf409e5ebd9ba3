"""Descriptors that a test leaves open: those of processes that it lets end without a word."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def closed_after_each() -> Iterator[None]:
    """What was opened in the test is closed after it, as the system does for a process that ends."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    for name in set(os.listdir("/proc/self/fd")) - before:
        with contextlib.suppress(OSError):
            os.close(int(name))

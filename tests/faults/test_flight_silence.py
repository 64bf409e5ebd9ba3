"""A flight process that gives no sign of life: told with what its frame clock said, killed, and flown anew."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator

import pytest

from tests.faults.test_processes import LIMIT_S, Watched, pid_of

pytestmark = pytest.mark.slow

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207  # sys/ptrace.h
WALL = 0x4000_0000


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    watched = Watched(tmp_path_factory.mktemp("silence"))
    try:
        watched.run_until(watched.processing, LIMIT_S)
        yield watched
    finally:
        watched.stop()


def hung(flown: Watched) -> list[dict[str, object]]:
    return [record for record in flown.log_records() if record.get("event") == "hung"]


def flies_on(flown: Watched, before: int) -> None:
    """Another flight process, and its frames."""
    flown.housekeeping.clear()

    def reap() -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(before, os.WNOHANG | WALL)  # who traces it hears of its end before its parent does

    flown.run_until(lambda: flown.pid("flight") not in (None, before), LIMIT_S, reap)
    flown.run_until(lambda: flown.numbers("executive").get("frames_run", 0) > 200, LIMIT_S)


def test_a_stopped_flight_process_is_killed_and_another_flies(flown: Watched) -> None:
    before, payload = pid_of(flown, "flight"), pid_of(flown, "payload")
    os.kill(before, signal.SIGSTOP)
    flies_on(flown, before)
    (told,) = hung(flown)
    assert told["process"] == "flight" and "clock_missed" not in told, "its clock was stopped with it"
    assert pid_of(flown, "payload") == payload


def test_python_that_is_stuck_is_told_by_its_clock_and_another_flies(flown: Watched) -> None:
    """Only the thread of the interpreter is held; the frame clock's goes on."""
    before = pid_of(flown, "flight")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(PTRACE_SEIZE, before, None, None) != 0:
        pytest.skip(f"one thread of a process cannot be held here: {os.strerror(ctypes.get_errno())}")
    assert libc.ptrace(PTRACE_INTERRUPT, before, None, None) == 0
    assert os.waitpid(before, WALL)[0] == before
    flies_on(flown, before)
    told = hung(flown)[-1]
    missed, silent_ms = told["clock_missed"], told["silent_ms"]
    assert isinstance(missed, int) and isinstance(silent_ms, int)
    assert missed * 10 > silent_ms / 2, "frames of 10 ms that the clock released meanwhile"
    flown.run_until(flown.delivered, LIMIT_S)
    flown.product().check_content()

"""A payload process that gets no memory, and one that is stopped: told by radio, replaced, and the answer comes."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flight.agent.reasons import Reason
from flight.agent.states import JobState
from flight.executive.health_notices import ProcessNumber
from flight.payload_desk import MAX_STARVED
from flight.pipeline.control import OUT_OF_MEMORY, ForgetOrder, IdleOrder, InferOrder, PayloadOrder, PayloadReport
from flight.pipeline.control_sockets import ControlPeer
from tests.faults.test_processes import LIMIT_S, Watched, pid_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    watched = Watched(tmp_path_factory.mktemp("payload"))
    try:
        watched.run_until(watched.processing, LIMIT_S)
        yield watched
    finally:
        watched.stop()


def heard(flown: Watched, word: str) -> bool:
    """Whether the watch told that of the payload process by radio."""
    return any(text.startswith(f"health: process {ProcessNumber.PAYLOAD:d} {word}") for text in flown.said())


def frames_go_on(flown: Watched) -> None:
    before = flown.numbers("executive")
    flown.run_until(lambda: flown.numbers("executive")["frames_released"] >= before["frames_released"] + 200, LIMIT_S)
    after = flown.numbers("executive")
    assert after["activities_disabled"] == 0 and after["healthy"] == 1
    assert after["activities_raised"] == before["activities_raised"]


def test_a_payload_process_without_memory_ends_another_goes_on_and_the_frames_with_them(flown: Watched) -> None:
    payload = pid_of(flown, "payload")
    hard = resource.prlimit(payload, resource.RLIMIT_AS)[1]
    resource.prlimit(payload, resource.RLIMIT_AS, (1 << 20, hard))  # less than it has: it gets no more
    flown.run_until(lambda: flown.pid("payload") not in (None, payload), LIMIT_S)
    frames_go_on(flown)
    flown.run_until(lambda: heard(flown, "started again"), LIMIT_S)
    flown.run_until(flown.ended, LIMIT_S)
    assert flown.delivered(), "what was done is kept, and the next process goes on from there"
    flown.product().check_content()


def test_a_payload_process_that_is_stopped_is_told_killed_and_replaced(flown: Watched) -> None:
    payload = pid_of(flown, "payload")
    os.kill(payload, signal.SIGSTOP)
    frames_go_on(flown)
    flown.run_until(lambda: heard(flown, "silent for"), LIMIT_S)
    flown.run_until(lambda: heard(flown, "did not end when asked and was killed"), LIMIT_S)
    flown.run_until(lambda: flown.pid("payload") not in (None, payload), LIMIT_S)
    frames_go_on(flown)
    assert flown.numbers("health")["processes_hung"] == 1


def starve(flown: Watched) -> None:
    """One more payload process says that there is no memory for the job, and is gone."""
    peer = ControlPeer[PayloadOrder](
        f"ipc://{flown.folder / 'run' / 'payload.ipc'}",
        (InferOrder, IdleOrder, ForgetOrder),
        int(time.monotonic() * 1e6),
    )
    said = [False]

    def say() -> None:
        report = PayloadReport(
            incarnation=peer.incarnation, state="failed", job=flown.job_id, reason=OUT_OF_MEMORY, missing=None
        )
        peer.report(report, time.monotonic())
        said[0] = said[0] or bool(peer.orders(0.0))

    try:
        flown.run_until(lambda: said[0], LIMIT_S, say)
    finally:
        peer.close()


def test_a_job_for_which_there_is_never_memory_is_given_up(tmp_path: Path) -> None:
    flown = Watched(tmp_path)
    try:
        flown.run_until(flown.processing, LIMIT_S)
        payload = pid_of(flown, "payload")
        os.kill(payload, signal.SIGSTOP)
        for _ in range(MAX_STARVED - 1):
            starve(flown)
        flown.run_for(0.5)
        assert not flown.ended()
        starve(flown)
        flown.run_until(flown.ended, LIMIT_S)
        report = [report for report in flown.statuses if report.subject == flown.job_id[:8]][-1]
        assert (report.state, report.reason) == (JobState.FAILED, Reason.INFERENCE_FAILED)
        os.kill(payload, signal.SIGCONT)
    finally:
        flown.stop()

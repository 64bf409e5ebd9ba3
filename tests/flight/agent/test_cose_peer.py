"""Signed messages both ways against pycose, a library that nobody here wrote, in a virtual environment of its own."""

from __future__ import annotations

import json
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flight.agent import cose
from flight.agent.cose import Purpose
from flight.agent.grant import Grant
from flight.agent.job import Job
from tests.flight.agent.world import MISSION, OTHER, SET, TENANT, grant, job, signed_grant, signed_job

PEER = Path(__file__).resolve().parents[3] / ".venv-peers" / "pycose"
REQUIREMENTS = ["pycose==1.1.0", "cbor2<6"]
SEED = bytes([4]) * 32  # of TENANT


class Peer:
    """pycose in a process of its own."""

    def __init__(self, python: Path) -> None:
        script = str(Path(__file__).with_name("pycose_peer.py"))
        self._process = subprocess.Popen(
            [str(python), "-I", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, operation: str, *arguments: bytes) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([operation, [each.hex() for each in arguments]]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, f"{operation}: {answer}"
        return answer["answer"]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    python = PEER / "bin" / "python"
    probe = [str(python), "-I", "-c", "import pycose"]
    if not python.exists() or subprocess.run(probe, check=False, capture_output=True).returncode:
        venv.create(PEER, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS]
        done = subprocess.run(install, check=False, capture_output=True, text=True, timeout=240)
        if done.returncode:
            pytest.skip(f"pycose cannot be installed here: {done.stderr.strip()[-200:]}")
    found = Peer(python)
    yield found
    found.close()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.binary(max_size=300), external=st.binary(max_size=40))
def test_each_verifies_what_the_other_signed(peer: Peer, payload: bytes, external: bytes) -> None:
    ours = cose.sign1(payload, TENANT.private, TENANT.key_id, external)
    said = peer.ask("verify", TENANT.public, ours, external)
    assert said == {"holds": True, "payload": payload.hex(), "key_id": TENANT.key_id.hex(), "unprotected": 0}
    theirs = bytes.fromhex(peer.ask("sign", SEED, TENANT.key_id, payload, external))
    assert theirs == ours, "Ed25519 and deterministic CBOR leave one encoding"
    assert cose.verify1(theirs, TENANT.verifier, external).payload == payload


def test_the_peer_refuses_what_was_signed_for_another_purpose_or_by_another_key(peer: Peer) -> None:
    octets = signed_job(job())
    for_job, for_command = cose.aad(Purpose.JOB, SET), cose.aad(Purpose.COMMAND, SET)
    assert peer.ask("verify", TENANT.public, octets, for_job)["holds"]
    assert not peer.ask("verify", TENANT.public, octets, for_command)["holds"]
    assert not peer.ask("verify", OTHER.public, octets, for_job)["holds"]


def test_jobs_and_grants_come_out_of_the_peer_as_they_went_in(peer: Peer) -> None:
    said = peer.ask("verify", TENANT.public, signed_job(job()), cose.aad(Purpose.JOB, SET))
    assert Job.decode(bytes.fromhex(said["payload"])) == job()
    said = peer.ask("verify", MISSION.public, signed_grant(grant()), cose.aad(Purpose.GRANT))
    assert said["holds"] and Grant.decode(bytes.fromhex(said["payload"])) == grant()

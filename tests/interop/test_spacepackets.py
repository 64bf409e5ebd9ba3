"""Packets and file delivery units, both ways, against spacepackets (a library nobody here wrote) in its own venv."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flight.link.cfdp.codes import Condition
from flight.link.cfdp.pdu import Pdu, Transaction, decode, encode
from flight.link.packet import SpacePacket
from tests.flight.link.test_cfdp_pdu import units
from tests.flight.link.test_packet import packets

ROOT = Path(__file__).resolve().parents[2]
PEER = ROOT / ".venv-peers" / "spacepackets"
REQUIREMENTS = ["spacepackets==0.32.0", "fastcrc<0.4"]

shared = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Peer:
    """The library in a process of its own."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), "-I", str(Path(__file__).with_name("spacepackets_peer.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, operation: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([operation, arguments]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, f"{operation}{arguments}: {answer['error']}"
        return answer["answer"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    python = PEER / "bin" / "python"
    probe = [str(python), "-I", "-c", "import spacepackets"]
    if not python.exists() or subprocess.run(probe, check=False, capture_output=True).returncode:
        venv.create(PEER, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
        try:
            made = subprocess.run(install, check=False, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            pytest.skip("spacepackets could not be installed within 120 s")
        if made.returncode:
            reason = (made.stderr.strip().splitlines() or ["pip failed"])[-1]
            pytest.skip(f"spacepackets cannot be installed here: {reason}")
    one = Peer(python)
    yield one
    one.close()


def plain(record: Any) -> list[Any]:
    """A record's fields as JSON has them."""
    values = [getattr(record, field.name) for field in dataclasses.fields(record)]
    return json.loads(json.dumps([value.hex() if isinstance(value, bytes) else value for value in values]))


# spacepackets knows entity and sequence fields of 1, 2, 4 and 8 octets
peer_transactions = st.builds(
    Transaction,
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([1, 2, 4, 8]),
    st.booleans(),
)

# and has no name for condition 9, invalid file structure
peer_units = units.filter(lambda pdu: getattr(pdu, "condition", None) is not Condition.INVALID_FILE_STRUCTURE)


@shared
@given(packet=packets)
def test_a_packet_is_the_same_octets_in_both_libraries(peer: Peer, packet: SpacePacket) -> None:
    octets = packet.pack()
    assert peer.ask("packet_pack", *plain(packet)) == octets.hex()
    assert peer.ask("packet_unpack", octets.hex()) == plain(packet)


@shared
@given(transaction=peer_transactions, pdu=peer_units)
def test_a_file_delivery_unit_is_the_same_octets_in_both_libraries(
    peer: Peer, transaction: Transaction, pdu: Pdu
) -> None:
    octets = encode(transaction, pdu)
    kind, fields = type(pdu).__name__, plain(pdu)
    theirs = bytes.fromhex(peer.ask("pdu_pack", plain(transaction), kind, fields))
    assert theirs.hex() == octets.hex()
    assert decode(theirs) == (transaction, pdu)
    assert peer.ask("pdu_unpack", octets.hex()) == [plain(transaction), kind, fields]

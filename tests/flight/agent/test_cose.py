"""COSE_Sign1: one form is taken, every other is refused; nothing that comes in crashes the parser."""

from __future__ import annotations

import hashlib

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.agent import cose
from flight.agent.cose import Purpose
from flight.agent.errors import AgentError, CoseInvalid, KeyUnknown, SignatureInvalid
from flight.services import cbor
from tests.flight.agent.world import OTHER, SET, TENANT, job, signed_job

EXTERNAL = cose.aad(Purpose.JOB, SET)
GOOD = signed_job(job())


def message(protected: object, unprotected: object, payload: object, signature: object, tag: int = 18) -> bytes:
    return bytes(cbor2.dumps(cbor2.CBORTag(tag, [protected, unprotected, payload, signature])))


def test_the_octets_are_those_of_rfc_9052() -> None:
    """Checked with another CBOR library and with the signature algorithm alone."""
    found = cbor2.loads(GOOD)
    assert found.tag == 18
    protected, unprotected, payload, signature = found.value
    assert cbor2.loads(protected) == {1: -8, 4: TENANT.key_id} and unprotected == {}
    to_be_signed = cbor2.dumps(["Signature1", protected, b"swath/1/job/demo", payload])
    Ed25519PublicKey.from_public_bytes(TENANT.public).verify(signature, to_be_signed)
    assert cose.verify1(GOOD, TENANT.verifier, EXTERNAL).payload == payload


@pytest.mark.parametrize("other", [cose.aad(Purpose.JOB), cose.aad(Purpose.JOB, "other"), cose.aad(Purpose.GRANT), b""])
def test_a_signature_holds_for_one_purpose_and_one_set_of_satellites(other: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        cose.verify1(GOOD, TENANT.verifier, other)


def test_an_unknown_key_and_a_key_under_anothers_name_are_refused() -> None:
    with pytest.raises(KeyUnknown):
        cose.verify1(GOOD, OTHER.verifier, EXTERNAL)
    with pytest.raises(SignatureInvalid):
        cose.verify1(GOOD, {TENANT.key_id: OTHER.private.public_key()}, EXTERNAL)


HEADER = cbor.encode({1: -8, 4: b"12345678"})
SIGNATURE = bytes(64)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\xd2",
        GOOD[:-1],
        GOOD + b"\x00",
        GOOD[1:],
        message(HEADER, {}, b"p", SIGNATURE, tag=17),
        message(HEADER, {}, b"p", SIGNATURE, tag=98),
        message(HEADER, {4: b"other"}, b"p", SIGNATURE),
        message(HEADER, {}, None, SIGNATURE),
        message(HEADER, {}, "text", SIGNATURE),
        message(HEADER, {}, b"p", bytes(63)),
        message(HEADER, {}, b"p", bytes(65)),
        message(b"", {4: b"12345678", 1: -8}, b"p", SIGNATURE),
        message(cbor.encode({1: -7, 4: b"12345678"}), {}, b"p", SIGNATURE),
        message(cbor.encode({1: -8.0, 4: b"12345678"}), {}, b"p", SIGNATURE),
        message(cbor.encode({1: -8}), {}, b"p", SIGNATURE),
        message(cbor.encode({1: -8, 4: b""}), {}, b"p", SIGNATURE),
        message(cbor.encode({1: -8, 4: bytes(17)}), {}, b"p", SIGNATURE),
        message(cbor.encode({1: -8, 4: "12345678"}), {}, b"p", SIGNATURE),
        message(cbor.encode({1: -8, 2: [99], 4: b"12345678"}), {}, b"p", SIGNATURE),
        message(b"\xa2\x04\x4812345678\x01\x27", {}, b"p", SIGNATURE),
        message(HEADER, {}, bytes(9000), SIGNATURE),
        bytes(cbor2.dumps(cbor2.CBORTag(18, [HEADER, {}, b"p"]))),
        b"\x81" * 5000,
    ],
    ids=range(24),
)
def test_every_other_form_is_refused(octets: bytes) -> None:
    with pytest.raises(CoseInvalid):
        cose.parse1(octets)


@settings(max_examples=400)
@given(st.binary(max_size=200))
def test_no_octets_crash_the_parser(octets: bytes) -> None:
    with pytest.raises(AgentError):
        cose.verify1(octets, TENANT.verifier, EXTERNAL)


def test_no_mutation_of_a_signed_job_is_accepted() -> None:
    """Ten thousand of them: bit flips at every place, cuts, insertions and swaps."""
    seed = b""
    for number in range(10_000):
        seed = hashlib.sha256(seed + b"mutate").digest()
        at = int.from_bytes(seed[:4], "big") % len(GOOD)
        mutated = bytearray(GOOD)
        match number % 4:
            case 0:
                mutated[at] ^= 1 << seed[4] % 8
            case 1:
                del mutated[at : at + 1 + seed[5] % 9]
            case 2:
                mutated[at:at] = seed[6 : 7 + seed[5] % 9]
            case _:
                mutated[at : at + 4] = seed[8:12]
        if bytes(mutated) == GOOD:
            continue
        with pytest.raises(AgentError):
            cose.verify1(bytes(mutated), TENANT.verifier, EXTERNAL)

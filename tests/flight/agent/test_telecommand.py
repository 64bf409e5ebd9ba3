"""Telecommands: signed by the mission, for one spacecraft, once and in time; anything else has a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.agent import claims, cose
from flight.agent.errors import ClaimsInvalid
from flight.agent.reasons import Reason
from flight.agent.telecommand import MAX_COUNTER, MAX_OCTETS, Telecommand, TelecommandDesk, TelecommandRefused
from flight.services import cbor
from tests.flight.agent.world import KEYS, MISSION, TENANT

NOW_S = 1_000
SPACECRAFT = 42
GOOD = Telecommand(counter=1, source=7, octets=bytes.fromhex("010102"), expires_s=2_000)


def signed(command: Telecommand = GOOD, spacecraft: int = SPACECRAFT) -> bytes:
    return command.sign(MISSION.private, MISSION.key_id, spacecraft)


def desk() -> TelecommandDesk:
    return TelecommandDesk(KEYS.mission, SPACECRAFT)


def refused(octets: bytes, at: TelecommandDesk | None = None, now_s: float = NOW_S) -> Reason:
    with pytest.raises(TelecommandRefused) as caught:
        (at or desk()).judge(octets, now_s)
    return caught.value.reason


def test_the_octets_of_a_telecommand_are_those_of_the_page() -> None:
    assert GOOD.encode().hex() == "a2041907d03a00010004a4000101010207034301 0102".replace(" ", "")


@given(
    st.builds(
        Telecommand,
        counter=st.integers(1, MAX_COUNTER),
        source=st.integers(1, 255),
        octets=st.binary(min_size=2, max_size=200),
        expires_s=st.integers(0, 1 << 40),
    )
)
def test_a_telecommand_is_read_as_it_was_written(command: Telecommand) -> None:
    assert Telecommand.decode(command.encode()) == command


def test_what_the_mission_signed_is_believed_once() -> None:
    at = desk()
    key_id, command = at.judge(signed(), NOW_S)
    assert (key_id, command) == (MISSION.key_id, GOOD)
    assert at.judge(signed(), NOW_S) == (key_id, command)  # only used() takes the counter: it may not be durable yet
    at.used(key_id, command.counter)
    assert refused(signed(), at) is Reason.REPLAYED
    at.used(key_id, 9)
    at.used(key_id, 3)  # never down again
    assert refused(signed(Telecommand(9, 7, b"\1\1", 2_000)), at) is Reason.REPLAYED
    assert at.judge(signed(Telecommand(10, 7, b"\1\1", 2_000)), NOW_S)[1].counter == 10


def test_what_is_not_for_us_now_is_refused_with_its_reason() -> None:
    assert refused(signed(spacecraft=43)) is Reason.BAD_SIGNATURE
    assert refused(signed(), now_s=2_000.5) is Reason.EXPIRED
    assert refused(GOOD.sign(TENANT.private, TENANT.key_id, SPACECRAFT)) is Reason.UNKNOWN_KEY
    other = cose.sign1(GOOD.encode(), MISSION.private, MISSION.key_id, cose.aad(cose.Purpose.COMMAND))
    assert refused(other) is Reason.BAD_SIGNATURE
    octets = bytearray(signed())
    octets[-1] ^= 1
    assert refused(bytes(octets)) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0, 2),
        (1, 0),
        (1, MAX_COUNTER + 1),
        (1, "1"),
        (2, 0),
        (2, 256),
        (3, b"\1"),
        (3, bytes(MAX_OCTETS + 1)),
        (3, 5),
        (4, 0),
    ],
)
def test_a_field_out_of_its_bounds_is_malformed(field: int, value: object) -> None:
    body: dict[int, object] = {0: 1, 1: 1, 2: 7, 3: b"\1\1", field: value}
    payload = cbor.encode({claims.EXPIRES: 2_000, claims.TELECOMMAND_BODY: body})
    with pytest.raises(ClaimsInvalid):
        Telecommand.decode(payload)
    aad = cose.aad(cose.Purpose.TELECOMMAND, str(SPACECRAFT))
    assert refused(cose.sign1(payload, MISSION.private, MISSION.key_id, aad)) is Reason.MALFORMED


@given(st.binary(max_size=300))
def test_any_octets_are_refused_with_a_reason(octets: bytes) -> None:
    assert refused(octets) is Reason.MALFORMED


@given(st.data())
def test_a_changed_message_is_never_believed(data: st.DataObject) -> None:
    octets = bytearray(signed())
    place = data.draw(st.integers(0, len(octets) - 1))
    octets[place] ^= data.draw(st.integers(1, 255))
    assert refused(bytes(octets)) in (Reason.MALFORMED, Reason.UNKNOWN_KEY, Reason.BAD_SIGNATURE)

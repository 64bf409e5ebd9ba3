"""Jobs, grants, receipts and commands: one encoding each, every bound held, no input crashes a decoder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flight.agent import cose
from flight.agent.area import Box, area_km2, checked_ring, degrees_of, ring_of
from flight.agent.command import Command, CommandKind
from flight.agent.cose import Purpose
from flight.agent.errors import ClaimsInvalid
from flight.agent.job import Job, ProductKind
from flight.agent.reasons import EgressReason, Reason
from flight.agent.receipt import Receipt
from flight.agent.status import StatusReport
from tests.flight.agent.world import GROUND, MISSION, SET, TENANT, grant, job

VECTORS = json.loads((Path(__file__).with_name("vectors") / "signed.json").read_text())
MESSAGES: dict[str, Any] = {
    "job": job(7),
    "grant": grant(),
    "receipt": Receipt(bytes(range(16)), bytes(range(32))),
    "command": Command(CommandKind.CANCEL_JOB, bytes(range(32)), 1_900_000_000),
}
SIGNERS = {
    "job": (TENANT, cose.aad(Purpose.JOB, SET)),
    "grant": (MISSION, cose.aad(Purpose.GRANT)),
    "receipt": (GROUND, cose.aad(Purpose.RECEIPT)),
    "command": (TENANT, cose.aad(Purpose.COMMAND, SET)),
}

triangle = st.tuples(
    st.integers(-1_800_000_000, 1_700_000_000), st.integers(-900_000_000, 800_000_000), st.integers(1, 9_999_999)
).map(lambda at: ((at[0], at[1]), (at[0] + at[2], at[1]), (at[0], at[1] + at[2])))
times = st.lists(st.integers(0, 1 << 40), min_size=4, max_size=4).map(sorted)
names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
parameters = st.dictionaries(names, st.integers(-(10**15), 10**15).map(lambda micro: micro / 1e6), max_size=16)


@st.composite
def jobs(draw: Any) -> Job:
    earliest, latest, deadline, expires = draw(times)
    low, high = sorted(draw(st.lists(st.tuples(*[st.integers(0, 65535)] * 3), min_size=2, max_size=2, unique=True)))
    return Job(
        tenant=draw(names),
        application=draw(names),
        version_min=low,
        version_below=high,
        area=draw(triangle),
        earliest_s=earliest,
        latest_s=latest,
        deadline_s=deadline,
        expires_s=expires,
        parameters=tuple(sorted(draw(parameters).items())),
        products=tuple(sorted(draw(st.sets(st.sampled_from(ProductKind), min_size=1)))),
        byte_budget=draw(st.integers(1, 1 << 28)),
        energy_budget_j=draw(st.integers(1, 10_000_000)),
        compute_budget_s=draw(st.integers(1, 86_400)),
        priority=draw(st.integers(0, 7)),
        nonce=draw(st.binary(min_size=16, max_size=16)),
    )


@given(jobs())
def test_a_job_comes_back_as_it_was_and_its_id_is_the_hash_of_its_octets(order: Job) -> None:
    payload = order.encode()
    assert Job.decode(payload) == order
    assert Job.decode(payload).encode() == payload
    assert order.id == hashlib.sha256(payload).digest()
    assert len(payload) < 2_000


@pytest.mark.parametrize("name", MESSAGES)
def test_the_octets_are_the_published_ones(name: str) -> None:
    vector = VECTORS[name]
    key, external = SIGNERS[name]
    assert MESSAGES[name].encode().hex() == vector["payload"]
    assert cose.sign1(MESSAGES[name].encode(), key.private, key.key_id, external).hex() == vector["signed"]
    assert (key.public.hex(), key.key_id.hex(), external.decode()) == (
        vector["public_key"],
        vector["key_id"],
        vector["external_aad"],
    )
    assert type(MESSAGES[name]).decode(bytes.fromhex(vector["payload"])) == MESSAGES[name]


@pytest.mark.parametrize("name", MESSAGES)
def test_another_cbor_library_reads_the_same_claims(name: str) -> None:
    payload = MESSAGES[name].encode()
    assert cbor2.dumps(cbor2.loads(payload), canonical=True) == payload


@settings(max_examples=300)
@given(name=st.sampled_from(sorted(MESSAGES)), at=st.integers(0, 400), octets=st.binary(max_size=4))
def test_a_mutated_payload_is_refused_or_means_exactly_its_octets(name: str, at: int, octets: bytes) -> None:
    payload = MESSAGES[name].encode()
    at %= len(payload)
    mutated = payload[:at] + octets + payload[at + len(octets) :]
    try:
        found = type(MESSAGES[name]).decode(mutated)
    except ClaimsInvalid:
        return
    assert found.encode() == mutated


@given(name=st.sampled_from(sorted(MESSAGES)), octets=st.binary(max_size=120))
def test_no_octets_crash_a_decoder(name: str, octets: bytes) -> None:
    with pytest.raises(ClaimsInvalid):
        type(MESSAGES[name]).decode(octets)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_claim_more_or_less_is_refused(name: str) -> None:
    content = cbor2.loads(MESSAGES[name].encode())
    for key in content:
        less = {other: value for other, value in content.items() if other != key}
        with pytest.raises(ClaimsInvalid):
            type(MESSAGES[name]).decode(cbor2.dumps(less, canonical=True))
    with pytest.raises(ClaimsInvalid):
        type(MESSAGES[name]).decode(cbor2.dumps({**content, 99: 1}, canonical=True))
    body_key = min(content)
    body = content[body_key]
    with pytest.raises(ClaimsInvalid):
        type(MESSAGES[name]).decode(cbor2.dumps({**content, body_key: {**body, 99: 1}}, canonical=True))
    with pytest.raises(ClaimsInvalid, match="format"):
        type(MESSAGES[name]).decode(cbor2.dumps({**content, body_key: {**body, 0: 2}}, canonical=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "ACME"},
        {"tenant": ""},
        {"tenant": "a" * 33},
        {"application": "../water"},
        {"version_min": (2, 0, 0)},
        {"version_below": (1, 0, 70_000)},
        {"latest_s": 1},
        {"deadline_s": 1_800_000_000},
        {"expires_s": 1 << 41},
        {"parameters": (("b", 1.0), ("a", 1.0))},
        {"parameters": (("a", 1.0), ("a", 2.0))},
        {"parameters": (("a", 1e-7),)},
        {"parameters": (("a", float("nan")),)},
        {"parameters": (("a", float("inf")),)},
        {"parameters": tuple((f"p{n:02}", 1.0) for n in range(17))},
        {"products": ()},
        {"products": (ProductKind.ALERT, ProductKind.MASK)},
        {"byte_budget": 0},
        {"byte_budget": True},
        {"energy_budget_j": -1},
        {"compute_budget_s": 86_401},
        {"priority": 8},
        {"nonce": bytes(15)},
    ],
    ids=str,
)
def test_a_job_that_breaks_a_rule_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ClaimsInvalid):
        job(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"public_key": bytes(31)},
        {"recipient": bytes(33)},
        {"applications": ()},
        {"applications": ("b", "a")},
        {"boxes": ()},
        {"boxes": (Box(10, 0, 0, 10),)},
        {"boxes": (Box(0, 0, 2_000_000_000, 10),)},
        {"products": ()},
        {"max_bytes_per_job": 0},
        {"max_bytes_per_day": 1 << 35},
        {"valid_to_s": 0},
        {"serial": -1},
    ],
    ids=str,
)
def test_a_grant_that_breaks_a_rule_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ClaimsInvalid):
        grant(**changes)


@pytest.mark.parametrize(
    "degrees",
    [
        [(0, 0), (1, 1)],
        [(0, 0), (1, 1), (2, 2)],
        [(0, 0), (1, 0), (1, 0), (0, 1)],
        [(0, 0), (2, 2), (2, 0), (0, 2)],
        [(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)],
        [(0, 0), (4, 0), (2, 0), (2, 3)],
        [(170, 0), (-170, 0), (-170, 5), (170, 5)],
        [(n / 10, n % 2) for n in range(65)],
    ],
    ids=["line", "flat", "twice", "bow tie", "touching", "spike", "antimeridian", "too many"],
)
def test_an_area_that_is_no_simple_polygon_is_refused_with_its_reason(degrees: list[tuple[float, float]]) -> None:
    with pytest.raises(ClaimsInvalid) as caught:
        checked_ring(ring_of(degrees))
    assert caught.value.reason is Reason.AREA_INVALID


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=7, unique=True))
def test_simple_polygons_are_told_from_others_as_a_plain_check_tells_them(points: list[tuple[int, int]]) -> None:
    """Against exact rational arithmetic on every pair of edges, written another way."""
    edges = [(points[i], points[(i + 1) % len(points)]) for i in range(len(points))]
    simple = all(
        _common_points(*edges[i], *edges[j]) == ("one" if j - i in (1, len(edges) - 1) else "none")
        for i in range(len(edges))
        for j in range(i + 1, len(edges))
    )
    try:
        checked_ring(tuple(points))
        assert simple
    except ClaimsInvalid:
        assert not simple


def _common_points(a: Any, b: Any, c: Any, d: Any) -> str:
    from fractions import Fraction

    rx, ry, sx, sy = b[0] - a[0], b[1] - a[1], d[0] - c[0], d[1] - c[1]
    qx, qy, cross = c[0] - a[0], c[1] - a[1], rx * sy - ry * sx
    if cross:
        t, u = Fraction(qx * sy - qy * sx, cross), Fraction(qx * ry - qy * rx, cross)
        return "one" if 0 <= t <= 1 and 0 <= u <= 1 else "none"
    if qx * ry - qy * rx:
        return "none"
    length = rx * rx + ry * ry
    ends = sorted((Fraction(qx * rx + qy * ry, length), Fraction((qx + sx) * rx + (qy + sy) * ry, length)))
    low, high = max(ends[0], Fraction(0)), min(ends[1], Fraction(1))
    return "none" if low > high else "one" if low == high else "many"


def test_degrees_and_areas_are_what_they_should_be() -> None:
    ring = ring_of([(10, 50), (11, 50), (11, 51), (10, 51), (10, 50)])
    assert degrees_of(ring) == ((10.0, 50.0), (11.0, 50.0), (11.0, 51.0), (10.0, 51.0))
    assert area_km2(ring) == pytest.approx(7_886, rel=0.01)  # 1 degree square at 50.5 N on the sphere


@given(st.binary(max_size=20))
def test_no_octets_crash_the_status_decoder_and_what_it_reads_packs_again(octets: bytes) -> None:
    try:
        report = StatusReport.unpack(octets)
    except ClaimsInvalid:
        return
    assert report.pack() == octets


def test_every_reason_has_its_words() -> None:
    for kind in (Reason, EgressReason):
        assert all(reason.text and reason < 256 for reason in kind)
        assert len({reason.text for reason in kind}) == len(kind)


@given(jobs(), jobs())
def test_two_jobs_have_two_ids(first: Job, second: Job) -> None:
    assume(first != second)
    assert first.id != second.id

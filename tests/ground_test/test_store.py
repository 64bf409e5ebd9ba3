"""What the gateway remembers: histories that end once, items that go up in order, all of it after a restart."""

from __future__ import annotations

import pytest

from flight.agent.reasons import Reason
from flight.agent.states import JobState
from flight.link.apids import Apid
from ground_test.gateway.store import GatewayStore, StatusRow
from tests.ground_test.ground import NOW, a_grant, a_job, taken


@pytest.fixture
def store(tmp_path):
    opened = GatewayStore(tmp_path / "gateway.sqlite")
    yield opened
    opened.close()


def row(code, state, reason=Reason.NONE):
    return StatusRow(NOW + 1, code, int(state), int(reason))


def test_an_order_is_taken_once(store):
    order = taken(store, a_job())
    taken(store, a_job())
    assert [each.id for each in store.orders()] == [order.id]
    assert [each.code for each in store.statuses(order.id)] == ["received"]


def test_a_job_goes_up_only_when_its_grant_was_answered(store):
    order = taken(store, a_job())
    assert [item.apid for item in store.unanswered()] == [Apid.GRANT]
    assert store.answer(order.grant.id, Apid.GRANT)
    assert [item.octets for item in store.unanswered()] == [order.signed_job]
    store.answer(order.id, Apid.JOB)
    assert store.unanswered() == []


def test_two_orders_under_one_grant_send_it_once(store):
    first, second = taken(store, a_job(1)), taken(store, a_job(2))
    assert [item.subject for item in store.unanswered()] == [first.grant.id]
    store.answer(first.grant.id, Apid.GRANT)
    assert [item.subject for item in store.unanswered()] == [first.id, second.id]


def test_a_history_repeats_nothing_and_ends_once(store):
    order = taken(store, a_job())
    for code, state in (
        ("accepted", JobState.RECEIVED),
        ("accepted", JobState.RECEIVED),
        ("processing", JobState.PROCESSING),
        ("completed", JobState.DELIVERED),
        ("processing", JobState.PROCESSING),
        ("failed", JobState.FAILED),
    ):
        store.add_status(order.id, row(code, state))
    assert [each.code for each in store.statuses(order.id)] == ["received", "accepted", "processing", "completed"]


def test_a_completed_order_still_learns_that_it_was_delivered(store):
    order = taken(store, a_job())
    store.add_status(order.id, row("completed", 0))
    assert store.add_status(order.id, row("completed", JobState.DELIVERED))
    assert store.live_jobs() == []


def test_jobs_are_asked_about_from_their_first_answer_to_their_last(store):
    order = taken(store, a_job())
    assert store.live_jobs() == []
    store.add_status(order.id, row("accepted", JobState.RECEIVED))
    assert store.live_jobs() == [(order.id, order.signed_job)]
    store.add_status(order.id, row("completed", 0))
    assert store.live_jobs() == [(order.id, order.signed_job)]
    store.add_status(order.id, row("completed", JobState.DELIVERED))
    assert store.live_jobs() == []


def test_everything_is_there_after_a_restart(tmp_path):
    first = GatewayStore(tmp_path / "a.sqlite")
    order = taken(first, a_job())
    first.answer(order.grant.id, Apid.GRANT)
    first.add_status(order.id, row("accepted", JobState.RECEIVED))
    first.take_product(b"p" * 16, order.id, NOW + 9, 3.5, {"stem": "water-1"}, b"receipt")
    first.close()
    second = GatewayStore(tmp_path / "a.sqlite")
    assert [item.octets for item in second.unanswered()] == [order.signed_job, b"receipt"]
    assert [each.code for each in second.statuses(order.id)] == ["received", "accepted", "completed"]
    assert second.products(order.id)[0]["received_s"] == NOW + 9
    assert second.order(order.id).request == order.request
    second.close()


def test_promised_bytes_are_those_of_the_tenant_and_the_day(store):
    taken(store, a_job(1))
    taken(store, a_job(2, byte_budget=10_000))
    day = int(NOW // 86_400)
    assert store.promised_bytes("acme", day) == 100_000
    assert store.promised_bytes("acme", day + 1) == 0
    assert store.promised_bytes("other", day) == 0


def test_a_short_id_that_fits_two_orders_names_none(store):
    first, second = taken(store, a_job(1)), taken(store, a_job(2))
    assert store.order_of_short_id(first.id[:8]).id == first.id
    assert store.order_of_short_id(b"") is None
    assert second.id != first.id


def test_asking_again_sends_the_grant_before_the_job(store):
    order = taken(store, a_job())
    store.answer(order.grant.id, Apid.GRANT)
    store.answer(order.id, Apid.JOB)
    store.ask_again(order.id)
    assert [item.apid for item in store.unanswered()] == [Apid.GRANT]


def test_orders_waiting_under_a_grant_are_those_not_answered(store):
    grant = a_grant()
    first, second = taken(store, a_job(1), grant), taken(store, a_job(2), grant)
    store.answer(first.id, Apid.JOB)
    assert store.waiting_under(grant.id) == [second.id]


def test_a_product_its_completion_and_its_receipt_are_there_together_and_once(store):
    order = taken(store, a_job())
    store.answer(order.grant.id, Apid.GRANT)
    store.answer(order.id, Apid.JOB)
    assert store.take_product(b"p" * 16, order.id, NOW, 0.0, {}, b"receipt")
    assert not store.take_product(b"p" * 16, order.id, NOW + 5, 1.0, {}, b"another")
    assert [item.octets for item in store.unanswered()] == [b"receipt"]
    assert [each.code for each in store.statuses(order.id)] == ["received", "completed"]
    with pytest.raises(TypeError):
        store.take_product(b"q" * 16, order.id, NOW, 0.0, {"not": object()}, b"receipt")
    assert not store.has_product(b"q" * 16)

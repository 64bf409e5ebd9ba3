"""What the gateway takes as an order, and what it refuses by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.agent.area import Box
from flight.agent.job import ProductKind
from ground_test.gateway.errors import GatewayError, OrderInvalid, OrderRefused
from ground_test.gateway.orders import check_order, parse_interval, utc_text
from tests.ground_test.ground import MISSION, NOW, STRANGER, TRUST, a_grant, a_job, body_of, posted


def check(body: Any, application: str = "water", now_s: float = NOW, promised: int = 0) -> Any:
    return check_order(application, posted(body), TRUST, now_s, promised)


def test_an_order_whose_signature_grant_and_text_agree_is_taken_as_signed() -> None:
    job = a_job()
    order = check(body_of(job))
    assert (order.job, order.id) == (job, job.id)
    assert order.request["datetime"] == "2026-10-01T18:30:00Z/2026-10-02T02:50:00Z"


def test_what_the_text_leaves_out_is_taken_from_the_signed_job() -> None:
    body = body_of(a_job())
    said = body["order_parameters"]
    body["order_parameters"] = {name: said[name] for name in ("signed_job", "signed_grant")}
    assert check(body).request["order_parameters"]["byte_budget"] == 90_000


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda body: body.update(datetime="2026-10-01T18:30:00Z/2026-10-03T00:00:00Z"), "datetime"),
        (lambda body: body.update(datetime="yesterday"), "datetime"),
        (lambda body: body.update(datetime="2026-10-01T18:30:00/2026-10-02T02:50:00"), "datetime"),
        (lambda body: body["geometry"]["coordinates"][0][1].__setitem__(0, -112.4999), "geometry"),
        (lambda body: body["geometry"]["coordinates"][0].pop(), "geometry"),
        (lambda body: body["geometry"]["coordinates"][0][1].__setitem__(0, 1e305), "geometry"),  # finite, yet no place
        (lambda body: body["geometry"].update(type="MultiPolygon"), "geometry"),
        (lambda body: body["geometry"]["coordinates"].append(body["geometry"]["coordinates"][0]), "geometry"),
        (lambda body: body["order_parameters"].update(priority=7), "order_parameters.priority"),
        (lambda body: body["order_parameters"].update(byte_budget=1), "order_parameters.byte_budget"),
        (lambda body: body["order_parameters"].update(parameters={"threshold": 0.4}), "order_parameters.parameters"),
        (lambda body: body["order_parameters"].update(products=["mask"]), "order_parameters.products"),
        (lambda body: body["order_parameters"].update(deadline="2026-10-05T00:00:00Z"), "order_parameters.deadline"),
        (lambda body: body["order_parameters"].update(signed_job="***"), "order_parameters.signed_job"),
        (lambda body: body["order_parameters"].update(signed_job="AAAA"), "signed_job"),
        (lambda body: body.update(filter={"op": "<", "args": []}), "filter"),
        (lambda body: body.update(satellite="swath-1"), "body"),
        (lambda body: body.pop("geometry"), "body"),
    ],
)
def test_an_order_that_says_something_else_than_its_signature_names_the_field(
    change: Callable[[Any], object], field: str
) -> None:
    body = body_of(a_job())
    change(body)
    with pytest.raises(OrderInvalid) as caught:
        check(body)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (lambda: body_of(a_job(), key=STRANGER), "unknown_key"),
        (lambda: body_of(a_job(), mission=STRANGER), "unknown_key"),
        (lambda: body_of(a_job(), a_grant(valid_to_s=int(NOW) - 1)), "expired"),
        (lambda: body_of(a_job(), a_grant(valid_from_s=int(NOW) + 50)), "not_yet_valid"),
        (lambda: body_of(a_job(latest_s=int(NOW), deadline_s=int(NOW)), a_grant()), "expired"),
        (lambda: body_of(a_job(), a_grant(applications=("change",))), "application_not_granted"),
        (lambda: body_of(a_job(), a_grant(boxes=(Box(0, 0, 10, 10),))), "area_not_granted"),
        (lambda: body_of(a_job(), a_grant(products=(ProductKind.MASK,))), "product_not_granted"),
        (lambda: body_of(a_job(byte_budget=200_000)), "over_job_bytes"),
        (lambda: body_of(a_job(parameters=(("threshold", 0.45),))), "parameter_not_offered"),
        (lambda: body_of(a_job(parameters=(("colour", 1.0),))), "parameter_unknown"),
        (lambda: body_of(a_job(version_min=(2, 0, 0))), "version_not_flying"),
        (lambda: body_of(a_job(tenant="other")), "unknown_key"),
        (lambda: body_of(a_job(products=(ProductKind.ALERT,))), "product_not_declared"),
    ],
)
def test_what_the_grant_or_the_applications_do_not_allow_is_refused_as_on_board(
    body: Callable[[], Any], reason: str
) -> None:
    with pytest.raises(OrderRefused) as caught:
        check(body(), now_s=NOW + 1)
    assert caught.value.reason == reason


def test_an_application_that_needs_a_reference_is_refused_with_that_reason() -> None:
    with pytest.raises(OrderRefused) as caught:
        check(body_of(a_job(application="change", parameters=())), "change")
    assert caught.value.reason == "needs_reference"


def test_a_job_signed_for_other_satellites_is_refused() -> None:
    with pytest.raises(OrderRefused) as caught:
        check_order("water", posted(body_of(a_job())), replace(TRUST, satellite_set="elsewhere"), NOW)
    assert caught.value.reason == "bad_signature"


def test_an_order_posted_to_another_product_is_refused() -> None:
    with pytest.raises(OrderInvalid, match="the signed job for water"):
        check(body_of(a_job()), "change")


def test_the_tenants_day_is_bounded_over_all_orders() -> None:
    with pytest.raises(OrderRefused) as caught:
        check(body_of(a_job()), promised=200_000)
    assert caught.value.reason == "over_daily_bytes"


def test_a_flipped_bit_of_the_signed_job_is_never_taken() -> None:
    body = body_of(a_job())
    signed = body["order_parameters"]["signed_job"]
    for at in range(0, len(signed), 7):
        body["order_parameters"]["signed_job"] = signed[:at] + ("A" if signed[at] != "A" else "B") + signed[at + 1 :]
        with pytest.raises(GatewayError):
            check(body)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["datetime", "geometry", "order_parameters", "type", "coordinates", "signed_job"]),
                    inner,
                )
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_no_body_whatever_breaks_the_check(body: Any) -> None:
    with pytest.raises(GatewayError):
        check_order("water", body, TRUST, NOW)


@given(st.integers(0, 4_000_000_000), st.integers(0, 4_000_000_000))
def test_times_are_read_as_they_are_written(start: int, end: int) -> None:
    assert parse_interval(f"{utc_text(start)}/{utc_text(end)}") == (start, end)


def test_the_mission_key_alone_may_not_sign_jobs() -> None:
    with pytest.raises(OrderRefused) as caught:
        check(body_of(a_job(), key=MISSION))
    assert caught.value.reason == "unknown_key"

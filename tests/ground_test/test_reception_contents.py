"""Products that hold less than everything: what was ordered without a class map."""

from __future__ import annotations

from pathlib import Path

import pytest

from flight.agent.job import ProductKind
from flight.product.header import Content
from ground_test.gateway.errors import ReceptionFailed
from ground_test.gateway.store import GatewayStore
from tests.ground_test.ground import a_job, a_product, receive, reception, taken


def test_findings_alone_are_received_and_more_than_was_ordered_is_not(tmp_path: Path) -> None:
    store = GatewayStore(tmp_path / "gateway.sqlite")
    job = a_job(products=(ProductKind.REGIONS, ProductKind.COUNTS))
    order = taken(store, job)
    desk = reception(store, tmp_path)
    with pytest.raises(ReceptionFailed, match="more than was ordered"):
        receive(desk, tmp_path, a_product(job))
    receive(desk, tmp_path, a_product(job, contents=(Content.REGIONS,)))
    (product,) = store.products(order.id)
    assert {file["kind"] for file in product["files"]} == {"product", "geojson", "stac"}
    store.close()

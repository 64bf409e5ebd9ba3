"""The whole gateway over loopback: an order goes up, an answer comes down, whatever is lost or restarted between."""

from __future__ import annotations

import hashlib

from flight.link.apids import Apid
from ground_test.gateway.client import GatewayClient
from tests.ground_test.ground import NOW, a_job, body_of
from tests.ground_test.live import Live

OUT_OF_CONTACT_S = NOW + 2000.0


def delivered(client, order_id):
    states = [entry["state"] for entry in client.get(f"/orders/{order_id}/statuses")["statuses"]]
    return "delivered" in states and states


def fly_one(live):
    client = GatewayClient(live.url, live.token)
    order = client.order("water", body_of(a_job()))
    states = live.wait_for(lambda: delivered(client, order["id"]), 30.0)
    return client, order["id"], states


def test_an_order_is_answered_verified_exported_and_receipted(tmp_path):
    with Live(tmp_path) as live:
        client, order_id, states = fly_one(live)
        assert states[-1] == "delivered"
        (product,) = client.get(f"/orders/{order_id}/products")["products"]
        assert product["verified"]
        assert client.get(f"/orders/{order_id}")["properties"]["alert"]["findings"] == product["regions"] == 2
        sent = client.file(
            next(file["href"] for file in product["files"] if file["kind"] == "product")[len(live.url) :]
        )
        (receipt,) = live.satellite.receipts
        assert hashlib.sha256(sent).digest()[:16] == receipt.product_id
        status = client.get("/status")
        assert status["contact"] == "Miami"
        assert status["counts"]["frames"] > 3


def test_a_third_of_all_frames_may_be_lost_both_ways(tmp_path):
    with Live(tmp_path, loss=0.33, speed=10.0) as live:
        fly_one(live)
        assert len({receipt.sha256 for receipt in live.satellite.receipts}) == 1


def test_nothing_is_sent_while_no_station_sees_the_satellite(tmp_path):
    with Live(tmp_path, at_s=OUT_OF_CONTACT_S) as live:
        client = GatewayClient(live.url, live.token)
        order = client.order("water", body_of(a_job()))
        live.wait_for(lambda: live.clock.mission_s() > OUT_OF_CONTACT_S + 3)
        assert live.satellite.heard == []
        assert client.get(f"/orders/{order['id']}")["properties"]["status"]["status_code"] == "received"


def test_what_was_ordered_goes_up_after_a_restart(tmp_path):
    with Live(tmp_path) as live:
        live.satellite.answers = False
        client = GatewayClient(live.url, live.token)
        order_id = client.order("water", body_of(a_job()))["id"]
        live.wait_for(lambda: Apid.GRANT in live.satellite.heard)
    with Live(tmp_path) as live:
        client = GatewayClient(live.url, live.token)
        live.wait_for(lambda: delivered(client, order_id), 30.0)


def test_a_receipt_that_was_not_heard_goes_up_after_a_restart_and_no_file_is_written_twice(tmp_path):
    with Live(tmp_path) as live:
        client = GatewayClient(live.url, live.token)
        original = live.satellite._take
        live.satellite._take = lambda packet: None if packet.apid == Apid.RECEIPT else original(packet)
        order_id = client.order("water", body_of(a_job()))["id"]
        live.wait_for(lambda: client.get(f"/orders/{order_id}/products")["products"])
        jobs, products = live.satellite.jobs, live.satellite.products
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "products").iterdir()}
    with Live(tmp_path) as live:
        live.satellite.jobs, live.satellite.products = jobs, products
        client = GatewayClient(live.url, live.token)
        live.wait_for(lambda: delivered(client, order_id), 30.0)
        assert len(client.get(f"/orders/{order_id}/products")["products"]) == 1
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "products").iterdir()} == before


def test_datagrams_from_elsewhere_are_not_heard(tmp_path):
    with Live(tmp_path) as live:
        import socket

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(bytes(512), live.gateway._station.address)
        client = GatewayClient(live.url)
        live.wait_for(lambda: client.get("/status")["counts"].get("foreign_datagrams"))

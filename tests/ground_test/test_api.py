"""The HTTP API: what STAPI clients read in it, and what strangers on the same machine cannot do."""

from __future__ import annotations

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from stapi_pydantic import (
    Conformance,
    Order,
    OrderCollection,
    OrderPayload,
    OrderStatus,
    OrderStatuses,
    Product,
    ProductsCollection,
    RootResponse,
)

from ground_test.gateway.client import GatewayClient
from ground_test.gateway.errors import GatewayRefused, GatewayUnreachable
from ground_test.gateway.orders import MAX_BODY_BYTES
from tests.ground_test.ground import STRANGER, a_grant, a_job, body_of, posted
from tests.ground_test.live import Live


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with Live(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def client(live):
    return GatewayClient(live.url, live.token)


def ask(live, method, path, body=None, headers=None, host=None):
    """One raw request: (status, headers, JSON or octets)."""
    parts = urlsplit(live.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", parts.netloc if host is None else host)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    if body is not None and not any(name.lower() == "content-length" for name in headers or {}):
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    octets = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), octets


def authorized(live):
    return {"Authorization": f"Bearer {live.token}"}


def test_root_conformance_and_products_are_what_stapi_says(client):
    root = RootResponse.model_validate(client.get("/"))
    assert {link.rel for link in root.links} >= {"self", "products", "orders", "conformance"}
    assert Conformance.model_validate({"conforms_to": client.get("/conformance")["conformsTo"]}).conforms_to
    listed = ProductsCollection.model_validate(client.get("/products"))
    assert [product.id for product in listed.products] == ["water"]
    product = Product.model_validate(client.get("/products/water"))
    assert {link.rel for link in product.links} >= {"self", "queryables", "order-parameters", "create-order"}


def test_queryables_and_order_parameters_are_schemas(client):
    assert client.get("/products/water/queryables")["type"] == "object"
    schema = client.get("/products/water/order-parameters")
    assert schema["properties"]["parameters"]["properties"]["threshold"]["enum"] == [0.3, 0.4, 0.5, 0.6, 0.7]


def test_an_order_and_its_history_are_what_stapi_says(live, client):
    body = body_of(a_job(1, byte_budget=40_000))
    OrderPayload.model_validate_json(
        json.dumps({**body, "order_parameters": {}})
    )  # what is posted is a payload, with parameters of our own
    order = Order[OrderStatus].model_validate(client.order("water", body))
    assert order.id == a_job(1, byte_budget=40_000).id.hex()
    listed = OrderCollection[OrderStatus].model_validate(client.get("/orders"))
    assert order.id in {each.id for each in listed.features}
    live.wait_for(lambda: client.get(f"/orders/{order.id}")["properties"]["status"]["status_code"] == "completed")
    history = OrderStatuses[OrderStatus].model_validate(client.get(f"/orders/{order.id}/statuses"))
    assert history.statuses[0].status_code == "received"
    assert history.statuses[-1].status_code == "completed"


def test_the_same_order_posted_twice_is_one_order(live):
    body = posted(body_of(a_job(2, byte_budget=40_000)))
    first = ask(live, "POST", "/products/water/orders", body, authorized(live))
    second = ask(live, "POST", "/products/water/orders", body, authorized(live))
    assert (first[0], second[0]) == (201, 200)
    assert first[1]["Location"] == second[1]["Location"]
    assert json.loads(first[2])["id"] == json.loads(second[2])["id"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (lambda: posted(body_of(a_job(3), key=STRANGER)), 422, "unknown_key"),
        (lambda: posted(body_of(a_job(3), a_grant(applications=("change",)))), 422, "application_not_granted"),
        (lambda: b"{", 400, "order_invalid"),
        (lambda: b"[]", 400, "order_invalid"),
        (lambda: b"", 400, "order_invalid"),
        (lambda: b"\xff\xfe", 400, "order_invalid"),
    ],
)
def test_an_order_that_is_refused_says_why(live, body, status, code):
    answer = ask(live, "POST", "/products/water/orders", body(), authorized(live))
    said = json.loads(answer[2])
    assert (answer[0], said["code"]) == (status, code)
    assert said["description"]


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x"])
def test_nobody_writes_without_the_token(live, given):
    headers = {} if given is None else {"Authorization": given.format(token=live.token)}
    answer = ask(live, "POST", "/products/water/orders", posted(body_of(a_job(4))), headers)
    assert answer[0] == 401
    assert answer[1]["WWW-Authenticate"] == "Bearer"
    assert GatewayClient(live.url).get("/orders")["numberMatched"] == len(
        {order["id"] for order in GatewayClient(live.url).get("/orders")["features"]} - {a_job(4).id.hex()}
    )


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", ""])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_that_was_led_here_by_a_foreign_name_gets_nothing(live, host, method):
    status, _, octets = ask(live, method, "/orders", b"{}" if method == "POST" else None, authorized(live), host)
    assert status == 421
    assert json.loads(octets)["code"] == "misdirected"


def test_a_body_is_bounded_before_it_is_read(live):
    headers = {**authorized(live), "Content-Length": str(MAX_BODY_BYTES + 1)}
    assert ask(live, "POST", "/products/water/orders", b"", headers)[0] == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "", "9" * 5000])
def test_a_length_that_is_none_is_refused(live, length):
    assert ask(live, "POST", "/products/water/orders", b"", {**authorized(live), "Content-Length": length})[0] in (
        411,
        413,
    )


@pytest.mark.parametrize(
    "path",
    [
        "/stac/../gateway/token",
        "/stac/..%2fgateway%2ftoken",
        "/stac//etc/passwd",
        "/products/../ground.key",
        "/products/..",
        "/products/.hidden",
        "/stac/items/../../ground.key",
        "/ground.key",
        "/orders/zz",
        "/orders/" + "00" * 32,
        "/products/none",
        "/stac",
    ],
)
def test_no_path_leads_out_of_what_is_published(live, path):
    status, _, octets = ask(live, "GET", path)
    assert status == 404
    assert set(json.loads(octets)) == {"code", "description"}


def test_a_link_in_the_products_folder_leads_nowhere_else(live):
    (live.folder / "products").mkdir(exist_ok=True)
    (live.folder / "products" / "leak.png").symlink_to(live.folder / "ground.key")
    assert ask(live, "GET", "/products/leak.png")[0] == 404


def test_files_of_a_product_and_the_catalogue_are_served(live, client):
    order_id = client.order("water", body_of(a_job(5, byte_budget=40_000)))["id"]
    live.wait_for(lambda: client.get(f"/orders/{order_id}/products")["products"])
    (product,) = client.get(f"/orders/{order_id}/products")["products"]
    for file in product["files"]:
        assert len(client.file(file["href"][len(live.url) :])) >= file["bytes"] > 0
    links = client.get("/stac/catalog.json")["links"]
    item = next(link["href"] for link in links if product["stem"] in link["href"])
    assert client.get("/stac/" + item.removeprefix("./"))["id"] == product["stem"]


def test_a_client_that_stops_halfway_holds_nobody_else(live, client):
    parts = urlsplit(live.url)
    with socket.create_connection((parts.hostname, parts.port)) as slow:
        slow.sendall(b"POST /products/water/orders HTTP/1.1\r\nHost: x\r\nContent-Le")
        assert client.get("/")["id"] == "swath-gateway"


@pytest.mark.parametrize("octets", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x00", b"GET / HTTP/9.9\r\n\r\n"])
def test_what_is_not_http_is_not_answered_with_anything_of_ours(live, client, octets):
    parts = urlsplit(live.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as stranger:
        stranger.sendall(octets)
        stranger.shutdown(socket.SHUT_WR)
        assert live.token.encode() not in stranger.recv(65536)
    assert client.get("/")["id"] == "swath-gateway"


def test_the_client_names_a_gateway_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(GatewayUnreachable):
        GatewayClient(f"http://127.0.0.1:{port}").get("/")
    for url in ("ftp://127.0.0.1", "nonsense", "http://127.0.0.1:99999"):
        with pytest.raises(GatewayUnreachable):
            GatewayClient(url).get("/")


def test_the_client_says_what_the_gateway_said(client):
    with pytest.raises(GatewayRefused) as caught:
        client.get("/nothing")
    assert (caught.value.status, caught.value.reason) == (404, "not_found")


def test_the_token_is_the_owners_alone(live):
    path = live.folder / "gateway" / "token"
    assert path.stat().st_mode & 0o077 == 0
    assert path.read_text().strip() == live.token

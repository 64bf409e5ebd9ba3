"""The gateway's HTTP API on loopback, shaped as STAPI 0.1 (https://github.com/stapi-spec/stapi-spec).

    GET  /  /conformance  /products  /products/{id}  /products/{id}/queryables  /products/{id}/order-parameters
    POST /products/{id}/orders                        one order; needs the bearer token
    GET  /orders  /orders/{id}  /orders/{id}/statuses
    GET  /orders/{id}/products  /products/{file}      what was received, and its files
    GET  /stac/...                                    the static catalogue
    GET  /status                                      stations, contacts, newest telemetry and events
    GET  /console                                     the operator's page, and /console/... what it is made of

Every answer is JSON but for files; an error is {"code", "description"}.
"""

from __future__ import annotations

import hmac
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bindings.errors import SwathError
from flight.config import Station
from flight.link.apids import Apid
from ground_test.console.assets import HEADERS, asset
from ground_test.gateway.board import Board
from ground_test.gateway.errors import OrderRefused, PortTaken
from ground_test.gateway.orders import MAX_BODY_BYTES, Trust, check_order
from ground_test.gateway.pages import Pages
from ground_test.gateway.store import GatewayStore, OrderRow
from hal.clock import Clock
from payload_models.manifest import Manifest

SOCKET_TIMEOUT_S = 15.0
MAX_CONNECTIONS = 32
HOST = "127.0.0.1"
_TYPES = {
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".tif": "image/tiff",
    ".png": "image/png",
    ".swp": "application/octet-stream",
    ".pgw": "text/plain",
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}(\.[a-z0-9]{1,8}){1,2}")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What goes back: a JSON value, or a file."""

    status: int
    content: Any = None
    file: Path | None = None
    location: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def _error(status: int, code: str, description: str) -> HttpAnswer:
    return HttpAnswer(status, {"code": code, "description": description})


class Api:
    """Requests in, answers out; no sockets."""

    def __init__(
        self,
        store: GatewayStore,
        board: Board,
        trust: Trust,
        manifests: Mapping[str, Manifest],
        clock: Clock,
        token: str,
        folders: Mapping[str, Path],
        stations: Sequence[Station] = (),
    ) -> None:
        """folders: where `products` and `stac` lie; stations: shown to those who ask for the status."""
        self._store, self._board, self._trust, self._clock = store, board, trust, clock
        self._manifests, self._token, self._folders = manifests, token, folders
        self._stations = [
            {"name": each.name, "latitude_deg": each.latitude_deg, "longitude_deg": each.longitude_deg}
            for each in stations
        ]
        self._taking = threading.Lock()  # the day's bytes are counted and promised in one go

    def get(self, base: str, path: str) -> HttpAnswer:
        """base: scheme, host and port as the client gave them; path: without query."""
        pages = Pages(base, self._store, self._manifests)
        match [part for part in path.split("/") if part]:
            case []:
                return HttpAnswer(200, pages.root())
            case ["conformance"]:
                return HttpAnswer(200, pages.conformance())
            case ["status"]:
                shown = {**self._board.shown(), "stations": self._stations, "time_s": self._clock.mission_s()}
                return HttpAnswer(200, shown)
            case ["console", *names] if (page := asset(names)) is not None:
                return HttpAnswer(200, file=page, headers=HEADERS)
            case ["products"]:
                return HttpAnswer(200, pages.products())
            case ["products", name] if name in self._manifests:
                return HttpAnswer(200, pages.product(name))
            case ["products", name, "queryables"] if name in self._manifests:
                return HttpAnswer(200, pages.queryables(name))
            case ["products", name, "order-parameters"] if name in self._manifests:
                return HttpAnswer(200, pages.order_parameters(name))
            case ["products", name] if "." in name:
                return self._file("products", [name])
            case ["stac", *parts] if parts:
                return self._file("stac", parts)
            case ["orders"]:
                return HttpAnswer(200, pages.orders())
            case ["orders", name, *rest]:
                order = self._order(name)
                if order is not None:
                    return self._of_order(pages, order, rest)
        return _error(404, "not_found", f"nothing is at {path[:200]}")

    def post(self, base: str, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """The one thing that can be written: an order."""
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            return _error(401, "unauthorized", "a write needs the bearer token of this gateway")
        match [part for part in path.split("/") if part]:
            case ["products", name, "orders"] if name in self._manifests:
                return self._take_order(base, name, body)
        return _error(404, "not_found", f"nothing can be posted to {path[:200]}")

    def _take_order(self, base: str, application: str, body: bytes) -> HttpAnswer:
        now_s = self._clock.mission_s()
        try:
            checked = check_order(application, body, self._trust, now_s)
            with self._taking:
                known = self._store.order(checked.id)
                if known is None:
                    promised = self._store.promised_bytes(checked.job.tenant, int(now_s // 86_400))
                    checked = check_order(application, body, self._trust, now_s, promised)
                    grant_id = checked.grant.id
                    row = OrderRow(
                        checked.id,
                        application,
                        now_s,
                        checked.job.tenant,
                        grant_id,
                        checked.request,
                        checked.signed_job,
                    )
                    self._store.add_order(
                        row,
                        [
                            (grant_id, int(Apid.GRANT), checked.signed_grant, None),
                            (checked.id, int(Apid.JOB), checked.signed_job, grant_id),
                        ],
                    )
        except OrderRefused as refused:
            return _error(422, refused.reason, str(refused))
        except SwathError as error:
            return _error(400, error.code, str(error))
        order = self._store.order(checked.id)
        assert order is not None
        shown = Pages(base, self._store, self._manifests).order(order)
        return HttpAnswer(200 if known else 201, shown, location=f"{base}/orders/{checked.id.hex()}")

    def _order(self, name: str) -> OrderRow | None:
        try:
            return self._store.order(bytes.fromhex(name))
        except ValueError:
            return None

    def _of_order(self, pages: Pages, order: OrderRow, rest: list[str]) -> HttpAnswer:
        match rest:
            case []:
                return HttpAnswer(200, pages.order(order))
            case ["statuses"]:
                return HttpAnswer(200, pages.statuses(order))
            case ["products"]:
                return HttpAnswer(200, pages.received(order))
        return _error(404, "not_found", f"an order has no {rest[0][:80]}")

    def _file(self, folder: str, parts: list[str]) -> HttpAnswer:
        """A file below `folder`, plain names only."""
        if len(parts) <= 3 and all(_FILE.fullmatch(part) or part.isalnum() for part in parts):
            root = self._folders[folder].resolve()
            path = root.joinpath(*parts)
            if path.is_file() and path.resolve().is_relative_to(root):
                return HttpAnswer(200, file=path)
        return _error(404, "not_found", f"no such file in {folder}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], api: Api) -> None:
        self.api = api
        self.room = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.room.acquire(blocking=False):
            self.shutdown_request(request)  # more than a loopback client ever needs
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's fault."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "swath-gateway"
    sys_version = ""
    timeout = SOCKET_TIMEOUT_S

    def do_GET(self) -> None:
        if self._host_is_ours():
            self._do(lambda: self.server.api.get(self._base(), self._path()))

    def do_POST(self) -> None:
        if not self._host_is_ours():
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self._answer(_error(411, "length_required", "a body states its length"))
            return
        if len(length) > 12 or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._answer(_error(413, "too_large", f"at most {MAX_BODY_BYTES} bytes are taken"))
            return
        body = self.rfile.read(int(length))
        self._do(lambda: self.server.api.post(self._base(), self._path(), dict(self.headers.items()), body))

    def _do(self, work: Callable[[], HttpAnswer]) -> None:
        """A database that fails is an answer, too."""
        try:
            answer = work()
        except (sqlite3.Error, OSError) as error:
            answer = _error(500, "storage_failed", str(error))
        self._answer(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Orders are logged where they are kept; requests are not."""

    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _base(self) -> str:
        return f"http://{self.headers['Host']}"

    def _host_is_ours(self) -> bool:
        """A page in a browser that was led here by a foreign name does not get in (DNS rebinding)."""
        port = self.server.server_address[1]
        if self.headers.get("Host", "") in (f"{HOST}:{port}", f"localhost:{port}"):
            return True
        self.close_connection = True
        self._answer(_error(421, "misdirected", f"this is {HOST}:{port}"))
        return False

    def _answer(self, answer: HttpAnswer) -> None:
        if answer.file is not None:
            body, kind = answer.file.read_bytes(), _TYPES.get(answer.file.suffix, "application/octet-stream")
        else:
            body, kind = json.dumps(answer.content).encode("utf-8"), "application/json"
        self.send_response(answer.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if answer.status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        if answer.location:
            self.send_header("Location", answer.location)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


class ApiServer:
    """The API on a port of 127.0.0.1, served by threads of its own. Port 0 picks a free one. Raises PortTaken."""

    def __init__(self, api: Api, port: int) -> None:
        try:
            self._server = _Server((HOST, port), api)
        except OSError as error:
            raise PortTaken(port, error.strerror or str(error)) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="http", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """http://127.0.0.1:PORT"""
        return f"http://{HOST}:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)

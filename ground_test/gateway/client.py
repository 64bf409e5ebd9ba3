"""A submitter's side of the API: JSON in and out over one HTTP connection a request, bounded and with a deadline."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ground_test.gateway.errors import GatewayRefused, GatewayUnreachable

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 64 << 20


class GatewayClient:
    """url: http://127.0.0.1:PORT; token: needed for orders only."""

    def __init__(self, url: str, token: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        try:
            port = parts.port
        except ValueError as error:
            raise GatewayUnreachable(url, str(error)) from error
        if parts.scheme != "http" or not parts.hostname:
            raise GatewayUnreachable(url, "not an http:// address")
        self._host, self._port, self._token, self._timeout_s = parts.hostname, port or 80, token, timeout_s

    def get(self, path: str) -> Any:
        """The JSON at `path`. Raises GatewayUnreachable, GatewayRefused."""
        return self._json("GET", path, None)

    def file(self, path: str) -> bytes:
        """The octets at `path`. Raises GatewayUnreachable, GatewayRefused."""
        return self._request("GET", path, None)

    def order(self, application: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post an order; what it became. Raises GatewayUnreachable, GatewayRefused."""
        found = self._json("POST", f"/products/{quote(application, safe='')}/orders", json.dumps(body).encode())
        if not isinstance(found, dict):
            raise GatewayUnreachable(self.url, "answers something else than an order")
        return found

    def _json(self, method: str, path: str, body: bytes | None) -> Any:
        octets = self._request(method, path, body)
        try:
            return json.loads(octets)
        except ValueError as error:
            raise GatewayUnreachable(self.url, "answers something else than JSON") from error

    def _request(self, method: str, path: str, body: bytes | None) -> bytes:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
            headers["Authorization"] = f"Bearer {self._token or ''}"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            octets = answer.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise GatewayUnreachable(self.url, str(error) or type(error).__name__) from error
        finally:
            connection.close()
        if len(octets) > MAX_ANSWER_BYTES:
            raise GatewayUnreachable(self.url, f"answers more than {MAX_ANSWER_BYTES} bytes")
        if answer.status >= 400:
            raise _refused(answer.status, octets)
        return octets


def _refused(status: int, octets: bytes) -> GatewayRefused:
    try:
        said = json.loads(octets)
        return GatewayRefused(status, str(said["code"]), str(said["description"]))
    except (ValueError, KeyError, TypeError):
        return GatewayRefused(status, "unknown", octets[:200].decode("utf-8", "replace"))


def read_token(path: Path) -> str:
    """The token that the gateway wrote. Raises GatewayUnreachable."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise GatewayUnreachable(str(path), "no token file of a gateway") from error

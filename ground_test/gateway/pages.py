"""What the API shows, as STAPI says it: plain values from the store and the manifests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flight.agent.job import MAX_BYTE_BUDGET
from flight.agent.reasons import Reason
from flight.agent.states import JobState
from ground_test.gateway.orders import utc_text
from ground_test.gateway.store import GatewayStore, OrderRow, StatusRow
from payload_models.manifest import Manifest

STAPI_VERSION = "0.1.0"
CONFORMS_TO = (
    "https://stapi.example.com/v0.1.0/core",
    "https://stapi.example.com/v0.1.0/order-statuses",
    "https://geojson.org/schema/Polygon.json",
)
_JSON, _GEOJSON = "application/json", "application/geo+json"


class Pages:
    """base: scheme, host and port that links begin with."""

    def __init__(self, base: str, store: GatewayStore, manifests: Mapping[str, Manifest]) -> None:
        self._base, self._store, self._manifests = base, store, manifests

    def root(self) -> dict[str, Any]:
        return {
            "id": "swath-gateway",
            "conformsTo": list(CONFORMS_TO),
            "title": "Swath gateway",
            "description": "Ask what you want to know and where; some satellite answers.",
            "links": [
                self._link("self", ""),
                self._link("conformance", "/conformance"),
                self._link("products", "/products"),
                self._link("orders", "/orders", _GEOJSON),
                self._link("service-meta", "/status"),
            ],
        }

    def conformance(self) -> dict[str, Any]:
        return {"conformsTo": list(CONFORMS_TO)}

    def products(self) -> dict[str, Any]:
        return {
            "type": "ProductCollection",
            "products": [self.product(name) for name in sorted(self._manifests)],
            "links": [self._link("self", "/products")],
        }

    def product(self, name: str) -> dict[str, Any]:
        manifest = self._manifests[name]
        return {
            "type": "Collection",
            "stapi_type": "Product",
            "stapi_version": STAPI_VERSION,
            "conformsTo": [CONFORMS_TO[2]],
            "id": name,
            "title": name,
            "description": manifest.summary,
            "keywords": [entry.name for entry in manifest.classes],
            "license": manifest.licence,
            "providers": [],
            "links": [
                self._link("self", f"/products/{name}"),
                self._link("queryables", f"/products/{name}/queryables", "application/schema+json"),
                self._link("order-parameters", f"/products/{name}/order-parameters", "application/schema+json"),
                self._link("create-order", f"/products/{name}/orders", method="POST"),
            ],
        }

    def queryables(self, name: str) -> dict[str, Any]:
        """No filters are offered: a place and a time are all that an order is searched by."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"{self._base}/products/{name}/queryables",
            "type": "object",
            "title": f"Queryables of {name}",
            "properties": {},
            "additionalProperties": False,
        }

    def order_parameters(self, name: str) -> dict[str, Any]:
        manifest = self._manifests[name]
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"{self._base}/products/{name}/order-parameters",
            "type": "object",
            "title": f"Order parameters of {name}",
            "required": ["signed_job", "signed_grant"],
            "additionalProperties": False,
            "properties": {
                "signed_job": {"type": "string", "description": "base64url of the tenant's COSE_Sign1 over the job"},
                "signed_grant": {
                    "type": "string",
                    "description": "base64url of the mission's COSE_Sign1 over the grant",
                },
                "parameters": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        entry.name: {"enum": list(entry.values), "default": entry.default}
                        for entry in manifest.parameter
                    },
                },
                "byte_budget": {"type": "integer", "minimum": 1, "maximum": MAX_BYTE_BUDGET},
                "priority": {"type": "integer", "minimum": 0, "maximum": 7},
                "deadline": {"type": "string", "format": "date-time"},
                "products": {"type": "array", "items": {"enum": list(manifest.products)}},
            },
        }

    def orders(self) -> dict[str, Any]:
        rows = self._store.orders()
        return {
            "type": "FeatureCollection",
            "features": [self.order(row) for row in rows],
            "links": [self._link("self", "/orders", _GEOJSON)],
            "numberMatched": len(rows),
        }

    def order(self, order: OrderRow) -> dict[str, Any]:
        path = f"/orders/{order.id.hex()}"
        return {
            "type": "Feature",
            "stapi_type": "Order",
            "stapi_version": STAPI_VERSION,
            "id": order.id.hex(),
            "geometry": order.request["geometry"],
            "properties": {
                "product_id": order.application,
                "created": utc_text(order.created_s),
                "status": _status(self._store.statuses(order.id)[-1]),
                "search_parameters": {
                    "datetime": order.request["datetime"],
                    "geometry": order.request["geometry"],
                    "filter": None,
                },
                "opportunity_properties": {},
                "order_parameters": order.request["order_parameters"],
                "alert": self._store.alert(order.id),
            },
            "links": [
                self._link("self", path, _GEOJSON),
                self._link("monitor", f"{path}/statuses"),
                self._link("results", f"{path}/products"),
            ],
        }

    def statuses(self, order: OrderRow) -> dict[str, Any]:
        """Newest last."""
        return {
            "statuses": [_status(row) for row in self._store.statuses(order.id)],
            "links": [self._link("self", f"/orders/{order.id.hex()}/statuses")],
        }

    def received(self, order: OrderRow) -> dict[str, Any]:
        products = self._store.products(order.id)
        for product in products:
            for file in product["files"]:
                name = Path(file["path"]).name
                folder = "stac/items" if file["kind"] == "stac" else "products"
                file["href"] = f"{self._base}/{folder}/{name}"
        return {"products": products, "links": [self._link("self", f"/orders/{order.id.hex()}/products")]}

    def _link(self, rel: str, path: str, kind: str = _JSON, method: str = "GET") -> dict[str, Any]:
        link = {"rel": rel, "href": f"{self._base}{path}" or self._base, "type": kind}
        return link if method == "GET" else {**link, "method": method}


def _status(row: StatusRow) -> dict[str, Any]:
    """reason_code and reason_text stand where there is a reason; `state` is the satellite's own word."""
    reason = Reason(row.reason)
    return {
        "timestamp": utc_text(row.time_s),
        "status_code": row.code,
        "reason_code": reason.name.lower() if reason else None,
        "reason_text": reason.text if reason else None,
        "state": JobState(row.state).name.lower() if row.state else None,
        "links": [],
    }

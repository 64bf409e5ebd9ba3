"""What came of the flight: one row an order, as JSON and as a table. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ground_test.fly.timeline import Timeline

DONE = "completed"
EXPORTS = ("product", "geojson", "geotiff", "png", "stac")


@dataclass(frozen=True, slots=True)
class OrderResult:
    """All that the gateway and the mission know of one order."""

    name: str
    application: str
    scene: str
    raw_bytes: int  # samples x bytes per sample of the scene
    order: Mapping[str, Any] | None  # as the gateway shows it; None: it was not taken
    products: Sequence[Mapping[str, Any]]
    delivered: bool  # the satellite has the receipt
    problem: str = ""  # why it was not taken


def row(result: OrderResult, timeline: Timeline) -> dict[str, Any]:
    """One order in report.json. What did not happen is null."""
    status = result.order["properties"]["status"] if result.order else {}
    found: dict[str, Any] = {
        "name": result.name,
        "application": result.application,
        "id": result.order["id"] if result.order else None,
        "scene": result.scene,
        "status": status.get("status_code"),
        "reason": result.problem or status.get("reason_text"),
        "delivered": result.delivered,
        "seconds": {"mission": {"alert": None, "product": None}, "wall": {"alert": None, "product": None}},
        "tiles": None,
        "bytes": {"raw": result.raw_bytes, "sent": None, "ratio": None},
        "findings": None,
        "files": [],
    }
    alert = result.order["properties"]["alert"] if result.order else None
    if not result.products:
        return found
    product = result.products[0]
    last_line_s = product["start_s"] + product["lines"] / product["line_rate_hz"]
    last_line_host_s = timeline.host_s(last_line_s)
    for name, received in (("alert", alert), ("product", product)):
        if received is not None:
            found["seconds"]["mission"][name] = round(received["received_s"] - last_line_s, 1)
            found["seconds"]["wall"][name] = round(received["received_host_s"] - last_line_host_s, 2)
    sent = product["sent_bytes"] + (alert["bytes"] if alert else 0)
    found.update(
        tiles=product["tiles"],
        bytes={"raw": result.raw_bytes, "sent": sent, "ratio": round(result.raw_bytes / sent, 1)},
        findings={
            "class": product["finding"],
            "regions": product["regions"],
            "pixels": product["finding_pixels"],
            "answered_pixels": product["answered_pixels"],
            "confidence": product["confidence"],
        },
        lines={"taken": product["lines"], "lost": product["lines_lost"]},
        alert=dict(alert) if alert else None,
        verified=product["verified"],
        files=[{key: file[key] for key in ("path", "kind", "bytes")} for file in product["files"]],
    )
    return found


def missing(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What stands between this flight and success; empty when every order was delivered, verified and exported."""
    problems = []
    for each in rows:
        lacking = [kind for kind in EXPORTS if kind not in {file["kind"] for file in each["files"]}]
        if each["id"] is None:
            problems.append(f"{each['name']}: not taken: {each['reason']}")
        elif not each["files"]:
            problems.append(
                f"{each['name']}: {each['status']}, no product on the ground ({each['reason'] or 'in time'})"
            )
        elif not each["verified"]:
            problems.append(f"{each['name']}: the product's seal was not verified")
        elif lacking:
            problems.append(f"{each['name']}: no {', '.join(lacking)}")
        elif each["seconds"]["mission"]["alert"] is None and each["findings"]["regions"]:  # nothing found: no alert
            problems.append(f"{each['name']}: no alert was heard")
        elif not each["delivered"]:
            problems.append(f"{each['name']}: the satellite has not confirmed the receipt")
    return problems


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a person reads them."""
    head = ("order", "answer", "last line to alert", "to product", "tiles", "screened", "raw", "sent", "ratio", "found")
    lines = [head, *(_cells(each) for each in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    left = 2  # columns of words; numbers stand to the right
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(each: Mapping[str, Any]) -> tuple[str, ...]:
    if not each["files"]:
        return (each["name"], each["status"] or "not taken", *("-",) * 4, _size(each["bytes"]["raw"]), *("-",) * 3)
    mission, wall = each["seconds"]["mission"], each["seconds"]["wall"]
    findings = each["findings"]
    share = 100 * findings["pixels"] / max(findings["answered_pixels"], 1)
    return (
        each["name"],
        each["application"],
        *(
            "-" if mission[name] is None else f"{mission[name]:.0f} s ({wall[name]:.1f} s wall)"
            for name in ("alert", "product")
        ),
        str(each["tiles"]["total"]),
        str(each["tiles"]["screened"]),
        _size(each["bytes"]["raw"]),
        _size(each["bytes"]["sent"]),
        f"{each['bytes']['ratio']:.0f}:1",
        f"{share:.0f} % {findings['class']}, {findings['regions']} regions",
    )


def _size(octets: int) -> str:
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if octets >= scale:
            return f"{octets / scale:.1f} {unit}"
    return f"{octets} B"

"""`swath-ground gateway | submit | watch | products | keys | grant`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from flight.agent.area import Box
from flight.agent.grant import Grant
from flight.agent.job import ProductKind
from flight.agent.keys import (
    SigningKey,
    generate_recipient_key,
    generate_signing_key,
    read_public_key,
    read_signing_key,
    write_private_key,
    write_public_key,
)
from ground_test.gateway.client import GatewayClient, read_token
from ground_test.gateway.config import load_gateway_config
from ground_test.gateway.errors import OrderInvalid
from ground_test.gateway.orders import order_body, parse_time, utc_text
from ground_test.gateway.store import ENDED
from ground_test.gateway.submission import Wish, make_job, read_area, read_grant, sign_grant, sign_job
from hal.clock import Clock, SystemClock
from hal.command_line import CommandResult, Subcommands

DEFAULT_URL = "http://127.0.0.1:8080"
DAY_S = 86_400
WATCH_S = 1.0


def register(commands: Subcommands) -> None:
    """Add the gateway and what talks to it."""
    gateway = commands.add_parser("gateway", help="run the gateway: station, reception and API")
    gateway.add_argument("config", type=Path, metavar="CONFIG")
    gateway.add_argument("--port", type=int, help="instead of the configured one; 0 picks a free one")
    gateway.add_argument("--url-file", type=Path, metavar="FILE", help="write the address there when it answers")
    gateway.add_argument("--json", action="store_true", help="one JSON object on stdout at the end")
    gateway.set_defaults(run=run_gateway_command)

    submit = commands.add_parser("submit", help="order an answer for an area")
    submit.add_argument("area", type=Path, metavar="AREA.geojson")
    submit.add_argument("--app", required=True, metavar="NAME")
    submit.add_argument("--key", type=Path, required=True, metavar="FILE", help="the tenant's Ed25519 private key")
    submit.add_argument("--grant", type=Path, required=True, metavar="FILE", help="the grant, as the mission signed it")
    submit.add_argument("--token", type=Path, required=True, metavar="FILE", help="the gateway's token file")
    submit.add_argument("--start", metavar="TIME", help="RFC 3339; default: now, by the gateway's clock")
    submit.add_argument("--end", metavar="TIME", help="default: a day after the start")
    submit.add_argument("--priority", type=int, default=3, help="0 routine ... 7 most urgent; default 3")
    submit.add_argument("--bytes", type=int, default=400_000, help="at most so many come down; default 400000")
    submit.add_argument("--set", default="", metavar="NAME", help="the satellites that the job is signed for")
    submit.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    submit.set_defaults(run=run_submit)

    watch = commands.add_parser("watch", help="follow an order until it ends")
    watch.add_argument("id", metavar="ID")
    watch.add_argument("--once", action="store_true", help="say how it stands and end")
    watch.set_defaults(run=run_watch)

    products = commands.add_parser("products", help="what came down")
    verbs = products.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="every product on the ground")
    listing.set_defaults(run=run_list)
    export = verbs.add_parser("export", help="copy an order's files here")
    export.add_argument("id", metavar="ID")
    export.add_argument("--to", default="geojson,geotiff,png,product,stac", metavar="KIND,...")
    export.add_argument("--out", type=Path, required=True, metavar="DIR")
    export.set_defaults(run=run_export)

    for parser in (submit, watch, listing, export):
        parser.add_argument("--gateway", default=DEFAULT_URL, metavar="URL", help=f"default {DEFAULT_URL}")
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    _register_keys(commands)


def _register_keys(commands: Subcommands) -> None:
    keys = commands.add_parser("keys", help="make a tenant's keys").add_subparsers(dest="verb", required=True)
    new = keys.add_parser("new", help="NAME.key and NAME.pub (signing), NAME.reading.key and .pub (reading)")
    new.add_argument("folder", type=Path, metavar="DIR")
    new.add_argument("--name", default="tenant")
    new.set_defaults(run=run_keys_new)
    show_key = keys.add_parser("show", help="the id of a public key")
    show_key.add_argument("file", type=Path, metavar="FILE.pub")
    show_key.set_defaults(run=run_keys_show)

    grant = commands.add_parser("grant", help="make and read grants").add_subparsers(dest="verb", required=True)
    make = grant.add_parser("new", help="sign a grant with the mission's key")
    make.add_argument("file", type=Path, metavar="OUT")
    make.add_argument("--mission-key", type=Path, required=True, metavar="FILE")
    make.add_argument("--tenant", required=True, metavar="NAME")
    make.add_argument("--key", type=Path, required=True, metavar="FILE.pub", help="the tenant's signing key")
    make.add_argument("--reader", type=Path, required=True, metavar="FILE.pub", help="X25519: who may read the answers")
    make.add_argument("--app", action="append", required=True, metavar="NAME")
    make.add_argument(
        "--box", action="append", required=True, nargs=4, type=float, metavar=("W", "S", "E", "N"), help="degrees"
    )
    make.add_argument("--job-bytes", type=int, default=1_000_000)
    make.add_argument("--day-bytes", type=int, default=10_000_000)
    make.add_argument("--days", type=int, default=30, help="valid from now")
    make.add_argument("--serial", type=int, default=1, help="of two grants for one key the higher holds")
    make.set_defaults(run=run_grant_new)
    show = grant.add_parser("show", help="what a grant allows")
    show.add_argument("file", type=Path, metavar="FILE")
    show.set_defaults(run=run_grant_show)
    for parser in (new, show_key, make, show):
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run_gateway_command(arguments: argparse.Namespace) -> CommandResult:
    """Until SIGTERM or ^C."""
    from ground_test.gateway.gateway import run_gateway

    def ready(url: str) -> None:
        _log(f"gateway at {url}")
        if arguments.url_file is not None:
            part = arguments.url_file.with_name(arguments.url_file.name + ".part")
            part.write_text(url + "\n", encoding="ascii")
            part.replace(arguments.url_file)

    config = load_gateway_config(arguments.config)
    run_gateway(config, arguments.config.resolve().parent, _log, arguments.port, ready)
    return CommandResult({"ended": True})


def run_submit(arguments: argparse.Namespace) -> CommandResult:
    """Sign a job and order it."""
    client = GatewayClient(arguments.gateway, read_token(arguments.token))
    key, (grant, signed_grant) = read_signing_key(arguments.key), read_grant(arguments.grant)
    start_s = parse_time("--start", arguments.start) if arguments.start else float(client.get("/status")["time_s"])
    end_s = parse_time("--end", arguments.end) if arguments.end else start_s + DAY_S
    wish = Wish(
        earliest_s=int(start_s),
        latest_s=int(end_s),
        deadline_s=int(end_s),
        expires_s=int(end_s) + DAY_S,
        byte_budget=arguments.bytes,
        priority=arguments.priority,
        parameters=dict(_parameter(text) for text in arguments.param),
    )
    job = make_job(arguments.app, read_area(arguments.area), wish, grant, os.urandom)
    order = client.order(arguments.app, order_body(job, sign_job(job, key, arguments.set), signed_grant))
    status = order["properties"]["status"]["status_code"]
    return CommandResult({"id": order["id"], "status": status, "order": order}, f"{order['id']}  {status}")


def run_watch(arguments: argparse.Namespace) -> CommandResult:
    """One line a change, until the order ends. Status 1 when it did not complete."""
    client, clock, said = GatewayClient(arguments.gateway), SystemClock(), 0
    while True:
        history = client.get(f"/orders/{arguments.id}/statuses")["statuses"]
        if not arguments.json:
            for entry in history[said:]:
                print(_status_line(entry), flush=True)
        said = len(history)
        code = history[-1]["status_code"]
        if arguments.once or code in ENDED:
            ok = arguments.once or code == "completed"
            return CommandResult({"id": arguments.id, "status": code, "statuses": history}, "", 0 if ok else 1)
        _wait(clock)


def run_list(arguments: argparse.Namespace) -> CommandResult:
    """Every product of every order."""
    client = GatewayClient(arguments.gateway)
    found: list[dict[str, Any]] = []
    for order in client.get("/orders")["features"]:
        received = client.get(f"/orders/{order['id']}/products")["products"]
        found += [{"order": order["id"], **product} for product in received]
    lines = [
        f"{each['order'][:16]}  {each['stem']}  {utc_text(each['start_s'])}  {each['regions']} of {each['finding']}"
        for each in found
    ]
    return CommandResult({"products": found}, "\n".join(lines) or "nothing came down yet")


def run_export(arguments: argparse.Namespace) -> CommandResult:
    """Fetch an order's files."""
    client = GatewayClient(arguments.gateway)
    kinds = {kind.strip() for kind in arguments.to.split(",")}
    arguments.out.mkdir(parents=True, exist_ok=True)
    written = []
    for product in client.get(f"/orders/{arguments.id}/products")["products"]:
        for file in product["files"]:
            if file["kind"] in kinds:
                octets = client.file(file["href"].removeprefix(client.url))
                path = (arguments.out / Path(file["href"]).name).resolve()
                path.write_bytes(octets)
                written.append({"path": str(path), "kind": file["kind"], "bytes": len(octets)})
    text = "\n".join(f"{file['path']}  {file['bytes']} bytes" for file in written)
    return CommandResult({"products": written}, text or "nothing of that order came down yet", 0 if written else 1)


def run_keys_new(arguments: argparse.Namespace) -> CommandResult:
    """A signing and a reading key pair. Nothing is overwritten."""
    folder, name = arguments.folder, arguments.name
    signing, reading = generate_signing_key(os.urandom), generate_recipient_key(os.urandom)
    folder.mkdir(parents=True, exist_ok=True)
    for stem, private, public in (
        (name, signing.private.private_bytes_raw(), signing.public),
        (f"{name}.reading", reading.private_bytes_raw(), reading.public_key().public_bytes_raw()),
    ):
        try:
            write_private_key(folder / f"{stem}.key", private)
        except FileExistsError as error:
            raise OrderInvalid(str(folder / f"{stem}.key"), "is there already; keys are not overwritten") from error
        write_public_key(folder / f"{stem}.pub", public)
    files = [
        str((folder / f"{stem}.{kind}").resolve()) for stem in (name, f"{name}.reading") for kind in ("key", "pub")
    ]
    return CommandResult({"key_id": signing.key_id.hex(), "files": files}, "\n".join(files))


def run_keys_show(arguments: argparse.Namespace) -> CommandResult:
    """A public key and its id."""
    from flight.agent.keys import key_id_of

    public = read_public_key(arguments.file)
    data = {"key_id": key_id_of(public).hex(), "public": public.hex()}
    return CommandResult(data, f"{data['key_id']}  {data['public']}")


def run_grant_new(arguments: argparse.Namespace) -> CommandResult:
    """Sign a grant."""
    mission: SigningKey = read_signing_key(arguments.mission_key)
    now_s = int(SystemClock().mission_s())
    grant = Grant(
        tenant=arguments.tenant,
        public_key=read_public_key(arguments.key),
        recipient=read_public_key(arguments.reader),
        applications=tuple(sorted(set(arguments.app))),
        boxes=tuple(_box(text) for text in arguments.box),
        products=tuple(sorted(ProductKind)),
        max_bytes_per_job=arguments.job_bytes,
        max_bytes_per_day=arguments.day_bytes,
        valid_from_s=now_s,
        valid_to_s=now_s + arguments.days * DAY_S,
        serial=arguments.serial,
    )
    arguments.file.write_bytes(sign_grant(grant, mission))
    return CommandResult(_shown(grant), f"{arguments.file}: grant {grant.id.hex()[:16]} for {grant.tenant}")


def run_grant_show(arguments: argparse.Namespace) -> CommandResult:
    """What a grant says; its signature is checked where the mission's key is: in the gateway and on board."""
    grant, _ = read_grant(arguments.file)
    data = _shown(grant)
    return CommandResult(data, "\n".join(f"{name}: {value}" for name, value in data.items()))


def _shown(grant: Grant) -> dict[str, Any]:
    return {
        "id": grant.id.hex(),
        "tenant": grant.tenant,
        "key_id": grant.key_id.hex(),
        "recipient": grant.recipient.hex(),
        "applications": list(grant.applications),
        "boxes": [[edge / 1e7 for edge in (box.west, box.south, box.east, box.north)] for box in grant.boxes],
        "products": [kind.name.lower() for kind in grant.products],
        "max_bytes_per_job": grant.max_bytes_per_job,
        "max_bytes_per_day": grant.max_bytes_per_day,
        "valid_from": utc_text(grant.valid_from_s),
        "valid_to": utc_text(grant.valid_to_s),
        "serial": grant.serial,
    }


def _box(edges: list[float]) -> Box:
    if not all(abs(edge) <= 180.0 for edge in edges):  # also false for NaN
        raise OrderInvalid("--box", f"{edges} is not west, south, east, north in degrees")
    west, south, east, north = (round(edge * 1e7) for edge in edges)
    return Box(west, south, east, north)


def _parameter(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        equals = ""
    if not equals:
        raise OrderInvalid("--param", f"`{text}` is not NAME=NUMBER")
    return name, number


def _status_line(entry: dict[str, Any]) -> str:
    state = f" ({entry['state']})" if entry["state"] else ""
    reason = f": {entry['reason_text']}" if entry["reason_text"] else ""
    return f"{entry['timestamp']}  {entry['status_code']}{state}{reason}"


def _wait(clock: Clock) -> None:
    clock.sleep_until(clock.mission_s() + WATCH_S)


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

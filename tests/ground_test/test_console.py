"""The operator's page: what is served, what it may do, and what it makes of what came over the network."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flight.component import SATELLITE
from flight.config import Station
from flight.services.telemetry import TelemetryPacket
from ground_test.console.assets import ASSETS, FOLDER, asset
from ground_test.gateway.api import Api, ApiServer
from ground_test.gateway.board import Board
from ground_test.gateway.contacts import PlannedContact
from ground_test.gateway.errors import OrderInvalid
from ground_test.gateway.store import GatewayStore, OrderRow
from hal.clock import SimulatedClock
from tests.ground_test.ground import NOW, TRUST, a_job, a_product, receive, reception, taken

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
MOST_BYTES = 200_000
TEXT = [name for name in sorted(ASSETS) if not name.endswith(".geojson")]


class Desk:
    """A gateway's API over one received product, one order with a hostile name, and a satellite that spoke."""

    def __init__(self, folder: Path) -> None:
        self.store, board = GatewayStore(folder / "gateway.sqlite"), Board()
        good = taken(self.store, a_job())
        receive(reception(self.store, folder), folder, a_product(a_job()))
        request = {**good.request, "order_parameters": {"byte_budget": 5000, "note": HOSTILE}}
        row = OrderRow(b"\xee" * 32, HOSTILE, NOW, HOSTILE, good.grant.id, request, good.signed_job)
        self.store.add_order(row, [])
        said = TelemetryPacket.of(
            SATELLITE,
            NOW,
            **{each.name: 0 for each in SATELLITE.telemetry} | {"latitude": 40.5, "longitude": -112.5, "altitude": 7e5},
        )
        board.telemetry(said.pack())
        board.refuse("product", OrderInvalid("name", HOSTILE))
        contact = PlannedContact(HOSTILE, NOW - 60, NOW + 300, 71.2)
        board.now(NOW, (contact, PlannedContact("Miami", NOW + 600, NOW + 900, 12.0)), contact)
        folders = {name: folder / name for name in ("products", "stac")}
        stations = [Station(name=HOSTILE[:32], latitude_deg=78.2, longitude_deg=15.4)]
        clock = SimulatedClock(NOW)
        self.server = ApiServer(Api(self.store, board, TRUST, {}, clock, "token", folders, stations), 0)
        self.url, self.order_id = self.server.url, good.id.hex()

    def close(self) -> None:
        self.server.close()
        self.store.close()

    def get(self, path: str, host: str | None = None) -> tuple[int, dict[str, str], bytes]:
        """The path goes out as it stands, unlike from a client that tidies it up."""
        where = urlsplit(self.url).netloc
        connection = http.client.HTTPConnection(where, timeout=5)
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", host or where)
        connection.endheaders()
        answer = connection.getresponse()
        try:
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    opened = Desk(tmp_path_factory.mktemp("console"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shown(desk, tmp_path_factory):
    """What the scripts, run against that API, came to show."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the console's scripts are run by it")
    folder = tmp_path_factory.mktemp("scripts")
    for name in ASSETS:
        shutil.copy(FOLDER / name, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    page = Path(__file__).with_name("console_page.mjs")
    ended = subprocess.run([node, page, folder, desk.url], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


# --- what is served


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/console", "text/html; charset=utf-8"),
        ("/console/", "text/html; charset=utf-8"),
        ("/console/index.html", "text/html; charset=utf-8"),
        ("/console/console.css", "text/css; charset=utf-8"),
        ("/console/console.js", "text/javascript; charset=utf-8"),
        ("/console/map.js", "text/javascript; charset=utf-8"),
        ("/console/shapes.js", "text/javascript; charset=utf-8"),
        ("/console/land.geojson", "application/geo+json"),
    ],
)
def test_page_and_assets_are_served_with_their_types_and_a_policy(desk, path, kind):
    status, headers, octets = desk.get(path)
    assert (status, headers["Content-Type"]) == (200, kind)
    assert headers["Content-Security-Policy"].split("; ")[0] == "default-src 'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert octets == (FOLDER / (Path(path).name if "." in path else "index.html")).read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/console/__init__.py",
        "/console/assets.py",
        "/console/../gateway/api.py",
        "/console/..%2fgateway%2fapi.py",
        "/console/%2e%2e/cli.py",
        "/console/console.css/..",
        "/console/./console.css",
        "/console//etc/passwd",
        "/console/index.html/x",
        "/console/none.js",
    ],
)
def test_nothing_else_is_served_below_the_console(desk, path):
    status, headers, octets = desk.get(path)
    assert (status, headers["Content-Type"]) == (404, "application/json")
    assert json.loads(octets)["code"] == "not_found"


def test_a_page_led_here_by_a_foreign_name_does_not_get_the_console(desk):
    assert desk.get("/console", host="evil.example")[0] == 421


def test_the_status_names_the_stations_and_their_places(desk):
    (station,) = json.loads(desk.get("/status")[2])["stations"]
    assert station == {"name": HOSTILE[:32], "latitude_deg": 78.2, "longitude_deg": 15.4}


# --- what the files say


def test_the_list_of_assets_is_what_lies_there():
    assert {path.name for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".py"} == ASSETS
    assert asset(["..", "cli.py"]) is None


def test_all_of_it_is_smaller_than_it_may_be():
    assert sum((FOLDER / name).stat().st_size for name in ASSETS) < MOST_BYTES


@pytest.mark.parametrize("name", TEXT)
def test_no_asset_names_a_place_outside(name):
    text = (FOLDER / name).read_text(encoding="utf-8")
    found = re.findall(r"(?:[a-z]+:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"')]*|@import|url\(|data:|blob:", text)
    assert [one for one in found if one != "http://www.w3.org/2000/svg"] == []  # a name in XML, never asked for


def test_the_page_holds_no_script_style_or_handler_of_its_own():
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|javascript:", page) == []
    for address in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert address.removeprefix("/console/") in ASSETS


@pytest.mark.parametrize("name", [name for name in TEXT if name.endswith(".js")])
def test_no_script_makes_markup_or_code_of_text(name):
    script = (FOLDER / name).read_text(encoding="utf-8")
    bad = r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|setHTML|createContextual|\beval\b|Function\("
    assert re.findall(bad + r"|setAttribute\(\s*[\"']on|srcdoc|import\(", script) == []


def test_the_page_follows_light_and_dark_and_every_field_of_the_map_is_named():
    style, page = ((FOLDER / name).read_text(encoding="utf-8") for name in ("console.css", "index.html"))
    assert "prefers-color-scheme: dark" in style and "color-scheme: light dark" in style
    light, dark = (set(re.findall(r"(--[a-z]+):", part)) for part in style.split("* {")[0].split("@media"))
    assert light == dark
    assert set(re.findall(r"var\((--[a-z]+)\)", style)) == light
    ids = set(re.findall(r' id="([^"]+)"', page))
    used = re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', page)
    assert {name for names in used for name in names.split()} <= ids
    assert set(re.findall(r'\bat\("([^"]+)"\)', (FOLDER / "console.js").read_text(encoding="utf-8"))) <= ids


# --- what the scripts do


def test_the_scripts_show_orders_answers_contacts_telemetry_and_events(desk, shown):
    assert (shown["ready"], shown["text"]["connection"]) == ("1", "live")
    row = next(row for row in shown["rows"] if row[0] == desk.order_id)
    assert row[1:4] == [desk.order_id[:8], "water", "completed"]
    assert "received" in row[4] and "completed" in row[4]
    sent, budget = (part.replace("\u202f", "") for part in row[5].split(" / "))
    assert int(sent) > 0 and budget == "90000"
    assert "regions of water" in row[6] and "seal verified" in row[6]
    assert "Miami" in shown["text"]["contacts"] and "in 10 min" in shown["text"]["contacts"]
    assert "state of charge" in shown["text"]["telemetry"]
    assert "40.50° N 112.50° W" in shown["text"]["place"]


def test_the_files_that_are_linked_are_there(desk, shown):
    assert len(shown["links"]) == 5
    for link in shown["links"]:
        assert link.startswith("/") and desk.get(link)[0] == 200


def test_hostile_names_are_shown_as_text_and_make_no_element(shown):
    hostile = next(row for row in shown["rows"] if row[0] == "ee" * 32)
    assert hostile[2] == HOSTILE
    assert HOSTILE in shown["text"]["contacts"]
    assert HOSTILE in shown["text"]["contact"]
    assert HOSTILE in shown["text"]["events"]
    assert HOSTILE[:32] in shown["labels"]
    assert not {"img", "script", "iframe", "object", "#document"} & set(shown["elements"])


def test_land_areas_footprints_stations_and_the_satellite_are_on_the_map(shown):
    kinds = [kind for kind, _ in shown["shapes"]]
    assert kinds.count("land") == 1
    assert kinds.count("area") == 4  # two areas, too small to see: each with its mark
    assert kinds.count("footprint") == 2
    assert kinds.count("station") == kinds.count("satellite") == kinds.count("trail") == 1
    ordered = next(path for kind, path in shown["shapes"] if kind == "area")
    assert ordered == "M-112.8 -40.7L-112.5 -40.7L-112.5 -41L-112.8 -41L-112.8 -40.7Z"


def test_the_map_goes_to_an_order_and_is_moved_by_keys(shown):
    world, gone, back, zoomed = shown["views"]
    assert world == back == "-180 -90 360 180"
    west, north, width, height = (float(number) for number in gone.split())
    assert west < -112.8 < -112.5 < west + width < -90
    assert north < -41 < -40.7 < north + height
    assert zoomed == "-90 -45 180 90"


def test_the_scripts_ask_only_the_gateway_and_history_only_when_it_changed(desk, shown):
    assert all(path.startswith("/") and not path.startswith("//") for path in shown["asked"])
    assert shown["asked"].count("/status") >= 3
    assert shown["asked"].count("/console/land.geojson") == 1
    assert shown["asked"].count(f"/orders/{desk.order_id}/statuses") == 2  # the first time its footprint was missing


def test_what_does_not_answer_is_told_and_asked_for_again_while_the_rest_is_shown(shown):
    without_catalogue, without_gateway, *then = shown["said"]
    assert without_catalogue == without_gateway == ["no answer: fetch failed", "bad", 2]
    assert then == [["live", "good", 2]] * 2


def test_shapes_keep_to_the_map_and_addresses_to_the_gateway():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the console's scripts are run by it")
    script = (
        (FOLDER / "shapes.js").read_text(encoding="utf-8")
        + """
    const fiji = [[178, -16], [-178, -16], [-178, -18], [178, -18], [178, -16]];
    console.log(JSON.stringify({
      fiji: copies(fiji).map((ring) => ring.map(([lon]) => lon)),
      box: boxOf([fiji]),
      pieces: pieces([[170, 0], [179, 1], [-179, 2], [-170, 3]]).map((line) => line.length),
      none: ringsOf({ type: "Polygon", coordinates: [[["x", 1], [2, 3], [4, 5]]] }),
      views: [heldView([-200, 120, 90]), heldView([170, -80, 90]), heldView([0, 0, 1e9])],
      addresses: ["http://127.0.0.1:1/a.png", "http://127.0.0.1:1/a b", "http://evil.example/a", "javascript:alert(1)",
        "//evil.example", "data:text/html,x", null, "http://["].map((each) => ownAddress(each, "http://127.0.0.1:1")),
      fix: [placeOf({ latitude: 1, longitude: 2, altitude: 7e5 }), placeOf({ latitude: 0, longitude: 0, altitude: 0 }),
        placeOf({ latitude: "<b>", longitude: 2, altitude: 1 }), placeOf(undefined)],
      times: [utc(0), utc(1790879400, true), utc("x"), utc(1e300)],
    }));
    """
    )
    ended = subprocess.run(
        [node, "--input-type=module"], input=script, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, ended.stderr
    got = json.loads(ended.stdout)
    assert got["fiji"] == [[-182, -178, -178, -182, -182], [178, 182, 182, 178, 178]]
    assert got["box"][2] - got["box"][0] == 4
    assert (got["pieces"], got["none"]) == ([2, 2], [])
    assert got["views"] == [[-180, 90, 90], [90, -45, 90], [-180, 90, 360]]
    assert got["addresses"] == ["/a.png", "/a%20b", None, None, None, None, "/null", None]
    assert got["fix"] == [[2, 1], None, None, None]
    assert got["times"] == ["00:00:00", "2026-10-01 18:30:00 UTC", "?", "?"]


# --- in a browser


def chromium(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Debian's, headless, with every name but ours unknown to it."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed: the console is not looked at in a browser")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=6000", "--window-size=1400,1000"]
    names = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    return subprocess.run([browser, *options, names, *arguments], capture_output=True, timeout=60, check=False)


def test_a_browser_shows_the_page(desk, tmp_path):
    began = time.monotonic()
    page = chromium(f"--user-data-dir={tmp_path / 'one'}", "--dump-dom", f"{desk.url}/console").stdout.decode()
    assert 'data-ready="1"' in page, f"not ready after {time.monotonic() - began:.1f} s"
    assert f'data-order="{desk.order_id}"' in page
    assert "&lt;img src=x onerror=" in page and "<img" not in page
    assert "<title>Swath console</title>" in page
    picture = tmp_path / "console.png"
    chromium(f"--user-data-dir={tmp_path / 'two'}", f"--screenshot={picture}", f"{desk.url}/console")
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

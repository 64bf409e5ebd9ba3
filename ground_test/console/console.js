// The console: asks the gateway once a second and shows what it says. Whatever came over the network is put into the
// page as text, never as markup.

import { WorldMap } from "./map.js";
import { duration, figure, grouped, ownAddress, placeOf, placeText, utc } from "./shapes.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 5000;
const MAX_ROWS = 200; // newest orders; the API lists the rest
const LEARN_AT_ONCE = 8; // orders whose history and products are asked for in one round
const MAX_TRAIL = 600; // places of the satellite that this page has seen
const CONTACTS_SHOWN = 24;
const BACK_S = 1800;
const BAD = ["rejected", "expired", "failed", "cancelled"];
const FILE_NAMES = { product: "sealed", geojson: "GeoJSON", geotiff: "GeoTIFF", png: "PNG", stac: "STAC" };

const at = (id) => document.getElementById(id);
const map = new WorldMap(at("map"));
const known = new Map(); // order id -> {said, statuses, products, footprints}
const rows = new Map(); // order id -> its row in the table
const written = new WeakMap(); // element -> what was last shown in it, as JSON
const trails = new Map(); // component name -> places
let chosen = null;
let landed = false;

function element(name, css, ...children) {
  const node = document.createElement(name);
  if (css) node.className = css;
  node.append(...children); // a string becomes a text node
  return node;
}

// Children are made again only when what they show has changed: a selection, or a reader's place, stays.
function fill(node, value, make) {
  const now = JSON.stringify(value);
  if (written.get(node) === now) return;
  written.set(node, now);
  node.replaceChildren(...make(value));
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

// --- orders

async function learn(order) {
  const said = JSON.stringify(order.properties.status);
  const [{ statuses }, { products }] = await Promise.all(
    ["statuses", "products"].map((what) => ask(`/orders/${encodeURIComponent(order.id)}/${what}`)),
  );
  const footprints = [];
  for (const product of products) {
    const item = ownAddress(product.files.find((file) => file.kind === "stac")?.href, location.origin);
    const geometry = item && (await ask(item)).geometry;
    if (geometry) footprints.push({ title: product.stem, geometry });
  }
  known.set(order.id, { said, statuses, products, footprints });
}

function stateText({ status_code: code, state, reason_text: reason }) {
  return [code, state && state !== code ? `, ${state}` : "", reason ? `: ${reason}` : ""].join("");
}

function answerTexts(properties, products) {
  const { alert } = properties;
  const lines = products.map(
    (product) =>
      `${product.regions} regions of ${product.finding}, confidence ${figure(product.confidence)}` +
      (product.verified ? ", seal verified" : ", seal NOT verified"),
  );
  return alert ? [`alert ${utc(alert.received_s)}: ${alert.findings} findings`, ...lines] : lines;
}

function fileLink(file) {
  const address = ownAddress(file.href, location.origin);
  const name = `${FILE_NAMES[file.kind] ?? file.kind} (${grouped(file.bytes)} B)`;
  if (!address) return element("span", "", name);
  const link = element("a", "", name);
  link.href = address;
  link.download = "";
  return link;
}

function newRow(order) {
  const button = element("button", "", order.id.slice(0, 8));
  button.type = "button";
  button.title = "Show on the map";
  button.addEventListener("click", () => {
    chosen = order.id;
    map.go(order.geometry);
  });
  const cells = ["", "", "", "", "number", "", ""].map((css) => element("td", css));
  cells[0].append(button);
  const row = element("tr", "", ...cells);
  row.dataset.order = order.id;
  return { row, cells };
}

function showOrder(order) {
  if (!rows.has(order.id)) rows.set(order.id, newRow(order));
  const { row, cells } = rows.get(order.id);
  const { properties } = order;
  const { statuses = [], products = [] } = known.get(order.id) ?? {};
  const code = properties.status.status_code;
  say(cells[1], String(properties.product_id));
  say(cells[2], stateText(properties.status));
  cells[2].className = BAD.includes(code) ? "bad" : code === "completed" ? "good" : "";
  fill(cells[3], statuses, (all) => [
    element("ol", "", ...all.map((one) => element("li", "", `${one.timestamp.slice(11, 19)} ${stateText(one)}`))),
  ]);
  const sent = products.reduce((total, product) => total + product.sent_bytes, 0) + (properties.alert?.bytes ?? 0);
  say(cells[4], `${grouped(sent)} / ${grouped(properties.order_parameters?.byte_budget)}`);
  fill(cells[5], answerTexts(properties, products), (lines) => lines.map((line) => element("div", "", line)));
  fill(cells[6], products.flatMap((product) => product.files), (files) => files.map(fileLink));
  return row;
}

function showOrders({ features, numberMatched }) {
  const shown = features.slice(0, MAX_ROWS);
  const wanted = shown.map(showOrder);
  const body = at("orders");
  // moved only when the order of rows changed: what has the focus keeps it
  if (wanted.length !== body.children.length || wanted.some((row, index) => row !== body.children[index])) {
    const focused = document.activeElement;
    body.replaceChildren(...wanted);
    if (body.contains(focused)) focused.focus();
  }
  const left = numberMatched - shown.length;
  say(at("orders-note"), left ? `${left} older orders are not shown.` : shown.length ? "" : "No orders yet.");
}

// --- status

function showContacts({ contacts, contact, time_s: now }) {
  say(at("contact"), contact ? `in contact with ${contact}` : "no contact");
  const near = contacts.filter(({ end_s }) => end_s > now - BACK_S).slice(0, CONTACTS_SHOWN);
  const ahead = (start_s) => (start_s <= now ? "now" : `in ${duration(start_s - now)}`);
  const when = ({ start_s, end_s }) => (end_s < now ? "over" : ahead(start_s));
  fill(at("contacts"), near.map((each) => [each, when(each)]), (all) =>
    all.map(([{ station, start_s, end_s, max_elevation_deg: highest }, text]) => {
      const told = [station, utc(start_s), utc(end_s), `${figure(Math.round(highest))}°`, text];
      return element("tr", text === "now" ? "now" : "", ...told.map((cell) => element("td", "", cell)));
    }),
  );
}

function showTelemetry({ telemetry, counts }) {
  const tables = telemetry.map(({ component, time_s, values }) => [`${component}, ${utc(time_s)} UTC`, values]);
  if (Object.keys(counts).length) tables.push(["counted on the ground", counts]);
  fill(at("telemetry"), tables, (all) =>
    all.map(([name, values]) => {
      const lines = Object.entries(values).map(([field, value]) => {
        const head = element("th", "", field.replaceAll("_", " "));
        head.scope = "row";
        return element("tr", "", head, element("td", "number", figure(value)));
      });
      return element("table", "", element("caption", "", name), element("tbody", "", ...lines));
    }),
  );
}

function showEvents({ events }) {
  fill(at("events"), events, (all) =>
    all.toReversed().map(({ time_s, severity, text, squelched }) => {
      const more = squelched ? ` (and ${squelched} more held back)` : "";
      return element("li", /^[a-z]+$/.test(severity) ? severity : "", `${utc(time_s)} ${severity}: ${text}${more}`);
    }),
  );
}

function satellites({ telemetry, time_s: now }) {
  const found = telemetry.filter(({ component, values }) => component === "satellite" && placeOf(values));
  return found.map(({ component: name, values, time_s }) => {
    const place = placeOf(values);
    const trail = trails.get(name) ?? [];
    const last = trail.at(-1);
    if (!last || last[0] !== place[0] || last[1] !== place[1]) trail.push(place);
    trails.set(name, trail.slice(-MAX_TRAIL));
    const place_now = `The ${name} was over ${placeText(place)} at ${utc(time_s)} UTC, ${duration(now - time_s)} ago.`;
    say(at("place"), place_now);
    return { name, place, trail };
  });
}

function showMap(status, features) {
  const shown = features.slice(0, MAX_ROWS);
  map.show({
    areas: shown.map(({ id, geometry, properties }) => ({
      title: `${properties.product_id} ${id.slice(0, 8)}`,
      geometry,
      chosen: id === chosen,
    })),
    footprints: shown.flatMap(({ id }) => known.get(id)?.footprints ?? []),
    stations: (status.stations ?? []).map(({ name, longitude_deg, latitude_deg }) => ({
      name,
      place: [longitude_deg, latitude_deg],
    })),
    satellites: satellites(status),
  });
}

// --- rounds

async function round() {
  if (!landed) {
    map.land(await ask("/console/land.geojson"));
    landed = true;
  }
  const [status, orders] = await Promise.all([ask("/status"), ask("/orders")]);
  say(at("time"), utc(status.time_s, true));
  showContacts(status);
  showTelemetry(status);
  showEvents(status);
  const news = orders.features
    .slice(0, MAX_ROWS)
    .filter(({ id, properties }) => known.get(id)?.said !== JSON.stringify(properties.status));
  const learned = await Promise.allSettled(news.slice(0, LEARN_AT_ONCE).map(learn));
  showOrders(orders);
  showMap(status, orders.features);
  document.body.dataset.ready = "1";
  const failed = learned.find(({ status: how }) => how === "rejected");
  if (failed) throw failed.reason; // told after everything else is shown, and asked for again in the next round
}

function connection(text, css) {
  say(at("connection"), text);
  at("connection").className = css;
}

async function rounds() {
  try {
    await round();
    connection("live", "good");
  } catch (error) {
    connection(`no answer: ${error.message}`, "bad");
  }
  setTimeout(rounds, EVERY_MS);
}

at("zoom-in").addEventListener("click", () => map.zoom(0.5));
at("zoom-out").addEventListener("click", () => map.zoom(2));
at("zoom-world").addEventListener("click", () => map.world());
rounds();

// Plain functions: places on a flat map, and numbers as text. No page, no network.

const number = (value) => typeof value === "number" && Number.isFinite(value);
const place = (point) => Array.isArray(point) && number(point[0]) && number(point[1]);

// The rings of a GeoJSON geometry that is a Polygon or a MultiPolygon; what is neither has none.
export function ringsOf(geometry) {
  const { type, coordinates } = geometry ?? {};
  const polygons = type === "Polygon" ? [coordinates] : type === "MultiPolygon" ? coordinates : [];
  const rings = Array.isArray(polygons) ? polygons.flat() : [];
  return rings.filter((ring) => Array.isArray(ring) && ring.length >= 3 && ring.every(place));
}

// Every longitude within 180 degrees of the one before it, so that a ring over the antimeridian stays in one piece.
export function unrolled(ring) {
  let last = ring[0][0];
  return ring.map(([lon, lat]) => {
    last = lon - 360 * Math.round((lon - last) / 360);
    return [last, lat];
  });
}

// The ring wherever it shows between 180 west and 180 east: once, or at both edges.
export function copies(ring) {
  const whole = unrolled(ring);
  const lons = whole.map(([lon]) => lon);
  const [west, east] = [Math.min(...lons), Math.max(...lons)];
  return [-360, 0, 360]
    .filter((turn) => east + turn > -180 && west + turn < 180)
    .map((turn) => whole.map(([lon, lat]) => [lon + turn, lat]));
}

// A line of places, cut where it leaves the map at 180 degrees.
export function pieces(line) {
  const cut = [];
  line.forEach((point, index) => {
    if (!index || Math.abs(point[0] - line[index - 1][0]) > 180) cut.push([]);
    cut.at(-1).push(point);
  });
  return cut;
}

// SVG path data; north is up.
export function pathOf(lines, closed) {
  const one = (line) => "M" + line.map(([lon, lat]) => `${+lon.toFixed(4)} ${+(-lat).toFixed(4)}`).join("L");
  return lines.map((line) => one(line) + (closed ? "Z" : "")).join("");
}

// [west, south, east, north] of rings that belong together; null without any.
export function boxOf(rings) {
  const points = rings.flatMap((ring) => copies(ring)[0] ?? []);
  if (!points.length) return null;
  const [lons, lats] = [0, 1].map((axis) => points.map((point) => point[axis]));
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}

// A view of the world, [west, north, width] in degrees with height = width / 2, held inside the world.
export function heldView([west, north, width]) {
  const w = Math.min(360, Math.max(0.5, width));
  return [Math.min(180 - w, Math.max(-180, west)), Math.max(-90 + w / 2, Math.min(90, north)), w];
}

// Where a satellite of these telemetry values is: [longitude, latitude]. Altitude 0 means that it had no fix.
export function placeOf(values) {
  const point = [values?.longitude, values?.latitude];
  return place(point) && values.altitude !== 0 && Math.abs(point[0]) <= 180 && Math.abs(point[1]) <= 90 ? point : null;
}

export const placeText = ([lon, lat]) =>
  `${Math.abs(lat).toFixed(2)}° ${lat < 0 ? "S" : "N"} ${Math.abs(lon).toFixed(2)}° ${lon < 0 ? "W" : "E"}`;

// HH:MM:SS of mission time in seconds, or with the date before it.
export function utc(seconds, dated = false) {
  if (!number(seconds) || Math.abs(seconds) > 8.64e12) return "?";
  const text = new Date(seconds * 1000).toISOString();
  return dated ? `${text.slice(0, 10)} ${text.slice(11, 19)} UTC` : text.slice(11, 19);
}

export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  return s < 120 ? `${s} s` : s < 7200 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

export const figure = (value) =>
  !number(value) ? String(value) : Number.isInteger(value) ? String(value) : String(+value.toPrecision(6));

export const grouped = (value) => (number(value) ? String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f") : "?");

// The address if it lies on this page's own origin, else null: nothing that came down makes the page lead elsewhere.
export function ownAddress(href, origin) {
  try {
    const url = new URL(String(href), origin);
    return url.origin === origin ? url.pathname : null;
  } catch {
    return null;
  }
}

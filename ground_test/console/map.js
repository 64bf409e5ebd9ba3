// The map: an SVG whose units are degrees, equirectangular, so that the polar half of a pass shows as well.

import { boxOf, copies, heldView, pathOf, pieces, ringsOf } from "./shapes.js";

const SVG = "http://www.w3.org/2000/svg";
const MARK_PX = 7; // what is smaller than this on the screen gets a mark of this size
const LABEL_PX = 12;
const HALO_PX = 3; // around labels, which may lie on anything
const STEP = 0.25; // of the view's width

function shape(name, attributes, title) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  if (title) {
    const told = document.createElementNS(SVG, "title");
    told.textContent = title;
    node.append(told);
  }
  return node;
}

export class WorldMap {
  #svg;
  #view = [-180, 90, 360];
  #over = shape("g", {});
  #shown = { areas: [], footprints: [], stations: [], satellites: [] };

  constructor(svg) {
    this.#svg = svg;
    const lines = [];
    for (let lon = -150; lon < 180; lon += 30) lines.push([[lon, -90], [lon, 90]]);
    for (let lat = -60; lat < 90; lat += 30) lines.push([[-180, lat], [180, lat]]);
    svg.append(shape("path", { class: "grid", d: pathOf(lines, false) }), this.#over);
    svg.addEventListener("keydown", (event) => this.#key(event));
    this.#look(this.#view);
  }

  land(feature) {
    this.#over.before(shape("path", { class: "land", d: pathOf(ringsOf(feature.geometry), true) }));
  }

  // areas, footprints: {title, geometry, chosen}; stations: {name, place}; satellites: {name, place, trail}
  show(shown) {
    this.#shown = shown;
    this.#draw();
  }

  zoom(factor) {
    const [west, north, width] = this.#view;
    const w = Math.min(360, Math.max(0.5, width * factor));
    this.#look([west + (width - w) / 2, north - (width - w) / 4, w]);
  }

  world() {
    this.#look([-180, 90, 360]);
  }

  // Bring a geometry into view, with its surroundings.
  go(geometry) {
    const box = boxOf(ringsOf(geometry));
    if (!box) return;
    const width = Math.max(10, 4 * (box[2] - box[0]), 8 * (box[3] - box[1]));
    this.#look([(box[0] + box[2]) / 2 - width / 2, (box[1] + box[3]) / 2 + width / 4, width]);
  }

  #look(view) {
    this.#view = heldView(view);
    const [west, north, width] = this.#view;
    this.#svg.setAttribute("viewBox", `${west} ${-north} ${width} ${width / 2}`);
    this.#draw();
  }

  #key(event) {
    const [west, north, width] = this.#view;
    const by = width * STEP;
    const moves = {
      ArrowLeft: () => this.#look([west - by, north, width]),
      ArrowRight: () => this.#look([west + by, north, width]),
      ArrowUp: () => this.#look([west, north + by / 2, width]),
      ArrowDown: () => this.#look([west, north - by / 2, width]),
      "+": () => this.zoom(0.5),
      "=": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      0: () => this.world(),
    };
    if (event.ctrlKey || event.altKey || event.metaKey || !Object.hasOwn(moves, event.key)) return;
    event.preventDefault();
    moves[event.key]();
  }

  #draw() {
    const pixel = this.#view[2] / (this.#svg.clientWidth || 1000); // degrees
    const label = (lon, lat, text) => {
      const east = lon > this.#view[0] + this.#view[2] * 0.85; // no room to its right
      const node = shape("text", {
        x: lon + (east ? -1 : 1) * 8 * pixel,
        y: -lat + 4 * pixel,
        "font-size": LABEL_PX * pixel,
        "stroke-width": HALO_PX * pixel,
        "text-anchor": east ? "end" : "start",
      });
      node.textContent = text;
      return node;
    };
    const dot = (kind, [lon, lat], name, radius) => [
      shape("circle", { class: kind, cx: lon, cy: -lat, r: radius * pixel }, name),
      label(lon, lat, name),
    ];
    this.#over.replaceChildren(
      ...this.#shown.areas.flatMap((area) => polygon("area", area, pixel)),
      ...this.#shown.footprints.flatMap((footprint) => polygon("footprint", footprint, pixel)),
      ...this.#shown.satellites.map(({ trail }) => shape("path", { class: "trail", d: pathOf(pieces(trail), false) })),
      ...this.#shown.stations.flatMap(({ name, place }) => dot("station", place, name, 4)),
      ...this.#shown.satellites.flatMap(({ name, place }) => dot("satellite", place, name, 6)),
    );
  }
}

function polygon(kind, { title, geometry, chosen }, pixel) {
  const rings = ringsOf(geometry);
  const box = boxOf(rings);
  if (!box) return [];
  const css = chosen ? `${kind} chosen` : kind;
  const drawn = [shape("path", { class: css, d: pathOf(rings.flatMap(copies), true), "fill-rule": "evenodd" }, title)];
  const side = MARK_PX * pixel;
  if (box[2] - box[0] < side && box[3] - box[1] < side) {
    const [x, y] = [(box[0] + box[2]) / 2, -(box[1] + box[3]) / 2];
    drawn.push(shape("rect", { class: css, x: x - side / 2, y: y - side / 2, width: side, height: side }, title));
  }
  return drawn;
}

// Runs the console's own scripts against a gateway, with a page that knows no markup: only text and elements.
// Usage: node console_page.mjs FOLDER_WITH_SCRIPTS ADDRESS; prints what the page came to show, as JSON.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, address] = process.argv.slice(2);

class PageNode {
  childNodes = [];
  attributes = {};
  dataset = {};
  className = "";
  clientWidth = 1000;
  parent = null;
  constructor(name) { this.name = name; }
  get children() { return this.childNodes.filter((node) => node.name !== "#text"); }
  get textContent() {
    return this.name === "#text" ? this.data : this.childNodes.map((node) => node.textContent).join("");
  }
  set textContent(value) { this.replaceChildren(String(value)); }
  set innerHTML(value) { throw new Error("markup"); }
  set outerHTML(value) { throw new Error("markup"); }
  insertAdjacentHTML() { throw new Error("markup"); }
  #own(node) {
    if (!(node instanceof PageNode)) node = Object.assign(new PageNode("#text"), { data: String(node) });
    if (node.parent) node.parent.childNodes = node.parent.childNodes.filter((child) => child !== node);
    node.parent = this;
    return node;
  }
  append(...nodes) { for (const node of nodes) this.childNodes.push(this.#own(node)); }
  replaceChildren(...nodes) { this.childNodes = []; this.append(...nodes); }
  before(node) { this.parent.childNodes.splice(this.parent.childNodes.indexOf(this), 0, this.parent.#own(node)); }
  setAttribute(name, value) { this.attributes[name] = value; }
  addEventListener(name, heard) { this[`on ${name}`] = heard; }
  contains(node) { for (; node; node = node.parent) if (node === this) return true; return false; }
  focus() {}
  every() { return [this, ...this.children.flatMap((child) => child.every())]; }
}

const body = new PageNode("body");
const byId = {};
for (const [, name, id] of readFileSync(`${folder}/index.html`, "utf8").matchAll(/<(\w+)[^>]*? id="([^"]+)"/g)) {
  body.append((byId[id] = new PageNode(name)));
}
const asked = [];
const timers = [];
const [really, later] = [fetch, setTimeout];
globalThis.document = {
  body,
  activeElement: null,
  getElementById: (id) => byId[id],
  createElement: (name) => new PageNode(name),
  createElementNS: (space, name) => new PageNode(name),
};
globalThis.location = { origin: address };
let down = (path) => path.startsWith("/stac"); // what does not answer now
globalThis.fetch = (path, options) => {
  asked.push(path);
  return down(path) ? Promise.reject(new TypeError("fetch failed")) : really(address + path, options);
};
globalThis.setTimeout = (work, ...rest) => (work.name === "rounds" ? timers.push(work) : later(work, ...rest));

await import(pathToFileURL(`${folder}/console.js`));
const rested = async () => {
  while (!timers.length) await new Promise((resolve) => setImmediate(resolve));
};
const said = [];
const round = async (silent) => {
  down = silent;
  timers.shift()();
  await rested();
  said.push([byId.connection.textContent, byId.connection.className, byId.orders.children.length]);
};
await rested();
said.push([byId.connection.textContent, byId.connection.className, byId.orders.children.length]);
await round(() => true);
await round(() => false);
await round(() => false);
const shapes = () => byId.map.every().map((node) => [node.attributes.class ?? node.name, node.attributes.d ?? ""]);
const before = shapes();
const world = byId.map.attributes.viewBox;
for (const row of byId.orders.children) row.every().find((node) => node.name === "button")["on click"]();
const gone = byId.map.attributes.viewBox;
const press = (key) => byId.map["on keydown"]({ key, preventDefault() {} });
press("0");
const back = byId.map.attributes.viewBox;
press("+");
const shown = JSON.stringify({
  ready: body.dataset.ready,
  text: Object.fromEntries(Object.entries(byId).map(([id, node]) => [id, node.textContent])),
  rows: byId.orders.children.map((row) => [row.dataset.order, ...row.children.map((cell) => cell.textContent)]),
  elements: [...new Set(body.every().map((node) => node.name))].sort(),
  links: byId.orders.every().filter((node) => node.name === "a").map((node) => node.href),
  labels: byId.map.every().filter((node) => node.name === "text").map((node) => node.textContent),
  shapes: before,
  views: [world, gone, back, byId.map.attributes.viewBox],
  said,
  asked,
});
process.stdout.write(shown, () => process.exit(0)); // not before all of it is in the pipe

/* A flame graph on a canvas: callers above, callees below, width is the share of samples. Click or
   Enter zooms, Escape goes up, arrows walk, a search marks functions. The table below is its twin. */
import { buildTree, layout } from "./flame-tree.js";
import { onThemeChange, SANS, token } from "./tokens.js";

const ROW = 20;
const MIN_TEXT = 28;

class Flame {
  constructor(box, tree) {
    this.box = box;
    this.tree = tree;
    this.zoomed = tree;
    this.chosen = tree;
    this.wanted = "";
    this.canvas = document.createElement("canvas");
    this.canvas.className = "flame-canvas";
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "Flame graph; the table of functions below says the same");
    this.line = document.querySelector("[data-flame-line]");
    box.replaceChildren(this.canvas);
    new ResizeObserver(() => this.draw()).observe(box);
    onThemeChange(() => this.draw());
    this.canvas.addEventListener("click", (event) => this.zoom(this.at(event) ?? this.tree));
    this.canvas.addEventListener("mousemove", (event) => this.choose(this.at(event) ?? this.zoomed));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.draw();
  }

  at(event) {
    const spot = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - spot.left, event.clientY - spot.top];
    const hit = this.cells.find((cell) => x >= cell.x && x < cell.x + cell.width && y >= cell.y && y < cell.y + ROW);
    return hit?.node;
  }

  zoom(node) {
    this.zoomed = node;
    this.choose(node);
  }

  choose(node) {
    if (node === this.chosen && this.drawnFor === this.zoomed) return;
    this.chosen = node;
    this.draw();
  }

  key(event) {
    const { parent, children } = this.chosen;
    const beside = parent?.children ?? [];
    const next = {
      ArrowDown: children[0],
      ArrowUp: parent,
      ArrowRight: beside[beside.indexOf(this.chosen) + 1],
      ArrowLeft: beside[beside.indexOf(this.chosen) - 1],
    }[event.key];
    if (next) this.choose(next);
    else if (event.key === "Enter") this.zoom(this.chosen);
    else if (event.key === "Escape") this.zoom(this.zoomed.parent ?? this.tree);
    else if (event.key === "0") this.zoom(this.tree);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  search(text) {
    this.wanted = text.trim().toLowerCase();
    this.draw();
  }

  draw() {
    const width = this.box.clientWidth;
    if (!width) return;
    this.cells = layout(this.zoomed, width, ROW);
    const height = Math.max(120, ...this.cells.map((cell) => cell.y + ROW));
    const scale = devicePixelRatio;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    this.canvas.style.height = `${height}px`;
    const ink = this.canvas.getContext("2d");
    ink.scale(scale, scale);
    ink.font = `12px ${SANS}`;
    ink.textBaseline = "middle";
    const colours = Object.fromEntries(
      ["accent", "text", "warning-fill", "surface"].map((name) => [name, token(this.box, name)]),
    );
    for (const cell of this.cells) this.cell(ink, cell, colours);
    this.drawnFor = this.zoomed;
    this.say();
  }

  cell(ink, { node, x, y, width }, colours) {
    const marked = this.wanted && node.name.toLowerCase().includes(this.wanted);
    ink.fillStyle = colours.surface;
    ink.fillRect(x, y, Math.max(1, width - 1), ROW - 1);
    ink.globalAlpha = marked ? 0.55 : node.shade;
    ink.fillStyle = marked ? colours["warning-fill"] : colours.accent;
    ink.fillRect(x, y, Math.max(1, width - 1), ROW - 1);
    ink.globalAlpha = 1;
    if (node === this.chosen) {
      ink.strokeStyle = colours.text;
      ink.lineWidth = 2;
      ink.strokeRect(x + 1, y + 1, Math.max(1, width - 3), ROW - 3);
    }
    if (width < MIN_TEXT) return;
    ink.save();
    ink.beginPath();
    ink.rect(x + 4, y, width - 8, ROW);
    ink.clip();
    ink.fillStyle = colours.text;
    ink.fillText(node.label, x + 4, y + ROW / 2);
    ink.restore();
  }

  say() {
    const { name, count } = this.chosen;
    const whole = this.tree.count || 1;
    let text = `${name}: ${count} samples, ${(100 * count / whole).toFixed(1)} %`;
    if (this.wanted) text += ` · ${this.tree.share(this.wanted)} % of samples in “${this.wanted}”`;
    this.line.textContent = text;
  }
}

export async function mount(root) {
  const box = root.querySelector("[data-flame]");
  if (!box) return;
  const note = box.querySelector("[data-flame-note]");
  note.textContent = "Loading the stacks";
  const answer = await fetch(box.dataset.flame).catch(() => null);
  if (!answer?.ok) {
    note.textContent = "The stacks did not come; the table below still holds. Load the page to try again.";
    return;
  }
  const tree = buildTree(box.dataset.target, await answer.text());
  if (!tree.count) {
    note.textContent = "No sample: the process did nothing in that time.";
    return;
  }
  const flame = new Flame(box, tree);
  const search = root.querySelector("[data-flame-search]");
  search.addEventListener("submit", (event) => event.preventDefault());
  search.querySelector("input").addEventListener("input", (event) => flame.search(event.target.value));
  root.querySelector("[data-flame-reset]").addEventListener("click", () => flame.zoom(tree));
}

mount(document);

/* Time charts: one uPlot for each [data-chart], all on one crosshair. A gap in the data is a gap in
   the line, silence up to now is hatched, nothing is smoothed. */
import uPlot from "../vendor/uPlot.esm.js";
import { events, hatch, labels, objective, steps } from "./chart-ink.js";
import { quantity } from "./figures.js";
import { clockText, isLocal } from "./times.js";
import { onThemeChange, SANS, token } from "./tokens.js";

const RANGE_S = 1800;
const LOG_ABOVE_MEDIANS = 20;
const TABLE_ROWS = 24;
const SILENT_S = 15;

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.plotBox = figure.querySelector(".chart-plot");
    this.valueBox = figure.querySelector(".chart-values");
    this.note = figure.querySelector(".chart-note");
    this.unit = figure.dataset.unit;
    this.objective = figure.dataset.objective ? Number(figure.dataset.objective) : null;
    this.lines = figure.dataset.lines.split(";").map((line) => {
      const [key, label, style] = line.split(",");
      return { key, label, style };
    });
    this.plot = null;
    this.isLog = false;
    this.data = null;
    this.nowS = 0;
    new ResizeObserver(() => this.resize()).observe(this.plotBox);
  }

  update(store) {
    const series = this.lines.map((line) => store.series.get(line.key) ?? new Map());
    const times = [...new Set(series.flatMap((points) => [...points.keys()]))].sort((a, b) => a - b);
    this.nowS = store.takenMs / 1000;
    const values = series.map((points) => times.map((time) => points.get(time) ?? null));
    this.data = [times.map((time) => time / 1000), ...values];
    const known = values.flat().filter((value) => value !== null);
    this.figure.toggleAttribute("data-blind", store.sight !== "ok");
    this.figure.toggleAttribute("data-empty", !known.length);
    if (!known.length) {
      if (store.sight === "ok") this.note.textContent = "No node has reported any in 30 min";
      this.note.hidden = false;
      this.plot?.destroy();
      this.plot = null;
      this.valueBox.replaceChildren();
      return;
    }
    this.note.hidden = true;
    const isLog = this.unit === "ms" && wide(known);
    if (!this.plot || isLog !== this.isLog) this.build(isLog);
    else this.plot.setData(this.data);
    this.say(known);
    this.values(null);
    this.fillTable();
  }

  build(isLog) {
    this.plot?.destroy();
    this.isLog = isLog;
    const style = { strong: "text" };  // Every other style is a token's name.
    const muted = token(this.figure, "muted");
    const axisFont = `12px ${SANS}`;
    const options = {
      width: this.plotBox.clientWidth,
      height: this.plotBox.clientHeight,
      padding: [16, this.lines.length < 2 ? 8 : Math.max(...this.lines.map((line) => line.label.length)) * 7 + 16, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "page" }, y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: {
        x: { range: () => [this.nowS - RANGE_S, this.nowS] },
        y: { distr: isLog ? 3 : 1, range: (_plot, low, high) => this.range(low, high) },
      },
      axes: [
        {
          stroke: muted, font: axisFont, size: 24, gap: 4, grid: { show: false },
          ticks: { show: false }, space: 90,
          // A label centred at the very edge would be cut.
          values: (_plot, splits) => splits.map((s) => (
            s < this.nowS - RANGE_S * 0.96 || s > this.nowS - RANGE_S * 0.04 ? "" : clockText(new Date(s * 1000), isLocal()).slice(0, 5)
          )),
        },
        { show: false },
      ],
      series: [{}, ...this.lines.map((line) => ({
        label: line.label, scale: "y", spanGaps: false, points: { show: false },
        stroke: token(this.figure, style[line.style] ?? line.style), width: line.style === "strong" ? 2 : 1.5,
      }))],
      hooks: {
        drawClear: [(plot) => events(plot, this, marksOf(document)), (plot) => steps(plot, this)],
        draw: [
          (plot) => objective(plot, this),
          (plot) => hatch(plot, this, SILENT_S),
          (plot) => labels(plot, this),
        ],
        setCursor: [(plot) => this.values(plot.cursor.idx)],
      },
    };
    this.plot = new uPlot(options, this.data, this.plotBox);
  }

  range(low, high) {
    const top = Math.max(high ?? 0, this.objective !== null && high > this.objective / 4 ? this.objective : 0);
    if (!this.isLog) return [0, top > 0 ? top * 1.15 : 1];
    return [Math.max(low ?? 0.01, 0.001) / 1.5, top * 1.5];
  }

  resize() {
    if (!this.plot || !this.plotBox.clientWidth) return;
    this.plot.setSize({ width: this.plotBox.clientWidth, height: this.plotBox.clientHeight });
  }

  /* The fixed row above the plot: the values under the crosshair, or the last ones. */
  values(index) {
    const at = index ?? lastKnown(this.data);
    const time = document.createElement("span");
    time.className = "hint";
    const seconds = this.data[0][at];
    time.textContent = seconds === undefined ? "" : clockText(new Date(seconds * 1000));
    const parts = this.lines.map((line, number) => {
      const part = document.createElement("span");
      part.textContent = `${line.label} ${quantity(this.data[number + 1][at], this.unit)}`;
      return part;
    });
    this.valueBox.replaceChildren(...parts, time);
  }

  say(known) {
    const title = this.figure.querySelector("figcaption").textContent.trim();
    const first = this.data[1].findLast((value) => value !== null);
    this.figure.querySelector("[data-summary]").textContent =
      `${title}: last ${quantity(first ?? null, this.unit)}, highest ${quantity(Math.max(...known), this.unit)}, ` +
      `lowest ${quantity(Math.min(...known), this.unit)} in 30 minutes.`;
  }

  toggleTable() {
    const box = this.figure.querySelector(".chart-table");
    box.hidden = !box.hidden;
    this.plotBox.hidden = !box.hidden;
    this.fillTable();
  }

  fillTable() {
    const box = this.figure.querySelector(".chart-table");
    if (box.hidden || !this.data) return;
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const text of ["Time", ...this.lines.map((line) => `${line.label}, ${this.unit}`)]) {
      const cell = document.createElement("th");
      cell.textContent = text;
      head.append(cell);
    }
    const body = table.createTBody();
    for (let at = this.data[0].length - 1; at >= 0 && body.rows.length < TABLE_ROWS; at -= 1) {
      const row = body.insertRow();
      row.insertCell().textContent = clockText(new Date(this.data[0][at] * 1000));
      this.lines.forEach((_line, number) => {
        row.insertCell().textContent = quantity(this.data[number + 1][at], this.unit);
      });
    }
    box.replaceChildren(table);
  }
}

/* An incident's onset and runs, as "from,to,colour,label;..." in Unix milliseconds. */
function marksOf(root) {
  const told = root.querySelector("[data-marks]")?.dataset.marks;
  return (told ? told.split(";") : []).map((each) => {
    const [from, to, colour, label] = each.split(",");
    return { from: from / 1000, to: to === "" ? null : to / 1000, colour, label };
  });
}

function wide(values) {
  const sorted = values.filter((value) => value > 0).sort((a, b) => a - b);
  return sorted.length > 1 && sorted.at(-1) > LOG_ABOVE_MEDIANS * sorted[sorted.length >> 1];
}

function lastKnown(data) {
  for (let at = data[0].length - 1; at >= 0; at -= 1) {
    if (data.slice(1).some((values) => values[at] !== null)) return at;
  }
  return -1;
}

class Store {
  constructor() {
    this.series = new Map();
    this.takenMs = Date.now();
    this.sight = "blind";
  }

  /* Merges newer points and forgets what left the range. */
  merge(message) {
    this.takenMs = message.taken_ms;
    this.sight = message.sight;
    for (const [key, points] of Object.entries(message.series)) {
      const kept = this.series.get(key) ?? new Map();
      for (const [time, value] of points) kept.set(time, value);
      for (const time of kept.keys()) {
        if (time < this.takenMs - RANGE_S * 1000) kept.delete(time);
      }
      this.series.set(key, kept);
    }
  }

  /* Whether the message's first point is newer than all we have: then some are missing between. */
  missed(message) {
    return Object.entries(message.series).some(([key, points]) => {
      const kept = this.series.get(key);
      return points.length && (!kept?.size || points[0][0] > Math.max(...kept.keys()));
    });
  }
}

export function mount(root) {
  const region = root.getElementById("charts");
  if (!region) return;
  const charts = [...region.querySelectorAll("[data-chart]")].map((figure) => new Chart(figure));
  const store = new Store();
  const draw = () => charts.forEach((chart) => chart.update(store));
  const fetchAll = async () => {
    const answer = await fetch(region.dataset.series).catch(() => null);
    if (answer?.ok) {
      store.merge(await answer.json());
      draw();
    }
  };
  root.getElementById("live")?.addEventListener("series", (event) => {
    const message = JSON.parse(event.detail.data);
    if (store.missed(message)) fetchAll();
    else {
      store.merge(message);
      draw();
    }
  });
  const rebuild = () => charts.forEach((chart) => chart.plot && chart.build(chart.isLog));
  onThemeChange(rebuild);
  root.addEventListener("holdfast:zone", rebuild);
  root.addEventListener("holdfast:tables", () => charts.forEach((chart) => chart.toggleTable()));
  fetchAll();
}

mount(document);

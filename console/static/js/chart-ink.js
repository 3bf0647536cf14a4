/* What is drawn around a chart's lines, in canvas pixels. */
import { SANS, token } from "./tokens.js";

const GRID_LINES = 3;

function pen(plot, chart, colour) {
  const { ctx } = plot;
  const scale = devicePixelRatio;
  ctx.font = `${12 * scale}px ${SANS}`;
  ctx.lineWidth = scale;
  ctx.strokeStyle = ctx.fillStyle = token(chart.figure, colour);
  return { ctx, scale };
}

function unitText(chart) {
  const gap = chart.unit.startsWith("/") ? "" : "\u202f";
  return gap + chart.unit + (chart.isLog ? " log" : "");
}

function line(ctx, plot, y) {
  ctx.beginPath();
  ctx.moveTo(plot.bbox.left, y);
  ctx.lineTo(plot.bbox.left + plot.bbox.width, y);
  ctx.stroke();
}

function marks(chart, low, high) {
  if (chart.isLog) {
    const found = [];
    for (let power = Math.ceil(Math.log10(low)); 10 ** power <= high; power += 1) found.push(10 ** power);
    return found.slice(-GRID_LINES);
  }
  const rough = high / (GRID_LINES + 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size * GRID_LINES >= high * 0.62);
  return Array.from({ length: GRID_LINES }, (_none, at) => step * (at + 1)).filter((mark) => mark <= high);
}

/* Gridlines with their value inside left; the unit stands on the top one. */
export function steps(plot, chart) {
  const { min, max } = plot.scales.y;
  plot.ctx.save();
  const { ctx, scale } = pen(plot, chart, "hairline");
  const found = marks(chart, min, max);
  found.forEach((mark, at) => {
    const y = Math.round(plot.valToPos(mark, "y", true)) + 0.5;
    pen(plot, chart, "hairline");
    line(ctx, plot, y);
    pen(plot, chart, "muted");
    ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    const isTop = at === found.length - 1;
    const text = isTop ? `${mark}${unitText(chart)}` : String(mark);
    ctx.fillText(text, plot.bbox.left, y - 2 * scale);
  });
  pen(plot, chart, "control");
  line(ctx, plot, plot.bbox.top + plot.bbox.height - 0.5);
  ctx.restore();
}

export function objective(plot, chart) {
  if (chart.objective === null || chart.objective > plot.scales.y.max) return;
  plot.ctx.save();
  const { ctx, scale } = pen(plot, chart, "text");
  ctx.setLineDash([4 * scale, 4 * scale]);
  const y = Math.round(plot.valToPos(chart.objective, "y", true)) + 0.5;
  line(ctx, plot, y);
  const below = y - plot.bbox.top < 16 * scale;
  ctx.textAlign = "left";
  ctx.textBaseline = below ? "top" : "bottom";
  const text = `objective ${chart.objective}${unitText(chart)}`;
  ctx.fillText(text, plot.bbox.left + 72 * scale, below ? y + 4 * scale : y - 2 * scale);
  ctx.restore();
}

/* Moments as lines and stretches as bands, each named at the top; one that ends at 0 goes on. */
export function events(plot, chart, marks) {
  plot.ctx.save();
  const { left, top, width, height } = plot.bbox;
  for (const { from, to, colour, label } of marks) {
    const { ctx, scale } = pen(plot, chart, colour);
    const x = Math.round(plot.valToPos(from, "x", true)) + 0.5;
    const end = to === null ? x : Math.min(left + width, plot.valToPos(to || chart.nowS, "x", true));
    if (end < left || x > left + width) continue;
    if (to !== null) {
      ctx.globalAlpha = 0.16;
      ctx.fillRect(Math.max(left, x), top, Math.max(scale, end - Math.max(left, x)), height);
      ctx.globalAlpha = 1;
    } else {
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
    }
    // Names of moments stand to the left of them, so that those of bands have the right.
    ctx.textAlign = to === null ? "right" : "left";
    ctx.textBaseline = "top";
    ctx.fillText(label, to === null ? x - 4 * scale : Math.max(left, x) + 2 * scale, top);
  }
  plot.ctx.restore();
}

/* From the last point to now, when telemetry has been silent for longer than it may be. */
export function hatch(plot, chart, silentS) {
  const times = chart.data[0];
  const last = times.findLast((_time, at) => chart.data.slice(1).some((values) => values[at] !== null));
  if (last === undefined || chart.nowS - last < silentS) return;
  plot.ctx.save();
  const { ctx, scale } = pen(plot, chart, "muted");
  const left = Math.max(plot.bbox.left, plot.valToPos(last, "x", true));
  const right = plot.bbox.left + plot.bbox.width;
  ctx.beginPath();
  ctx.rect(left, plot.bbox.top, right - left, plot.bbox.height);
  ctx.clip();
  ctx.globalAlpha = 0.5;
  for (let x = left - plot.bbox.height; x < right; x += 8 * scale) {
    ctx.beginPath();
    ctx.moveTo(x, plot.bbox.top + plot.bbox.height);
    ctx.lineTo(x + plot.bbox.height, plot.bbox.top);
    ctx.stroke();
  }
  ctx.restore();
}

/* Each line is named at its right end; names that would collide are pushed apart. */
export function labels(plot, chart) {
  if (chart.lines.length < 2) return;
  plot.ctx.save();
  const { ctx, scale } = pen(plot, chart, "muted");
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  const right = plot.bbox.left + plot.bbox.width + 6 * scale;
  let before = -Infinity;
  chart.lines
    .map((each, at) => ({ ...each, value: chart.data[at + 1].findLast((value) => value !== null) }))
    .filter((each) => each.value !== undefined)
    .map((each) => ({ ...each, y: plot.valToPos(each.value, "y", true) }))
    .sort((a, b) => a.y - b.y)
    .forEach((each) => {
      const y = Math.max(each.y, before + 13 * scale);
      pen(plot, chart, each.style === "strong" ? "muted" : each.style);
      ctx.fillText(each.label, right, y);
      before = y;
    });
  ctx.restore();
}

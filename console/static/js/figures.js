/* Three significant digits with the unit, as the server writes them. */
export function three(value) {
  if (value === 0) return "0";
  const text = Number(value.toPrecision(3));
  return Math.abs(text) >= 1e-6 ? String(text) : "0";
}

export function quantity(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "ms" && Math.abs(value) >= 10000) return `${three(value / 1000)}\u2009s`;
  if (unit === "/s" && Math.abs(value) >= 1000) return `${three(value / 1000)}\u2009k/s`;
  return unit.startsWith("/") ? `${three(value)}${unit}` : `${three(value)}\u2009${unit}`;
}

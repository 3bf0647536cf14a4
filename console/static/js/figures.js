/* Three significant digits with the unit, as the server writes them. */
export function three(value) {
  if (value === 0) return "0";
  const text = value.toPrecision(3);
  if (Math.abs(value) < 1e-6) return "0";
  return text.includes("e") ? String(Number(text)) : text;
}

export function quantity(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "ms" && Math.abs(value) >= 10000) return `${three(value / 1000)}\u202fs`;
  if (unit === "/s" && Math.abs(value) >= 1000) return `${three(value / 1000)}\u202fk/s`;
  return unit.startsWith("/") ? `${three(value)}${unit}` : `${three(value)}\u202f${unit}`;
}

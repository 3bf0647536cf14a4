/* Colours of base.css for canvases: asked of the browser, so light-dark() is already decided. */
export function token(root, name) {
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.style.color = `var(--${name})`;
  root.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

export function onThemeChange(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

export const SANS = 'system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif';

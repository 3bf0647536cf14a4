/* The badge when the stream itself is silent or paused. While events come, the server's own badge
   stands: it knows which part is blind. */
import { clockText } from "./times.js";

const STALE_AFTER_MS = 5000;

let paused = false;

export function togglePause() {
  paused = !paused;
  document.dispatchEvent(new CustomEvent("holdfast:pause"));
}

export function mount(root) {
  const live = root.getElementById("live");
  const badge = root.getElementById("badge");
  if (!live || !badge) return;
  let heard = Date.now();

  const show = (name, words) => {
    const copy = root.getElementById(name).content.cloneNode(true);
    copy.querySelector("[data-words]").textContent = words;
    badge.replaceChildren(copy);
  };
  const look = () => {
    const silent = Date.now() - heard;
    const stale = !paused && !root.hidden && silent > STALE_AFTER_MS;
    root.body.toggleAttribute("data-stale", stale);
    const asOf = `as of ${clockText(new Date(heard))}`;
    if (paused) show("badge-paused", `paused, ${asOf}`);
    else if (stale) show("badge-stale", `stale ${Math.round(silent / 1000)} s, ${asOf}`);
  };

  root.addEventListener("htmx:before:sse:message", (event) => {
    if (paused) event.detail.message.cancelled = true;
  });
  root.addEventListener("htmx:after:sse:message", () => {
    heard = Date.now();
    root.body.removeAttribute("data-stale");
  });
  root.addEventListener("visibilitychange", () => { if (!root.hidden) heard = Date.now(); });
  root.addEventListener("holdfast:pause", look);
  setInterval(look, 1000);
}

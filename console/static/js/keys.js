/* Single keys, off in text fields and for whoever turned them off. None changes the fleet. */
import { togglePause } from "./live.js";
import { toggleZone } from "./times.js";

const OFF = "holdfast-keys-off";
const PAGES = {
  n: "/", i: "/incidents", t: "/traces", p: "/profiles", c: "/cluster", r: "/runs", s: "/slos",
};
const CHORD_MS = 1500;

function move(root, by) {
  const links = [...root.querySelectorAll("[data-rows] tbody tr a, .rows > li a")];
  if (!links.length) return;
  const at = links.indexOf(root.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by;
  links[Math.min(links.length - 1, Math.max(0, next))].focus();
}

/* A key printed in a button presses it; in a list, only that of the row under the focus. */
function press(root, key) {
  const row = root.activeElement?.closest("li, tr");
  const found = row?.querySelector(`[data-row-key="${key}"]`)
    ?? root.querySelector(`main [data-key="${key}"]`);
  if (!found) return false;
  if (found.matches("textarea, input")) found.focus();
  else found.click();
  return true;
}

function leave(root) {
  if (root.activeElement !== root.body) root.activeElement.blur();
}

export function mount(root) {
  const help = root.getElementById("help");
  const off = root.getElementById("keys-off");
  if (off) {
    off.checked = localStorage.getItem(OFF) === "1";
    off.addEventListener("change", () => localStorage.setItem(OFF, off.checked ? "1" : "0"));
  }
  const deeds = {
    "?": () => help?.showModal(),
    "/": () => root.getElementById("search")?.focus(),
    ".": togglePause,
    u: toggleZone,
    t: () => root.dispatchEvent(new CustomEvent("holdfast:tables")),
    j: () => move(root, 1),
    k: () => move(root, -1),
    // It can only end a drill, so it needs no focus and no question.
    S: () => root.getElementById("stop-drill")?.requestSubmit(),
    Y: () => navigator.clipboard?.writeText(location.href),
  };
  let chordUntil = 0;
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave(root);
    if (event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem(OFF) === "1") return;
    if (event.target.closest("input, select, textarea, dialog[open]")) return;
    const chord = Date.now() < chordUntil;
    chordUntil = 0;
    if (chord && PAGES[event.key]) {
      location.assign(PAGES[event.key]);
    } else if (event.key === "g") {
      chordUntil = Date.now() + CHORD_MS;
    } else if (deeds[event.key]) {
      event.preventDefault();
      deeds[event.key]();
    } else if (/^[a-z]$/.test(event.key) && press(root, event.key)) {
      event.preventDefault();
    }
  });
}

/* Times in UTC or local, as the reader chose; the zone is always printed. */
const KEY = "holdfast-zone";

export function isLocal() {
  return localStorage.getItem(KEY) === "local";
}

export function clockText(date, local = isLocal()) {
  const options = { hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const text = date.toLocaleTimeString("en-GB", local ? options : { ...options, timeZone: "UTC" });
  return `${text} ${local ? "local" : "UTC"}`;
}

function apply(root) {
  for (const time of root.querySelectorAll("time[data-time]")) {
    const text = clockText(new Date(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
}

export function toggleZone() {
  localStorage.setItem(KEY, isLocal() ? "utc" : "local");
  document.dispatchEvent(new CustomEvent("holdfast:zone"));
}

export function mount(root) {
  const clock = root.getElementById("clock");
  const tick = () => {
    const now = new Date();
    const local = isLocal();
    if (clock) clock.textContent = `${clockText(now, local)} · ${clockText(now, !local)}`;
  };
  const all = () => { tick(); apply(root); };
  clock?.addEventListener("click", toggleZone);
  for (const button of root.querySelectorAll("[data-zone]")) {
    button.addEventListener("click", toggleZone);
  }
  root.addEventListener("holdfast:zone", all);
  root.addEventListener("htmx:after:swap", () => apply(root));
  root.addEventListener("htmx:after:sse:message", () => apply(root));
  setInterval(() => { if (!root.hidden) tick(); }, 1000);
  all();
}

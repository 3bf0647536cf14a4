/* One run: its keys, rows that stay open while the page renews itself, and an Approve box whose
   buttons rest for a second after anything in it changed. */
const REST_MS = 1000;
const openRows = new Set();

function keepOpen(root) {
  root.addEventListener("toggle", (event) => {
    const row = event.target.closest?.(".step");
    if (row) openRows[event.target.open ? "add" : "delete"](row.id);
  }, true);
  root.addEventListener("htmx:after:swap", () => {
    for (const id of openRows) root.getElementById(id)?.querySelector("details")?.setAttribute("open", "");
  });
}

function changes(box) {
  return [...box.querySelectorAll("[data-change]")].map((line) => line.textContent);
}

function rest(box) {
  const buttons = box.querySelectorAll("[data-rests]");
  for (const button of buttons) button.disabled = true;
  setTimeout(() => { for (const button of buttons) button.disabled = false; }, REST_MS);
}

function watchPlan(box) {
  const note = box.querySelector("#approve-changed");
  let plan = box.querySelector("[data-plan]").dataset.plan;
  let before = changes(box);
  new MutationObserver(() => {
    const now = box.querySelector("[data-plan]")?.dataset.plan;
    if (!now || now === plan) return;
    const after = changes(box);
    const told = after.find((line, at) => line !== before[at]) ?? "its fence is another one";
    plan = now;
    before = after;
    note.textContent = `Plan changed: ${told}. Review again`;
    note.hidden = false;
    rest(box);
  }).observe(box.querySelector("#approve-part"), { attributes: true, childList: true, subtree: true });
}

function openStep(root) {
  const row = root.activeElement?.closest(".step") ?? root.querySelector(".step-now") ?? root.querySelector(".step");
  const details = row?.querySelector("details");
  if (details) details.open = !details.open;
}

export function mount(root) {
  keepOpen(root);
  const box = root.getElementById("approve");
  if (box) watchPlan(box);
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey && event.key === "Enter" && event.target.closest("#approve")) {
      const deed = root.querySelector(".approve-deed");
      if (deed && !deed.disabled) deed.form.requestSubmit(deed);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem("holdfast-keys-off") === "1") return;
    if (event.target.closest("input, select, textarea, dialog[open]")) return;
    if (event.key === "o") openStep(root);
    if (event.key === "x") root.getElementById("cancel")?.showModal();
  });
}

mount(document);

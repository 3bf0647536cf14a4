/* An incident's page: keeps a note's draft in this browser, shows the chosen kind of timeline
   lines, and says every few seconds that its reader is still there. */
const HERE_EVERY_MS = 10000;

function cookie(name) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

function mountDraft(root) {
  const note = root.querySelector("[data-draft]");
  if (!note) return;
  const key = `holdfast-${note.dataset.draft}`;
  if (!note.value) note.value = localStorage.getItem(key) ?? "";
  note.addEventListener("input", () => localStorage.setItem(key, note.value));
  note.form.addEventListener("submit", () => localStorage.removeItem(key));
}

function mountChips(root) {
  const chips = root.querySelector("[data-chips]");
  if (!chips) return;
  const show = () => {
    const kinds = chips.querySelector("input:checked")?.dataset.kinds ?? "";
    const list = root.querySelector(".timeline");
    if (!list) return;
    list.toggleAttribute("data-only", kinds !== "");
    for (const line of list.children) {
      line.toggleAttribute("data-shown", kinds.split(" ").includes(line.dataset.kind));
    }
  };
  chips.addEventListener("change", show);
  document.addEventListener("htmx:after:sse:message", show);
}

function mountHere(root) {
  const page = root.querySelector("[data-here]");
  if (!page) return;
  const say = () => {
    if (document.hidden) return;
    fetch(page.dataset.here, {
      method: "POST", headers: { "X-CSRFToken": cookie("holdfast_csrf") },
    }).catch(() => {});
  };
  setInterval(say, HERE_EVERY_MS);
}

export function mount(root) {
  mountDraft(root);
  mountChips(root);
  mountHere(root);
}

mount(document);

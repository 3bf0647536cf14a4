/* Buttons with data-copy="id" copy the text of that element, and say so for a moment. */
const SAID_MS = 1500;

export function mount(root) {
  root.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard?.writeText(root.getElementById(button.dataset.copy).textContent);
    const words = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = words; }, SAID_MS);
  });
}

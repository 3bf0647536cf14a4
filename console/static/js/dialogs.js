/* Buttons with data-open="id" open that dialog; the browser does the rest. */
export function mount(root) {
  for (const button of root.querySelectorAll("[data-open]")) {
    button.addEventListener("click", () => {
      button.closest("details")?.removeAttribute("open");
      root.getElementById(button.dataset.open).showModal();
    });
  }
}

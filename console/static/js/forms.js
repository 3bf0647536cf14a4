/* Forms that came over the live stream have no token against forgery, since the stream is the same
   for all readers: each gets the reader's own, from its cookie, when it is sent. */
const NAME = "csrfmiddlewaretoken";

export function mount(root) {
  root.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.querySelector(`[name="${NAME}"]`)) return;
    const pair = root.cookie.split("; ").find((each) => each.startsWith("holdfast_csrf="));
    const field = root.createElement("input");
    field.type = "hidden";
    field.name = NAME;
    field.value = pair ? decodeURIComponent(pair.slice("holdfast_csrf=".length)) : "";
    form.append(field);
  });
}

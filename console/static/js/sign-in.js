/* Moves the code from the fragment, which no server sees, into the form, and posts it. */
export function mount(root) {
  const form = root.getElementById("sign-in");
  const code = decodeURIComponent(location.hash.slice(1));
  if (!form || !code) return;
  history.replaceState(null, "", location.pathname + location.search);
  root.getElementById("code").value = code;
  form.requestSubmit();
}

mount(document);

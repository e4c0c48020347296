// Asks for a key where the service wants one.

import { key, onKeyNeeded } from "./api.js";

const dialog = document.getElementById("key-dialog");
const form = document.getElementById("key-form");
const input = document.getElementById("key");
const forget = document.getElementById("forget-key");

function question(problem) {
  document.getElementById("key-why").textContent = problem.detail;
  input.value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
  });
}

/** Set the dialog and the button up; `changed()` is called when a key is forgotten. */
export function prepare(changed) {
  const show = () => (forget.hidden = !key.get());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    key.set(input.value.trim());
    show();
    dialog.close("given");
  });
  document.getElementById("key-cancel").addEventListener("click", () => dialog.close("none"));
  dialog.addEventListener("cancel", () => (dialog.returnValue = "none"));
  forget.addEventListener("click", () => {
    key.forget();
    show();
    changed();
  });
  show();
  onKeyNeeded(question);
}

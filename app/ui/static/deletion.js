// Deleting, after a question.

import { list, remove } from "./api.js";
import { element } from "./dom.js";
import { icon } from "./icons.js";
import { named, visible } from "./names.js";
import { nameOf } from "./paths.js";
import { count, sizeText } from "./sizes.js";
import { announce } from "./status.js";

const REPLACED = "It has been replaced since you opened it. Cancel, and load the page again.";

const dialog = document.getElementById("deletion");

/** A button that asks, deletes, and goes to `next`. */
export function deleteButton({ label, ...subject }) {
  return element("button", { type: "button", class: "danger", click: () => ask(subject) }, icon("trash"), label);
}

function ask(subject) {
  const { path, size, isDirectory, next } = subject;
  const name = nameOf(path);
  const extent = element("p", {}, isDirectory ? "With everything below it." : `${sizeText(size)}.`);
  const fault = element("p", { class: "fault", role: "alert" });
  const cancel = element("button", { type: "button", click: () => dialog.close() }, "Cancel");
  const confirm = element("button", { type: "button", class: "danger filled" }, "Delete");

  confirm.addEventListener("click", async () => {
    confirm.disabled = true;
    fault.textContent = "";
    try {
      await remove(path, subject);
    } catch (error) {
      fault.textContent = error.status === 412 ? REPLACED : error.message;
      confirm.disabled = false;
      return;
    }
    dialog.close();
    announce(`${visible(name)} was deleted.`);
    location.replace(next);
  });

  dialog.replaceChildren(
    element("h2", { id: "deletion-title" }, "Delete “", named(name), "”?"),
    extent,
    element("p", {}, "This cannot be undone."),
    fault,
    element("div", { class: "dialog-actions" }, cancel, confirm),
  );
  dialog.showModal();
  cancel.focus();
  if (isDirectory) measure(path, extent);
}

async function measure(path, extent) {
  try {
    const { entries, next_page_token: more } = await list(path, { recursive: true });
    const bytes = entries.reduce((sum, entry) => sum + (entry.size ?? 0), 0);
    const artifacts = `${more ? "more than " : ""}${count(entries.length, "artifact")}`;
    extent.textContent = `With ${artifacts} (${sizeText(bytes)}) below it.`;
  } catch {
    // What it holds is only told; the question stands without it.
  }
}

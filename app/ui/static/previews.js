// Where an artifact's content is shown, as far as it can be.

import { element } from "./dom.js";
import { artifactUrl } from "./paths.js";

/** A container that is filled with the preview of `artifact`, or with why there is none. */
export function previewOf({ path, name, size, etag, modified }, signal) {
  const container = element("div", { class: "preview" });
  const waiting = element("p", { class: "hint" }, "Loading the preview…");
  const slot = element("div", { class: "preview-slot", "aria-busy": "true" }, waiting, container);
  fill({ path, name, size, etag, modified: new Date(modified), url: artifactUrl(path) }, container, signal)
    .catch((error) => {
      if (!signal.aborted) container.replaceChildren(element("p", { class: "hint" }, `No preview: ${error.message}`));
    })
    .finally(() => {
      waiting.remove();
      slot.removeAttribute("aria-busy");
    });
  return slot;
}

async function fill(artifact, container, signal) {
  // Loaded when it is wanted: whoever only browses does without.
  const { preview } = await import("./preview/preview.js").catch(() => {
    throw new Error("what shows it could not be loaded. Load the page again.");
  });
  await preview(artifact, container, signal);
}

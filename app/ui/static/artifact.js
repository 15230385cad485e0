// One artifact: what is known of it, its preview, and what can be done with it.

import { allows, examine, list, Problem } from "./api.js";
import { deleteButton } from "./deletion.js";
import { element } from "./dom.js";
import { icon } from "./icons.js";
import { directoryHref } from "./location.js";
import { failure, retryButton } from "./messages.js";
import { named, visible } from "./names.js";
import { artifactUrl, nameOf, parentOf } from "./paths.js";
import { previewOf } from "./previews.js";
import { artifactReferences } from "./references.js";
import { session } from "./session.js";
import { count, sizeText } from "./sizes.js";
import { exact, time } from "./times.js";

/** The view of an artifact; or `moved`, the place to go to, if the path is a directory's. */
export async function artifactView({ path }, { signal }) {
  const [examined, below] = await Promise.allSettled([examine(path, { signal }), list(path, { limit: 1, signal })]);
  if (examined.status === "rejected") {
    if (below.value?.entries.length) return { moved: directoryHref(path) };
    throw told(examined.reason, path);
  }
  const facts = examined.value;
  const name = nameOf(path);
  // Whoever may not list is not told what else is allowed, and is shown what is certain.
  const may = below.value ?? { actions: ["read"] };
  const artifact = { path, name, ...facts };
  return {
    title: name,
    nodes: [
      element("div", { class: "heading" }, element("h1", { tabindex: "-1" }, named(name)), actions(artifact, may)),
      element(
        "div",
        { class: "artifact" },
        card("preview", "Preview", previewOf(artifact, signal)),
        element(
          "div",
          { class: "about" },
          card("facts", "Details", details(artifact)),
          card("elsewhere", "Use elsewhere", artifactReferences(path, session)),
        ),
      ),
    ],
    summary: `${visible(name)}, ${sizeText(facts.size)}.`,
    uploadsTo: null,
  };
}

export function artifactFailure(error, path, retry) {
  const titles = { 403: "You may not read this artifact", 404: "Not found" };
  return failure(
    titles[error.status] ?? "This artifact could not be read",
    error,
    retryButton(retry),
    element("a", { class: "button", href: directoryHref(parentOf(path)) }, "Go to its folder"),
  );
}

function card(id, title, content) {
  const heading = element("h2", { id: `${id}-title` }, title);
  return element("section", { id, class: "card", "aria-labelledby": heading.id }, heading, content);
}

/* The answer to HEAD has no body that could tell. */
function told(error, path) {
  if (error.status !== 404 && error.status !== 400) return error;
  const message = `There is no artifact ${visible(path)}. It may have been deleted or moved.`;
  return new Problem(404, { message, requestId: error.requestId });
}

function actions({ path, name, size, etag }, may) {
  const next = directoryHref(parentOf(path));
  return element(
    "div",
    { class: "actions", role: "group", "aria-label": "Actions for this artifact" },
    element("a", { class: "button primary", href: artifactUrl(path), download: name }, icon("download"), "Download"),
    allows(may, "delete") && deleteButton({ path, size, etag, label: "Delete", isDirectory: false, next }),
  );
}

function details({ size, modified, etag, mediaType }) {
  return element(
    "dl",
    { class: "facts" },
    fact("Size", sizeText(size), size >= 1024 && element("p", { class: "hint" }, count(size, "byte"))),
    fact("Modified", time(modified), element("p", { class: "hint" }, exact(modified))),
    fact("Media type", element("code", {}, mediaType ?? "unknown")),
    fact("ETag", element("code", {}, etag ?? "none")),
  );
}

function fact(term, ...description) {
  return element("div", {}, element("dt", {}, term), element("dd", {}, ...description));
}

// A directory: what can be done with it, and what is in it.

import { allows, list } from "./api.js";
import { deleteButton } from "./deletion.js";
import { element } from "./dom.js";
import { icon } from "./icons.js";
import { listing } from "./listing.js";
import { directoryHref } from "./location.js";
import { failure, notice, retryButton } from "./messages.js";
import { named } from "./names.js";
import { archiveName, archiveUrl, nameOf, parentOf } from "./paths.js";
import { previewOf } from "./previews.js";
import { directoryReferences } from "./references.js";
import { session } from "./session.js";
import { count } from "./sizes.js";

/* For each page that was come to by "Next page": the one before it. */
const previousPages = new Map();

/** The view of a directory: its nodes, its title, what to tell of it, and whether one may upload to it. */
export async function directoryView({ path, pageToken }, { signal, filter, pickers }) {
  const page = await list(path, { pageToken, signal });
  const title = nameOf(path) || "Artifacts";
  const paged = pageToken !== null || page.next_page_token !== null;
  const mayWrite = allows(page, "write");
  const heading = element("h1", { tabindex: "-1" }, path ? named(title) : title);
  const elsewhere = element("summary", {}, "Use elsewhere");
  const nodes = [
    element("div", { class: "heading" }, heading, actions(page, path, mayWrite, pickers)),
    element("details", { class: "elsewhere" }, elsewhere, directoryReferences(path, session)),
    modelCard(page, signal),
    page.entries.length ? listing(page.entries, title, { text: filter, paged }) : empty(path, pageToken, mayWrite),
    paged && pages(path, pageToken, page),
  ];
  return {
    title,
    nodes: nodes.filter(Boolean),
    summary: summary(page, title, paged),
    uploadsTo: mayWrite ? path : null,
  };
}

/** What to show where the directory cannot be listed. */
export function directoryFailure(error, path, retry) {
  const title = error.status === 403 ? "You may not list this folder" : "This folder could not be listed";
  return failure(title, error, retryButton(retry));
}

function actions(page, path, mayWrite, pickers) {
  const filled = page.entries.length > 0;
  const mayRead = filled && allows(page, "read");
  const mayDelete = filled && allows(page, "delete") && path !== "";
  const next = directoryHref(parentOf(path));
  return element(
    "div",
    { class: "actions", role: "group", "aria-label": "Actions for this folder" },
    mayWrite && uploadButton("Upload files", pickers.files, "primary"),
    mayWrite && uploadButton("Upload folder", pickers.folder),
    mayRead && archiveLink(path, "zip"),
    mayRead && archiveLink(path, "tar"),
    mayDelete && deleteButton({ path, label: "Delete folder", isDirectory: true, next }),
  );
}

function uploadButton(label, click, kind = null) {
  return element("button", { type: "button", class: kind, click }, icon("upload"), label);
}

function archiveLink(path, format) {
  return element(
    "a",
    { class: "button", href: archiveUrl(path, format), download: archiveName(path, format) },
    icon("download"),
    element("span", {}, element("span", { class: "verbose" }, "Download as "), format),
  );
}

function modelCard(page, signal) {
  const model = page.entries.find((entry) => entry.name === "MLmodel" && !entry.is_dir && allows(entry, "read"));
  if (!model) return null;
  return element(
    "section",
    { class: "card model", "aria-labelledby": "model-title" },
    element("h2", { id: "model-title" }, "Model"),
    previewOf(model, signal),
  );
}

function empty(path, pageToken, mayWrite) {
  if (pageToken !== null) return notice("There is nothing more on this page.");
  return notice(
    path ? "This folder is empty" : "There is nothing here yet",
    path !== "" && element("p", {}, "A folder is there as long as something is in it."),
    mayWrite && element("p", {}, "Drop files or folders anywhere on this page to upload them."),
  );
}

function pages(path, pageToken, page) {
  const next = page.next_page_token;
  if (next !== null) previousPages.set(`${path}?${next}`, pageToken);
  const previous = previousPages.get(`${path}?${pageToken}`);
  return element(
    "nav",
    { class: "pages", "aria-label": "Pages" },
    pageToken !== null
      && element(
        "a",
        { class: "button", rel: "prev", href: directoryHref(path, previous ?? null) },
        previous === undefined ? "First page" : "Previous page",
      ),
    next !== null && element("a", { class: "button", rel: "next", href: directoryHref(path, next) }, "Next page"),
  );
}

function summary(page, title, paged) {
  const folders = page.entries.filter((entry) => entry.is_dir).length;
  const files = page.entries.length - folders;
  return `${title}: ${count(folders, "folder")}, ${count(files, "artifact")}${paged ? " on this page" : ""}.`;
}

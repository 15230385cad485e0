// The page: shows the place that the hash names, and brings the parts together.

import { Problem } from "./api.js";
import { artifactFailure, artifactView } from "./artifact.js";
import { showBreadcrumbs } from "./breadcrumbs.js";
import { directoryFailure, directoryView } from "./directory.js";
import { element } from "./dom.js";
import { pickers, receiveFiles } from "./drop.js";
import { placeOf } from "./location.js";
import { failure } from "./messages.js";
import { visible } from "./names.js";
import { forget, onSignOut, recognise, session, signInPanel } from "./session.js";
import { announce } from "./status.js";
import { showUploads } from "./upload-panel.js";
import { Uploads } from "./uploads.js";

const main = document.getElementById("main");
const uploads = new Uploads();
const uploadPanel = showUploads(uploads);

let loading = new AbortController();
let uploadsTo = null;
let arrived = false;

/** Shows where one is. After a navigation the focus goes to the heading; a refresh leaves it where it is. */
async function show({ refresh = false } = {}) {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  const place = placeOf(location.hash);
  main.setAttribute("aria-busy", "true");
  uploadsTo = refresh ? uploadsTo : null;
  const shown = await viewOf(place, { signal, filter: refresh ? filterText() : "", pickers });
  if (signal.aborted) return;
  if (shown.moved) return location.replace(shown.moved);
  main.removeAttribute("aria-busy");
  // What is shown is of more use than the news that it could not be loaded again.
  if (refresh && shown.failed) return announce("The page could not be brought up to date.");
  const focused = refresh ? mark(document.activeElement) : null;
  main.replaceChildren(...shown.nodes);
  uploadsTo = shown.uploadsTo ?? null;
  showBreadcrumbs(place ?? { path: "" });
  document.title = `${visible(shown.title)} – artifact-proxy`;
  announce(shown.summary ?? shown.title);
  if (refresh) return focused && find(focused)?.focus();
  scrollTo(0, 0);
  // Who has just come finds the focus at the start of the page, as on any other.
  if (arrived) (main.querySelector("h1") ?? main).focus({ preventScroll: true });
  arrived = true;
}

async function viewOf(place, options) {
  if (place === null) {
    const error = new Error("The address after the # is not well formed.");
    const way = element("a", { class: "button", href: "#/" }, "Go to the root");
    return { title: "No such place", nodes: [failure("No such place", error, way)] };
  }
  const [view, failed] = place.isDirectory ? [directoryView, directoryFailure] : [artifactView, artifactFailure];
  try {
    if (session.kind === null) await recognise(options);
    return await view(place, options);
  } catch (error) {
    if (error.status === 401) return signIn();
    if (!(error instanceof Problem) && error.name !== "AbortError") console.error(error);
    return { title: "Error", failed: true, nodes: [failed(error, place.path, () => show())] };
  }
}

function signIn() {
  forget();
  return { title: "Sign in", nodes: [signInPanel(() => show())], summary: "Sign in to go on." };
}

function filterText() {
  return document.getElementById("filter")?.value ?? "";
}

/* What has the focus, so that its successor can be found. */
function mark(node) {
  return main.contains(node) ? { id: node.id, href: node.getAttribute("href"), text: node.textContent } : null;
}

function find({ id, href, text }) {
  if (id) return document.getElementById(id);
  return [...main.querySelectorAll("a, button, summary")].find(
    (node) => node.getAttribute("href") === href && node.textContent === text,
  );
}

addEventListener("hashchange", () => show());

addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  const filter = document.getElementById("filter");
  if (event.key !== "/" || typing || !filter || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  filter.focus();
});

addEventListener("beforeunload", (event) => {
  if (uploads.underWay) event.preventDefault();
});

document.getElementById("skip").addEventListener("click", () => main.focus());

receiveFiles(
  () => uploadsTo,
  (files, note) => {
    uploads.add(files);
    uploadPanel.note(note);
  },
);
uploads.addEventListener("rest", () => {
  if (uploadsTo !== null) show({ refresh: true });
});
uploads.addEventListener("unknown", () => show());
onSignOut(() => {
  forget();
  show();
});

show();

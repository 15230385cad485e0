// The table of a directory's entries, sorted and filtered by who looks at it.

import { allows } from "./api.js";
import { element, unseen } from "./dom.js";
import { fileIcon, icon } from "./icons.js";
import { artifactHref, directoryHref } from "./location.js";
import { named, visible } from "./names.js";
import { artifactUrl } from "./paths.js";
import { count, size } from "./sizes.js";
import { announce } from "./status.js";
import { time } from "./times.js";

const ONE_OF_SEVERAL = "There are several pages; sorting and filtering concern this page only.";
const NATURAL = new Intl.Collator("en", { numeric: true });
const COLUMNS = [
  { key: "name", label: "Name", first: "ascending", compare: byName },
  { key: "size", label: "Size", first: "descending", compare: (a, b) => a.size - b.size },
  {
    key: "modified",
    label: "Modified",
    first: "descending",
    compare: (a, b) => Date.parse(a.modified) - Date.parse(b.modified),
  },
];

const BY_NAME = COLUMNS[0];

/* Kept from directory to directory. */
const order = { column: BY_NAME, direction: "ascending" };

/** The filter, which begins with `text`, and the table of `entries`: all there are, or one of several pages. */
export function listing(entries, title, { text = "", paged = false } = {}) {
  const rows = new Map(entries.map((entry) => [entry, row(entry)]));
  const body = element("tbody");
  const headers = COLUMNS.map((column) => header(column, () => sortBy(column)));
  const act = element("th", { scope: "col", class: "act" }, unseen("Download"));
  const none = element("p", { class: "message", hidden: true });
  const filter = element("input", {
    id: "filter",
    type: "search",
    placeholder: "Filter by name",
    "aria-label": "Filter by name",
    "aria-keyshortcuts": "/",
    autocomplete: "off",
    spellcheck: "false",
    input: () => announce(`${count(show(), "entry", "entries")} shown.`),
  });
  filter.value = text;

  function sortBy(column) {
    const other = { ascending: "descending", descending: "ascending" };
    order.direction = order.column === column ? other[order.direction] : column.first;
    order.column = column;
    arrange();
  }

  function arrange() {
    for (const [index, column] of COLUMNS.entries()) {
      headers[index].setAttribute("aria-sort", column === order.column ? order.direction : "none");
    }
    body.append(...entries.toSorted(inOrder).map((entry) => rows.get(entry)));
  }

  function show() {
    const wanted = filter.value.trim().toLowerCase();
    let shown = 0;
    for (const [entry, line] of rows) {
      line.hidden = !entry.name.toLowerCase().includes(wanted);
      if (!line.hidden) shown += 1;
    }
    none.hidden = shown > 0;
    none.textContent = `No name here contains “${visible(filter.value.trim())}”.`;
    return shown;
  }

  arrange();
  show();
  return element(
    "div",
    { class: "listing" },
    element(
      "div",
      { class: "filter" },
      filter,
      paged && element("p", { class: "hint" }, ONE_OF_SEVERAL),
    ),
    element(
      "table",
      {},
      element("caption", { class: "visually-hidden" }, `Contents of ${visible(title)}`),
      element("thead", {}, element("tr", {}, headers, act)),
      body,
    ),
    none,
  );
}

function inOrder(a, b) {
  if (a.is_dir !== b.is_dir) return a.is_dir ? -1 : 1;
  // Folders have a name only, which decides as well where all else is the same.
  const { compare } = a.is_dir && order.column !== BY_NAME ? {} : order.column;
  const sign = order.direction === "ascending" ? 1 : -1;
  return (compare ? sign * compare(a, b) : 0) || byName(a, b);
}

function byName(a, b) {
  return NATURAL.compare(a.name, b.name);
}

function header({ key, label }, click) {
  return element(
    "th",
    { scope: "col", class: key },
    element("button", { type: "button", click }, label, icon("ascending"), icon("descending")),
  );
}

function row(entry) {
  const { name, path, is_dir: isDirectory } = entry;
  const modified = isDirectory ? null : new Date(entry.modified);
  return element(
    "tr",
    { class: isDirectory ? null : "dated" },
    element(
      "th",
      { scope: "row", class: "name" },
      element(
        "a",
        { href: isDirectory ? directoryHref(path) : artifactHref(path) },
        isDirectory ? icon("folder") : fileIcon(name),
        element("span", { class: "label" }, named(name), isDirectory && element("span", { class: "slash" }, "/")),
      ),
    ),
    element("td", { class: "size" }, !isDirectory && size(entry.size)),
    element("td", { class: "modified" }, modified && time(modified)),
    element("td", { class: "act" }, !isDirectory && allows(entry, "read") && downloadLink(entry)),
  );
}

function downloadLink({ path, name }) {
  const label = `Download ${visible(name)}`;
  return element("a", { href: artifactUrl(path), download: name, "aria-label": label, title: label }, icon("download"));
}

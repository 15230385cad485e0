// What previews are made of. All text goes in as text, never as HTML.

import { element } from "../dom.js";
import { grouped, oneLine } from "./amounts.js";

/** One below the other, with space between. */
export function stack(...children) {
  return element("div", { class: "preview-stack" }, ...children);
}

export function note(text) {
  return element("p", { class: "preview-note" }, text);
}

export function heading(text) {
  return element("h3", { class: "preview-heading" }, text);
}

export function code(text) {
  return element("pre", { class: "preview-text", tabindex: "0" }, text);
}

/** Pairs of a label and a text or an element; those without a value are left out. */
export function facts(pairs) {
  const list = element("dl", { class: "preview-facts" });
  for (const [label, value] of pairs) {
    if (value == null || value === "") continue;
    const shown = value instanceof Node ? value : oneLine(value, 1000);
    list.append(element("div", {}, element("dt", {}, label), element("dd", {}, shown)));
  }
  return list;
}

/**
 * `columns` are names, or `{name, detail, numeric}`; `rows` are arrays of texts or elements, null where there
 * is no value. The first cell of a row is its header if `rowHeaders` says so.
 */
export function table(caption, columns, rows, { rowHeaders = false } = {}) {
  const described = columns.map((column) => (typeof column === "object" ? column : { name: column }));
  const head = element("tr");
  for (const { name, detail, numeric } of described) {
    const cell = element("th", { scope: "col", class: numeric && "preview-number" }, oneLine(name));
    if (detail) cell.append(" ", element("span", { class: "preview-detail" }, oneLine(detail)));
    head.append(cell);
  }
  const body = element("tbody");
  for (const row of rows) {
    const line = element("tr");
    row.forEach((value, index) => {
      const isHeader = rowHeaders && index === 0;
      const attributes = { scope: isHeader && "row", class: described[index].numeric && "preview-number" };
      line.append(element(isHeader ? "th" : "td", attributes, cellContent(value)));
    });
    body.append(line);
  }
  const made = element("table", { class: "preview-table" }, element("caption", {}, caption));
  made.append(element("thead", {}, head), body);
  // What scrolls must be reached by the keyboard, and say what it is.
  return element(
    "div",
    { class: "preview-scroll", role: "region", tabindex: "0", "aria-label": caption },
    made,
  );
}

function cellContent(value) {
  if (value instanceof Node) return value;
  if (value == null) return element("span", { class: "preview-null" }, "null");
  return oneLine(value);
}

/** "The first 200 rows", "All 3 rows", "The only row" or "No rows". */
export function firstOf(shown, isAll, thing) {
  if (shown === 0) return `No ${thing}s`;
  const part = isAll ? (shown === 1 ? "The only" : "All") : "The first";
  return shown === 1 ? `${part} ${thing}` : `${part} ${grouped(shown)} ${thing}s`;
}

/** Says how many of the things are shown, where it is not all of them; otherwise nothing. */
export function cutNote(shown, all, things) {
  return shown < all ? [note(`The first ${grouped(shown)} of ${grouped(all)} ${things}.`)] : [];
}

/** What is shown, and a button that shows its source instead; `source()` may have to be waited for. */
export function withSource(rendered, source) {
  const attributes = { type: "button", class: "preview-toggle", "aria-pressed": "false" };
  const button = element("button", attributes, "Show source");
  const shown = element("div", {}, rendered);
  const sourced = element("div", { hidden: "" });
  let asked = null;
  button.addEventListener("click", () => {
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(pressed));
    shown.hidden = pressed;
    sourced.hidden = !pressed;
    asked ??= Promise.resolve()
      .then(source)
      .then(
        (content) => sourced.replaceChildren(content),
        (error) => {
          asked = null;
          sourced.replaceChildren(element("p", { role: "alert" }, error.message));
        },
      );
  });
  return stack(element("p", { class: "preview-actions" }, button), shown, sourced);
}

// The panel that shows the uploads.

import { element } from "./dom.js";
import { icon } from "./icons.js";
import { named, visible } from "./names.js";
import { count, sizeText } from "./sizes.js";
import { announce } from "./status.js";

/* More rows than these make a page slow, and nobody reads them; those that need somebody come first. */
const MOST_ROWS = 200;
const REFRESH_MILLISECONDS = 100;

const panel = document.getElementById("uploads");

/** Shows `uploads` in the panel from now on. */
export function showUploads(uploads) {
  const rows = new Map();
  const list = element("ul", { id: "upload-list", class: "upload-list" });
  const total = element("progress", { "aria-label": "All uploads", max: "1" });
  const summary = element("p", { class: "upload-summary" });
  const note = element("p", { class: "hint", hidden: true });
  const more = element("p", { class: "hint", hidden: true });
  const together = (label, states, act) => ({
    states,
    button: element("button", { type: "button", class: "quiet", click: () => act(uploads.in(...states)) }, label),
  });
  const actions = [
    together("Replace all", ["exists"], (some) => uploads.replace(some)),
    together("Skip all", ["exists"], (some) => uploads.skip(some)),
    together("Retry all", ["failed"], (some) => uploads.retry(some)),
    together("Cancel all", ["queued", "sending", "busy"], (some) => uploads.cancel(some)),
  ];
  const foldAttributes = { type: "button", class: "quiet", "aria-controls": list.id, "aria-expanded": "true" };
  const fold = element("button", foldAttributes, "Hide list");
  fold.addEventListener("click", () => {
    list.hidden = !list.hidden;
    fold.textContent = list.hidden ? "Show list" : "Hide list";
    fold.setAttribute("aria-expanded", String(!list.hidden));
  });
  const close = element("button", { type: "button", class: "quiet", click: () => uploads.clear() }, "Close");
  panel.replaceChildren(
    element(
      "div",
      { class: "upload-head" },
      element("h2", { id: "uploads-title" }, "Uploads"),
      element("div", { class: "upload-actions" }, actions.map(({ button }) => button), fold, close),
    ),
    summary,
    total,
    note,
    list,
    more,
  );

  function refresh() {
    const { all } = uploads;
    panel.hidden = all.length === 0 && note.hidden;
    const shown = mostPressing(all);
    for (const [upload, row] of rows) {
      if (shown.has(upload)) continue;
      row.node.remove();
      rows.delete(upload);
    }
    // Rows stay where they are while they are shown, so that none loses the focus.
    let last = null;
    for (const upload of all) {
      if (!shown.has(upload)) continue;
      if (!rows.has(upload)) {
        const row = new Row(upload, uploads);
        rows.set(upload, row);
        if (last) last.after(row.node);
        else list.prepend(row.node);
      }
      rows.get(upload).refresh();
      last = rows.get(upload).node;
    }
    more.hidden = shown.size === all.length;
    more.textContent = `And ${count(all.length - shown.size, "more", "more")}.`;
    for (const { states, button } of actions) button.hidden = uploads.count(...states) === 0;
    close.hidden = uploads.underWay;
    tellTotal(all);
  }

  function tellTotal(all) {
    const wanted = all.filter(({ state }) => state !== "cancelled" && state !== "skipped");
    const bytes = wanted.reduce((sum, { file }) => sum + file.size, 0);
    const sent = wanted.reduce((sum, upload) => sum + upload.sent, 0);
    total.hidden = !uploads.underWay;
    total.value = bytes ? sent / bytes : 0;
    summary.textContent = all.length === 0 ? "" : `${tally(uploads)}. ${sizeText(sent)} of ${sizeText(bytes)}.`;
  }

  let due = null;
  uploads.addEventListener("change", () => {
    due ??= setTimeout(() => {
      due = null;
      if (uploads.all.length === 0) note.hidden = true;
      refresh();
    }, REFRESH_MILLISECONDS);
  });
  uploads.addEventListener("rest", () => {
    if (uploads.all.length) announce(`Uploads: ${tally(uploads)}.`);
  });

  return {
    /** Tells what else there is to know of what was just added. */
    note(text) {
      note.textContent = text;
      note.hidden = text === "";
      refresh();
      if (text) announce(text);
    },
  };
}

function tally(uploads) {
  const words = { done: "done", exists: "there already", failed: "failed", cancelled: "cancelled", skipped: "skipped" };
  const parts = [`${uploads.count("done")} of ${uploads.all.length} done`];
  for (const state of ["exists", "failed", "cancelled", "skipped"]) {
    const number = uploads.count(state);
    if (number) parts.push(`${number} ${words[state]}`);
  }
  return parts.join(", ");
}

function mostPressing(all) {
  if (all.length <= MOST_ROWS) return new Set(all);
  const ranks = { exists: 0, failed: 0, sending: 1, busy: 1, queued: 2 };
  const ranked = [[], [], [], []];
  for (const upload of all) {
    const peers = ranked[ranks[upload.state] ?? 3];
    if (peers.length < MOST_ROWS) peers.push(upload);
  }
  return new Set(ranked.flat().slice(0, MOST_ROWS));
}

/** One upload, with what can be done about it. */
class Row {
  constructor(upload, uploads) {
    this.upload = upload;
    const path = visible(upload.path);
    const button = (word, states, click) => ({
      states,
      node: element("button", { type: "button", class: "quiet", "aria-label": `${word} ${path}`, click }, word),
    });
    this.progress = element("progress", { "aria-label": `Upload of ${path}`, max: "1", value: "0" });
    this.text = element("p", { class: "upload-state" });
    this.buttons = [
      button("Replace", ["exists"], () => uploads.replace([upload])),
      button("Skip", ["exists"], () => uploads.skip([upload])),
      button("Retry", ["failed", "cancelled"], () => uploads.retry([upload])),
      button("Cancel", ["queued", "sending", "busy"], () => uploads.cancel([upload])),
    ];
    this.node = element(
      "li",
      {},
      element("p", { class: "upload-name" }, icon("file"), named(upload.path)),
      element("div", { class: "upload-buttons" }, this.buttons.map(({ node }) => node)),
      this.progress,
      this.text,
    );
  }

  refresh() {
    const { state, sent, file } = this.upload;
    this.node.dataset.state = state;
    this.progress.hidden = state !== "sending";
    this.progress.value = file.size ? sent / file.size : 0;
    this.text.textContent = stateText(this.upload);
    for (const { states, node } of this.buttons) node.hidden = !states.includes(state);
  }
}

function stateText({ state, sent, message, file }) {
  switch (state) {
    case "queued":
      return "Waiting";
    case "sending":
      return sent < file.size ? `${Math.floor((100 * sent) / file.size)} % of ${sizeText(file.size)}` : "Storing…";
    case "exists":
      return "There is an artifact of this name already. Replace it?";
    case "done":
      return `Done, ${sizeText(file.size)}`;
    case "cancelled":
      return "Cancelled";
    case "skipped":
      return "Skipped";
    default:
      return message;
  }
}

// Files and folders from the desktop, by drag and drop or by the browser's pickers.

import { named, visible } from "./names.js";
import { join } from "./paths.js";

const EMPTY = "Empty folders are skipped, as folders are there by what is in them";

const target = document.getElementById("drop-target");
const filePicker = document.getElementById("file-picker");
const folderPicker = document.getElementById("folder-picker");

/** What opens the browser's dialogs. */
export const pickers = {
  files: () => filePicker.click(),
  folder: () => folderPicker.click(),
};

/**
 * Takes files wherever they come from.
 *
 * `directory()` is where they go to, or null where nothing may be uploaded; `take` gets the pairs of
 * path and file, and what was left out, in words.
 */
export function receiveFiles(directory, take) {
  for (const picker of [filePicker, folderPicker]) {
    picker.addEventListener("change", () => {
      const into = directory();
      const files = [...picker.files].map((file) => ({ path: join(into, file.webkitRelativePath || file.name), file }));
      // The same files can be picked again only if none are picked now.
      picker.value = "";
      if (into !== null) take(files, files.length ? "" : "There was no file in that folder, so nothing is uploaded.");
    });
  }
  takeDrops(directory, take);
}

function takeDrops(directory, take) {
  // Each element that is entered tells before the one that is left.
  let depth = 0;
  const hide = () => {
    depth = 0;
    target.hidden = true;
  };
  const carriesFiles = (event) => event.dataTransfer.types.includes("Files");

  addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    const into = directory();
    target.hidden = into === null;
    if (into !== null) target.replaceChildren("Drop to upload to ", into ? named(`${into}/`) : "the root");
  });
  addEventListener("dragleave", (event) => {
    if (!carriesFiles(event)) return;
    depth -= 1;
    if (depth <= 0) hide();
  });
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    // Without this the browser would leave the page, and open the file.
    event.preventDefault();
    event.dataTransfer.dropEffect = directory() === null ? "none" : "copy";
  });
  addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    hide();
    const into = directory();
    if (into === null) return;
    // They are gone once this listener has waited for anything.
    const dropped = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    const { files, emptyFolders, unread } = await walk(dropped);
    take(files.map(({ path, file }) => ({ path: join(into, path), file })), leftOut(emptyFolders, unread));
  });
}

/** All files below the entries of a drop, with their paths as they lie there. */
async function walk(entries) {
  const found = { files: [], emptyFolders: [], unread: [] };
  const pending = [...entries];
  for (const entry of pending) {
    const path = entry.fullPath.replace(/^\//, "");
    try {
      if (entry.isFile) {
        found.files.push({ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
      } else {
        const children = await childrenOf(entry);
        if (children.length === 0) found.emptyFolders.push(path);
        for (const child of children) pending.push(child);
      }
    } catch {
      found.unread.push(path);
    }
  }
  found.files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return found;
}

async function childrenOf(folder) {
  const reader = folder.createReader();
  const children = [];
  for (;;) {
    // A browser gives them by the hundred.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return children;
    children.push(...some);
  }
}

function leftOut(emptyFolders, unread) {
  const parts = [];
  if (emptyFolders.length) parts.push(`${EMPTY}: ${some(emptyFolders)}.`);
  if (unread.length) parts.push(`The browser could not read ${some(unread)}.`);
  return parts.join(" ");
}

function some(paths) {
  const shown = paths.slice(0, 3).map(visible).join(", ");
  return paths.length > 3 ? `${shown} and ${paths.length - 3} more` : shown;
}

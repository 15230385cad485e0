// A Jupyter notebook: its cells, and of their outputs the texts and pictures. HTML and scripts are left out.

import { element } from "../dom.js";
import { note, stack, withSource } from "./elements.js";
import { renderMarkdown } from "./markdown.js";
import { readText, textBlock } from "./text.js";
import { parseJson } from "./tree.js";
import { PreviewFailure } from "./failure.js";
import { bytes, cut, grouped } from "./amounts.js";

const NOTEBOOK_BYTES = 16 * 1024 * 1024;
const CELLS = 200;
const OUTPUTS = 20;
const OUTPUT_CHARACTERS = 20_000;
const PICTURES = ["image/png", "image/jpeg"];

export async function showNotebook(source) {
  if (source.size > NOTEBOOK_BYTES) {
    throw new PreviewFailure(
      `This notebook has ${bytes(source.size)}; more than ${bytes(NOTEBOOK_BYTES)} are not shown.`,
    );
  }
  const { text } = await readText(source, NOTEBOOK_BYTES);
  const cells = cellsOf(text);
  const sourceText = () => textBlock(cut(text, 512 * 1024));
  if (cells === null) return stack(note("This is no notebook; here it is as text."), sourceText());
  const shown = await cellElements(cells.slice(0, CELLS), source);
  const more = cells.length > CELLS ? [note(`The first ${CELLS} of ${grouped(cells.length)} cells.`)] : [];
  return withSource(stack(...more, ...shown), sourceText);
}

function cellsOf(text) {
  try {
    const { cells } = parseJson(text) ?? {};
    return Array.isArray(cells) ? cells : null;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    return null;
  }
}

async function cellElements(cells, source) {
  const isMarkdown = (cell) => cell?.cell_type === "markdown";
  const texts = cells.filter(isMarkdown).map((cell) => joined(cell.source));
  const documents = await renderMarkdown(texts, source);
  return cells.map((cell) => (isMarkdown(cell) ? documents.shift() : codeCell(cell, source)));
}

function codeCell(cell, source) {
  const outputs = Array.isArray(cell?.outputs) ? cell.outputs : [];
  const made = element("div", { class: "preview-cell preview-stack" }, textBlock(joined(cell?.source)));
  made.append(...outputs.slice(0, OUTPUTS).flatMap((output) => outputElements(output, source)));
  if (outputs.length > OUTPUTS)
    made.append(note(`${grouped(outputs.length - OUTPUTS)} more outputs are not shown.`));
  return made;
}

function outputElements(output, source) {
  const data = output?.data ?? {};
  const picture = PICTURES.find((type) => Object.hasOwn(data, type));
  if (picture) return [pictureElement(joined(data[picture]), picture, source)];
  const text = joined(output?.text ?? data["text/plain"] ?? output?.traceback);
  // Tracebacks are coloured for terminals.
  return text === "" ? [] : [textBlock(cut(text.replace(/\u001b\[[0-9;]*m/g, ""), OUTPUT_CHARACTERS))];
}

function pictureElement(base64, type, source) {
  let data;
  try {
    data = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return note("A picture here is damaged."); // InvalidCharacterError: no base64
  }
  const url = URL.createObjectURL(new Blob([data], { type }));
  source.signal?.addEventListener("abort", () => URL.revokeObjectURL(url), { once: true });
  return element("img", { alt: "Output of the cell", src: url });
}

// Notebooks keep texts as lists of lines, or as one string.
function joined(text) {
  if (Array.isArray(text)) return text.filter((line) => typeof line === "string").join("");
  return typeof text === "string" ? text : "";
}

// JSON as a tree, and JSON Lines as one line after the other.

import { element } from "../dom.js";
import { grouped } from "./amounts.js";
import { note, stack, withSource } from "./elements.js";
import { readText, shortened, textBlock } from "./text.js";
import { parseJson, summary, tree } from "./tree.js";

const LINES = 200;

export async function showJson(source) {
  const head = await readText(source);
  if (!head.whole) return stack(...shortened(head, source), textBlock(head.text));
  try {
    const value = parseJson(head.text);
    return withSource(tree(value), () => textBlock(head.text));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    const reason = error instanceof RangeError ? "nested too deep" : "not valid";
    return stack(note(`This JSON is ${reason}; here it is as text.`), textBlock(head.text));
  }
}

export async function showJsonLines(source) {
  const head = await readText(source);
  const lines = head.text.split("\n").filter((line) => line.trim() !== "");
  // The last one may have been cut in its middle.
  if (!head.whole && lines.length > 1) lines.pop();
  const list = element("ol", { class: "preview-lines" });
  list.append(...lines.slice(0, LINES).map((line) => element("li", {}, shownLine(line))));
  const more =
    lines.length > LINES
      ? [note(`The first ${LINES} of ${grouped(lines.length)} lines that were read.`)]
      : [];
  const rendered = stack(...shortened(head, source), ...more, list);
  return withSource(rendered, () => textBlock(head.text));
}

function shownLine(line) {
  try {
    const value = parseJson(line);
    return isPlain(value) ? lineTree(line, value) : textBlock(line);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    return element("span", {}, note("Not valid JSON:"), textBlock(line));
  }
}

function isPlain(value) {
  return value !== null && typeof value === "object";
}

function lineTree(line, value) {
  const short = line.length > 200 ? `${summary(value)} ${line.slice(0, 160)}…` : line;
  const details = element("details", {}, element("summary", { class: "preview-mono" }, short));
  details.addEventListener("toggle", () => details.append(tree(value)), { once: true });
  return details;
}

// Texts of any kind, as they are.

import { bytes, cut, grouped } from "./amounts.js";
import { code, note, stack } from "./elements.js";

const TEXT_BYTES = 512 * 1024;
// A browser takes long for a line that has no end.
const LINE_CHARACTERS = 20_000;
const LONG_LINES = new RegExp(`[^\\n]{${LINE_CHARACTERS + 1},}`, "g");
// What no text in UTF-8 has.
const BINARY = /[\u0000-\u0008\u000e-\u001a\u001c-\u001f\ufffd]/;

/** The beginning of the text, and whether that is all of it. */
export async function readText(source, limit = TEXT_BYTES) {
  const data = await source.head(limit);
  const whole = data.length === source.size;
  return { text: decoded(data, whole), whole, read: data.length };
}

export function decoded(data, whole = true) {
  const encoding =
    data[0] === 0xff && data[1] === 0xfe
      ? "utf-16le"
      : data[0] === 0xfe && data[1] === 0xff
        ? "utf-16be"
        : "utf-8";
  // As a stream, the half of a character at the cut is left out.
  return new TextDecoder(encoding).decode(data, { stream: !whole });
}

/** Whether the beginning of something looks like a text. */
export function isText(data, whole) {
  return data.length > 0 && !BINARY.test(decoded(data, whole));
}

export function shortened({ whole, read }, source) {
  return whole ? [] : [note(`The first ${bytes(read)} of ${bytes(source.size)}.`)];
}

export function textBlock(text) {
  return code(text.replace(LONG_LINES, (line) => cut(line, LINE_CHARACTERS)));
}

export async function showText(source) {
  const head = await readText(source);
  const lines = head.text.split("\n").length - (head.text.endsWith("\n") ? 1 : 0);
  const counted = head.whole ? [note(`${grouped(lines)} ${lines === 1 ? "line" : "lines"}`)] : [];
  return stack(...counted, ...shortened(head, source), textBlock(head.text));
}

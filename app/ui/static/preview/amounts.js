// Numbers as people read them, and texts cut to what can be shown.

import { codePoint, INVISIBLE } from "../characters.js";
import { sizeText } from "../sizes.js";

const GROUPED = new Intl.NumberFormat("en-US");

export const CELL_CHARACTERS = 300;

export function grouped(number) {
  return GROUPED.format(number);
}

export function bytes(size) {
  return sizeText(Number(size));
}

export function cut(text, characters = CELL_CHARACTERS) {
  if (text.length <= characters) return text;
  const end = /[\ud800-\udbff]/.test(text[characters - 1]) ? characters - 1 : characters;
  return `${text.slice(0, end)}…`;
}

/** The text in one line, in which nothing is invisible. */
export function oneLine(text, characters = CELL_CHARACTERS) {
  return cut(String(text), characters)
    .replace(/\r\n?|\n/g, "⏎")
    .replaceAll("\t", "⇥")
    .replace(INVISIBLE, (character) => `‹${codePoint(character)}›`);
}

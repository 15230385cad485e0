// A value of JSON or YAML as a tree that is opened step by step. What is closed costs nothing.

import { element } from "../dom.js";
import { cut, grouped, oneLine } from "./amounts.js";

const CHILDREN = 200;
const STRING_CHARACTERS = 2000;
const SUMMARY_CHARACTERS = 80;

/** A number that JavaScript cannot hold, as it was written. */
export class Verbatim {
  constructor(text) {
    this.text = text;
  }
}

/** Parses JSON, with numbers as they were written. Throws `SyntaxError`, or `RangeError` for deep nesting. */
export function parseJson(text) {
  return JSON.parse(text, (_key, value, context) => {
    if (typeof value !== "number" || context?.source === undefined) return value;
    return String(value) === context.source || Number.isSafeInteger(value)
      ? value
      : new Verbatim(context.source);
  });
}

export function tree(value) {
  const list = element("ul", { class: "preview-tree" });
  list.append(...(isBranch(value) ? items(value) : [element("li", {}, leaf(value))]));
  return list;
}

/** One line about the value, however large it is. */
export function summary(value) {
  if (Array.isArray(value)) return `[${counted(value.length, "item")}]`;
  if (isBranch(value)) return `{${counted(Object.keys(value).length, "key")}}`;
  return cut(leafText(value), SUMMARY_CHARACTERS);
}

function counted(number, thing) {
  return `${grouped(number)} ${thing}${number === 1 ? "" : "s"}`;
}

function isBranch(value) {
  return (
    value !== null && typeof value === "object" && !(value instanceof Verbatim) && !(value instanceof Date)
  );
}

function items(value) {
  const entries = Array.isArray(value)
    ? value.slice(0, CHILDREN).map((each, index) => [String(index), each])
    : Object.keys(value)
        .slice(0, CHILDREN)
        .map((key) => [key, value[key]]);
  const size = Array.isArray(value) ? value.length : Object.keys(value).length;
  const made = entries.map(([key, each]) => item(key, each));
  if (size > entries.length) {
    made.push(element("li", { class: "preview-note" }, `… and ${grouped(size - entries.length)} more`));
  }
  return made;
}

function item(key, value) {
  const name = element("span", { class: "preview-key" }, oneLine(key));
  if (!isBranch(value)) return element("li", {}, name, ": ", leaf(value));
  const details = element("details", {}, element("summary", {}, name, ` ${summary(value)}`));
  details.addEventListener("toggle", () => details.append(element("ul", {}, ...items(value))), {
    once: true,
  });
  return element("li", {}, details);
}

function leaf(value) {
  const kind =
    value === null || value === undefined ? "null" : typeof value === "string" ? "string" : "literal";
  return element("span", { class: `preview-${kind}` }, leafText(value));
}

function leafText(value) {
  if (value instanceof Verbatim) return cut(value.text, STRING_CHARACTERS);
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "string") return `"${oneLine(value, STRING_CHARACTERS)}"`;
  return String(value);
}

// Names as people see them. They come from anywhere, and may try to look like others.

import { codePoint, INVISIBLE } from "./characters.js";
import { element } from "./dom.js";

/** The name as text in which nothing is invisible. */
export function visible(name) {
  return name.replace(INVISIBLE, codePoint);
}

/** The name as an element, kept apart from the direction of the text around it. */
export function named(name, attributes = {}) {
  const parts = [];
  let end = 0;
  for (const { 0: character, index } of name.matchAll(INVISIBLE)) {
    parts.push(name.slice(end, index));
    parts.push(element("span", { class: "invisible", title: "An invisible character" }, codePoint(character)));
    end = index + character.length;
  }
  return element("bdi", { class: "name", ...attributes }, ...parts, name.slice(end));
}

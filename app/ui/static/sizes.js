// Sizes in binary units, with the exact bytes at hand.

import { element } from "./dom.js";

const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];
const WHOLE = new Intl.NumberFormat("en");

export function count(number, singular, plural = `${singular}s`) {
  return `${WHOLE.format(number)} ${number === 1 ? singular : plural}`;
}

export function sizeText(bytes) {
  if (bytes < 1024) return count(bytes, "byte");
  let value = bytes;
  let unit = -1;
  // What would be rounded to 1024 is told in the next unit.
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(value < 9.95 ? 1 : 0)} ${UNITS[unit]}`;
}

export function size(bytes) {
  return element("span", { title: count(bytes, "byte") }, sizeText(bytes));
}
